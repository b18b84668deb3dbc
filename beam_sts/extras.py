"""Packages that the base installation leaves out, asked for by the extra that brings them."""

from __future__ import annotations

from importlib.util import find_spec

from beam_sts.errors import UserError


def need(what: str, extra: str, *packages: str) -> None:
    """See that packages are installed, before they are imported.

    Args:
        what: needs them, as the start of a sentence.
        extra: of beam_sts that brings them.
        *packages: by the names under which they are imported.

    Raises:
        UserError: one is missing, naming the extra.
    """
    missing = [package for package in packages if not find_spec(package)]
    if missing:
        raise UserError(f"{what} needs {' and '.join(missing)}: pip install 'beam_sts[{extra}]'.")


def need_torch(what: str) -> None:
    """The same for torch and transformers, without which BERT-hash alone runs, on the CPU."""
    need(what, "torch", "torch", "transformers")
