"""Rules for the values of settings, shared by the command line, the transforms and Beam YAML.

A rule takes the name of the setting as messages show it (``--cap`` or ``cap``) and its value. If the value is
not allowed, the rule raises a ``UserError`` that names the setting, the value and what is allowed.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from beam_sts.errors import UserError

Check = Callable[[str, Any], None]
_LONGEST = 200  # characters of a value in a message
_REAL = (int, float, np.integer, np.floating)


def check(rules: Mapping[str, Check], values: Mapping[str, Any], dashes: str = "") -> None:
    """Check the values of settings by their rules. A value without a rule is not checked.

    Args:
        rules: the rules, by the name of the setting.
        values: the values, by the name of the setting.
        dashes: a prefix for the names in messages: ``--`` for a command line.

    Raises:
        UserError: a value breaks its rule. The first such value is reported.

    >>> check({"cap": whole(2)}, {"cap": 1}, "--")
    Traceback (most recent call last):
    beam_sts.errors.UserError: --cap 1: must be at least 2.
    """
    for name, value in values.items():
        if name in rules:
            rules[name](f"{dashes}{name}", value)


def check_names(what: str, given: Collection[str], known: Collection[str]) -> None:
    """Check that all given names are known.

    Args:
        what: what has the names, for the message.
        given: the names to check.
        known: the names that exist.

    Raises:
        UserError: a name is unknown. The message gives the closest known name, and all known names.
    """
    for name in given:
        if name not in known:
            raise UserError(f"{what} has no {name!r}{_instead(name, known)} It has {', '.join(known)}.")


def _shown(value: Any) -> str:
    """A value for a message, cut if it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _instead(value: Any, choices: Collection[str]) -> str:
    near = difflib.get_close_matches(str(value)[:_LONGEST], list(choices), n=1)
    return f"; did you mean {near[0]!r}?" if near else "."


def one_of(*choices: str) -> Check:
    """A rule: the value is one of some words."""

    def rule(what: str, value: Any) -> None:
        if not isinstance(value, str) or value not in choices:
            raise UserError(
                f"{what} {_shown(value)}: is not one of {', '.join(choices)}{_instead(value, choices)}"
            )

    return rule


def whole(least: int, most: int | None = None) -> Check:
    """A rule: the value is a whole number within bounds, both included."""

    def rule(what: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise UserError(f"{what} {_shown(value)}: must be a whole number of at least {least}.")
        if value < least:
            raise UserError(f"{what} {value}: must be at least {least}.")
        if most is not None and value > most:
            raise UserError(f"{what} {value}: must be at most {most:,}.")

    return rule


def number(what: str, value: Any) -> None:
    """The rule for a finite number."""
    if isinstance(value, bool) or not isinstance(value, _REAL) or not math.isfinite(value):
        raise UserError(f"{what} {_shown(value)}: must be a finite number.")


def share(what: str, value: Any) -> None:
    """The rule for a number from 0 to 1, such as a score or a fraction."""
    if not _is_share(value):
        raise UserError(f"{what} {_shown(value)}: must be between 0 and 1.")


def _is_share(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, _REAL) and bool(0 <= value <= 1)


def flag(what: str, value: Any) -> None:
    """The rule for True or False."""
    if not isinstance(value, bool):
        raise UserError(f"{what} {_shown(value)}: must be True or False.")


def name(what: str, value: Any) -> None:
    """The rule for a string that is not empty."""
    if not isinstance(value, str) or not value:
        raise UserError(f"{what} {_shown(value)}: must be a name.")


def optional(rule: Check) -> Check:
    """A rule: the value is None, or obeys another rule."""

    def either(what: str, value: Any) -> None:
        if value is not None:
            rule(what, value)

    return either


def every(rule: Check) -> Check:
    """A rule: the value is a collection whose items all obey another rule."""

    def rules(what: str, values: Any) -> None:
        if isinstance(values, str) or not isinstance(values, Collection):
            raise UserError(f"{what} {_shown(values)}: must be a list.")
        for value in values:
            rule(what, value)

    return rules


def interval(what: str, value: Any) -> None:
    """The rule for two numbers from 0 to 1, the first not above the second."""
    if isinstance(value, str) or not isinstance(value, Collection) or len(value) != 2:
        raise UserError(f"{what} {_shown(value)}: must be two numbers, such as (0.8, 0.95).")
    low, high = value
    if not (_is_share(low) and _is_share(high) and low <= high):
        raise UserError(f"{what} {low},{high}: must be between 0 and 1, the first not above the second.")
