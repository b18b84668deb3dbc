"""Checks of options before the long work, shared by several commands."""

from __future__ import annotations

import argparse

from beam_sts.cli.terminal import print_errors
from beam_sts.errors import UserError, check_between
from beam_sts.extras import need


def check_at_least(args: argparse.Namespace, **least: int) -> None:
    """Check that numeric options are large enough. Options that are not given are not checked.

    Raises:
        UserError: one is too small. The message names the option, its value and the bound.

    >>> check_at_least(argparse.Namespace(threads=4, rows=None), threads=1, rows=1)
    """
    for name, bound in least.items():
        value = getattr(args, name)
        if value is not None and value < bound:
            raise UserError(f"--{name} {value}: must be at least {bound}.")


def check_shares(args: argparse.Namespace, *names: str) -> None:
    """Check that options are numbers from 0 to 1, such as scores and fractions.

    Raises:
        UserError: one is not. The message names the option and its value.

    >>> check_shares(argparse.Namespace(threshold=0.9), "threshold")
    """
    for name in names:
        check_between(f"--{name}", getattr(args, name))


def check_installed(what: str, extra: str, *packages: str) -> None:
    """Exit with status 2 if packages of a command are not installed. The message names the extra."""
    try:
        need(what, extra, *packages)
    except UserError as error:
        print_errors(f"error: {error}")
        raise SystemExit(2) from None
