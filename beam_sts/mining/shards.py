"""Shards of mined pairs: scored, written and read again. One machine and Beam write the same bytes.

Pairs are cut into shards by ranges of their draws, independently of their origin and of the machine. So a
shard is scored in the same batches everywhere, and a resumed run can reuse the scores of complete shards.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_sts.candidates.form import plain_texts
from beam_sts.candidates.rejects import REJECTED, read_rejected
from beam_sts.examples import Example, choose_rows, shorten_pair
from beam_sts.io.committed import content_digest
from beam_sts.io.output import OutputFolder
from beam_sts.io.reading import plan_input, read_slices
from beam_sts.io.summary import length_histogram, score_histogram, throughput
from beam_sts.mining.core import (
    BANDS,
    SPLITS,
    SUBSETS,
    MinedPairs,
    score_bands,
    word_overlap,
)
from beam_sts.mining.counts import TOKENS, MineCounts
from beam_sts.mining.different import COMPARED, differing
from beam_sts.mining.forms import ROWS, Form
from beam_sts.mining.settings import MineSettings
from beam_sts.mining.triplets import (
    TRIPLETS,
    TripletRule,
    Triplets,
    triplets,
)
from beam_sts.scoring.decisions import decisive
from beam_sts.scoring.scorer import PairScorer

PAIRS_PER_SHARD = 1 << 13
TEXTS_PER_RANDOM_SHARD = 50_000
REJECTED_QUERIES = f"{REJECTED}_queries"
FOLDERS = (
    *SUBSETS,
    *(f"{subset}/{split}" for subset in SUBSETS for split in SPLITS),
    REJECTED,
    REJECTED_QUERIES,
)

_OF_SHARDS = (
    *("pairs", "rows_written", "pairs_failed", "pairs_differing"),
    *("pairs_by_origin", "score_histogram", "tokens"),
)
_SCORED = pa.schema(
    [("sentence1", pa.large_string()), ("sentence2", pa.large_string()), ("score", pa.float32())]
)
SCHEMAS = {
    "raw": pa.schema([("anchor", pa.large_string()), ("text", pa.large_string()), ("origin", pa.string())]),
    "pair-score": _SCORED,
    "pair-score-hard": _SCORED,
    "pair-score-sampled": _SCORED,
}
"""The schemas of the sets of pairs."""


def schemas(form: Form) -> dict[str, pa.Schema]:
    """Returns the schema of every set, with the triplet sets in a form."""
    return {**SCHEMAS, **dict.fromkeys(TRIPLETS, form.schema)}


@dataclass(frozen=True)
class Cuts:
    """Number of shards for pairs (ranges of their draws) and of ranges of texts, the same on every runner.

    ``texts`` is the approximate number of texts.
    """

    shards: int = 1
    random_shards: int = 1
    texts: int = 0

    @classmethod
    def of(cls, texts: int, settings: MineSettings, queries: int = 0) -> Cuts:
        """Choose the numbers for about this many texts, and rows of queries."""
        each = settings.neighbours + settings.lexical + settings.random
        pairs = (queries or texts) * (each + bool(settings.doc_id or settings.sentences or settings.given))
        return cls(1 + pairs // PAIRS_PER_SHARD, 1 + texts // TEXTS_PER_RANDOM_SHARD, texts)


@dataclass(frozen=True)
class PairTexts:
    """The pairs of a shard in the order of their draws; each array is of shape (n,)."""

    test: NDArray[np.bool_]
    draw: NDArray[np.uint64]
    text_a: pa.Array
    text_b: pa.Array
    origin: pa.Array


class Scored(NamedTuple):
    """Scores of n pairs, NaN if the model failed, and whether the two texts differ in a fact."""

    scores: NDArray[np.float32]
    differs: NDArray[np.bool_]


@dataclass
class PairShardWriter:
    """Scores shards and writes them to ``raw``, ``pair-score`` and ``pair-score-hard``."""

    output: OutputFolder
    settings: MineSettings
    shards: int
    scorer: PairScorer
    reused: int = 0
    damaged: int = 0

    def read_complete(self, number: int, test: NDArray[np.bool_], draw: NDArray[np.uint64]) -> Scored | None:
        """Returns the scores of a complete shard; None if it is missing, damaged or holds other pairs."""
        if not self.output.has_record(number):
            return None
        # Checksums are compared over all bytes, because most of them are read anyway.
        records, _ = self.output.whole({number: _pairs_of(test, draw)}, verify=True)
        if number not in records:
            self.damaged += 1
            return None
        record = records[number]
        scores = np.full(len(draw), np.nan, np.float32)
        good = np.ones(len(draw), bool)
        good[record["failed"]] = False
        for split in SPLITS:
            rows = np.flatnonzero(good & (test == (split == "test")))
            if len(rows):
                scores[rows] = self._read_scores(split, number)
        self.reused += len(draw)
        differs = np.zeros(len(draw), bool)
        differs[record["differing"]] = True
        return Scored(scores, differs)

    def _read_scores(self, split: str, number: int) -> NDArray[np.float32]:
        plan = plan_input(self.output.shard(f"pair-score/{split}", number), PAIRS_PER_SHARD)
        parts = [
            data.table["score"].to_numpy() for unit in plan.units for data in read_slices(unit, plan.schema)
        ]
        return np.concatenate(parts)

    def write(self, number: int, pairs: PairTexts) -> Scored:
        """Score a shard in plain form and write it."""
        started = time.time()
        first, second = plain_texts(pairs.text_a), plain_texts(pairs.text_b)
        result = self.scorer.run(first, second, symmetric=self.settings.symmetric)
        scores = decisive(result.scores)
        scores[np.asarray(pc.equal(first, second)) & np.isfinite(scores)] = 1
        overlap = word_overlap(first, second)
        with np.errstate(invalid="ignore"):
            hard = np.abs(scores - overlap) >= np.float32(self.settings.hard_gap)
        least = min(COMPARED, self.settings.positive)
        differs = differing(pairs.text_a, pairs.text_b, scores, self.settings.compared, least)
        counts: dict[str, dict[str, int]] = {}
        shards: dict[str, pa.Table] = {}
        for split in SPLITS:
            mine = np.isfinite(scores) & (pairs.test == (split == "test"))
            for subset, chosen in (("raw", mine), ("pair-score", mine), ("pair-score-hard", mine & hard)):
                places = pa.array(np.flatnonzero(chosen))
                counts.setdefault(subset, {})[split] = len(places)
                last = pairs.origin if subset == "raw" else pa.array(scores)
                columns = [column.take(places) for column in (pairs.text_a, pairs.text_b, last)]
                if len(places):
                    shards[f"{subset}/{split}"] = pair_rows(subset, columns)
        good = scores[np.isfinite(scores)]
        record = {
            "pairs": len(scores),
            "failed": np.flatnonzero(~np.isfinite(scores)).tolist(),
            "differing": np.flatnonzero(differs).tolist(),
            "pairs_differing": int((differs & (scores >= np.float32(self.settings.positive))).sum()),
            "rows_written": counts,
            "pairs_failed": dict(Counter(reason.partition(":")[0] for reason in result.failures.values())),
            "pairs_by_origin": dict(Counter(pairs.origin.to_pylist())),
            "pairs_by_band": np.bincount(score_bands(good), minlength=BANDS).tolist(),
            "score_histogram": score_histogram(good),
            "tokens": {
                **{name: getattr(result.stats, name) for name in TOKENS},
                "length_histogram": length_histogram(result.tokens),
            },
            "work": [started, time.time(), len(scores)],
            "examples": self._examples(number, pairs, scores),
        }
        self.output.commit(number, shards, record, of=_pairs_of(pairs.test, pairs.draw))
        return Scored(scores, differs)

    def _examples(self, number: int, pairs: PairTexts, scores: NDArray[np.float32]) -> list[Example]:
        chosen = choose_rows(scores, {}, threshold=None, each=self.settings.report_examples)
        return [
            {
                "kind": kind,
                "where": f"pair-score/{SPLITS[int(pairs.test[row])]}, part {number}",
                "text_a": text_a,
                "text_b": text_b,
                "score": float(scores[row]),
            }
            for kind, rows in chosen.items()
            for row in rows
            for text_a, text_b in [shorten_pair(pairs.text_a[row].as_py(), pairs.text_b[row].as_py())]
        ]


def set_triplets(
    pairs: MinedPairs, subset: str, rule: TripletRule, anchors: NDArray[np.bool_] | None = None
) -> Triplets:
    """Build the triplets of a set; ``anchors``: see ``triplets``."""
    return triplets(pairs, rule, hard=TRIPLETS[subset], anchors=anchors)


def triplet_rows(found: Triplets, texts: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Join triplets with their texts, in the schema ``ROWS``."""
    columns = [texts.take(pa.array(column)) for column in found[:3]]
    return pa.table([*columns, *found[4:]], names=ROWS.names).cast(ROWS)


def write_triplets(
    output: OutputFolder,
    subset: str,
    split: str,
    number: int,
    rows: pa.Table,
    group: Sequence[NDArray[Any]],
    form: Form,
) -> int:
    """Publish a shard of a triplet set in its form. Returns its number of rows.

    Args:
        output: output folder.
        subset: name of the set.
        split: split of the rows.
        number: number of the shard.
        rows: n triplets with the schema ``ROWS``.
        group: columns of shape (n,) that are equal within an anchor and positive, and differ between adjacent
            ones.
        form: form of the set.
    """
    changes = [np.append(True, column[1:] != column[:-1]) for column in group]
    made = form.rows(rows, np.logical_or.reduce(changes)[: len(rows)])
    return write_rows(output, subset, split, number, made)


def write_rows(output: OutputFolder, subset: str, split: str, number: int, table: pa.Table) -> int:
    """Publish a shard of a training set, unless it is empty. Returns its number of rows."""
    if len(table):
        output.commit(number, {f"{subset}/{split}": table}, {}, kind=f"{subset}-{split}")
    return len(table)


def pair_rows(subset: str, columns: Sequence[Any]) -> pa.Table:
    """Make the rows of a set of pairs."""
    schema = SCHEMAS[subset]
    arrays = [
        column.cast(kind.type)
        if isinstance(column, (pa.Array, pa.ChunkedArray))
        else pa.array(column, kind.type)
        for column, kind in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def mine_counts(
    output: OutputFolder, counts: MineCounts, rows_read: int
) -> tuple[dict[str, Any], list[list[Example]]]:
    """Returns all counts of a run, as in its summary, and the examples of its shards.

    Args:
        output: output folder with the records of the shards.
        counts: the other counts; ``shards`` has the number of pairs of each shard of this run.
        rows_read: rows of the input.

    Raises:
        RuntimeError: the counts do not add up.
    """
    records = list(output.records(sorted(map(int, counts.shards))))
    of_shards = [MineCounts.read({name: record[name] for name in _OF_SHARDS}) for record in records]
    whole = MineCounts.total([counts, MineCounts(rows_read=rows_read), *of_shards])
    whole.check()
    total = whole.dump()
    del total["shards"]
    bands = [record["pairs_by_band"] for record in records]
    total["pairs_by_band"] = np.array(bands, np.int64).reshape(-1, BANDS).sum(axis=0).tolist()
    lengths = total["tokens"]["length_histogram"]
    in_order = {bound: lengths[bound] for bound in sorted(lengths, key=int)}
    total["tokens"] = {**total["tokens"], "length_histogram": in_order}
    total["timeline"] = throughput(record["work"] for record in records)
    total["texts_repeated"] = total.pop("places") - whole.texts
    return total, [*(record["examples"] for record in records), *read_rejected(output)]


def empty_schemas(form: Form) -> dict[str, pa.Schema]:
    """The schema of every folder of the training sets, for those without rows."""
    return {f"{subset}/{split}": schema for subset, schema in schemas(form).items() for split in SPLITS}


def _pairs_of(test: NDArray[np.bool_], draw: NDArray[np.uint64]) -> str:
    """Returns a digest of a shard's pairs. It covers the texts, because a draw is a hash of their names."""
    return content_digest(test.astype(np.uint8), draw)
