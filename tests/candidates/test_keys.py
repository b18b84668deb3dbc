import hashlib
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_sts.candidates.buckets import BucketReport, bucket_pairs
from beam_sts.candidates.keys import MinHash, blocking_keys, exact_keys, normalise, shingle_hashes
from beam_sts.candidates.propose import Proposal
from beam_sts.errors import UserError

GOLDEN = ["6fad17c1155ddef1", "3af86b9eaedf763d", "5f3f9eb4755fdcfd", "d292cb5fd42b00a7"]


def pairs_of(keys, **kwargs):
    a, b, _ = bucket_pairs(keys, **kwargs)
    return set(zip(a.tolist(), b.tolist(), strict=True))


@given(st.lists(st.text() | st.none()))
def test_normalising_twice_changes_nothing(texts):
    once = normalise(pa.array(texts, pa.string()))
    assert normalise(once).equals(once)


@pytest.mark.parametrize("text", ["Ω ΐ", "İ", "ᾳ̈", "ﬃ\u00a0Ⅷ", "\u2003x\u2003", "\x85a\x1cb", "ϔ", "℡"])
def test_normal_form_is_stable_for_hard_letters(text):
    once = normalise(pa.array([text]))
    assert normalise(once).equals(once)


def test_normalise_unites_what_is_written_differently():
    texts = ["ﬁne  CAFÉ", "fine cafe\u0301", " Fine\u00a0Café\n"]
    assert len(set(normalise(pa.array(texts)).to_pylist())) == 1


@given(st.lists(st.text(max_size=6), max_size=30))
def test_exact_keys_pair_the_texts_with_one_normal_form(texts):
    normal = normalise(pa.array(texts, pa.string())).to_pylist()
    expected = {(i, j) for i, j in combinations(range(len(texts)), 2) if normal[i] == normal[j] != ""}
    assert pairs_of(exact_keys(pa.array(texts, pa.string()))) == expected


def test_empty_texts_pair_only_when_asked():
    texts = pa.array(["", "  ", None, "a"])
    assert pairs_of(exact_keys(texts)) == set()
    assert pairs_of(exact_keys(texts, empty=True)) == {(0, 1)}


def test_keys_are_the_same_in_every_process_and_on_every_machine():
    texts = pa.array(["The cat sat on the mat", "x", "äöü wörter"])
    keys = [
        exact_keys(texts),
        MinHash().keys(texts),
        MinHash(shingle="word2").keys(texts),
        blocking_keys(pa.table([texts], ["text"]), "text"),
    ]
    digests = [hashlib.sha256(one.key.astype("<u8").tobytes()).hexdigest()[:16] for one in keys]
    assert digests == GOLDEN


def test_keys_do_not_depend_on_the_other_texts():
    texts = ["The cat sat on the mat.", "", "x", "Die Katze saß auf der Matte.", "one two three"]
    for minhash in (MinHash(), MinHash(shingle="word1"), MinHash(shingle="word3")):
        together = minhash.keys(pa.array(texts))
        for number, text in enumerate(texts):
            alone = minhash.keys(pa.array([text]))
            assert np.array_equal(alone.key, together.key[together.text == number])


def jaccard(a, b):
    return len(a & b) / len(a | b) if a | b else 0.0


@pytest.mark.parametrize("shingle", ["char4", "word1", "word2"])
@settings(max_examples=30)
@given(texts=st.lists(st.text(alphabet="abc d", max_size=12), min_size=1, max_size=8))
def test_shingles_are_those_of_the_text(shingle, texts):
    unit, size = MinHash(shingle=shingle).unit
    normal = normalise(pa.array(texts))
    hashes, counts = shingle_hashes(normal, unit, size)
    seen = {}
    begin = 0
    for text, count in zip(normal.to_pylist(), counts, strict=True):
        units = list(text) if unit == "char" else text.split()
        own = [tuple(units[i : i + size]) for i in range(max(1, len(units) - size + 1))] if units else []
        assert len(own) == count
        for one, value in zip(own, hashes[begin : begin + count].tolist(), strict=True):
            assert seen.setdefault(one, value) == value
        begin += count
    assert len(set(seen.values())) == len(seen)


def test_bands_and_rows_reach_the_recall_with_the_fewest_needless_candidates():
    for similarity in (0.3, 0.5, 0.7, 0.9):
        minhash = MinHash(similarity, 0.95)
        assert minhash.probability(similarity) >= 0.95
        assert minhash.bands * minhash.rows <= 128
        steeper = minhash.rows + 1
        assert 1 - (1 - similarity**steeper) ** (128 // steeper) < 0.95


def test_texts_meet_as_often_as_the_curve_says():
    rng = np.random.default_rng(5)
    minhash = MinHash(0.6, 0.9, shingle="word1", seed=3)
    for wanted in (0.3, 0.5, 0.7):
        texts, size, shared = [], 60, round(2 * 60 * wanted / (1 + wanted))
        for _ in range(400):
            words = rng.integers(0, 1 << 40, 2 * size - shared).astype(str)
            texts += [" ".join(words[:size]), " ".join(words[size - shared :])]
        similarity = shared / (2 * size - shared)
        found = pairs_of(minhash.bands_of(pa.array(texts)))
        share = sum((i, i + 1) in found for i in range(0, 800, 2)) / 400
        chance = minhash.probability(similarity)
        assert abs(share - chance) < 4 * (chance * (1 - chance) / 400) ** 0.5 + 0.01


def test_the_curve_is_reported_only_if_texts_were_compared():
    proposal = Proposal(("exact", "minhash"))
    of_one_text, of_two = (BucketReport("", keys=texts * proposal.minhash.bands) for texts in (1, 2))
    assert "curve" not in proposal.report("minhash", 0, of_one_text)
    assert "curve" not in proposal.report("exact", 0, of_two)
    assert "0.7" in proposal.report("minhash", 0, of_two)["curve"]


def test_signatures_on_disk_give_the_same_keys(tmp_path):
    minhash, texts = MinHash(), pa.array(["", *(f"text number {number} of several" for number in range(50))])
    in_memory, on_disk = minhash.bands_of(texts), minhash.bands_of(texts, folder=tmp_path)
    for one, other in zip(in_memory, on_disk, strict=True):
        assert (one.text == other.text).all()
        assert (one.key == other.key).all()


def test_keys_are_the_bands_together():
    texts = pa.array(["The cat sat on the mat.", "A cat sat on the mat.", "", "Rain fell all day."])
    minhash = MinHash(0.5, 0.9)
    assert pairs_of(minhash.keys(texts)) == pairs_of(minhash.bands_of(texts))
    assert len(minhash.keys(texts).text) == 3 * minhash.bands


@pytest.mark.parametrize("shingle", ["char4", "word1", "word5"])
def test_short_empty_and_huge_texts(shingle):
    texts = pa.array(["ab", "AB ", "", None, "  ", "x " * 500_000, "X\n" * 500_000])
    found = pairs_of(MinHash(shingle=shingle).keys(texts))
    assert found == {(0, 1), (5, 6)}


def test_text_of_punctuation_has_no_words_and_no_key():
    assert len(MinHash(shingle="word1").keys(pa.array(["?!", "... --"])).text) == 0


def test_slices_and_chunks_of_arrays_give_the_same_keys():
    texts = pa.array(["zero", None, "the one and only", "a second text", "a third"])
    chunked = pa.chunked_array([texts[:2], texts[2:]])
    minhash = MinHash()
    assert np.array_equal(minhash.keys(texts).key, minhash.keys(chunked).key)
    cut = minhash.keys(texts[2:])
    assert np.array_equal(cut.key, minhash.keys(texts).key[minhash.keys(texts).text >= 2])
    assert len(minhash.keys(texts[:0]).text) == 0


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"similarity": 0.0}, "similarity 0.0"),
        ({"recall": 1.0}, "recall 1.0"),
        ({"shingle": "char0"}, "charN or wordN"),
        ({"shingle": "vowel3"}, "vowel3"),
        ({"similarity": 0.01, "recall": 0.99}, "out of reach"),
        ({"permutations": 0}, "permutations 0"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_settings_that_cannot_work_are_refused(setting, message):
    with pytest.raises(UserError, match=message):
        MinHash(**setting)


def test_blocking_by_column_and_by_expression():
    table = pa.table(
        {"name": ["Anna B", "anna c", "Bob", None, ""], "zip": pa.array([1, 1, 2, 2, 2]), "s": [{"x": 1}] * 5}
    )
    assert pairs_of(blocking_keys(table, "zip")) == {(0, 1), (2, 3), (2, 4), (3, 4)}
    assert pairs_of(blocking_keys(table, "lower(left(name, 4)) || zip")) == {(0, 1)}
    assert len(blocking_keys(table, "name").text) == 3
    assert len(pairs_of(blocking_keys(table, "s.x"))) == 10
    dictionary = pa.table({"name": table["name"].dictionary_encode()})
    assert np.array_equal(blocking_keys(dictionary, "name").key, blocking_keys(table, "name").key)


def test_blocking_keeps_the_order_of_rows():
    table = pa.table({"x": np.arange(300_000)})
    by_expression, by_column = blocking_keys(table, "x + 0"), blocking_keys(table, "x")
    assert np.array_equal(by_expression.key, by_column.key)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("nam", "'name'"),
        ("max(zip)", "one value for each row"),
        ("1); SELECT (zip", "more than one"),
        ("(SELECT content FROM read_text('/etc/passwd') LIMIT 1)", "disabled|permission|not allowed"),
        ("s", "holds struct"),
    ],
)
def test_blocking_errors_say_what_is_wrong(expression, message):
    table = pa.table({"name": ["a", "b"], "zip": [1, 2], "s": [{"x": 1}] * 2})
    with pytest.raises(UserError, match=message):
        blocking_keys(table, expression)
