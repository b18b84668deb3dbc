"""Mining on one machine: pairs of passages, their scores and the training sets. Texts stay on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
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
    GIVEN,
    ORIGINS,
    SPLITS,
    MinedPairs,
    adjacent_pairs,
    are_given,
    draw_sample,
    draws,
    pack_names,
    random_pairs,
    random_partners,
    same_text,
    sample_shares,
    score_bands,
    shard_of_draw,
)
from beam_sts.mining.counts import MineCounts
from beam_sts.mining.languages import count_languages, in_sample
from beam_sts.mining.passages import PassageReader, Passages
from beam_sts.mining.settings import MineSettings
from beam_sts.mining.shards import (
    Cuts,
    PairShardWriter,
    PairTexts,
    Scored,
    pair_rows,
    set_triplets,
    triplet_rows,
    write_rows,
    write_triplets,
)
from beam_sts.mining.triplets import (
    TRIPLETS,
    count_scores,
    positives_from,
)
from beam_sts.models.checkpoint import Checkpoint
from beam_sts.scoring.scorer import PairScorer

# The count of the total, the count of completed units, the unit, and the label of the current unit.
ShowProgress: TypeAlias = Callable[
    [int, Callable[[], int], str, Callable[[], str]], AbstractContextManager[None]
]


@dataclass(frozen=True)
class MinedTexts:
    """Candidate pairs in the order of their draws, shape (pairs,).

    ``cross_split``: pairs dropped. ``neighbours``: the counts of each search, as in ``MineCounts``.
    """

    a: IntArray
    b: IntArray
    draw: NDArray[np.uint64]
    origin: pa.DictionaryArray
    cross_split: int
    neighbours: dict[str, dict[str, int]]


def propose_pairs(
    passages: Passages,
    settings: MineSettings,
    random_shards: int,
    checkpoint: Checkpoint,
    begin: Callable[[str], None] = lambda origin: None,
) -> MinedTexts:
    """Propose candidate pairs within each split; ``begin`` is called with each origin before its step."""
    parts: list[tuple[IntArray, IntArray, str]] = [(*passages.given.T, GIVEN)]
    a, b = adjacent_pairs(passages.place, passages.document)
    apart = passages.test[a] != passages.test[b]
    parts.append((a[~apart], b[~apart], "adjacent"))
    vectors = passages.vectors
    if settings.neighbours and vectors is None:
        vectors = (
            static_embedding(passages.forms, checkpoint)
            if settings.vectors == "static"
            else sentence_embedding(passages.forms, settings.vectors)
        )
    searches = {}
    # Queries have partners in the whole corpus, other texts only in their split.
    groups = dict(zip(SPLITS, (~passages.test, passages.test), strict=True))
    if settings.across:
        groups = {"queries": np.ones(len(passages.name), bool)}
    for group, chosen in groups.items():
        numbers = np.flatnonzero(chosen)
        if len(numbers) < 2:
            continue
        side = np.where(passages.anchor[numbers], 0, 1) if settings.across else None
        if settings.neighbours and vectors is not None:
            begin("neighbours")
            named = partial(_names_of, passages.name[numbers], side)
            near = neighbours(vectors[numbers], settings.neighbours, side=side, asks=(0,), names=named)
            parts.append((numbers[near.a], numbers[near.b], "neighbours"))
            if near.report["largest_cell"] > 1:
                searches[group] = near.report
        if settings.lexical:
            begin("lexical")
            texts = passages.forms.take(pa.array(numbers))
            near = lexical_neighbours(texts, settings.lexical, side=side, asks=(0,), threads=settings.threads)
            parts.append((numbers[near.a], numbers[near.b], "lexical"))
        names = passages.name[numbers]
        a, b = (
            random_partners(names, settings.random, settings.seed, random_shards)
            if settings.across
            else random_pairs(names[:, 0], settings.random, settings.seed, random_shards)
        )
        parts.append((numbers[a], numbers[b], "random"))
    parts.sort(key=lambda part: ORIGINS.index(part[2]))
    a, b, origin = union_pairs(parts)
    if settings.across:
        fits = ~same_text(passages.name[a], passages.name[b]) | are_given(origin)
        a, b, origin = a[fits], b[fits], origin.filter(pa.array(fits))
    draw = draws([passages.name[a, 0], passages.name[b, 0]], settings.seed)
    order = np.lexsort((b, a, draw))
    origin = origin.take(pa.array(order))
    return MinedTexts(a[order], b[order], draw[order], origin, int(apart.sum()), searches)


def _names_of(
    names: NDArray[np.uint64], side: NDArray[np.integer] | None, rows: IntArray
) -> list[bytes] | list[tuple[int, bytes]]:
    """Returns the names of texts in Beam, with their side if queries are mined."""
    packed = pack_names(names[rows])
    return packed if side is None else list(zip(side[rows].tolist(), packed, strict=True))


def score_shards(
    passages: Passages, found: MinedTexts, writer: PairShardWriter, done: Callable[[int], None]
) -> Scored:
    """Score all pairs and write them, shard by shard; shards that are complete are read instead."""
    scores, differs = np.empty(len(found.a), np.float32), np.zeros(len(found.a), bool)
    test = passages.test[found.a]
    shards = shard_of_draw(found.draw, writer.shards)
    for number in range(writer.shards):
        part = slice(*np.searchsorted(shards, [number, number + 1]).tolist())
        known = writer.read_complete(number, test[part], found.draw[part])
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
    """Write the sets that need all scores: the even sample and the triplets. Returns their row counts."""
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
            counts[subset, split] += write_rows(
                writer.output, subset, split, number, pair_rows(subset, [*texts, *values])
            )

    for split in SPLITS:
        here = np.flatnonzero(np.isfinite(scores) & (passages.test[found.a] == (split == "test")))
        pairs = MinedPairs(found.a, found.b, scores, found.draw, differs, are_given(found.origin)).take(here)
        in_bands = np.zeros((shards, BANDS), np.int64)
        np.add.at(in_bands, (shard_of_draw(pairs.draw, shards), score_bands(pairs.score)), 1)
        shares = sample_shares(in_bands, settings.rows_to_sample(split, len(here)))
        drawn = [
            part.start + draw_sample(pairs.take(part), shares[number])
            for number, part in _by_shard(pairs.draw, shards)
        ]
        at = np.concatenate([np.empty(0, np.int64), *drawn])
        write("pair-score-sampled", split, pairs.draw[at], [pairs.a[at], pairs.b[at]], pairs.score[at])
        for subset in TRIPLETS:
            three = set_triplets(pairs, subset, rule, passages.anchor)
            counts[subset, split] += 0
            for number, part in _by_shard(three.draw, shards):
                found_here = three.take(part)
                rows = triplet_rows(found_here, passages.texts)
                counts[subset, split] += write_triplets(
                    writer.output,
                    subset,
                    split,
                    number,
                    rows,
                    [found_here.draw, found_here.anchor],
                    settings.form,
                )
    return counts


def _by_shard(draw: NDArray[np.uint64], shards: int) -> Iterator[tuple[int, slice]]:
    """Returns the number of each shard with rows, and its slice of the sorted draws."""
    numbers = shard_of_draw(draw, shards)
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
    queries: Readable | None = None,
    reject: Callable[[SliceRows, bool], dict[str, Any]],
    lap: Callable[[str], None] = lambda name: None,
    progress: ShowProgress = lambda total, done, unit, where: nullcontext(),
) -> MineCounts:
    """Read, propose, score and write. Returns the counts, except those that the shards' records hold.

    Args:
        output: output folder; the scores of its complete shards are reused.
        source: input, or the corpus of queries.
        rows: number of rows in the input and in the queries.
        settings: settings of the run.
        cuts: how the run is cut into shards.
        checkpoint: model that scores the pairs; its token vectors find the nearest neighbours.
        work: folder on a local disk for the texts.
        queries: input of the queries.
        reject: receives each slice with its rejected rows, and whether it is of the queries; returns counts
            of them and of the reasons.
        lap: called with the name of each step when it is complete.
        progress: context manager that shows how many of the total units are complete, and the current one.

    Returns:
        The counts of the run.
    """
    scorer = PairScorer(checkpoint, **settings.scorer_args)
    reader = PassageReader(source, settings, work, queries)
    reading, proposing = Steps(), Steps()

    def read(read: tuple[SliceRows, bool]) -> MineCounts:
        part, of_queries = read
        reading.add(part.data.slice.rows, part.data.slice.path)
        return MineCounts.read(reject(part, of_queries))

    with progress(rows, lambda: reading.done, "rows", lambda: reading.at):
        rejected = MineCounts.total(map(read, reader.rows()))
        passages = reader.finish()
    lap("read")
    steps = 2 * (bool(settings.neighbours) + bool(settings.lexical))
    with progress(steps, lambda: proposing.done, "sources", lambda: proposing.at):
        found = propose_pairs(
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
    in_shards = np.bincount(shard_of_draw(found.draw, cuts.shards))
    sample = np.flatnonzero(in_sample(passages.name, cuts.texts))
    of_texts = {name: count for name, count in passages.counts.items() if name != "texts_repeated"}
    counted = MineCounts(
        places=len(passages.place),
        texts_by_split={
            split: int((passages.anchor & (passages.test == at)).sum()) for at, split in enumerate(SPLITS)
        },
        pairs_straddling=found.cross_split,
        neighbours=found.neighbours,
        languages=count_languages(passages.texts.take(pa.array(sample)).to_pylist()),
        pairs_reused=writer.reused,
        shards_damaged=writer.damaged,
        shards={str(at): int(in_shards[at]) for at in np.flatnonzero(in_shards)},
        rows_written={subset: {split: written[subset, split] for split in SPLITS} for subset, _ in written},
    )
    return MineCounts.total([rejected, MineCounts.read(of_texts), counted])
