"""Shards of scored pairs: written as pairs are scored, and read by runs that resume or start from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from beam_sts.arrays import IntArray
from beam_sts.candidates.propose import Proposed
from beam_sts.dedup.decide import IDENTICAL, Edges
from beam_sts.dedup.earlier import pairs_schema, plan_pairs, read_pair_shards
from beam_sts.dedup.rows import Corpus
from beam_sts.dedup.verdicts import Sizes, Verdicts
from beam_sts.dedup.verify import Verifier, VerifyStats
from beam_sts.io.committed import content_digest
from beam_sts.io.output import OutputFolder
from beam_sts.io.spill import take_texts

PAIRS_PER_SHARD, CHARACTERS_PER_SHARD = 1 << 16, 1 << 21
"""The largest shard, which is what a killed run may lose: seconds of scoring, whatever the text lengths."""


class PartVerifier:
    """Scores pairs of texts in parts, without storing them.

    Args:
        verifier: computes the scores.
        corpus: the texts of the pairs.
    """

    def __init__(self, verifier: Verifier | None, corpus: Corpus) -> None:
        self.verifier, self._corpus, self._texts = verifier, corpus, corpus.texts
        self.stats = VerifyStats()
        self.reused = self.damaged = 0

    def score(
        self,
        a: IntArray,
        b: IntArray,
        source: pa.Array | str,
        done: Callable[[int], None] = lambda pairs: None,
    ) -> Verdicts:
        """Score pairs of texts. ``done`` is called with the number of pairs in each part."""
        found = []
        for part in self._parts(a, b):
            labels = source if isinstance(source, str) else source[part]
            found.append(self._part(a[part], b[part], labels))
            done(part.stop - part.start)
        return Verdicts.join(found)

    def at(self, threshold: float) -> PartVerifier:
        """The same for a lower threshold."""
        if self.verifier is None:
            raise RuntimeError("there is no verifier")
        return PartVerifier(self.verifier.at(threshold), self._corpus)

    def complete(self, edges: Edges) -> Edges:
        """Compute what an earlier run left out for pairs that could not reach its threshold."""
        a, b, known, found = edges.pairs.a, edges.pairs.b, edges.verdicts, []
        for part in self._parts(a, b):
            found.append(self._verified(a[part], b[part], known.at(part)))
        return Edges.of(a, b, edges.source, Verdicts.join(found))

    def _parts(self, a: IntArray, b: IntArray) -> Iterator[slice]:
        return shard_parts(np.add(*self.sizes(a, b)))

    def sizes(self, a: IntArray, b: IntArray) -> Sizes:
        """The characters of the texts of pairs."""
        characters, row = self._corpus.rows.characters, self._corpus.distinct.row
        return characters[row[a]], characters[row[b]]

    def _part(self, a: IntArray, b: IntArray, source: pa.Array | str) -> Verdicts:
        return self._verified(a, b)

    def _verified(self, a: IntArray, b: IntArray, known: Verdicts | None = None) -> Verdicts:
        if self.verifier is None:
            raise RuntimeError("there are pairs to score, but no verifier")
        found = self.verifier.verify(take_texts(self._texts, a), take_texts(self._texts, b), known)
        self.stats += found.stats
        return found.verdicts


class PairShards(PartVerifier):
    """Scores pairs of texts in shards. A shard that exists and is complete is read instead of scored again.

    Args:
        output: its folder ``pairs`` stores the shards.
        verifier: computes the scores. None: there is nothing to score.
        corpus: the texts of the pairs.
    """

    def __init__(self, output: OutputFolder, verifier: Verifier | None, corpus: Corpus) -> None:
        super().__init__(verifier, corpus)
        self._output = output
        self._there = set(output.numbers("pairs"))
        self._next = 0

    def schema(self) -> pa.Schema:
        """The schema of the shards."""
        return pairs_schema(self._corpus.rows.ids[0].type, self._corpus.against)

    def _part(self, a: IntArray, b: IntArray, source: pa.Array | str) -> Verdicts:
        number, keys = self._number(), self._keys(a, b, source)
        if self._is_whole(number, keys):
            found = read_pair_shards(
                plan_pairs(self._output.shard("pairs", number), self.schema()), self.schema()
            )
            self.reused += len(found)
            return Verdicts.read(
                found, self.sizes(a, b), self.verifier.how.max_lost if self.verifier else None
            )
        made = super()._part(a, b, source)
        labels = pa.array([source] * len(a), pa.string()) if isinstance(source, str) else source
        table = pair_table(self._corpus, Edges.of(a, b, labels, made))
        self._output.commit(number, {"pairs": table}, {}, of=keys, kind="pairs")
        return made

    def write(self, edges: Edges) -> None:
        """Write pairs that need no scoring."""
        for start in range(0, len(edges.verdicts), PAIRS_PER_SHARD):
            part = slice(start, start + PAIRS_PER_SHARD)
            self._commit(pair_table(self._corpus, edges, part))

    def write_identical(self) -> None:
        """Write the rows with the same text as another row, each paired with the first row of the text."""
        behind = repeated_rows(self._corpus)
        for start in range(0, len(behind), PAIRS_PER_SHARD):
            self._commit(identical_table(self._corpus, behind[start : start + PAIRS_PER_SHARD]))

    def _commit(self, table: pa.Table) -> None:
        self._output.commit(self._number(), {"pairs": table}, {}, kind="pairs")

    def finish(self) -> None:
        """Delete the shards after the last one, left by a run that cut the pairs differently (with Beam)."""
        self._output.drop("pairs", [n for n in self._output.numbers("pairs") if n >= self._next], "pairs")

    def _number(self) -> int:
        number, self._next = self._next, self._next + 1
        return number

    def _keys(self, a: IntArray, b: IntArray, source: pa.Array | str) -> str:
        """A digest of the content of a shard: the ids, texts and sources of its pairs."""
        rows, row = self._corpus.rows, self._corpus.distinct.row
        first, second = row[a], row[b]
        labels = pa.array([source] if isinstance(source, str) else source.cast(pa.string()))
        ids = (rows.ids_of(first), rows.ids_of(second))
        return content_digest(*ids, rows.hashes[first], rows.hashes[second], labels)

    def _is_whole(self, number: int, keys: str) -> bool:
        """Whether a shard has the results of these pairs. All bytes are compared, since it is read anyway."""
        if number not in self._there:
            return False
        whole = number in self._output.whole({number: keys}, kind="pairs", verify=True)[0]
        self.damaged += not whole
        return whole


def repeated_rows(corpus: Corpus) -> IntArray:
    """The rows of the input that have the same text as another row, without the first row of each text."""
    rows, distinct = corpus.rows, corpus.distinct
    behind = distinct.row[distinct.of_row] != np.arange(len(rows))
    return np.flatnonzero(behind & (rows.side == 0))


def pair_table(corpus: Corpus, edges: Edges, part: slice = slice(None)) -> pa.Table:
    """Scored pairs of texts, as pairs of the rows with the smallest ids."""
    a, b, row = edges.pairs.a[part], edges.pairs.b[part], corpus.distinct.row
    return _table(corpus, row[a], row[b], edges.source[part], edges.verdicts.at(part))


def identical_table(corpus: Corpus, behind: IntArray) -> pa.Table:
    """Pairs of rows from :func:`repeated_rows`, each with the first row of its text."""
    first = corpus.distinct.row[corpus.distinct.of_row[behind]]
    source = pa.array([IDENTICAL[1]] * len(behind), pa.string())
    return _table(corpus, first, behind, source, Verdicts.identical(len(behind)))


def _table(corpus: Corpus, a: IntArray, b: IntArray, source: pa.Array, found: Verdicts) -> pa.Table:
    rows = corpus.rows
    columns = {
        "id_a": rows.ids_of(a),
        "id_b": rows.ids_of(b),
        "source": source.cast(pa.string()),
        **found.columns(),
    }
    if corpus.against:
        columns["b_in"] = pa.array(["input", "against"]).take(pa.array(rows.side[b]))
    schema = pairs_schema(rows.ids[0].type, corpus.against)
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def shard_parts(characters: IntArray) -> Iterator[slice]:
    """Cut pairs, given their characters, into shards, in order. Each shard has at least one pair.

    >>> list(shard_parts(np.array([1_200_000, 800_000, 9_000_000, 1])))
    [slice(0, 2, None), slice(2, 3, None), slice(3, 4, None)]
    """
    before, start = np.concatenate([[0], np.cumsum(characters)]), 0
    while start < len(characters):
        full = int(np.searchsorted(before, before[start] + CHARACTERS_PER_SHARD, side="right")) - 1
        stop = min(max(full, start + 1), start + PAIRS_PER_SHARD, len(characters))
        yield slice(start, stop)
        start = stop


def edges_of(proposed: Proposed, found: Verdicts) -> Edges:
    """Candidates with their verdicts."""
    return Edges.of(proposed.a, proposed.b, proposed.source, found)
