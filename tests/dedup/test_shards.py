import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.dedup import shards


@given(st.lists(st.integers(0, 3 << 22), max_size=40), st.integers(1, 5))
def test_shards_are_bounded_by_pairs_and_characters_and_hold_each_pair_once(sizes, most):
    kept = shards.PAIRS_PER_SHARD
    shards.PAIRS_PER_SHARD = most
    try:
        parts = list(shards.shard_parts(np.array(sizes, np.int64)))
    finally:
        shards.PAIRS_PER_SHARD = kept
    assert [at for part in parts for at in range(part.start, part.stop)] == list(range(len(sizes)))
    for part, after in zip(parts, [*parts, None][1:], strict=True):
        count, size = part.stop - part.start, sum(sizes[part])
        assert 1 <= count <= most
        assert size <= shards.CHARACTERS_PER_SHARD or count == 1
        if after:  # full: the next text would not fit
            assert count == most or size + sizes[after.start] > shards.CHARACTERS_PER_SHARD
