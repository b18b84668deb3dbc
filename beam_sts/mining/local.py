"""Mining on one machine: pairs of passages, their scores, and the training sets. Texts stay on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.candidates.buckets import IntArray, union_pairs
from beam_sts.candidates.neighbours import lexical_neighbours, neighbours
from beam_sts.candidates.rejects import write_rejected
from beam_sts.candidates.source import SliceRows, Source
from beam_sts.candidates.vectors import sentence_embedding, static_embedding
from beam_sts.io.output import OutputFolder
from beam_sts.io.summary import Steps, add_records
from beam_sts.mining.core import (
    ORIGINS,
    SPLITS,
    MinedPairs,
    adjacent_pairs,
    draws,
    random_pairs,
    sample_evenly,
    shard_of,
    triplets,
)
from beam_sts.mining.passages import PassageReader, Passages, PassageSettings
from beam_sts.mining.shards import PairShardWriter, PairTexts, SetSettings, write_rows
from beam_sts.models.checkpoint import Checkpoint
from beam_sts.scoring.scorer import PairScorer

# Of a total, what counts the units that are done, the unit, and what names the one at hand.
Progress: TypeAlias = Callable[[int, Callable[[], int], str, Callable[[], str]], AbstractContextManager[None]]


@dataclass(frozen=True)
class PairSources:
    """What proposes pairs besides adjacency: so many neighbours of each text by each way.

    ``vectors`` is ``static`` (the model's token vectors), ``column``, or a sentence-transformers model;
    ``random_shards`` as in ``random_pairs``.
    """

    neighbours: int = 5
    lexical: int = 2
    random: int = 1
    vectors: str = "static"
    seed: int = 0
    random_shards: int = 1


@dataclass(frozen=True)
class MinedTexts:
    """Candidate pairs in the order of their draws, shape (pairs,); ``straddling`` lay in both splits."""

    a: IntArray
    b: IntArray
    draw: NDArray[np.uint64]
    origin: pa.DictionaryArray
    straddling: int


def propose(
    passages: Passages,
    sources: PairSources,
    checkpoint: Checkpoint,
    threads: int | None = None,
    begin: Callable[[str], None] = lambda origin: None,
) -> MinedTexts:
    """Candidate pairs within each split; ``begin`` is called with each origin."""
    parts: list[tuple[IntArray, IntArray, str]] = []
    a, b = adjacent_pairs(passages.place, passages.document)
    apart = passages.test[a] != passages.test[b]
    parts.append((a[~apart], b[~apart], "adjacent"))
    vectors = passages.vectors
    if sources.neighbours and vectors is None:
        vectors = (
            static_embedding(passages.texts, checkpoint)
            if sources.vectors == "static"
            else sentence_embedding(passages.texts, sources.vectors)
        )
    for test in (False, True):
        numbers = np.flatnonzero(passages.test == test)
        if len(numbers) < 2:
            continue
        if sources.neighbours and vectors is not None:
            begin("neighbours")
            near = neighbours(vectors[numbers], sources.neighbours)
            parts.append((numbers[near.a], numbers[near.b], "neighbours"))
        if sources.lexical:
            begin("lexical")
            texts = passages.texts.take(pa.array(numbers))
            near = lexical_neighbours(texts, sources.lexical, threads=threads)
            parts.append((numbers[near.a], numbers[near.b], "lexical"))
        a, b = random_pairs(passages.name[numbers, 0], sources.random, sources.seed, sources.random_shards)
        parts.append((numbers[a], numbers[b], "random"))
    parts.sort(key=lambda part: ORIGINS.index(part[2]))
    a, b, origin = union_pairs(parts)
    draw = draws([passages.name[a, 0], passages.name[b, 0]], sources.seed)
    order = np.lexsort((b, a, draw))
    return MinedTexts(a[order], b[order], draw[order], origin.take(pa.array(order)), int(apart.sum()))


def score_shards(
    passages: Passages, found: MinedTexts, writer: PairShardWriter, done: Callable[[int], None]
) -> NDArray[np.float32]:
    """Score and write all pairs, shard by shard; gives the scores, NaN where the model failed."""
    scores = np.empty(len(found.a), np.float32)
    test = passages.test[found.a]
    shards = shard_of(found.draw, writer.settings.shards)
    for number in range(writer.settings.shards):
        part = slice(*np.searchsorted(shards, [number, number + 1]).tolist())
        known = writer.there(number, test[part], found.draw[part])
        if known is None:
            known = writer.write(
                number,
                PairTexts(
                    test[part],
                    found.draw[part],
                    passages.texts.take(pa.array(found.a[part])),
                    passages.texts.take(pa.array(found.b[part])),
                    found.origin[part].cast(pa.string()),
                ),
            )
        scores[part] = known
        done(part.stop - part.start)
    return scores


def write_sets(
    passages: Passages, found: MinedTexts, scores: NDArray[np.float32], writer: PairShardWriter
) -> Counter[tuple[str, str]]:
    """Write the sets that take all scores: the even sample and the triplets; gives their rows."""
    settings, output = writer.settings, writer.output
    counts: Counter[tuple[str, str]] = Counter()

    def write(
        subset: str, split: str, draw: NDArray[np.uint64], columns: list[IntArray], *more: NDArray[np.float32]
    ) -> None:
        shards = shard_of(draw, settings.shards)
        counts[subset, split] += 0
        for number in np.unique(shards).tolist():
            part = slice(*np.searchsorted(shards, [number, number + 1]).tolist())
            texts = [passages.texts.take(pa.array(column[part])) for column in columns]
            values = [pa.array(column[part]) for column in more]
            counts[subset, split] += write_rows(output, subset, split, number, [*texts, *values])

    for split in SPLITS:
        here = np.flatnonzero(np.isfinite(scores) & (passages.test[found.a] == (split == "test")))
        pairs = MinedPairs(found.a[here], found.b[here], scores[here], found.draw[here])
        some = sample_evenly(pairs, settings.rows_to_sample(split, len(here)))
        write(
            "pair-score-sampled", split, pairs.draw[some], [pairs.a[some], pairs.b[some]], pairs.score[some]
        )
        for subset, hard in (("triplet", False), ("triplet-hard", True)):
            three = triplets(
                pairs,
                positive=settings.positive,
                negative=settings.negative,
                margin=settings.margin,
                hard=hard,
            )
            write(subset, split, three.draw, list(three[:3]))
    return counts


def mine_locally(
    output: OutputFolder,
    source: Source,
    settings: PassageSettings,
    sources: PairSources,
    sets: SetSettings,
    scorer: PairScorer,
    checkpoint: Checkpoint,
    work: Path,
    *,
    threads: int | None = None,
    lap: Callable[[str], None] = lambda name: None,
    progress: Progress = lambda total, done, unit, where: nullcontext(),
) -> dict[str, Any]:
    """Read, propose, score, write; gives the counts, but for those that the shards' records hold.

    Args:
        output: takes the shards; scores that are there are taken.
        source: the input.
        settings: of the passages.
        sources: of the pairs.
        sets: of the training sets.
        scorer: scores.
        checkpoint: whose token vectors count.
        work: a folder on a local disk for texts.
        threads: of the lexical neighbours.
        lap: called with the name of every part that is done.
        progress: shows how many of so many units are done, and what is at hand.
    """
    reader = PassageReader(source, settings, work)
    reading, proposing = Steps(), Steps()

    def read(rows: SliceRows) -> dict[str, Any]:
        reading.add(rows.data.slice.rows, rows.data.slice.path)
        return write_rejected(output, source, rows, sets.report_examples)

    with progress(source.plan.rows, lambda: reading.done, "rows", lambda: reading.at):
        rejected = add_records(map(read, reader.rows()))
        passages = reader.finish()
    lap("read")
    steps = 2 * (bool(sources.neighbours) + bool(sources.lexical))
    with progress(steps, lambda: proposing.done, "sources", lambda: proposing.at):
        found = propose(passages, sources, checkpoint, threads, lambda origin: proposing.add(1, origin))
    lap("propose")
    writer = PairShardWriter(output, sets, scorer)
    scored = 0

    def done(pairs: int) -> None:
        nonlocal scored
        scored += pairs

    with progress(len(found.a), lambda: scored, "pairs", str):
        scores = score_shards(passages, found, writer, done)
    lap("score")
    rows = write_sets(passages, found, scores, writer)
    lap("write")
    shards = np.bincount(shard_of(found.draw, sets.shards))
    return {
        **rejected,
        **{name: count for name, count in passages.counts.items() if name != "texts_repeated"},
        "places": len(passages.place),
        "texts_by_split": {split: int((passages.test == at).sum()) for at, split in enumerate(SPLITS)},
        "pairs_straddling": found.straddling,
        "pairs_reused": writer.reused,
        "shards_damaged": writer.damaged,
        "shards": {str(at): int(shards[at]) for at in np.flatnonzero(shards)},
        "rows_written": {subset: {split: rows[subset, split] for split in SPLITS} for subset, _ in rows},
    }
