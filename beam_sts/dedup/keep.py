"""The policies of ``keep``: which of several rows is the best, and the values by which ``highest:`` sorts.

:class:`KeepPolicy` computes the priority of a row, on one machine for a column of rows and in Beam for an
element or a slice. The highest priority is best, a row without priority comes last, and ids resolve ties.

Numbers, booleans (false before true), dates, times, timestamps and durations have an exact order, whatever
their size. Null and NaN come after all others, below minus infinity. All other types are refused, texts in
particular, since "9" would sort after "10".
"""

from __future__ import annotations

import datetime
import difflib
import numbers
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_sts.arrays import IntArray, inverse
from beam_sts.candidates.keys import text_blocks
from beam_sts.errors import UserError
from beam_sts.io.expressions import evaluate, value_type
from beam_sts.types import plain

KEEP = ("first", "longest", "shortest", "central")
HIGHEST = "highest:"

PriorityKey = tuple[bool, Any]
"""A sort key with the best first: whether there is no value, then the negated value."""

NO_PRIORITY: PriorityKey = (True, 0)


def check_keep(what: str, keep: Any) -> None:
    """Check that a keep policy is valid.

    Args:
        what: the name of the setting in messages.
        keep: the policy.

    Raises:
        UserError: it is not. The message lists the policies and the closest one.

    >>> check_keep("keep", "best")
    Traceback (most recent call last):
    beam_sts.errors.UserError: keep best: is not one of first, longest, shortest, central, highest:X.
    """
    if isinstance(keep, str) and (keep in KEEP or highest_of(keep)):
        return
    if isinstance(keep, str) and keep.strip() == HIGHEST:
        raise UserError(f"{what} {keep!r}: has no column or expression. Write highest:X.")
    near = difflib.get_close_matches(str(keep), [*KEEP, HIGHEST], n=1)
    shown = keep if isinstance(keep, str) and keep.strip() else repr(keep)
    raise UserError(
        f"{what} {shown}: is not one of {', '.join(KEEP)}, highest:X"
        + (f"; did you mean {near[0]!r}?" if near else ".")
    )


def highest_of(keep: str) -> str | None:
    """What ``highest:`` names; None for other policies."""
    return keep.removeprefix(HIGHEST).strip() or None if keep.startswith(HIGHEST) else None


def length_of(text: str) -> int:
    """The number of characters of a text, with each run of white space as one.

    >>> length_of(" a  cat ")
    5
    """
    return len(" ".join(text.split()))


def lengths_of(texts: pa.Array | pa.ChunkedArray) -> IntArray:
    """``length_of`` for each of n texts, shape (n,)."""
    lengths = [np.empty(0, np.int64)]
    for _, part in text_blocks(texts):
        lengths.append(np.fromiter(map(length_of, part.to_pylist()), np.int64, len(part)))
    return np.concatenate(lengths)


@dataclass(frozen=True)
class KeepPolicy:
    """Which row of a cluster is best: ``first``, ``longest``, ``shortest``, ``central`` or ``highest:X``."""

    name: str = "first"

    def __post_init__(self) -> None:
        check_keep("keep", self.name)

    @property
    def expression(self) -> str | None:
        """What ``highest:`` names; None for other policies."""
        return highest_of(self.name)

    @property
    def by_length(self) -> bool:
        """Whether the lengths of texts decide."""
        return self.name in ("longest", "shortest")

    @property
    def central(self) -> bool:
        """Whether scores decide, which are not part of a row."""
        return self.name == "central"

    def check(self, schema: pa.Schema) -> None:
        """Check that the schema has what ``highest:`` names, and that its values can be sorted.

        Raises:
            UserError: it does not, or they cannot.
        """
        if self.expression:
            kind = value_type(schema, self.expression, "--keep highest:")
            sortable(pa.chunked_array([], kind), f"--keep {self.name}")

    def values(self, table: pa.Table) -> pa.ChunkedArray | None:
        """The values by which ``highest:`` sorts the rows of a table; None for other policies."""
        if not self.expression:
            return None
        return sortable(evaluate(table, self.expression, "--keep highest:"), f"--keep {self.name}")

    def priority(self, number: Any, characters: Any, value: Any) -> Any:
        """The priority of a row, or of each row in a column; None if only ids decide.

        Args:
            number: the number of the row in its input; None if the input has no order.
            characters: the characters of its text, by ``length_of``.
            value: from :meth:`values`, or the value of the field that ``highest:`` names.

        >>> import numpy as np
        >>> KeepPolicy("shortest").priority(7, 20, None)
        -20
        >>> KeepPolicy().priority(np.arange(2), None, None).tolist()
        [0, -1]
        """
        if self.name == "first":
            return None if number is None else -number
        if self.name == "longest":
            return characters
        if self.name == "shortest":
            return -characters
        return value if self.expression else None


def ranks(ids: pa.Array | pa.ChunkedArray, values: pa.Array | pa.ChunkedArray | None = None) -> IntArray:
    """The rank of each row, 0 for the best. The highest value is best, and ties are resolved by id.

    Args:
        ids: the distinct ids of n rows. Integers sort by number, texts by code points.
        values: the values of the rows, of any sortable type. Nulls and NaN come last. None: sort by id only.

    Returns:
        Shape (n,).

    >>> ranks(pa.array(["b", "a", "c"]), pa.array([1.0, 1.0, 2.0])).tolist()
    [2, 1, 0]
    """
    columns, keys = {"id": ids}, [("id", "ascending")]
    if values is not None:
        if pa.types.is_floating(values.type):
            values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
        columns["value"], keys = values, [("value", "descending"), *keys]
    order = pc.sort_indices(pa.table(columns), sort_keys=keys).to_numpy()
    return inverse(order)


def sortable(values: pa.ChunkedArray, what: str) -> pa.ChunkedArray:
    """Convert values to numbers with the same order, and NaN to null.

    Args:
        values: the values of n rows.
        what: the name of the values in messages.

    Raises:
        UserError: their type has no natural order.

    >>> sortable(pa.chunked_array([[2.5, float("nan")]]), "x").to_pylist()
    [2.5, None]
    """
    kind, types = values.type, pa.types
    if types.is_floating(kind):
        if types.is_float16(kind):
            values = values.cast(pa.float32())
        return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    if types.is_integer(kind) or types.is_decimal(kind):
        return values
    if types.is_boolean(kind) or types.is_null(kind):
        return values.cast(pa.int8())
    if types.is_date32(kind) or types.is_time32(kind):
        return values.cast(pa.int32())
    if types.is_temporal(kind) and not types.is_interval(kind):
        return values.cast(pa.int64())
    raise UserError(
        f"{what}: holds {kind}, which has no highest value. Use a number or a date; for texts, "
        f"'{HIGHEST}try_cast(COLUMN AS DOUBLE)' (texts that are not numbers then come last)."
    )


def priority_key(value: Any, what: str) -> tuple[str, PriorityKey]:
    """The kind of a Python value, and its sort key within that kind, the highest first.

    Args:
        value: may be a NumPy scalar or a missing value of pandas.
        what: the name of the value in messages.

    Raises:
        UserError: its type has no natural order.

    >>> priority_key(2.5, "x"), priority_key(float("nan"), "x")
    (('number', (False, -2.5)), ('', (True, 0)))
    """
    value = plain(value)
    if value is None:
        return "", NO_PRIORITY
    if isinstance(value, Decimal):
        return "number", (False, value.copy_negate())  # exact: unary minus would round
    if isinstance(value, numbers.Real):  # bool, int, float, Fraction
        return "number", (False, -value)
    kind, column = next(((kind, column) for kind, column in _TIMES if isinstance(value, kind)), (None, None))
    zone = getattr(value, "tzinfo", None) is not None
    if kind is None or (kind is datetime.time and zone):
        raise UserError(
            f"{what}: {repr(value)[:80]} is {type(value).__name__}, not a number or a date. Convert it first."
        )
    number = sortable(pa.chunked_array([pa.array([value], column)]), what)[0].as_py()
    return f"{kind.__name__}{' with a zone' if zone else ''}", (False, -number)


_TIMES = (  # a datetime is a date too
    (datetime.datetime, pa.timestamp("us")),
    (datetime.date, pa.date32()),
    (datetime.time, pa.time64("us")),
    (datetime.timedelta, pa.duration("us")),
)
