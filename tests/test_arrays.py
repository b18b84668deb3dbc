import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.arrays import (
    arrow_numbers,
    arrow_texts,
    chunks_of,
    coded_pairs,
    distinct_values,
    group_starts,
    inverse,
    numpy_numbers,
    one_array,
    pair_codes,
    rank_in_group,
)

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


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_texts_as_arrow_has_them(texts):
    made = arrow_texts(texts)
    made.validate(full=True)
    assert made.equals(pa.array(texts, pa.large_string()))


def test_a_lone_surrogate_is_no_text():
    with pytest.raises(UnicodeEncodeError):
        arrow_texts(["a", "\ud800"])


@given(st.lists(st.integers(-(2**63), 2**63 - 1)), st.integers(1, 3))
def test_whole_numbers_go_to_arrow_and_back(numbers, step):
    given = np.array(numbers, np.int64)[::step]
    made = arrow_numbers(given)
    assert made.equals(pa.array(given))
    assert numpy_numbers(made).tolist() == given.tolist()
    assert numpy_numbers(made[1:]).tolist() == given[1:].tolist()


@pytest.mark.parametrize("kind", [pa.int8(), pa.int32(), pa.uint8(), pa.uint64()])
def test_numbers_of_any_width(kind):
    array = pa.array([3, None, 200 if pa.types.is_unsigned_integer(kind) else -100], kind)
    found = numpy_numbers(array)
    assert found.dtype == kind.to_pandas_dtype()
    assert found[[0, 2]].tolist() == [3, array[2].as_py()]


CHUNKS = st.lists(st.lists(st.text("abc", max_size=2), max_size=4), max_size=3)


@given(st.lists(CHUNKS, min_size=1, max_size=3), st.booleans())
def test_distinct_values_are_numbered_over_all_columns(columns, whole):
    arrays = [pa.chunked_array(chunks, pa.large_string()) for chunks in columns]
    arrays = list(map(one_array, arrays)) if whole else arrays
    values, numbers = distinct_values(*arrays)
    plain = [[text for chunk in chunks for text in chunk] for chunks in columns]
    assert [values.take(pa.array(found)).to_pylist() for found in numbers] == plain
    assert values.to_pylist() == list(dict.fromkeys(text for texts in plain for text in texts))
    assert [chunk.to_pylist() for chunk in chunks_of(arrays[0])] == ([plain[0]] if whole else columns[0])
