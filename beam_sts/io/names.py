"""Names of our columns beside an input's own: no name of the input is refused, ours give way."""

from __future__ import annotations

from collections.abc import Collection, Iterable

PREFIX = "beam_sts_"
"""Before a name of ours that the input has."""


def free_name(name: str, taken: Collection[str], prefix: str = PREFIX) -> str:
    """A name of ours for a column: NAME, else PREFIX_NAME, else PREFIX_2_NAME, PREFIX_3_NAME and so on.

    Args:
        name: what it is called where nothing else is.
        taken: names that are there.
        prefix: with the underscore that parts it from the name.

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
    """By name of ours, what it is called beside the names that are there; two of ours never meet.

    >>> free_names(["score", "rule"], ["score", "text"])
    {'score': 'beam_sts_score', 'rule': 'rule'}
    """
    there, found = set(taken), dict[str, str]()
    for name in names:
        found[name] = free_name(name, there, prefix)
        there.add(found[name])
    return found


def renamed(names: dict[str, str]) -> dict[str, str]:
    """Of what ``free_names`` gives, the names that changed."""
    return {name: ours for name, ours in names.items() if name != ours}


def told(changed: dict[str, str]) -> str:
    """What to say of names that changed.

    >>> told({"score": "beam_sts_score", "rule": "beam_sts_rule"})
    'the input has columns of these names: score is beam_sts_score, rule is beam_sts_rule'
    """
    ours = ", ".join(f"{name} is {new}" for name, new in changed.items())
    theirs = "columns of these names" if len(changed) > 1 else "a column of this name"
    return f"the input has {theirs}: {ours}"
