"""Consistency in this process: answers are grouped by part on disk, and one part at a time is in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_sts.evaluation.consistency_parts import (
    AGREED,
    ANSWERS,
    FIRST_ROW,
    QUESTIONS,
    ConsistencySettings,
    PartPairs,
    agree,
    pair_part,
    rejected_of,
    slice_of,
    split,
    with_agreement,
)
from beam_sts.evaluation.entries import pack, unpack
from beam_sts.evaluation.result import REJECTED_KEPT
from beam_sts.examples import reason_kind
from beam_sts.io.committed import slice_identity
from beam_sts.io.output import OutputFolder
from beam_sts.io.reading import read_slices
from beam_sts.io.slices import Slice, SliceData
from beam_sts.scoring.scorer import PairScorer

FOLDERS = ("scores", "rejected", "questions")
"""The shard folders of a run's output; a shard of scores marks its slice as committed."""
SHOWN_QUESTIONS = QUESTIONS.append(FIRST_ROW)
_KIND = "questions"
_TYPICAL_KEPT = 200  # characters of a typical answer in the result; the shards have the whole answer


def read_answers(units: Iterable[list[Slice]], settings: ConsistencySettings) -> Iterator[SliceData]:
    """Read the slices of units; a unit is read in one pass."""
    for unit in units:
        yield from read_slices(unit, settings.schema, [settings.text], settings.options)


def compare_here(
    slices: Iterable[SliceData],
    scorer: PairScorer,
    settings: ConsistencySettings,
    folder: Path,
    wanted: Iterable[int],
) -> Iterator[tuple[PartPairs, NDArray[np.float32]]]:
    """Read every slice, then pair and score the parts one after the other.

    Args:
        slices: the slices of the whole input.
        scorer: the model.
        settings: the settings of the run.
        folder: a folder on a local disk, for the answers by part.
        wanted: the parts to score.

    Yields:
        Each part with the scores of its pairs.
    """
    chosen = sorted(wanted)
    with ExitStack() as files:
        paths = {part: str(folder / f"{part}.arrow") for part in chosen}
        streams = {
            part: files.enter_context(pa.ipc.new_stream(path, ANSWERS)) for part, path in paths.items()
        }
        for data in slices:
            for part, answers in split(data, settings):
                if part in streams:
                    streams[part].write_table(answers)
    for part in chosen:
        with pa.OSFile(paths[part]) as source:
            pairs = pair_part(part, [pa.ipc.open_stream(source).read_all()], settings)
        Path(paths[part]).unlink()
        yield pairs, scorer.run(*pairs.texts).scores


def commit_part(
    part: PartPairs, scores: NDArray[np.float32], settings: ConsistencySettings, output: OutputFolder
) -> None:
    """Write the questions of a part, after the record that has the columns of its answers' rows."""
    questions, agreed = agree(part, scores, settings)
    record = {"agreed": pack(agreed), "found": pack(shortened_questions(questions))}
    shown = questions.drop_columns([FIRST_ROW.name])
    output.commit(part.index, {"questions": shown}, record, of=_identity(part.index, settings), kind=_KIND)


def parts_committed(
    settings: ConsistencySettings, output: OutputFolder, *, verify: bool = False
) -> dict[int, dict[str, Any]]:
    """The records of the committed parts, by index."""
    of = {part: _identity(part, settings) for part in range(settings.parts)}
    return output.whole(of, kind=_KIND, verify=verify)[0]


def has_part(index: int, settings: ConsistencySettings, output: OutputFolder) -> bool:
    """Whether a part is committed."""
    if not output.has_record(index, _KIND):
        return False
    return index in output.whole({index: _identity(index, settings)}, kind=_KIND)[0]


def _identity(part: int, settings: ConsistencySettings) -> list[int]:
    return [part, settings.parts]


def recorded_answers(records: Mapping[int, Mapping[str, Any]]) -> tuple[pa.Table, pa.Table]:
    """The results of committed parts: the questions, and the columns of the answers' rows."""
    found = [unpack(record["found"], SHOWN_QUESTIONS) for record in records.values()]
    agreed = [unpack(record["agreed"], AGREED) for record in records.values()]
    return together(found, SHOWN_QUESTIONS, FIRST_ROW.name), together(agreed, AGREED, "row")


def together(tables: Iterable[pa.Table], schema: pa.Schema, by: str) -> pa.Table:
    """Concatenate the tables of parts in the order of the input."""
    return pa.concat_tables([schema.empty_table(), *tables]).sort_by(by).combine_chunks()


def shortened_questions(questions: pa.Table) -> pa.Table:
    """The questions with typical answers cut to their beginnings."""
    at = questions.schema.get_field_index("typical")
    typical = pc.utf8_slice_codeunits(questions.column(at), 0, _TYPICAL_KEPT)
    return questions.set_column(at, questions.schema.field(at), typical)


def commit_rows(
    units: Iterable[list[Slice]], agreed: pa.Table, settings: ConsistencySettings, output: OutputFolder
) -> None:
    """Write the rows of slices with the columns of the result.

    Args:
        units: slices that are read in one pass.
        agreed: the result for all usable rows, in order.
        settings: the settings of the run.
        output: the folder to write to.
    """
    for data in read_answers(units, settings):
        part = data.slice
        scored = with_agreement(data, slice_of(agreed, part.index), settings)
        rejected = rejected_of(data, settings)
        shards = {**({"rejected": rejected} if len(rejected) else {}), "scores": scored}
        output.commit(part.index, shards, counts(data, rejected), of=slice_identity(part))


def counts(data: SliceData, rejected: pa.Table) -> dict[str, Any]:
    """The counts of a slice, in types of JSON."""
    reasons = Counter(map(reason_kind, rejected.column("reason").to_pylist()))
    return {
        "index": data.slice.index,
        "rows_read": data.slice.rows,
        "rows_scored": data.slice.rows - len(rejected),
        "rows_rejected": len(rejected),
        "reasons": dict(reasons),
        "rejected": rejected.select(["file", "row", "reason"]).slice(0, REJECTED_KEPT).to_pylist(),
    }
