"""Pairs that are too long for the model: the three policies of ``long_text``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.arrays import IntArray
from beam_sts.scoring.tokens import PairTokenizer, TokenTable
from beam_sts.scoring.windows import (
    MAX_WINDOWS,
    choose_comparisons,
    combine,
    window_starts,
    window_weights,
)

LONG_TEXT = ("truncate", "error", "windows")


@dataclass(frozen=True)
class _Windowed:
    """A pair scored by windows: index of its first item, its comparisons, the weights of its windows."""

    item: int
    first: IntArray
    second: IntArray
    weights_a: NDArray[np.float64]
    weights_b: NDArray[np.float64]


@dataclass(frozen=True)
class Work:
    """What the backend scores for n pairs: items of two rows of a token table. A refused pair has none.

    ``a``, ``b``, ``kept_a``, ``kept_b`` and ``owner`` have the shape (items,): rows of the table, counts of
    their tokens that are kept, and the pair that an item belongs to. ``truncated`` has the pairs that lose
    tokens.
    """

    table: TokenTable
    a: IntArray
    b: IntArray
    kept_a: IntArray
    kept_b: IntArray
    owner: IntArray
    refused: dict[int, str]
    truncated: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    windowed: dict[int, _Windowed] = field(default_factory=dict)

    def collect(self, pairs: int, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The scores of n pairs from those of the items; NaN for refused pairs."""
        scores = np.full(pairs, np.nan, dtype=np.float32)
        scores[self.owner] = values
        for pair, w in self.windowed.items():
            own = values[w.item : w.item + len(w.first)]
            scores[pair] = combine(own, w.first, w.second, w.weights_a, w.weights_b)
        return scores


def plan_work(
    tokenizer: PairTokenizer,
    texts: pa.Array,
    a: IntArray,
    b: IntArray,
    policy: str,
    run: Callable[..., Iterable[Any]] = map,
) -> Work:
    """Tokenise texts and plan what is scored of each pair.

    Args:
        tokenizer: the checkpoint's tokenizer.
        texts: distinct texts, an Arrow array of strings without nulls.
        a: each pair's first text, an index into the texts, shape (n,).
        b: each pair's second text.
        policy: one of ``LONG_TEXT``.
        run: ``map``, or that of a pool of threads.
    """
    budget = tokenizer.budget
    table = tokenizer.encode(texts, None if policy == "windows" else budget + 1, run)
    lengths = table.lengths.copy()
    if policy == "truncate":
        for index in _undecided(table, a, b, budget):
            lengths[index] = tokenizer.count(texts[index].as_py())
    len_a, len_b = lengths[a], lengths[b]
    refused = {}
    if table.refused:
        for pair in np.flatnonzero(
            np.isin(a, list(table.refused)) | np.isin(b, list(table.refused))
        ).tolist():
            refused[pair] = table.refused.get(int(a[pair])) or table.refused[int(b[pair])]
    long = [pair for pair in np.flatnonzero(len_a + len_b > budget).tolist() if pair not in refused]
    if policy == "error":
        for pair in long:
            partial = {int(a[pair]), int(b[pair])} & table.partial
            tokens = int(tokenizer.pair_lengths(len_a[pair], len_b[pair]))
            more = "more than " if partial else ""
            refused[pair] = f"too long: {more}{tokens:,} tokens, the model takes {tokenizer.max_length:,}"
    if policy == "windows" and long:
        return _windows(tokenizer, table, a, b, long, refused)
    owner = np.setdiff1d(np.arange(len(a)), list(refused)) if refused else np.arange(len(a))
    kept_a, kept_b = tokenizer.truncate(len_a[owner], len_b[owner])
    cut = owner[kept_a + kept_b < len_a[owner] + len_b[owner]]
    return Work(table, a[owner], b[owner], kept_a, kept_b, owner, refused, truncated=cut)


def _undecided(table: TokenTable, a: IntArray, b: IntArray, budget: int) -> list[int]:
    """Partly read texts of which the full length is needed: the longer of two texts keeps the odd token."""
    if budget % 2 == 0 or not table.partial:
        return []
    partial = np.zeros(len(table.lengths), dtype=bool)
    partial[list(table.partial)] = True
    both = (table.lengths[a] > budget) & (table.lengths[b] > budget) & (a != b)
    concerned = np.concatenate([a[both & (partial[a] | partial[b])], b[both & (partial[a] | partial[b])]])
    return [index for index in np.unique(concerned).tolist() if partial[index] and index not in table.refused]


def _windows(
    tokenizer: PairTokenizer,
    table: TokenTable,
    a: IntArray,
    b: IntArray,
    long: list[int],
    refused: dict[int, str],
) -> Work:
    """The work with each long pair as pairs of windows, which are added to the table as rows."""
    size = tokenizer.budget // 2
    # By text: the row of its first window, and the token ids of each window.
    rows: dict[int, tuple[int, list[IntArray]]] = {}
    count = len(table.lengths)

    def windows_of(text: int) -> tuple[int, list[IntArray]]:
        nonlocal count
        if text not in rows:
            ids = table.ids[table.offsets[text] : table.offsets[text + 1]]
            cut = [ids[start : start + size] for start in window_starts(len(ids), size)]
            rows[text] = count, cut
            count += len(cut)
        return rows[text]

    refused = dict(refused)
    items_a, items_b, owners = [], [], []
    windowed: dict[int, _Windowed] = {}
    items = 0
    for pair in long:
        longest = max(int(table.lengths[a[pair]]), int(table.lengths[b[pair]]))
        if len(window_starts(longest, size)) > MAX_WINDOWS:
            refused[pair] = f"too long for windows: more than {MAX_WINDOWS} windows of {size} tokens"
            continue
        (row_a, cut_a), (row_b, cut_b) = windows_of(int(a[pair])), windows_of(int(b[pair]))
        first, second = choose_comparisons(cut_a, cut_b)
        weights = [window_weights(int(table.lengths[side[pair]]), size) for side in (a, b)]
        windowed[pair] = _Windowed(items, first, second, *weights)
        items_a.append(row_a + first)
        items_b.append(row_b + second)
        owners.append(np.full(len(first), pair, dtype=np.int64))
        items += len(first)
    short = np.setdiff1d(np.arange(len(a)), [*refused, *windowed])
    added = [ids for _, cut in rows.values() for ids in cut]
    ids = np.concatenate([table.ids, *added])
    offsets = np.concatenate(
        [table.offsets, table.offsets[-1] + np.cumsum([len(w) for w in added], dtype=np.int64)]
    )
    whole = TokenTable(ids, offsets)
    new_a, new_b = np.concatenate([*items_a, a[short]]), np.concatenate([*items_b, b[short]])
    return Work(
        whole,
        new_a,
        new_b,
        whole.lengths[new_a],
        whole.lengths[new_b],
        np.concatenate([*owners, short]),
        refused,
        windowed=windowed,
    )
