"""assert_similar: what passes, what fails, and its message."""

import subprocess
import sys
import textwrap

import pytest

from beam_sts import PairScorer
from beam_sts.testing import assert_similar

pytest_plugins = "pytester"


def test_texts_that_say_the_same_pass():
    assert_similar("The capital is Paris, as far as I know.", "Paris", at_least=0.8)
    assert_similar("It costs 1500 dollars.", ["It is free.", "It costs $1,500."])
    assert_similar(["A cat sits.", "Yes."], ["A cat is sitting.", ["No.", "Yes."]], scorer=PairScorer())


def test_a_failure_has_score_texts_and_difference():
    with pytest.raises(AssertionError) as failed:
        assert_similar("The red cat sleeps.", ["The blue cat sleeps.", "Stocks fell."], at_least=0.99)
    message = str(failed.value)
    assert "1 of 1 texts score below 0.99" in message
    assert "[0] score 0." in message
    assert "best of 2 references" in message
    assert "'The red cat sleeps.'" in message
    assert "'The blue cat sleeps.'" in message
    assert "The [-blue-] {+red+} cat sleeps." in message


def test_of_several_only_those_that_fail_are_named_and_a_few_of_many():
    with pytest.raises(AssertionError) as failed:
        assert_similar(["Yes."] + ["Stocks fell."] * 9, ["Yes."] + ["A cat sleeps."] * 9)
    lines = str(failed.value).splitlines()
    assert lines[0] == "9 of 10 texts score below 0.7"
    assert lines[1].startswith("[1] ")
    assert lines[-1] == "and 4 more"


def test_a_message_cannot_act_on_a_terminal_and_is_bounded():
    hostile = "\x1b[31mred\u202e\x07\ud800 \u2028" + "word " * 2_000
    with pytest.raises(AssertionError) as failed:
        assert_similar(hostile, "Stocks fell.", at_least=1)
    message = str(failed.value)
    assert not set("\x1b\x07\u202e\u2028\ud800") & set(message)
    assert len(message) < 10_000


@pytest.mark.parametrize(
    ("actual", "expected", "error", "says"),
    [
        (["a", "b"], ["a"], ValueError, "2 texts and 1 reference"),
        (["a"], "a", ValueError, "1 text and 0 references"),
        ([], [], ValueError, "nothing to compare"),
        ("a", [], ValueError, "nothing to compare"),
        (["a", None], ["a", "b"], TypeError, "actual holds None"),
        ("a", [1], TypeError, "expected holds 1"),
        (None, "a", TypeError, "actual"),
        ("a", None, TypeError, "expected"),
    ],
)
def test_mistakes_are_named(actual, expected, error, says):
    with pytest.raises(error, match=says):
        assert_similar(actual, expected)


def test_it_needs_no_pytest_and_loads_the_model_once(tmp_path):
    code = """
    import sys
    import beam_sts.testing as t
    from beam_sts.evaluation.rules import default_scorer
    assert "pytest" not in sys.modules
    assert default_scorer.cache_info().currsize == 0
    t.assert_similar("Yes.", "Yes.")
    t.assert_similar("No.", "No.")
    assert default_scorer.cache_info().misses == 1
    assert "pytest" not in sys.modules
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


def test_pytest_shows_the_line_of_the_test(pytester):
    pytester.makepyfile(
        """
        from beam_sts.testing import assert_similar

        def test_it():
            assert_similar("Stocks fell.", "A cat sleeps.")
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*test_pytest_shows_the_line_of_the_test.py:4: AssertionError"])
    result.stdout.no_fnmatch_line("*testing.py*")
