"""A required number of rows that stay, and the lowest threshold that gives it. Pure functions.

The search narrows an interval of thresholds. It asks whether enough rows stay at a few thresholds of the
interval, which one machine counts one by one and Beam counts together, so both find the same threshold.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from typing import Any, NamedTuple

from beam_sts.errors import UserError

ROUNDS = 5
"""Rounds after which any search is complete."""
_DIGITS, _ASKED = 5, 10  # thresholds have five digits; each round finds one


def read_rows_wanted(text: str) -> Any:
    """Parse a number of rows, or a fraction of them, from the text of an option.

    >>> read_rows_wanted("1000"), read_rows_wanted("0.8"), read_rows_wanted("80%")
    (1000, 0.8, 0.8)
    """
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else int(text) if text.isdigit() else float(text)
    except ValueError:  # the rule of the setting reports it
        return text


def check_rows_wanted(what: str, value: Any) -> None:
    """Check for a whole number of rows from 1, or a fraction between 0 and 1.

    Raises:
        UserError: it is neither.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and (0 < value < 1 or (value >= 1 and float(value).is_integer()))):
        raise UserError(
            f"{what} {value!r}: must be a whole number of rows, or a fraction of them below 1, such as 0.8."
        )


def most_removed(wanted: float, rows: int, texts: int) -> int:
    """The most texts that may be removed. Of a text that stays, only one row stays.

    Args:
        wanted: the required number of rows, or a fraction of those that were compared.
        rows: the number of rows that were compared.
        texts: the number of their distinct texts.

    Returns:
        The number of texts; negative if too many texts are equal.

    >>> most_removed(0.5, 10, 8), most_removed(9, 10, 8)
    (3, -1)
    """
    return texts - (math.ceil(wanted * rows) if wanted < 1 else int(wanted))


class ThresholdSearch(NamedTuple):
    """A search for the lowest threshold, from ``start`` on, at which enough rows stay.

    Thresholds are numbered: 0 is ``start``, the others are the numbers of five digits above it, up to 1. The
    one that is searched for is between ``low`` and ``high``.
    """

    start: float
    low: int
    high: int

    @classmethod
    def over(cls, start: float) -> ThresholdSearch:
        """Start a search."""
        return cls(start, 0, 10**_DIGITS - math.floor(start * 10**_DIGITS))

    @property
    def found(self) -> float:
        """The threshold, if the search is complete. At 1, it may be that not enough rows stay."""
        return self._threshold(self.high)

    @property
    def asked(self) -> list[float]:
        """The thresholds at which to count, in order; empty if the search is complete.

        >>> ThresholdSearch.over(0.9).asked
        [0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99]
        """
        return [self._threshold(number) for number in self._asked]

    def narrowed(self, enough: Callable[[int], bool]) -> ThresholdSearch:
        """Narrow the search.

        Args:
            enough: whether enough rows stay at the n-th of the thresholds that are ``asked``.

        >>> search = ThresholdSearch.over(0.9)
        >>> for _ in range(ROUNDS):
        ...     search = search.narrowed(lambda number: search.asked[number] >= 0.93217)
        >>> search.found
        0.93217
        """
        asked = self._asked
        at = bisect_left(range(len(asked)), True, key=enough)
        low = asked[at - 1] + 1 if at else self.low
        return self._replace(low=low, high=asked[at] if at < len(asked) else self.high)

    @property
    def _asked(self) -> list[int]:
        width = self.high - self.low
        return sorted({self.low + width * number // _ASKED for number in range(_ASKED)} - {self.high})

    def _threshold(self, number: int) -> float:
        first = math.floor(self.start * 10**_DIGITS)
        return round((first + number) / 10**_DIGITS, _DIGITS) if number else self.start
