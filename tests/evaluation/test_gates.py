"""Gates and their output for CI services; names are from the input and not trusted."""

from xml.etree import ElementTree

import pytest

from beam_sts.evaluation import check_gates, compare, group_means, junit, markdown
from beam_sts.evaluation.gates import literal

HOSTILE = "</testcase>&\x00\x1b]<img src=x>|`**@admin [x](http://example.org)\nnext"


def result(names=("a", "b")):
    scores = [0.8, 0.7, 0.9, 0.6, 0.7, 0.7, 0.8, 0.6]
    groups, questions = [names[0]] * 4 + [names[1]] * 4, [1, 2, 3, 4] * 2
    return group_means(scores, groups, questions), compare(scores, groups, questions, names[0])


def test_a_mean_below_and_a_loss_above_the_bound_fail():
    means, comparisons = result()
    gates = check_gates(means, comparisons, fail_under=0.74, max_regression=0.02)
    assert [(gate.gate, gate.group, gate.passed) for gate in gates] == [
        ("fail_under", "a", True),
        ("fail_under", "b", False),
        ("max_regression", "b", False),
    ]
    assert gates[2].value == pytest.approx(0.05)


def test_the_bound_itself_passes():
    means, comparisons = result()
    mean, loss = means[1].mean, -comparisons[0].difference
    assert all(gate.passed for gate in check_gates(means, comparisons, fail_under=mean, max_regression=loss))
    assert check_gates(means, comparisons) == []


def test_a_gain_passes_and_a_loss_that_cannot_be_ruled_out_is_said():
    means, comparisons = result()
    (gate,) = check_gates(means, comparisons, max_regression=0.06)
    assert gate.passed
    assert "is not ruled out" in gate.message


def test_a_system_that_shares_no_question_or_leaves_some_out_does_not_pass_in_silence():
    (gate,) = check_gates([], compare([0.5, 0.6], ["a", "b"], [1, 2], "a"), max_regression=0.5)
    assert not gate.passed
    assert "unknown" in gate.message
    scores, groups, questions = [0.5, 0.6, 0.7, 0.5, 0.6], list("aaabb"), [1, 2, 3, 1, 2]
    (gate,) = check_gates([], compare(scores, groups, questions, "a"), max_regression=0.5)
    assert gate.passed
    assert "1 unanswered question is left out" in gate.message


def test_junit_is_well_formed_whatever_the_names_are():
    means, comparisons = result((HOSTILE, HOSTILE + "2"))
    gates = check_gates(means, comparisons, fail_under=0.74, max_regression=0.02)
    root = ElementTree.fromstring(junit(gates, rows=8))
    cases = root.findall("./testsuite/testcase")
    assert (root.get("tests"), root.get("failures"), len(cases)) == ("3", "2", 3)
    assert [case.find("failure") is None for case in cases] == [gate.passed for gate in gates]
    assert all("<img" in case.get("name") for case in cases)
    (alone,) = ElementTree.fromstring(junit([], rows=8)).findall("./testsuite/testcase")
    assert alone.get("name") == "8 rows were scored"


def test_markdown_shows_names_as_they_are():
    means, comparisons = result((HOSTILE, HOSTILE + "2"))
    text = markdown(f"m on {HOSTILE}", means, comparisons, check_gates(means, comparisons, fail_under=0.74))
    for live in ("<img", "@admin", "](", "http:", "**@", "\x1b", "\x00"):
        assert live not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {8, 5}
    assert "1 of 2 gates failed" in text


def test_a_literal_is_short_and_on_one_line():
    assert "\n" not in literal("a\nb\u2028c")
    assert len(literal("<" * 10_000)) < 1_000
    assert literal("naïve 今天") == "<code>naïve&#32;今天</code>"
