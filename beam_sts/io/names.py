"""Names of added columns. If the input has a column of the same name, the added column is renamed."""

from __future__ import annotations

from collections.abc import Collection, Iterable

PREFIX = "beam_sts_"
"""The default prefix of an added column whose name the input has already."""


def free_name(name: str, taken: Collection[str], prefix: str = PREFIX) -> str:
    """A free name for an added column: NAME, or PREFIX_NAME, or PREFIX_2_NAME, PREFIX_3_NAME and so on.

    Args:
        name: the name to use if it is free.
        taken: the names in use.
        prefix: the prefix, including the underscore at its end.

    >>> free_name("score", ["text"]), free_name("score", ["score"])
    ('score', 'beam_sts_score')
    >>> free_name("score", ["score", "beam_sts_score"])
    'beam_sts_2_score'
    """
    found, number = name, 1
    while found in taken:
        found = f"{prefix}{name}" if number == 1 else f"{prefix}{number}_{name}"
        number += 1
    return found


def free_names(names: Iterable[str], taken: Iterable[str], prefix: str = PREFIX) -> dict[str, str]:
    """Free names for several added columns, by original name. They also differ from each other.

    >>> free_names(["score", "rule"], ["score", "text"])
    {'score': 'beam_sts_score', 'rule': 'rule'}
    """
    there, found = set(taken), dict[str, str]()
    for name in names:
        found[name] = free_name(name, there, prefix)
        there.add(found[name])
    return found


def renamed(names: dict[str, str]) -> dict[str, str]:
    """The entries of ``free_names`` whose names have changed."""
    return {name: ours for name, ours in names.items() if name != ours}


def describe_renames(changed: dict[str, str]) -> str:
    """The message about names that have changed.

    >>> describe_renames({"score": "beam_sts_score", "rule": "beam_sts_rule"})
    'the input has columns of these names: score is beam_sts_score, rule is beam_sts_rule'
    """
    ours = ", ".join(f"{name} is {new}" for name, new in changed.items())
    theirs = "columns of these names" if len(changed) > 1 else "a column of this name"
    return f"the input has {theirs}: {ours}"
