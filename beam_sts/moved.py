"""Modules that have moved: their old names go on for one release, with a warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any


def moved(old: str, *new: str) -> Callable[[str], Any]:
    """A module's ``__getattr__`` that finds names in the modules that they have moved to.

    Args:
        old: the module's name.
        new: modules that have its names now, the first that has one counts.
    """

    def find(name: str) -> Any:
        if not name.startswith("__"):
            for place in new:
                module = import_module(place)
                if hasattr(module, name):
                    warnings.warn(
                        f"{old}.{name} has moved to {place}; the old name goes with the next release.",
                        DeprecationWarning,
                        stacklevel=2,
                    )
                    return getattr(module, name)
        raise AttributeError(f"module {old!r} has no attribute {name!r}")

    return find
