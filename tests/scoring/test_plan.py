import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from beam_sts.scoring.plan import expand_ranges, longest_first, plan_micro_batches, plan_packed

lengths = st.integers(0, 40)


def _reference(a: int, b: int, budget: int) -> tuple[int, int]:
    """How much of two texts of a and b words the tokenizers library keeps."""
    tokenizer = Tokenizer(models.WordLevel({"x": 0, "y": 1, "[UNK]": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.enable_truncation(budget, strategy="longest_first")
    ids = tokenizer.encode(" ".join(["x"] * a), " ".join(["y"] * b)).ids
    return ids.count(0), ids.count(1)


@given(lengths, lengths, st.integers(1, 50))
def test_longest_first_keeps_what_the_tokenizers_library_keeps(a, b, budget):
    kept = longest_first(np.array([a]), np.array([b]), budget)
    assert (int(kept[0][0]), int(kept[1][0])) == _reference(a, b, budget)


@given(st.lists(st.integers(1, 600), max_size=200), st.integers(1, 5000))
def test_micro_batches_cover_every_pair_once_within_the_budget(lengths, budget):
    ordered = np.array(sorted(lengths, reverse=True), dtype=np.int64)
    batches = plan_micro_batches(ordered, budget)
    assert [i for start, stop in batches for i in range(start, stop)] == list(range(len(lengths)))
    for start, stop in batches:
        assert stop - start == 1 or (stop - start) * ordered[start] <= budget


@given(st.lists(st.integers(1, 600), max_size=200), st.integers(1, 5000))
def test_packed_micro_batches_cover_every_pair_once_and_are_as_full_as_they_can_be(lengths, budget):
    lengths = np.array(lengths, dtype=np.int64)
    batches = plan_packed(lengths, budget)
    assert [i for start, stop in batches for i in range(start, stop)] == list(range(len(lengths)))
    for start, stop in batches:
        assert stop - start == 1 or lengths[start:stop].sum() <= budget
        assert stop == len(lengths) or lengths[start : stop + 1].sum() > budget


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 10)), max_size=20))
def test_expand_ranges_concatenates_aranges(ranges):
    starts, sizes = (np.array([r[i] for r in ranges], dtype=np.int64) for i in (0, 1))
    expected = [i for start, size in ranges for i in range(start, start + size)]
    assert expand_ranges(starts, sizes).tolist() == expected
