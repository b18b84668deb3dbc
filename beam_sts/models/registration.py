"""Registers BERT-hash and NeoBERT with transformers when it is imported, and not before.

``import beam_sts`` must not import transformers, which takes seconds. Yet ``CrossEncoder`` must then load
checkpoints of these architectures. So an import hook waits for the module with transformers' table of
configs: once Python has executed it, ``beam_sts.models.architectures`` is imported too.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_CONFIGS = "transformers.models.auto.configuration_auto"
_MODELS = "transformers.models.auto.modeling_auto"


def register_with_transformers() -> None:
    """Register the architectures with transformers' Auto classes, now or as soon as it is imported."""
    if _CONFIGS in sys.modules:
        import_module("beam_sts.models.architectures")
    elif not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch())


class _Watch(MetaPathFinder):
    """Finds the watched modules through the other finders, and wraps their loaders to register afterwards."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in (_CONFIGS, _MODELS):
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((spec for spec in found if spec), None)
        if spec and spec.loader:
            spec.loader = _Registering(spec.loader)
        return spec


class _Registering(Loader):
    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        if module.__name__ == _CONFIGS and _MODELS in sys.modules:
            # The other watched module imports this one. It is still being executed, and will register.
            return
        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Watch)]
        try:
            import_module("beam_sts.models.architectures")
        except (
            Exception
        ) as error:  # such as another version of transformers, whose user may not need BERT-hash
            import logging

            why = f"{type(error).__name__}: {error}"
            logging.getLogger(__name__).warning("BERT-hash cannot be registered with transformers: %s", why)
