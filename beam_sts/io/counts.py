"""Counts that workers add up, as dataclasses that can be read from JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from beam_sts.io.summary import add_records

C = TypeVar("C", bound="Counts")


@dataclass(frozen=True)
class Counts:
    """Base of frozen dataclasses whose fields are whole numbers, 0 by default, or dicts of counts by name.

    >>> from dataclasses import field
    >>> @dataclass(frozen=True)
    ... class Some(Counts):
    ...     rows: int = 0
    ...     by_reason: dict[str, int] = field(default_factory=dict)
    >>> Some(2, {"null": 1}) + Some(3, {"null": 1, "empty": 2})
    Some(rows=5, by_reason={'null': 2, 'empty': 2})
    >>> Some.read({"rows": "7"})
    Traceback (most recent call last):
    ValueError: Some: rows is '7', not counts
    """

    def __add__(self: C, other: C) -> C:
        return type(self)(**add_records([vars(self), vars(other)]))

    @classmethod
    def total(cls: type[C], parts: Iterable[C]) -> C:
        """The sum of any number of counts."""
        return cls(**add_records([vars(cls()), *map(vars, parts)]))

    @classmethod
    def read(cls: type[C], record: Mapping[str, Any], *, some: bool = False) -> C:
        """Make counts from a JSON object.

        Args:
            record: values by name of the field. Missing values are zero.
            some: ignore names that are not fields.

        Raises:
            ValueError: a name is unknown, or a value is not a count.
        """
        names = {one.name for one in fields(cls)}
        for name, value in record.items():
            if name not in names:
                if some:
                    continue
                raise ValueError(f"{cls.__name__}: has no {name!r}")
            if not _is_count(value, nested=isinstance(getattr(cls(), name), dict)):
                raise ValueError(f"{cls.__name__}: {name} is {value!r:.80}, not counts")
        return cls(**{name: value for name, value in record.items() if name in names})

    def dump(self) -> dict[str, Any]:
        """The counts as a JSON object."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


def _is_count(value: Any, *, nested: bool) -> bool:
    if not nested:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return isinstance(value, dict) and all(
        isinstance(key, str) and _is_count(one, nested=isinstance(one, dict)) for key, one in value.items()
    )
