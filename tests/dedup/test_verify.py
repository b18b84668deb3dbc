"""What is decided without the model is what the model's score would decide."""

from functools import lru_cache

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_sts.dedup.overlap import Overlap
from beam_sts.dedup.representatives import BOTH
from beam_sts.dedup.verdicts import MAX_LOST, RULES
from beam_sts.dedup.verify import Scoring

LEAST = 0.85
STORY = (
    "The ferry left the island 2 hours late, since the harbour had frozen over in the night and men with "
    "poles broke the ice around the hull. Nobody on board complained, and Anna Berg drank coffee."
)
WORDS = ["ferri", "3", "not", "km", "Maria", "late", "big", "the", "all", "<b>ice</b>", "boat", "and snow"]


@lru_cache
def verifiers():
    """A verifier that scores only what matters, and one that scores everything."""
    texts = pa.array([STORY, *WORDS], pa.large_string())
    of = {"guard": "facts", "max_lost": MAX_LOST, "least": LEAST, "form": "plain", "args": {"threads": 1}}
    return [
        Scoring("beam-sts-pico", every=every, **of).verifier(Overlap.learn(texts)) for every in (False, True)
    ]


EDITS = st.lists(
    st.tuples(st.integers(0, len(STORY.split()) - 1), st.sampled_from([None, *WORDS])), min_size=1, max_size=4
)


def edited(edits):
    words = STORY.split()
    for at, word in edits:
        words[at] = word or ""
    return " ".join(words)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(EDITS, EDITS), min_size=1, max_size=6))
def test_nothing_depends_on_the_scores_that_are_left_out(pairs):
    a, b = (pa.array([edited(pair[side]) for pair in pairs], pa.large_string()) for side in (0, 1))
    some, every = (verifier.verify(a, b).verdicts for verifier in verifiers())
    accepted = [(of.scores >= np.float32(LEAST)) & (of.bars != BOTH) for of in (some, every)]
    assert accepted[0].tolist() == accepted[1].tolist()
    assert (np.isnan(some.scores) == (some.bounded | some.barred)).all()
    assert (every.scores <= some.reach + np.float32(1e-5)).all()
    both = ~np.isnan(some.scores)
    assert np.allclose(some.scores[both], every.scores[both], atol=2e-5)
    left = np.flatnonzero(some.barred)
    taken = pa.array(left)
    found = verifiers()[0].scores_within(a.take(taken), b.take(taken), some.bounds[left])
    assert np.allclose(found, every.scores[left], atol=2e-5)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(EDITS, EDITS), min_size=1, max_size=4))
def test_what_was_left_out_is_completed(pairs):
    a, b = (pa.array([edited(pair[side]) for pair in pairs], pa.large_string()) for side in (0, 1))
    lazy, eager = verifiers()
    some, every = lazy.verify(a, b).verdicts, eager.verify(a, b).verdicts
    before = some.scores.copy()
    completed = eager.verify(a, b, some)
    assert np.array_equal(some.scores, before, equal_nan=True)  # the earlier results are not changed
    assert np.allclose(completed.verdicts.scores, every.scores, atol=2e-5)
    assert completed.stats.pairs == int((some.bounded | some.barred).sum())
    assert lazy.verify(a, b, some).stats.pairs == 0
    assert RULES.index("barred") not in completed.verdicts.rules
