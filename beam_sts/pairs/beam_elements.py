"""What users bring as elements: dicts, ``beam.Row`` and named tuples. How to read them and add to them."""

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
"""What names a row: of these alone equal ones are certain to be equal, in every coder of Beam."""


def fields_of(element: Any, transform: str) -> dict[str, Any]:
    """The fields of an element.

    Args:
        element: a dict, ``beam.Row`` or named tuple.
        transform: for the message.

    Raises:
        UserError: it is something else.
    """
    if isinstance(element, dict):
        return element
    if hasattr(element, "_asdict"):  # beam.Row and named tuples
        fields: dict[str, Any] = element._asdict()
        return fields
    raise UserError(
        f"{transform} cannot read a {type(element).__name__}: bring dicts, beam.Row or named tuples (of an "
        "Arrow table: table.to_pylist())."
    )


def with_fields(element: Any, more: dict[str, Any], prefix: str = PREFIX) -> Any:
    """An element with more fields: a dict of a dict, a ``beam.Row`` of the others.

    No field of the element is overwritten: where it has one of that name, ours has ``prefix`` before it.

    >>> with_fields({"id": 1, "score": 7}, {"score": 0.9, "rule": "blend"})
    {'id': 1, 'score': 7, 'beam_sts_score': 0.9, 'rule': 'blend'}
    """
    fields = dict(element) if isinstance(element, dict) else element._asdict()
    names = free_names(more, fields, prefix)
    fields |= {names[name]: value for name, value in more.items()}
    return fields if isinstance(element, dict) else beam.Row(**fields)


def row_fields(kind: Any) -> list[tuple[str, Any]]:
    """Names and types of the fields of a schema'd element type: a row's or a named tuple's, but pairs'."""
    if kind is TextPair:
        return []
    row = kind if isinstance(kind, RowTypeConstraint) else RowTypeConstraint.from_user_type(kind)
    return list(row._fields) if row else []


def with_field_types(
    kind: Any, more: Iterable[tuple[str, Any]], prefix: str = PREFIX
) -> RowTypeConstraint | None:
    """The type of what ``with_fields`` makes of elements of a type; None: that has no schema."""
    fields, types = row_fields(kind), dict(more)
    if not fields:
        return None
    names = free_names(types, [name for name, _ in fields], prefix)
    return RowTypeConstraint.from_fields([*fields, *((names[name], type_) for name, type_ in types.items())])


def check_schema_fields(kind: Any, needed: Iterable[tuple[str, str | None]]) -> None:
    """See that elements of a type with a schema have the fields that are needed.

    Args:
        kind: type of the elements; without a schema nothing is known of them.
        needed: arguments and the fields that they name.

    Raises:
        UserError: naming the field.
    """
    names = [name for name, _ in row_fields(kind)]
    if not names:
        return
    for argument, name in needed:
        if name is not None and name not in names:
            raise missing_column(f"{argument} {name!r}:", name, names)


def field(fields: dict[str, Any], name: str) -> Any:
    """The value of a field.

    Raises:
        UserError: there is none, naming the nearest.
    """
    if name not in fields:
        near = difflib.get_close_matches(name, fields, n=1)
        raise UserError(
            f"an element has no field {name!r}; its fields are {', '.join(fields)}."
            + (f" Did you mean {near[0]!r}?" if near else "")
        )
    return fields[name]


def identifier(value: Any, what: str) -> Ident:
    """An id as Python's own int, str or bytes.

    Args:
        value: not missing.
        what: what messages call it.

    Raises:
        UserError: it is of another type.

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
        f"{what} {repr(value)[:80]} is {type(value).__name__}; ids must be integers, texts or bytes, so that "
        "equal ones are certain to be equal. Give str() of it."
    )


def text_fault(text: Any) -> str | None:
    """Why a value is no text, or None."""
    if text is None:
        return "null"
    if not isinstance(text, str):
        return f"{type(text).__name__}, not a text,"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "lone surrogate (not valid Unicode)"
    return None
