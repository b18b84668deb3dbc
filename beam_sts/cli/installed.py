"""Whether the packages of a command are installed."""

from __future__ import annotations

from beam_sts.cli.terminal import print_errors
from beam_sts.errors import UserError
from beam_sts.extras import need


def check_installed(what: str, extra: str, *packages: str) -> None:
    """Exit with status 2 if packages of a command are not installed. The message names the extra."""
    try:
        need(what, extra, *packages)
    except UserError as error:
        print_errors(f"error: {error}")
        raise SystemExit(2) from None
