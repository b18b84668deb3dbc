"""Packages that the base installation leaves out, asked for by the extra that brings them."""

from __future__ import annotations

from importlib.util import find_spec

from beam_sts.errors import UserError

_TORCH = ("torch", "transformers")


def has_torch() -> bool:
    """Whether torch and transformers are installed; neither is imported."""
    return all(find_spec(package) for package in _TORCH)


def need_torch(what: str) -> None:
    """See that torch and transformers are installed, before they are imported.

    Args:
        what: needs them, as the start of a sentence.

    Raises:
        UserError: one is missing, naming the extra.
    """
    missing = [package for package in _TORCH if not find_spec(package)]
    if missing:
        raise UserError(f"{what} needs {' and '.join(missing)}: pip install 'beam_sts[torch]'.")
