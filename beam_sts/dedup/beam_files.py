"""DeduplicateSlices: read slices of files, deduplicate, write the slices. Used by ``beam-sts dedup``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import apache_beam as beam
import numpy as np
import pyarrow as pa

from beam_sts.candidates.beam_group import CoGroup
from beam_sts.candidates.beam_join import shards_for
from beam_sts.candidates.beam_pack import Pack, PackByShard, unpacked
from beam_sts.candidates.dense import pack_points
from beam_sts.candidates.given import read_given
from beam_sts.candidates.keys import block_values
from beam_sts.candidates.propose import Proposal
from beam_sts.candidates.source import Source
from beam_sts.candidates.vectors import vector_matrix
from beam_sts.dedup.beam import DeduplicatedTexts, DeduplicateTexts
from beam_sts.dedup.beam_scored import KeptScores
from beam_sts.dedup.earlier import pairs_schema, read_scored
from beam_sts.dedup.keep import KeepPolicy, lengths_of
from beam_sts.dedup.receipts import SliceWriter
from beam_sts.dedup.settings import DedupSettings
from beam_sts.io.slices import Slice
from beam_sts.settings import settings_of

REPORT = "_run/report.json"
"""The file with the counts of a run with Beam, besides the records of its slices."""


@dataclass(frozen=True)
class BeamSettings:
    """The settings of the run.

    ``model`` is the name of the model that was found, and ``fingerprint`` identifies everything that scores.
    ``blocks``, ``row_shards``, ``component_rounds``, ``completes`` and ``kept`` are as for
    ``DeduplicateTexts``.
    """

    writer: SliceWriter
    settings: DedupSettings
    proposal: Proposal
    model: str
    fingerprint: str
    against: Source | None
    blocks: int
    row_shards: int
    component_rounds: int
    completes: bool = True
    kept: KeptScores | None = None

    @property
    def source(self) -> Source:
        """The input."""
        return self.writer.source


class DeduplicateSlices(beam.PTransform):
    """Units of slices, in a dict of ``rows`` and optionally ``against`` and ``given`` -> committed shards.

    The result equals that of one machine. Only texts pass through the shuffles: each slice is read again,
    with its other columns, when it is written.
    """

    def __init__(self, settings: BeamSettings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, inputs: dict[str, beam.PCollection[list[Slice]]]) -> beam.PCollection[int]:
        """Build the steps: read, deduplicate, write."""
        s, keep = self._settings, self._settings.settings.policy.keep
        units = inputs["rows"] | "Spread" >> beam.Reshuffle()
        rows = units | "Read" >> beam.ParDo(_ReadRows(s, s.source, keep))
        inputs_of = {"rows": rows}
        if s.against is not None:
            others = inputs["against"] | "Spread against" >> beam.Reshuffle()
            inputs_of["against"] = others | "Read against" >> beam.ParDo(
                _ReadRows(s, s.against, KeepPolicy("central"))
            )
        if "given" in inputs:
            given = inputs["given"] | "Spread given" >> beam.Reshuffle()
            inputs_of["given"] = given | "Read given" >> beam.FlatMap(read_given)
        if "scored" in inputs:
            scored = inputs["scored"] | "Spread scored" >> beam.Reshuffle()
            inputs_of["scored"] = scored | "Read scored" >> beam.FlatMap(read_scored)
        chosen = {name: getattr(s.settings, name) for name, _ in settings_of(DedupSettings)}
        deduplicate = DeduplicateTexts(
            **{
                **chosen,
                "model": s.model,
                "keep": "central" if keep.central else "highest:priority",
                "candidates": _sources(s.proposal),
                "embedding": "vector" if s.source.vector else None,
                "empty": "score" if chosen["empty"] == "score" else "keep",  # in files, they were rejected
                "blocks": s.blocks,
                "row_shards": s.row_shards,
                "component_rounds": s.component_rounds,
            }
        )
        deduplicate.completes, deduplicate.kept = s.completes, s.kept
        deduplicate.carried = ("place",)  # the rest is read again when the slice is written
        done = cast(DeduplicatedTexts, inputs_of | deduplicate)
        clusters = done.clusters | "By slice" >> beam.MapTuple(
            lambda row, name: (row["place"][0], (row["place"][1], name))
        )
        receipt = ["survivor", "score", "source", "rule", "threshold", "lost"]
        receipt += ["survivor_in"] if s.against else []
        removed = done.removed | "Removed by slice" >> beam.Map(
            lambda r, names: (r["place"][0], (r["place"][1], *(r[name] for name in names))), receipt
        )
        parts = units | "Slices" >> beam.FlatMap(lambda unit: [(part.index, part) for part in unit])
        written = (
            {
                "part": parts,
                "removed": removed | "Pack removed" >> beam.ParDo(Pack()),
                "clusters": clusters | "Pack clusters" >> beam.ParDo(Pack()),
            }
            | "Gather" >> CoGroup()
            | "Write" >> beam.ParDo(_WriteSlice(s))
        )
        shards = done.report | "Pair shards" >> beam.Map(_pair_shards)
        _ = (
            done.pairs
            | "Ends" >> beam.Map(lambda pair: (pair[:2], pair[2:]))
            | "Pack pairs" >> PackByShard(beam.pvalue.AsSingleton(shards))
            | "Shards" >> beam.GroupByKey()
            | "Write pairs" >> beam.ParDo(_WritePairs(s))
        )
        _ = done.report | "Write report" >> beam.Map(
            lambda report, output: output.write_json(REPORT, report), s.writer.output
        )
        return written


def _sources(proposal: Proposal) -> list[str]:
    """The sources, with fields instead of expressions."""
    names, block = [], 0
    for source in proposal.sources:
        name = source.partition(":")[0]
        names.append(f"block:block{block}" if name == "block" else name)
        block += name == "block"
    return list(dict.fromkeys(names))  # several files of pairs are read as one source


class _ReadRows(beam.DoFn):
    """A unit -> its good rows: id, text, place (slice, row within it), and values for the keep policy."""

    def __init__(self, settings: BeamSettings, source: Source, keep: KeepPolicy) -> None:
        self._settings, self._source, self._keep = settings, source, keep

    def process(self, unit: list[Slice]) -> Iterator[dict[str, Any]]:
        keep, source = self._keep, self._source
        for rows in source.read(unit):
            table = rows.table
            lengths = lengths_of(rows.texts) if keep.by_length else None
            priority = keep.priority(rows.numbers, lengths, keep.values(table))
            priority = (
                [None] * len(rows.good)
                if priority is None
                else (priority if isinstance(priority, pa.ChunkedArray) else pa.array(priority)).to_pylist()
            )
            columns = {"id": rows.ids.to_pylist(), "text": rows.texts.to_pylist(), "priority": priority}
            for number, expression in enumerate(self._settings.proposal.blocks):
                columns[f"block{number}"] = block_values(table, expression).to_pylist()
            if source.vector is not None:
                columns["vector"] = pack_points(vector_matrix(table, source.vector, rows.numbers))
            index = rows.data.slice.index
            for place, values in enumerate(zip(*columns.values(), strict=True)):
                yield {**dict(zip(columns, values, strict=True)), "place": (index, place)}


def _pair_shards(report: dict[str, Any]) -> int:
    """Returns the number of shards for all pairs: candidates, verifying pairs, rows of equal texts."""
    identical = sum(report.get("rows", {}).values()) - report.get("texts_compared", 0)
    return shards_for(report.get("pairs", 0) + report.get("pairs_guard", 0) + identical)


class _WriteSlice(beam.DoFn):
    """A slice and the decisions about its rows -> its shards."""

    def __init__(self, settings: BeamSettings) -> None:
        self._settings = settings

    def process(self, gathered: tuple[int, dict[str, Iterable[Any]]]) -> Iterator[int]:
        index, found = gathered
        settings, writer = self._settings, self._settings.writer
        removed = sorted(unpacked(found["removed"]))
        clusters = list(unpacked(found["clusters"]))
        for part in found["part"]:
            for rows in writer.source.read([part]):
                gone = np.zeros(len(rows.good), dtype=bool)
                gone[[receipt[0] for receipt in removed]] = True
                columns = [[receipt[at] for receipt in removed] for at in range(1, 6)]
                columns.append([settings.fingerprint] * len(removed))
                columns += [
                    [receipt[at] for receipt in removed]
                    for at in range(6, 7 + (settings.against is not None))
                ]
                schema = writer.receipt_schema
                receipts = pa.Table.from_arrays(
                    [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema
                )
                names = rows.ids.to_pylist()
                for place, name in clusters:
                    names[place] = name
                writer.write(rows, gone, receipts, pa.array(names, writer.source.id_type))
                yield index


class _WritePairs(beam.DoFn):
    """Pairs -> a shard, sorted by ids."""

    def __init__(self, settings: BeamSettings) -> None:
        self._settings = settings

    def process(self, grouped: tuple[int, Iterable[Any]]) -> Iterator[int]:
        number, pairs = grouped
        writer = self._settings.writer
        against = self._settings.against is not None
        schema = pairs_schema(writer.source.id_type, against=against)
        rows = [(*ends, *found) for ends, found in sorted(unpacked(pairs), key=lambda pair: pair[0])]
        if against:  # ends are (side, id), and the second end has the higher side
            rows = [(a[1], b[1], *more, "against" if b[0] else "input") for a, b, *more in rows]
        table = pa.Table.from_arrays(
            [pa.array([row[at] for row in rows], f.type) for at, f in enumerate(schema)], schema=schema
        )
        writer.output.commit(number, {"pairs": table}, {}, kind="pairs")
        yield number
