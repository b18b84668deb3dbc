"""Comparison of columns of texts by their facts. Each distinct text is read once. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from beam_sts.arrays import distinct_values
from beam_sts.dedup.facts.compare import compare_facts
from beam_sts.dedup.facts.difference import turn
from beam_sts.dedup.facts.read import read_facts
from beam_sts.dedup.facts.tokens import Facts

ShownDifference = tuple[str | None, tuple[int, int]]
"""The difference of two texts (None if they state the same), and the characters that only each has."""


def compare_texts(text_a: pa.Array, text_b: pa.Array, guard: str) -> Iterator[ShownDifference]:
    """Compare two columns of n texts, pair by pair. The order of the two texts does not matter.

    Args:
        text_a: ``large_string``, without nulls.
        text_b: ``large_string`` of the same length.
        guard: as for ``compare_facts``.

    Yields:
        The difference and the lost characters of each pair.

    >>> one, two = (["It cost 3 million.", "Rain fell."], ["It cost 3 billion.", "Rain fell"])
    >>> list(compare_texts(pa.array(one), pa.array(two), "facts"))
    [('number: 3 million | 3 billion', (0, 0)), (None, (0, 0))]
    """
    texts, (first, second) = distinct_values(text_a, text_b)
    facts = [read_facts(text) for text in texts.to_pylist()]
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        yield compare_in_order(facts[a], facts[b], guard)


def compare_in_order(left: Facts, right: Facts, guard: str) -> ShownDifference:
    """Compare two texts, the lesser text first, so that the result does not depend on their order."""
    swap = left.text > right.text
    found = compare_facts(right, left, guard) if swap else compare_facts(left, right, guard)
    shown = None if found.difference is None else str(found.difference)
    if not swap:
        return shown, found.lost
    return shown and turn(shown), (found.lost[1], found.lost[0])
