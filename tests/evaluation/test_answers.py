"""The rule for answers: numbers by value, passages, other facts, any script; its costs."""

import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_sts import PairScorer, UserError
from beam_sts.evaluation.answers import compare_words
from beam_sts.evaluation.rules import answer_scores
from beam_sts.evaluation.words import number_value, spelled_value, tokens

LONG = "As far as I know, and I have looked it up in two books, it was {} who was the first to do so."


@pytest.fixture(scope="module")
def scorer():
    return PairScorer()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,500", "1500"),
        ("1.500.000", "1,500,000"),
        ("1\u202f500", "1500"),
        ("7", "seven"),
        ("25", "twenty-five"),
        ("105", "one hundred and five"),
        ("2,300,000", "two million three hundred thousand"),
        ("2 million", "2,000,000"),
        ("1.5 billion", "1500 million"),
        ("3.0", "3"),
        ("5%", "5 percent"),
        ("5 %", "five per cent"),
        ("१२", "12"),
        ("１２", "12"),
        ("−5", "-5"),
        ("can't", "cannot"),
        ("isn’t", "is not"),
        ("won't", "will not"),
    ],
)
def test_one_value_in_two_spellings_is_one(one, other):
    assert [token.key for token in tokens(one)] == [token.key for token in tokens(other)]


@pytest.mark.parametrize(("one", "other"), [("1.5", "15"), ("5", "-5"), ("1.2.3", "123"), ("2 million", "2")])
def test_two_values_stay_two(one, other):
    assert [token.key for token in tokens(one)] != [token.key for token in tokens(other)]


@given(st.integers(0, 10**24))
def test_a_number_is_the_same_with_groups_and_without(value):
    assert number_value(f"{value:,}") == number_value(str(value)) == str(value)
    assert number_value(f"{value:,}.50") == f"{value}.5"


@given(st.integers(0, 999), st.integers(1, 999))
def test_spelled_numbers_are_read_back(thousands, rest):
    words = []
    for part, scale in ((thousands, " thousand"), (rest, "")):
        if part:
            hundreds, small = divmod(part, 100)
            said = [f"{_under_100(hundreds)} hundred"] if hundreds else []
            said += [_under_100(small)] if small else []
            words.append(" and ".join(said) + scale)
    text = " ".join(words)
    assert spelled_value(text) == 1000 * thousands + rest
    assert [token.key for token in tokens(text)] == [str(1000 * thousands + rest)]


_SMALL = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"


def _under_100(value):
    if value < 20:
        return _SMALL.split()[value - 1]
    return _TENS.split()[value // 10 - 2] + (f"-{_under_100(value % 10)}" if value % 10 else "")


@settings(deadline=None)
@given(st.text(), st.text())
@pytest.mark.long
def test_any_texts_can_be_read_and_the_same_gives_the_same(answer, reference):
    first, second = (compare_words([answer], [reference]) for _ in range(2))
    assert first.passages == second.passages
    assert 0 <= first.trust[0] <= 1
    assert 0 < first.kept[0] <= 1
    assert np.isnan(first.overlap[0]) or 0 <= first.overlap[0] <= 1
    same = compare_words([reference], [reference])
    assert same.kept[0] == 1
    assert np.isnan(same.overlap[0]) or same.overlap[0] == same.trust[0] == 1


@given(st.lists(st.tuples(st.text(string.printable), st.text(string.printable)), max_size=5))
def test_a_pairs_reading_follows_from_the_pair_alone(pairs):
    together = compare_words([a for a, _ in pairs], [r for _, r in pairs])
    for at, (answer, reference) in enumerate(pairs):
        alone = compare_words([answer], [reference])
        assert alone.passages[0] == together.passages[at]
        np.testing.assert_array_equal(alone.kept[0], together.kept[at])


@pytest.mark.parametrize(
    ("reference", "other"),
    [
        ("Marie Curie", "Lise Meitner"),
        ("Marie Curie in 1911", "Marie Curie in 1912"),
        ("about 555 km", "about 444 km"),
        ("she was not seen", "she was seen"),
        ("red, green and blue", "black, white and grey"),
        ("玛丽·居里", "李政道"),
        ("Мария Кюри", "Лиза Мейтнер"),
    ],
)
def test_a_long_answer_with_the_reference_scores_high_and_with_another_fact_low(reference, other, scorer):
    right, wrong = LONG.format(reference), LONG.format(other)
    assert len(right.split()) in range(16, 41)
    high, low = answer_scores([right, wrong], [reference] * 2, scorer)
    assert high > 0.8
    assert low < 0.5


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("The exports are blue paint, iron ore and wheat.", "wheat, iron ore, blue paint"),
        ("It has one thousand five hundred islands.", "It has 1,500 islands."),
        ("A cat is sitting on the mat.", "A cat sits on the mat."),
    ],
)
def test_right_answers_in_another_form_score_high(answer, reference, scorer):
    assert answer_scores([answer], [reference], scorer)[0] > 0.8


def test_scripts_without_blanks_are_read_by_character():
    reading = compare_words(["我认为日本的首都是东京，人口很多。"], ["首都是东京"])
    assert reading.passages == ["首都是东京"]
    assert reading.trust[0] == reading.overlap[0] == 1


def test_a_reference_without_words_leaves_the_model_alone(scorer):
    for reference in ("", "—", "🎉"):
        pair = [("It is done.", reference)]
        assert answer_scores(["It is done."], [reference], scorer) == scorer.score(pair)


def test_similarity_is_the_models_score(scorer):
    answers, references = ["A dog runs.", "No."], ["A dog is running.", "Yes, 12."]
    expected = scorer.score(list(zip(answers, references, strict=True)))
    np.testing.assert_array_equal(answer_scores(answers, references, scorer, "similarity"), expected)


def test_no_answers_are_no_scores(scorer):
    assert answer_scores([], [], scorer).shape == (0,)


def test_mistakes_are_named(scorer):
    with pytest.raises(UserError, match="rule 'bleu'"):
        answer_scores(["a"], ["b"], scorer, "bleu")
    with pytest.raises(ValueError, match="1 answer and 2 references"):
        compare_words(["a"], ["b", "c"])
    with pytest.raises(UserError, match=r"scores from 0 to 1, but this model gives 4\.2"):
        compare_words(["a"], ["b"]).blend([4.2], [1.0])


def test_a_failed_pair_stays_nan():
    assert np.isnan(compare_words(["a"], ["a"]).blend([np.nan], [1.0])[0])


@pytest.mark.long
def test_work_grows_with_the_length_and_not_with_its_square():
    import time

    def seconds(words):
        text = "the cat 1,500 isn't Marie " * (words // 5)
        started = time.process_time()
        compare_words([text], [text])
        return time.process_time() - started

    seconds(1_000)
    assert seconds(40_000) < 40 * max(seconds(4_000), 0.001)
    compare_words(
        ["1," * 50_000 + "1", "twenty " * 50_000, "one hundred and " * 20_000], ["5", "twenty", "five"]
    )


def test_a_rare_word_counts_more_than_a_common_one():
    reference = "A window manager named herbstluftwm"
    rare, common = compare_words(["It is herbstluftwm.", "It is a manager."], [reference] * 2).overlap
    assert rare > 2 * common > 0
