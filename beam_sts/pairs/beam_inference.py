"""Beam's RunInference and its parts, imported without torch.

``apache_beam.ml.inference.base`` imports Beam's ``ModelManager`` where it can. That takes torch and scipy,
seconds and hundreds of megabytes, to watch the memory of GPUs for pipelines that ask for it. It is kept out
here: Beam then does without it, as where torch is not installed, and imports it when a pipeline asks.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

_BASE, _MANAGER = "apache_beam.ml.inference.base", "apache_beam.ml.inference.model_manager"


def _base() -> ModuleType:
    if _BASE in sys.modules or _MANAGER in sys.modules:
        return import_module(_BASE)
    sys.modules[_MANAGER] = None  # type: ignore[assignment]  # what Python takes for "cannot be imported"
    try:
        base = import_module(_BASE)
    finally:
        del sys.modules[_MANAGER]
    try:
        import resource  # imported beside the manager, for Beam's metrics of memory; not on Windows

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
