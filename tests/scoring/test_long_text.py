"""Pairs that are too long for the model: the rule of windows on constructed cases, and other policies."""

import random
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_sts import PairScorer
from beam_sts.errors import UserError
from beam_sts.scoring.windows import (
    CANDIDATES,
    choose_comparisons,
    combine,
    window_starts,
    window_weights,
)
from tests.checkpoints import SENTENCES

SIZE = 20


def _score(a, b, size=SIZE):
    """The rule with a model that gives the share of the shorter window's tokens that the other window has."""
    cut = [[ids[s : s + size] for s in window_starts(len(ids), size)] for ids in (a, b)]
    first, second = choose_comparisons(*cut)
    scores = [
        len(set(cut[0][i]) & set(cut[1][j])) / max(1, min(len(cut[0][i]), len(cut[1][j])))
        for i, j in zip(first, second, strict=True)
    ]
    weights = [window_weights(len(ids), size) for ids in (a, b)]
    return combine(np.array(scores, np.float32), first, second, *weights)


def _ids(n, start=0):
    return np.arange(start, start + n)


@given(st.integers(0, 500), st.integers(1, 60))
def test_windows_cover_every_token_and_weights_share_each_out_once(length, size):
    starts = window_starts(length, size)
    covered = {t for s in starts.tolist() for t in range(s, min(s + size, length))}
    assert covered == set(range(length))
    assert (np.diff(starts) <= max(1, size // 2)).all()
    assert window_weights(length, size).sum() == pytest.approx(length)


@pytest.mark.parametrize("length", [21, 40, 100, 333])
def test_identical_long_texts_score_as_identical_short_ones(length):
    assert _score(_ids(length), _ids(length)) == pytest.approx(_score(_ids(10), _ids(10)))


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_a_part_that_differs_takes_its_share_of_the_score(share):
    length = 400
    kept = int(length * (1 - share))
    a, b = _ids(length), np.concatenate([_ids(kept), _ids(length - kept, 2000)])
    assert _score(a, b) == pytest.approx(1 - share, abs=1.5 * SIZE / length)


def test_where_the_edit_stands_does_not_matter():
    length, edit = 400, 100
    scores = []
    for at in range(0, length - edit + 1, 25):
        b = _ids(length)
        b[at : at + edit] += 2000
        scores.append(_score(_ids(length), b))
    assert max(scores) - min(scores) < 1.5 * SIZE / length
    assert np.mean(scores) == pytest.approx(0.75, abs=SIZE / length)


def test_the_order_of_the_parts_does_not_matter():
    parts = [_ids(100, start) for start in (0, 100, 200, 300)]
    moved = np.concatenate([parts[2], parts[0], parts[3], parts[1]])
    assert _score(np.concatenate(parts), moved) > 0.9


def test_a_text_inside_a_longer_one_counts_by_its_share_of_both():
    # Of 500 tokens, 200 match (100 of each text) and 300 do not.
    assert _score(_ids(100), _ids(400)) == pytest.approx(0.4, abs=0.06)


def test_the_work_grows_with_the_length_not_with_its_square():
    rng = np.random.default_rng(0)
    for n, m in [(1, 1), (3, 4), (1, 200), (200, 200), (500, 30)]:
        windows = [[rng.integers(0, 30_000, SIZE) for _ in range(count)] for count in (n, m)]
        first, second = choose_comparisons(*windows)
        assert len(first) <= min(n * m, CANDIDATES * (n + m))
        assert set(first.tolist()) == set(range(n))
        assert set(second.tolist()) == set(range(m))


def test_equal_windows_are_always_compared():
    rng = np.random.default_rng(1)
    windows = [rng.integers(0, 30_000, SIZE) for _ in range(100)]
    order = rng.permutation(100)
    first, second = choose_comparisons(windows, [windows[i] for i in order])
    compared = set(zip(first.tolist(), order[second].tolist(), strict=True))
    assert {(i, i) for i in range(100)} <= compared


WORDS = re.findall("[a-z]{3,}", " ".join(SENTENCES))


def _text(seed, words, vocabulary=WORDS):
    return " ".join(random.Random(seed).choices(vocabulary, k=words))


@pytest.fixture(scope="module")
def windows(tiny):
    return PairScorer(tiny, threads=1, long_text="windows", backend="native")


def test_pairs_that_fit_score_as_without_windows(windows, scorer, pairs):
    fitting = [pair for pair in pairs if len(pair[0]) + len(pair[1]) < 400]
    assert len(fitting) > 200
    assert windows.score(fitting).tobytes() == scorer.score(fitting).tobytes()
    assert windows.run(*zip(*fitting, strict=True)).stats.windowed == 0


def test_a_long_pair_is_the_rule_over_its_window_pairs(windows, tiny):
    """The scorer compared with the rule, computed from the scores of the windows as separate texts."""
    raw, size = windows._tokenizer._tokenizer, windows._tokenizer.budget // 2
    # Words that are one token each, so that no window starts within a word.
    whole = sorted(token for token in raw.get_vocab() if re.fullmatch("[a-z]{2,}", token))
    a, b = _text(1, 400, whole), _text(2, 700, whole)
    ids = [np.array(raw.encode(text, add_special_tokens=False).ids) for text in (a, b)]
    cut = [[row[s : s + size] for s in window_starts(len(row), size)] for row in ids]
    first, second = choose_comparisons(*cut)
    words = [[raw.decode(w.tolist()) for w in side] for side in cut]
    scores = PairScorer(tiny, threads=1).score(
        [(words[0][i], words[1][j]) for i, j in zip(first, second, strict=True)]
    )
    expected = combine(scores, first, second, *(window_weights(len(row), size) for row in ids))
    result = windows.run([a], [b])
    assert result.scores[0] == pytest.approx(expected, abs=1e-5)
    assert (result.stats.windowed, result.stats.windows, result.stats.truncated) == (1, len(first), 0)


def test_raw_logits_and_both_orders_go_through_windows(windows):
    a, b = _text(1, 400), _text(2, 700)
    one, two = windows.score([(a, b)], raw_logits=True), windows.score([(b, a)], raw_logits=True)
    both = windows.score([(a, b)], raw_logits=True, symmetric=True)
    assert both[0] == pytest.approx((one[0] + two[0]) / 2, abs=1e-5)
    assert one[0] != pytest.approx(windows.score([(a, b)])[0], abs=1e-3)


def test_long_and_short_pairs_mix(windows):
    pairs = [(_text(i, 10 if i % 3 else 600), _text(i + 50, 15 if i % 2 else 500)) for i in range(12)]
    alone = [windows.score([pair])[0] for pair in pairs]
    np.testing.assert_allclose(windows.score(pairs), alone, rtol=0, atol=2e-6)


def test_a_text_of_too_many_windows_fails_alone(windows):
    result = windows.run(["fox " * 70_000, "a dog"], ["a man", "a fox"])
    assert list(result.failures) == [0]
    assert result.failures[0].startswith("too long for windows: more than 512 windows")
    assert np.isfinite(result.scores[1])


def test_under_error_a_pair_that_is_too_long_fails_and_says_by_how_much(tiny, scorer):
    strict = PairScorer(tiny, threads=1, long_text="error")
    pairs = [
        ("a man", "a dog"),
        ("fox " * 600, "a dog"),
        ("fox " * 250, "dog " * 259),
        ("fox " * 250, "dog " * 260),
    ]
    result = strict.run(*zip(*pairs, strict=True))
    assert result.failures == {
        1: "too long: 605 tokens, the model takes 512",
        3: "too long: 513 tokens, the model takes 512",
    }
    np.testing.assert_allclose(result.scores[[0, 2]], scorer.score([pairs[0], pairs[2]]), rtol=0, atol=2e-6)
    assert np.isnan(result.scores[[1, 3]]).all()
    with pytest.raises(RuntimeError, match=r"pairs\[1\].*too long: 605 tokens"):
        strict.score(pairs)


def test_only_too_long_pairs_are_no_broken_backend(tiny):
    result = PairScorer(tiny, threads=1, long_text="error").run(
        [f"fox {i} " * 400 for i in range(40)], ["a"] * 40
    )
    assert len(result.failures) == 40


def test_a_huge_text_under_error_is_not_counted_out(tiny):
    result = PairScorer(tiny, threads=1, long_text="error").run(["fox " * 500_000], ["a"])
    assert result.failures[0].startswith("too long: more than ")


def test_an_unknown_policy_is_refused(tiny):
    with pytest.raises(UserError, match="long_text 'cut'"):
        PairScorer(tiny, long_text="cut")
