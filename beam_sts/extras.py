"""Checks for optional packages, with the extra of beam_sts that installs them."""

from __future__ import annotations

from importlib.util import find_spec

from beam_sts.errors import UserError


def need(what: str, extra: str, *packages: str) -> None:
    """Check that packages are installed, before they are imported.

    Args:
        what: what needs the packages, as the start of a sentence.
        extra: the extra of beam_sts that installs them.
        *packages: the names under which they are imported.

    Raises:
        UserError: a package is missing. The message names the extra.
    """
    missing = [package for package in packages if not find_spec(package)]
    if missing:
        listed = " and ".join([", ".join(missing[:-1]), missing[-1]] if missing[1:] else missing)
        raise UserError(f"{what} needs {listed}: pip install 'beam_sts[{extra}]'.")


def need_torch(what: str) -> None:
    """Check that torch and transformers are installed. BERT-hash on the CPU runs without them."""
    need(what, "torch", "torch", "transformers")
