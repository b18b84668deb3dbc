"""Counts with their nouns, for messages and reports."""

from __future__ import annotations


def plural(count: int, one: str, several: str | None = None) -> str:
    """A count with its noun, or with a noun and what follows it.

    Args:
        count: the number of things.
        one: the text after a count of 1.
        several: the text after other counts; by default ``one`` with an s.

    >>> plural(1, "row"), plural(2000, "row"), plural(0, "row stays", "rows stay")
    ('1 row', '2,000 rows', '0 rows stay')
    """
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def were(count: int, noun: str) -> str:
    """A count with its noun and verb, as the subject of a passive sentence.

    >>> were(1, "row"), were(2000, "row")
    ('1 row was', '2,000 rows were')
    """
    return f"{plural(count, noun)} {'was' if count == 1 else 'were'}"


def counted(count: int, one: str, many: str | None = None, after: str = "") -> str | None:
    """A number with its noun and what follows it; None for 0, for lines that are then left out.

    >>> counted(2, "score", after=" reused"), counted(0, "score", after=" reused")
    ('2 scores reused', None)
    """
    return plural(count, one, many) + after if count else None
