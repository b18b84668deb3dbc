"""RemovePassages: find and remove passages in elements, on any Beam runner."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam import pvalue
from apache_beam.typehints.row_type import RowTypeConstraint

from beam_sts import checks
from beam_sts.arrays import IntArray
from beam_sts.candidates.beam_group import CoGroup
from beam_sts.dedup.beam_texts import Fields, ReadRows
from beam_sts.errors import UserError
from beam_sts.pairs.beam_elements import row_fields
from beam_sts.passages.find import CONTAINS, RECEIPT, REPEATED, FoundPassages, Items, outcome, slice_units
from beam_sts.passages.settings import PassageSettings, RemovePassagesSettings
from beam_sts.passages.within import Match, OwnUnits
from beam_sts.settings import made, takes

_INPUTS = ("rows", "against")
_DEFAULTS = PassageSettings()


def pack_units(
    side: int,
    order: Sequence[Any],
    places: Sequence[Any],
    ids: Sequence[Any],
    texts: Sequence[str],
    settings: PassageSettings,
) -> Iterator[tuple[bytes, tuple[Any, ...]]]:
    """The units of rows as input of ``FirstOfUnits``: (key, (side, order, start, stop, id, place)).

    Args:
        side: 0 for rows of the other input, which precede those of the input (1).
        order: the sort key of each row.
        places: values that identify each row.
        ids: the id of each row.
        texts: the text of each row.
        settings: define what a unit is.
    """
    units = slice_units(texts, settings)
    for key, row, start, stop in zip(
        units.key, units.row.tolist(), units.start.tolist(), units.stop.tolist(), strict=True
    ):
        yield key.tobytes(), (side, order[row], start, stop, ids[row], places[row])


class FirstOfUnits(beam.PTransform):
    """Units -> repeated ones: (place, (start, stop, first id, start and stop of the first, against, 1.0))."""

    def __init__(self, settings: PassageSettings, *, within: bool) -> None:
        super().__init__()
        self._settings, self._within = settings, within

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        """Find the first unit of each key, and join it to the others."""
        first = units | "First" >> beam.CombinePerKey(_First())
        return (
            {"unit": units, "first": first}
            | "Meet first" >> CoGroup()
            | "Repeated" >> beam.FlatMapTuple(_repeated, self._settings.repeats, self._within)
        )


class _First(beam.CombineFn):
    """The first of several units, and their number."""

    def create_accumulator(self) -> tuple[Any, int]:
        """See ``beam.CombineFn``."""
        return None, 0

    def add_input(self, found: tuple[Any, int], unit: tuple[Any, ...]) -> tuple[Any, int]:
        """See ``beam.CombineFn``."""
        return self.merge_accumulators([found, (unit, 1)])

    def merge_accumulators(self, parts: Iterable[tuple[Any, int]]) -> tuple[Any, int]:
        """See ``beam.CombineFn``."""
        best, count = None, 0
        for unit, units in parts:
            count += units
            if unit is not None and (best is None or unit[:3] < best[:3]):
                best = unit
        return best, count

    def extract_output(self, found: tuple[Any, int]) -> tuple[Any, int]:
        """See ``beam.CombineFn``."""
        return found


def _repeated(
    key: bytes, met: dict[str, Iterable[Any]], repeats: int = 2, within: bool = True
) -> Iterator[Any]:
    for first, count in met["first"]:
        if count < repeats or (first[0] == 1 and not within):
            return
        for side, order, start, stop, _, place in met["unit"]:
            if side == 1 and (side, order, start) != first[:3]:
                yield place, (start, stop, first[4], first[2], first[3], first[0] == 0, 1.0)


class RemovedPassages(NamedTuple):
    """The outputs of ``RemovePassages``. Each input element is in one of kept, removed and rejected.

    A kept element without a passage that was cut out has the remaining text. ``passages`` has one row per
    passage, with the fields of ``beam_sts.passages.find.RECEIPT``.
    """

    kept: beam.PCollection
    removed: beam.PCollection
    passages: beam.PCollection
    rejected: beam.PCollection


@takes(RemovePassagesSettings, but=("report_examples",))
class RemovePassages(beam.PTransform):
    """Find passages inside the texts of a bounded PCollection, and remove them or their rows.

    Elements are dicts, ``beam.Row`` or named tuples. The result equals that of ``beam-sts dedup`` with
    ``--contains`` or ``--unit``. Apply the transform to a PCollection, or to a dict of ``rows`` and
    ``against``. With ``contains``, the texts of ``against`` are searched for, and each worker has them in
    memory; without ``against``, each row is searched for in the longer ones, and each worker has all of them.
    Among repeated units, the one with the smallest id is the first.

    Args:
        **settings: as below.

    >>> rows = [{"id": 1, "text": "Q: which of these planets has the most moons? A: Saturn."}]
    >>> tests = [{"id": "q7", "text": "Which of these planets  has the most moons?"}]
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     inputs = {name: pipeline | name >> beam.Create(made) for name, made in
    ...               (("rows", rows), ("against", tests))}
    ...     done = inputs | RemovePassages(contains=True, remove="passage")
    ...     _ = done.kept | beam.Map(lambda row: print(row["text"]))
    Q: ? A: Saturn.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self._settings = made(RemovePassagesSettings, "RemovePassages", settings)

    def expand(self, elements: Any) -> RemovedPassages:
        """Build the steps: read, find, remove."""
        inputs = elements if isinstance(elements, dict) else {"rows": elements}
        checks.check_names("RemovePassages", inputs, _INPUTS)
        s = self._settings.for_inputs(against="against" in inputs)
        if "rows" not in inputs:
            raise UserError(
                "RemovePassages: none of the inputs is named 'rows'. Give the rows to search this name."
            )
        fields = Fields(s.id, s.text)
        fields.check(inputs["rows"].element_type)
        read = inputs["rows"] | "Read" >> beam.ParDo(ReadRows(fields)).with_outputs("rejected", main="rows")
        rows, others = read["rows"], None
        if "against" in inputs:
            reference = replace(fields, keep="first")
            reference.check(inputs["against"].element_type)
            others = (
                inputs["against"]
                | "Read against" >> beam.ParDo(ReadRows(reference, 1)).with_outputs("rejected", main="rows")
            )["rows"]
        if s.contains and others is not None:
            items = others | "Items" >> beam.MapTuple(lambda row, found: (row[1], found.text))
            sorted_out = rows | "Look" >> beam.ParDo(_LookFor(s), pvalue.AsList(items)).with_outputs(
                "removed", "passages", main="kept"
            )
        else:
            found = _contained(rows, s) if s.contains else self._repeated(rows, others)
            sorted_out = (
                {"row": rows, "found": found}
                | "Meet" >> CoGroup()
                | "Sort out" >> beam.ParDo(_SortOut(s)).with_outputs("removed", "passages", main="kept")
            )
        kept, removed, passages = sorted_out["kept"], sorted_out["removed"], sorted_out["passages"]
        if theirs := row_fields(inputs["rows"].element_type):
            kept.element_type = removed.element_type = inputs["rows"].element_type
            ident = dict(theirs)[s.id]
            kinds = (ident, int, int, ident, int, int, str, float, str, str, float, str)
            passages.element_type = RowTypeConstraint.from_fields(list(zip(RECEIPT, kinds, strict=True)))
        return RemovedPassages(kept, removed, passages, read["rejected"])

    def _repeated(self, rows: beam.PCollection, others: beam.PCollection | None) -> beam.PCollection:
        s = self._settings
        parts = [rows | "Units" >> beam.FlatMapTuple(_units_of_row, 1, s)]
        if others is not None:
            parts.append(others | "Units against" >> beam.FlatMapTuple(_units_of_row, 0, s))
        return tuple(parts) | "All" >> beam.Flatten() | FirstOfUnits(s, within=s.within or others is None)


def _contained(rows: beam.PCollection, settings: RemovePassagesSettings) -> beam.PCollection:
    """Units that longer rows contain. A worker has the texts of all rows; one decides."""
    items = rows | "Items" >> beam.MapTuple(lambda row, found: (row[1], found.text))
    every = pvalue.AsList(items)
    return (
        rows
        | "Find" >> beam.ParDo(_FindContained(settings), every)
        | "All matches" >> beam.GroupByKey()
        | "Decide" >> beam.ParDo(_DecideContained(settings), every)
    )


def _units_of_row(
    row: tuple[int, Any], found: Any, side: int = 1, settings: PassageSettings = _DEFAULTS
) -> Iterator[Any]:
    yield from pack_units(side, [row[1]], [row], [row[1]], [found.text], settings)


class _LookFor(beam.DoFn):
    """A row -> the row after removal, and its passages."""

    def __init__(self, settings: RemovePassagesSettings) -> None:
        self._settings = settings
        self._items: Items | None = None
        self._ids: list[Any] = []

    def process(self, row: Any, items: list[tuple[Any, str]]) -> Iterator[Any]:
        """See ``beam.DoFn``."""
        if self._items is None:
            ordered = sorted(items, key=lambda item: item[0])
            self._ids = [name for name, _ in ordered]
            self._items = Items.of([text for _, text in ordered], self._settings)
        (_, ident), read = row
        found, other = self._items.find([read.text], self._settings)
        yield from _sorted_out(read, ident, found, [self._ids[at] for at in other.tolist()], self._settings)


class _OwnUnits(beam.DoFn):
    """Base of the steps that search the rows for their own units. Rows are numbered in the order of ids."""

    def __init__(self, settings: RemovePassagesSettings) -> None:
        self._settings = settings
        self._units: OwnUnits | None = None
        self._ids: list[Any] = []

    def units(self, items: list[tuple[Any, str]]) -> OwnUnits:
        """The units of all rows, indexed once."""
        if self._units is None:
            ordered = sorted(items, key=lambda item: item[0])
            self._ids = [name for name, _ in ordered]
            self._units = OwnUnits.of([text for _, text in ordered], self._settings)
        return self._units


class _FindContained(_OwnUnits):
    """A row -> matches of units of shorter rows in it."""

    def process(self, row: Any, items: list[tuple[Any, str]]) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """See ``beam.DoFn``."""
        units = self.units(items)
        (_, ident), read = row
        number = np.array([bisect_left(self._ids, ident)], np.int64)
        for match in units.find([read.text], number):
            yield 0, tuple(match)


class _DecideContained(_OwnUnits):
    """All matches -> (row, (start, stop, containing id, start and stop there, against, score))."""

    def process(
        self, every: tuple[int, Iterable[tuple[Any, ...]]], items: list[tuple[Any, str]]
    ) -> Iterator[Any]:
        """See ``beam.DoFn``."""
        units = self.units(items)
        found, other = units.passages(Match(*match) for match in every[1])
        for row, place in contained(found, other, self._ids):
            yield (0, self._ids[row]), place


def contained(
    found: FoundPassages, other: IntArray, ids: Sequence[Any]
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Passages as ``FirstOfUnits`` outputs them, with the number of the row."""
    columns = (found.row, found.start, found.stop, other, found.other_start, found.other_stop, found.score)
    for row, start, stop, page, *place, score in zip(*(of.tolist() for of in columns), strict=True):
        yield row, (start, stop, ids[page], *place, False, score)


class _SortOut(beam.DoFn):
    """A row and its repeated units -> the row after removal, and its passages."""

    def __init__(self, settings: RemovePassagesSettings) -> None:
        self._settings = settings

    def process(self, met: tuple[Any, dict[str, Iterable[Any]]]) -> Iterator[Any]:
        """See ``beam.DoFn``."""
        (_, ident), found = met
        rows = iter(found["row"])
        read = next(rows)
        if next(rows, None) is not None:
            raise UserError(f"id {ident!r}: several elements have it. Ids must be distinct.")
        units = sorted(found["found"], key=lambda unit: unit[:2])
        places = np.array([[0, *unit[:2], *unit[3:5]] for unit in units], np.int64).reshape(-1, 5)
        against = np.array([unit[5] for unit in units], dtype=bool)
        passages = FoundPassages.of(places, against, np.array([unit[6] for unit in units], np.float64))
        yield from _sorted_out(read, ident, passages, [unit[2] for unit in units], self._settings)


def _sorted_out(
    read: Any, ident: Any, found: FoundPassages, others: list[Any], settings: RemovePassagesSettings
) -> Iterator[Any]:
    made_of = outcome(found, [read.text], settings)
    element = read.element
    if made_of.texts is not None and made_of.texts[0] != read.text and not made_of.gone[0]:
        element = _with_text(element, settings.text, made_of.texts[0])
    yield pvalue.TaggedOutput("removed", element) if made_of.gone[0] else element
    rule, least = (CONTAINS, settings.least) if settings.contains else (REPEATED, 1.0)
    for at, other in enumerate(others):
        start, stop = int(found.start[at]), int(found.stop[at])
        place = int(found.other_start[at]), int(found.other_stop[at])
        where = "against" if found.against[at] else "input"
        score = float(np.float32(found.score[at]))
        values = (ident, start, stop, other, *place, where, score, settings.unit, rule, least)
        receipt = beam.Row(**dict(zip(RECEIPT, (*values, read.text[start:stop]), strict=True)))
        yield pvalue.TaggedOutput("passages", receipt)


def _with_text(element: Any, name: str, text: str) -> Any:
    if isinstance(element, dict):
        return {**element, name: text}
    if isinstance(element, beam.Row):
        return beam.Row(**{**element._asdict(), name: text})
    return element._replace(**{name: text})
