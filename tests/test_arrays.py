import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.arrays import coded_pairs, group_starts, inverse, pair_codes, rank_in_group

KEYS = st.lists(st.integers(0, 9), max_size=30)
ENDS = st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1)), max_size=30)


@given(st.permutations(range(12)))
def test_the_inverse_of_an_order(order):
    order = np.array(order)
    place = inverse(order)
    assert place[order].tolist() == list(range(12)) == order[place].tolist()
    assert inverse(place).tolist() == order.tolist()


@given(KEYS)
def test_groups_begin_where_a_key_differs_from_the_one_before(keys):
    together = np.array(sorted(keys, key=lambda key: (key * 7) % 10), np.int64)  # in groups, not ascending
    starts = group_starts(together).tolist()
    assert [together[at] for at in starts] == list(dict.fromkeys(together.tolist()))
    assert starts == [at for at in range(len(keys)) if at == 0 or together[at] != together[at - 1]]


@given(KEYS)
def test_ranks_count_within_each_group(keys):
    ascending = sorted(keys)
    ranks = rank_in_group(np.array(ascending, np.int64)).tolist()
    assert ranks == [ascending[:at].count(key) for at, key in enumerate(ascending)]


@given(ENDS)
def test_codes_hold_pairs_in_either_order_and_sort_as_they_do(pairs):
    a, b = (np.array([pair[at] for pair in pairs], np.int64) for at in (0, 1))
    codes = pair_codes(a, b)
    assert (codes == pair_codes(b, a)).all()
    low, high = coded_pairs(codes)
    assert list(zip(low.tolist(), high.tolist(), strict=True)) == [tuple(sorted(pair)) for pair in pairs]
    ordered = sorted(tuple(sorted(pair)) for pair in pairs)
    assert list(zip(*map(np.ndarray.tolist, coded_pairs(np.sort(codes))), strict=True)) == ordered
