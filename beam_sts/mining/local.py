"""Mining on one machine: pairs of passages, their scores, and the training sets. Texts stay on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.arrays import IntArray
from beam_sts.candidates.buckets import union_pairs
from beam_sts.candidates.neighbours import lexical_neighbours, neighbours
from beam_sts.candidates.source import Readable, SliceRows
from beam_sts.candidates.vectors import sentence_embedding, static_embedding
from beam_sts.io.output import OutputFolder
from beam_sts.io.summary import Steps
from beam_sts.mining.core import (
    BANDS,
    ORIGINS,
    SPLITS,
    TRIPLETS,
    MinedPairs,
    adjacent_pairs,
    count_scores,
    draw_sample,
    draws,
    positives_from,
    random_pairs,
    sample_shares,
    score_bands,
    shard_of,
)
from beam_sts.mining.counts import MineCounts
from beam_sts.mining.passages import PassageReader, Passages
from beam_sts.mining.settings import MineSettings
from beam_sts.mining.shards import Cuts, PairShardWriter, PairTexts, Scored, set_triplets, write_rows
from beam_sts.models.checkpoint import Checkpoint
from beam_sts.scoring.scorer import PairScorer

# Of a total, what counts the units that are done, the unit, and what names the current one.
Progress: TypeAlias = Callable[[int, Callable[[], int], str, Callable[[], str]], AbstractContextManager[None]]


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
    settings: MineSettings,
    random_shards: int,
    checkpoint: Checkpoint,
    begin: Callable[[str], None] = lambda origin: None,
) -> MinedTexts:
    """Candidate pairs within each split; ``begin`` is called with each origin before it proposes."""
    parts: list[tuple[IntArray, IntArray, str]] = []
    a, b = adjacent_pairs(passages.place, passages.document)
    apart = passages.test[a] != passages.test[b]
    parts.append((a[~apart], b[~apart], "adjacent"))
    vectors = passages.vectors
    if settings.neighbours and vectors is None:
        vectors = (
            static_embedding(passages.texts, checkpoint)
            if settings.vectors == "static"
            else sentence_embedding(passages.texts, settings.vectors)
        )
    for test in (False, True):
        numbers = np.flatnonzero(passages.test == test)
        if len(numbers) < 2:
            continue
        if settings.neighbours and vectors is not None:
            begin("neighbours")
            near = neighbours(vectors[numbers], settings.neighbours)
            parts.append((numbers[near.a], numbers[near.b], "neighbours"))
        if settings.lexical:
            begin("lexical")
            texts = passages.texts.take(pa.array(numbers))
            near = lexical_neighbours(texts, settings.lexical, threads=settings.threads)
            parts.append((numbers[near.a], numbers[near.b], "lexical"))
        a, b = random_pairs(passages.name[numbers, 0], settings.random, settings.seed, random_shards)
        parts.append((numbers[a], numbers[b], "random"))
    parts.sort(key=lambda part: ORIGINS.index(part[2]))
    a, b, origin = union_pairs(parts)
    draw = draws([passages.name[a, 0], passages.name[b, 0]], settings.seed)
    order = np.lexsort((b, a, draw))
    return MinedTexts(a[order], b[order], draw[order], origin.take(pa.array(order)), int(apart.sum()))


def score_shards(
    passages: Passages, found: MinedTexts, writer: PairShardWriter, done: Callable[[int], None]
) -> Scored:
    """Score and write all pairs, shard by shard."""
    scores, differs = np.empty(len(found.a), np.float32), np.zeros(len(found.a), bool)
    test = passages.test[found.a]
    shards = shard_of(found.draw, writer.shards)
    for number in range(writer.shards):
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
        scores[part], differs[part] = known
        done(part.stop - part.start)
    return Scored(scores, differs)


def write_sets(
    passages: Passages, found: MinedTexts, scored: Scored, writer: PairShardWriter
) -> Counter[tuple[str, str]]:
    """Write the sets that take all scores: the even sample and the triplets; gives their rows."""
    settings, shards = writer.settings, writer.shards
    scores, differs = scored
    rule = settings.rule
    if settings.positive_share is not None:
        train = np.isfinite(scores) & ~passages.test[found.a]
        least = positives_from(count_scores(scores[train]), settings.positive_share)
        rule = replace(rule, positive=least)
    counts: Counter[tuple[str, str]] = Counter()

    def write(
        subset: str, split: str, draw: NDArray[np.uint64], columns: list[IntArray], *more: NDArray[np.float32]
    ) -> None:
        counts[subset, split] += 0
        for number, part in _by_shard(draw, shards):
            texts = [passages.texts.take(pa.array(column[part])) for column in columns]
            values = [pa.array(column[part]) for column in more]
            counts[subset, split] += write_rows(writer.output, subset, split, number, [*texts, *values])

    for split in SPLITS:
        here = np.flatnonzero(np.isfinite(scores) & (passages.test[found.a] == (split == "test")))
        pairs = MinedPairs(found.a, found.b, scores, found.draw, differs).take(here)
        in_bands = np.zeros((shards, BANDS), np.int64)
        np.add.at(in_bands, (shard_of(pairs.draw, shards), score_bands(pairs.score)), 1)
        shares = sample_shares(in_bands, settings.rows_to_sample(split, len(here)))
        drawn = [
            part.start + draw_sample(pairs.take(part), shares[number])
            for number, part in _by_shard(pairs.draw, shards)
        ]
        some = np.concatenate([np.empty(0, np.int64), *drawn])
        write(
            "pair-score-sampled", split, pairs.draw[some], [pairs.a[some], pairs.b[some]], pairs.score[some]
        )
        for subset in TRIPLETS:
            three = set_triplets(pairs, subset, rule)
            write(subset, split, three.draw, list(three[:3]))
    return counts


def _by_shard(draw: NDArray[np.uint64], shards: int) -> Iterator[tuple[int, slice]]:
    """The shards that there are, and where each lies among draws in their order."""
    numbers = shard_of(draw, shards)
    for number in np.unique(numbers).tolist():
        yield number, slice(*np.searchsorted(numbers, [number, number + 1]).tolist())


def mine_locally(
    output: OutputFolder,
    source: Readable,
    rows: int,
    settings: MineSettings,
    cuts: Cuts,
    checkpoint: Checkpoint,
    work: Path,
    *,
    reject: Callable[[SliceRows], dict[str, Any]],
    lap: Callable[[str], None] = lambda name: None,
    progress: Progress = lambda total, done, unit, where: nullcontext(),
) -> MineCounts:
    """Read, propose, score, write; gives the counts, but for those that the shards' records hold.

    Args:
        output: takes the shards; scores that are there are taken.
        source: the input.
        rows: of the input.
        settings: of the run.
        cuts: parts of the run.
        checkpoint: scores, and its token vectors count.
        work: a folder on a local disk for texts.
        reject: takes the rejected rows of a slice; gives how many, and why.
        lap: called with the name of every part that is done.
        progress: shows how many of so many units are done, and the current one.
    """
    scorer = PairScorer(checkpoint, **settings.scorer_args)
    reader = PassageReader(source, settings, work)
    reading, proposing = Steps(), Steps()

    def read(part: SliceRows) -> MineCounts:
        reading.add(part.data.slice.rows, part.data.slice.path)
        return MineCounts.read(reject(part))

    with progress(rows, lambda: reading.done, "rows", lambda: reading.at):
        rejected = MineCounts.total(map(read, reader.rows()))
        passages = reader.finish()
    lap("read")
    steps = 2 * (bool(settings.neighbours) + bool(settings.lexical))
    with progress(steps, lambda: proposing.done, "sources", lambda: proposing.at):
        found = propose(
            passages, settings, cuts.random_shards, checkpoint, lambda origin: proposing.add(1, origin)
        )
    lap("propose")
    writer = PairShardWriter(output, settings, cuts.shards, scorer)
    scored = 0

    def done(pairs: int) -> None:
        nonlocal scored
        scored += pairs

    with progress(len(found.a), lambda: scored, "pairs", str):
        pair_scores = score_shards(passages, found, writer, done)
    lap("score")
    written = write_sets(passages, found, pair_scores, writer)
    lap("write")
    in_shards = np.bincount(shard_of(found.draw, cuts.shards))
    of_texts = {name: count for name, count in passages.counts.items() if name != "texts_repeated"}
    counted = MineCounts(
        places=len(passages.place),
        texts_by_split={split: int((passages.test == at).sum()) for at, split in enumerate(SPLITS)},
        pairs_straddling=found.straddling,
        pairs_reused=writer.reused,
        shards_damaged=writer.damaged,
        shards={str(at): int(in_shards[at]) for at in np.flatnonzero(in_shards)},
        rows_written={subset: {split: written[subset, split] for split in SPLITS} for subset, _ in written},
    )
    return MineCounts.total([rejected, MineCounts.read(of_texts), counted])
