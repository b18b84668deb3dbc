"""Clusters that are decided together: the same in memory and in a file, whatever order they come in."""

import math
import random

import numpy as np
import pytest

from beam_sts.candidates import beam_pack
from beam_sts.dedup import beam_part
from beam_sts.dedup.beam_part import ClusterPart
from beam_sts.dedup.beam_verify import PairVerdict
from tests.candidates.test_beam_pack import packed

NODES = 40
TEXTS = [f"text {number} {'é' * number}" for number in range(NODES)]


def node(number):
    return ((0, number), (TEXTS[number], (0, 0, number), 1, b""))


def pair(a, b, differs=None):
    found = (0.5 + a / 100, f"source{b % 3}", "model", math.nan, differs, a, b, a % 4)
    return tuple(PairVerdict((0, a), (0, b), *found))


PAIRS = [pair(a, a + step, "numbers" if a == 3 else None) for step in (1, 2) for a in range(NODES - 2)]


@pytest.mark.parametrize("most", [1 << 23, 100])
@pytest.mark.parametrize("seed", range(3))
def test_names_texts_and_pairs_are_those_that_went_in(seed, most, monkeypatch):
    monkeypatch.setattr(beam_part, "CHARACTERS_AT_ONCE", most)
    monkeypatch.setattr(beam_part, "_WAITING", 7)
    monkeypatch.setattr(beam_pack, "_OF_KEY", most)
    found = [node(number) for number in range(NODES)] + PAIRS + [pair(1, 999)]
    random.Random(seed).shuffle(found)
    part = ClusterPart()
    pieces = packed([(7, one) for one in found])
    assert pieces.keys() == {7}
    part.add(pieces[7])
    assert part.is_full == (most == 100)
    members, texts, edges = part.sorted()
    assert [name for name, _ in members] == [(0, number) for number in range(NODES)]
    assert texts.of(np.arange(NODES)) == TEXTS
    texts.release()
    assert texts.of(np.array([5, 2])) == [TEXTS[5], TEXTS[2]]
    assert texts.sizes.tolist() == list(map(len, TEXTS))
    wanted = sorted(PAIRS, key=lambda one: one[:2])
    ends = zip(edges.pairs.a.tolist(), edges.pairs.b.tolist(), strict=True)
    assert list(ends) == [(a[1], b[1]) for a, b, *_ in wanted]
    assert edges.source.to_pylist() == [one[3] for one in wanted]
    assert edges.verdicts.differs.to_pylist() == [one[6] for one in wanted]
    np.testing.assert_allclose(edges.pairs.scores, [one[2] for one in wanted], rtol=1e-6)
    assert edges.verdicts.lost.tolist() == [list(one[7:9]) for one in wanted]
    assert edges.pairs.bars.tolist() == [one[9] for one in wanted]


def test_none_at_all():
    assert not len(ClusterPart())
    members, texts, edges = ClusterPart().sorted()
    assert (members, texts.of(np.arange(0)), len(edges.verdicts)) == ([], [], 0)
