"""DeduplicateSlices: read slices of files, deduplicate, write the slices again. For ``pipelines.dedup``."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_sts.corpus.candidates import MinHash
from beam_sts.corpus.expressions import evaluate
from beam_sts.corpus.receipts import SliceWriter
from beam_sts.corpus.shards import pairs_schema
from beam_sts.errors import UserError
from beam_sts.io.slices import Slice
from beam_sts.transforms.dedup import DeduplicateTexts

PAIR_SHARDS = 64


@dataclass(frozen=True)
class BeamSettings:
    """What the run depends on, besides its units; the fields are those of ``DeduplicateTexts``."""

    writer: SliceWriter
    threshold: float
    keep: str
    fingerprint: str
    model: str
    minhash: MinHash
    cap: int
    rounds: int
    symmetric: bool
    scorer_args: dict[str, Any] = field(default_factory=dict)


class DeduplicateSlices(beam.PTransform):
    """Units of slices -> committed shards; the result is that of one machine.

    Texts go through the shuffles, the other columns do not: every slice is read again when it is written.
    """

    def __init__(self, settings: BeamSettings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, units: beam.PCollection[list[Slice]]) -> beam.PCollection[int]:
        """Read, deduplicate, write."""
        s = self._settings
        units = units | "Spread" >> beam.Reshuffle()
        rows = units | "Read" >> beam.ParDo(_ReadRows(s))
        by_worth = s.keep == "first" or s.keep.startswith("highest:")
        done = rows | DeduplicateTexts(
            s.model,
            threshold=s.threshold,
            keep="highest:worth" if by_worth else s.keep,
            minhash=s.minhash,
            cap=s.cap,
            rounds=s.rounds,
            symmetric=s.symmetric,
            **s.scorer_args,
        )
        clusters = (
            {"rows": rows | "Places" >> beam.Map(lambda r: (r["id"], r["place"])), "name": done.clusters}
            | "Clusters" >> beam.CoGroupByKey()
            | "By slice" >> beam.FlatMapTuple(_cluster_by_slice)
        )
        removed = done.removed | "Removed by slice" >> beam.Map(
            lambda r: (r["place"][0], (r["place"][1], r["survivor"], r["score"], r["source"], r["rule"]))
        )
        parts = units | "Slices" >> beam.FlatMap(lambda unit: [(part.index, part) for part in unit])
        written = (
            {"part": parts, "removed": removed, "clusters": clusters}
            | "Gather" >> beam.CoGroupByKey()
            | "Write" >> beam.ParDo(_WriteSlice(s))
        )
        _ = (
            done.pairs
            | "Pairs by shard" >> beam.Map(_by_shard)
            | "Shards" >> beam.GroupByKey()
            | "Write pairs" >> beam.ParDo(_WritePairs(s))
        )
        return written


class _ReadRows(beam.DoFn):
    """A unit -> its good rows as id, text, place (slice and row in it) and what makes the best of them."""

    def __init__(self, settings: BeamSettings) -> None:
        self._settings = settings

    def process(self, unit: list[Slice]) -> Iterator[dict[str, Any]]:
        keep = self._settings.keep
        for rows in self._settings.writer.source.read(unit):
            worth: list[Any] = [-number for number in rows.numbers.tolist()]
            if keep.startswith("highest:"):
                values = evaluate(rows.table, keep.removeprefix("highest:"), "--keep highest:")
                if len(values) and not pa.types.is_null(values.type) and not _is_number(values.type):
                    raise UserError(f"--keep {keep}: gives {values.type}; with --runner it must be a number.")
                worth = values.to_pylist()
            index = rows.data.slice.index
            for place, (ident, text, value) in enumerate(
                zip(rows.ids.to_pylist(), rows.texts.to_pylist(), worth, strict=True)
            ):
                yield {"id": ident, "text": text, "worth": value, "place": (index, place)}


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _by_shard(pair: tuple[Any, ...]) -> tuple[int, tuple[Any, ...]]:
    # By its content: the hash of a text differs between processes.
    return zlib.crc32(repr(pair[0]).encode()) % PAIR_SHARDS, pair


def _cluster_by_slice(ident: Any, found: dict[str, Iterable[Any]]) -> Iterator[tuple[int, Any]]:
    for index, place in found["rows"]:
        for name in found["name"]:
            yield index, (place, name)


class _WriteSlice(beam.DoFn):
    """A slice and what becomes of its rows -> its shards."""

    def __init__(self, settings: BeamSettings) -> None:
        self._settings = settings

    def process(self, gathered: tuple[int, dict[str, Iterable[Any]]]) -> Iterator[int]:
        index, found = gathered
        settings, writer = self._settings, self._settings.writer
        removed = sorted(found["removed"])
        for part in found["part"]:
            for rows in writer.source.read([part]):
                gone = np.zeros(len(rows.good), dtype=bool)
                gone[[receipt[0] for receipt in removed]] = True
                columns = [[receipt[at] for receipt in removed] for at in range(1, 5)]
                columns += [[settings.threshold] * len(removed), [settings.fingerprint] * len(removed)]
                schema = writer.receipt_schema
                receipts = pa.Table.from_arrays(
                    [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema
                )
                names = rows.ids.to_pylist()
                for place, name in found["clusters"]:
                    names[place] = name
                writer.write(rows, gone, receipts, pa.array(names, writer.source.id_type))
                yield index


class _WritePairs(beam.DoFn):
    """Pairs -> a shard, in order of their ids."""

    def __init__(self, settings: BeamSettings) -> None:
        self._settings = settings

    def process(self, grouped: tuple[int, Iterable[Any]]) -> Iterator[int]:
        number, pairs = grouped
        writer = self._settings.writer
        schema = pairs_schema(writer.source.id_type, against=False)
        rows = sorted(pairs, key=lambda pair: pair[:2])
        table = pa.Table.from_arrays(
            [pa.array([row[at] for row in rows], f.type) for at, f in enumerate(schema)], schema=schema
        )
        place = schema.get_field_index("score")
        scores = table.column("score")
        scores = pc.if_else(pc.is_nan(scores), pa.scalar(None, pa.float32()), scores)
        writer.output.write_table("pairs", number, table.set_column(place, "score", scores))
        yield number
