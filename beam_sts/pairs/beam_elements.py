"""Reading and extending the elements that users pass in: dicts, ``beam.Row`` and named tuples."""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
from apache_beam.typehints.row_type import RowTypeConstraint

from beam_sts.errors import UserError
from beam_sts.io.column_paths import missing_column
from beam_sts.io.names import PREFIX, free_names
from beam_sts.types import TextPair

Ident = int | str | bytes
"""The type of an id. Only for these types do equal ids have equal encodings in every coder of Beam."""


def fields_of(element: Any, transform: str) -> dict[str, Any]:
    """The fields of an element, by name.

    Args:
        element: a dict, ``beam.Row`` or named tuple.
        transform: the name of the transform, for the message.

    Raises:
        UserError: the element is of another type.
    """
    if isinstance(element, dict):
        return element
    if hasattr(element, "_asdict"):  # beam.Row and named tuples
        fields: dict[str, Any] = element._asdict()
        return fields
    raise UserError(
        f"{transform} cannot read a {type(element).__name__}: pass dicts, beam.Row or named tuples (for an "
        "Arrow table: table.to_pylist())."
    )


def with_fields(element: Any, more: dict[str, Any], prefix: str = PREFIX) -> Any:
    """Add fields to an element. A dict gives a dict, other elements give a ``beam.Row``.

    No field of the element is overwritten: a new field whose name is taken gets ``prefix`` before its name.

    >>> with_fields({"id": 1, "score": 7}, {"score": 0.9, "rule": "blend"})
    {'id': 1, 'score': 7, 'beam_sts_score': 0.9, 'rule': 'blend'}
    """
    fields = dict(element) if isinstance(element, dict) else element._asdict()
    names = free_names(more, fields, prefix)
    fields |= {names[name]: value for name, value in more.items()}
    return fields if isinstance(element, dict) else beam.Row(**fields)


def row_fields(kind: Any) -> list[tuple[str, Any]]:
    """Names and types of the fields of an element type with a schema; empty for others and for TextPair."""
    if kind is TextPair:
        return []
    row = kind if isinstance(kind, RowTypeConstraint) else RowTypeConstraint.from_user_type(kind)
    return list(row._fields) if row else []


def with_field_types(
    kind: Any, more: Iterable[tuple[str, Any]], prefix: str = PREFIX
) -> RowTypeConstraint | None:
    """The element type that ``with_fields`` gives for an element type; None if that has no schema."""
    fields, types = row_fields(kind), dict(more)
    if not fields:
        return None
    names = free_names(types, [name for name, _ in fields], prefix)
    return RowTypeConstraint.from_fields([*fields, *((names[name], type_) for name, type_ in types.items())])


def check_schema_fields(kind: Any, needed: Iterable[tuple[str, str | None]]) -> None:
    """Check that an element type has the required fields, if it has a schema.

    Args:
        kind: the element type. Without a schema nothing is checked.
        needed: names of arguments, each with the field that it names.

    Raises:
        UserError: a field is missing. The message names it.
    """
    names = [name for name, _ in row_fields(kind)]
    if not names:
        return
    for argument, name in needed:
        if name is not None and name not in names:
            raise missing_column(f"{argument} {name!r}:", name, names)


def field(fields: dict[str, Any], name: str) -> Any:
    """The value of a field of an element.

    Raises:
        UserError: there is no such field. The message gives the closest name.
    """
    if name not in fields:
        near = difflib.get_close_matches(name, fields, n=1)
        raise UserError(
            f"an element has no field {name!r}; its fields are {', '.join(fields)}."
            + (f" Did you mean {near[0]!r}?" if near else "")
        )
    return fields[name]


def identifier(value: Any, what: str) -> Ident:
    """Convert an id to a Python int, str or bytes.

    Args:
        value: the id; not None.
        what: the name of the id in messages.

    Raises:
        UserError: the value has another type.

    >>> import numpy as np
    >>> identifier(np.int32(7), "id"), identifier(np.str_("a"), "id")
    (7, 'a')
    """
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    raise UserError(
        f"{what} {repr(value)[:80]} is {type(value).__name__}; ids must be integers, texts or bytes, for "
        "which equal values are equal everywhere. Convert it with str()."
    )


def text_fault(text: Any) -> str | None:
    """Why a value is not a valid text, or None if it is."""
    if text is None:
        return "null"
    if not isinstance(text, str):
        return f"{type(text).__name__}, not a text,"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "lone surrogate (not valid Unicode)"
    return None
