"""Beam's RunInference, imported without torch.

``apache_beam.ml.inference.base`` imports Beam's ``ModelManager`` if it can. That import loads torch and
scipy, which takes seconds and hundreds of megabytes, although only pipelines that manage GPU memory use it.
This module blocks the import. Beam then behaves as if torch were not installed, and imports it when a
pipeline needs it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

_BASE, _MANAGER = "apache_beam.ml.inference.base", "apache_beam.ml.inference.model_manager"


def _base() -> ModuleType:
    if _BASE in sys.modules or _MANAGER in sys.modules:
        return import_module(_BASE)
    sys.modules[_MANAGER] = None  # type: ignore[assignment]  # makes the import fail
    try:
        base = import_module(_BASE)
    finally:
        del sys.modules[_MANAGER]
    try:
        import resource  # Beam imports it together with the manager, for memory metrics; not on Windows

        vars(base)["resource"] = resource
    except ImportError:
        pass
    return base


_base()

from apache_beam.ml.inference.base import (
    KeyedModelHandler,
    ModelHandler,
    PredictionResult,
    RunInference,
)

__all__ = ["KeyedModelHandler", "ModelHandler", "PredictionResult", "RunInference"]
