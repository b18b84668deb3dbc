"""Modules that have moved. Their old names work for one more release and give a deprecation warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any


def moved(old: str, *new: str) -> Callable[[str], Any]:
    """A module's ``__getattr__`` that looks names up in the modules to which they have moved.

    Args:
        old: the name of the old module.
        new: the modules that have its names now, in the order in which they are searched.
    """

    def find(name: str) -> Any:
        if not name.startswith("__"):
            for place in new:
                module = import_module(place)
                if hasattr(module, name):
                    warnings.warn(
                        f"{old}.{name} has moved to {place}; the next release removes the old name.",
                        DeprecationWarning,
                        stacklevel=2,
                    )
                    return getattr(module, name)
        raise AttributeError(f"module {old!r} has no attribute {name!r}")

    return find
