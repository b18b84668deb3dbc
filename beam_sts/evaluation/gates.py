"""Gates on the result, and its forms for CI services: JUnit XML and GitHub's Markdown. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from beam_sts.evaluation.comparison import Comparison
from beam_sts.evaluation.means import GroupMean
from beam_sts.plurals import plural, were

# Characters that XML 1.0 cannot represent.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONGEST = 120
_ROWS = 100


@dataclass(frozen=True)
class Gate:
    """A limit that a group passes or fails; ``value`` is None if there is no value to compare."""

    gate: str
    limit: float
    group: str
    value: float | None
    passed: bool
    message: str


def check_gates(
    means: Sequence[GroupMean],
    comparisons: Sequence[Comparison],
    *,
    fail_under: float | None = None,
    max_regression: float | None = None,
) -> list[Gate]:
    """Check every group against the limits.

    Args:
        means: means of the groups, or of all rows.
        comparisons: comparisons of the groups with the baseline.
        fail_under: least mean; None: no limit.
        max_regression: largest estimated loss against the baseline; None: no limit. A group that shares no
            question with the baseline fails, because its loss is unknown.
    """
    gates = []
    if fail_under is not None:
        for each in sorted(means, key=lambda one: one.group):
            passed = each.mean >= fail_under
            message = f"mean {each.mean:.4f} is {'not ' if passed else ''}below {fail_under:g}"
            gates.append(Gate("fail_under", fail_under, each.group, each.mean, passed, message))
    if max_regression is not None:
        for one in sorted(comparisons, key=lambda one: one.group):
            if one.difference is None:
                message = f"shares no question with {one.baseline}: its loss is unknown"
                gates.append(Gate("max_regression", max_regression, one.group, None, False, message))
                continue
            loss = 0.0 - one.difference
            passed = loss <= max_regression
            message = (
                f"estimated loss against {one.baseline} {loss:.4f} is {'not ' if passed else ''}above "
                f"{max_regression:g}{_unsure(one, max_regression)}{_left_out(one)}"
            )
            gates.append(Gate("max_regression", max_regression, one.group, loss, passed, message))
    return gates


def _unsure(one: Comparison, limit: float) -> str:
    """A note if the confidence interval includes a loss above the limit, so the gate passes without proof."""
    if one.low is not None and -one.low > limit >= -(one.difference or 0):
        return f" (95%: a loss of up to {-one.low:.4f} is not ruled out; use more questions)"
    return ""


def _left_out(one: Comparison) -> str:
    """A note on unanswered questions, so that a system that leaves out hard ones does not pass unnoticed."""
    return (
        f"; {plural(one.missing, 'unanswered question is', 'unanswered questions are')} left out"
        if one.missing
        else ""
    )


def junit(gates: Sequence[Gate], *, rows: int) -> bytes:
    """The gates as JUnit XML, which CI services show as tests.

    Args:
        gates: the result of ``check_gates``; if it is empty, the file has one test, that rows were scored.
        rows: count of the scored rows.
    """
    failed = sum(not gate.passed for gate in gates)
    counts = {"tests": str(max(len(gates), 1)), "failures": str(failed), "errors": "0"}
    suites = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "beam-sts evaluate", **counts})
    if not gates:
        ElementTree.SubElement(
            suite, "testcase", {"classname": "rows", "name": f"{were(rows, 'row')} scored"}
        )
    for gate in gates:
        name = {"classname": gate.gate, "name": _xml(gate.group)}
        case = ElementTree.SubElement(suite, "testcase", name)
        if not gate.passed:
            failure = ElementTree.SubElement(case, "failure", {"message": _xml(gate.message)})
            failure.text = _xml(f"{gate.gate}: {gate.group}: {gate.message}")
    document: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def markdown(
    title: str, means: Sequence[GroupMean], comparisons: Sequence[Comparison], gates: Sequence[Gate]
) -> str:
    """The result in GitHub-flavoured Markdown for the summary of a CI job; names from the input are escaped.

    Args:
        title: what was evaluated.
        means: means of the groups, or of all rows.
        comparisons: comparisons with the baseline.
        gates: the result of ``check_gates``.
    """
    lines = [f"### {literal(title)}", ""]
    failed = [gate for gate in gates if not gate.passed]
    if gates:
        message = f"{len(failed)} of {len(gates)} gates failed" if failed else "All gates passed"
        lines += [f"**{message}.**", ""]
        lines += [f"- {gate.gate}: {literal(gate.group)}: {literal(gate.message)}" for gate in failed[:_ROWS]]
        lines += [""] if failed else []
    if comparisons:
        lines += _table(
            ("system", "difference", "95% interval", "p (Holm)", "questions", "won / tied / lost", "verdict"),
            (
                (
                    f"{literal(one.group)} against {literal(one.baseline)}",
                    _figure(one.difference, "+.4f"),
                    f"{_figure(one.low, '+.4f')} to {_figure(one.high, '+.4f')}",
                    _figure(one.p_holm, ".3g"),
                    f"{one.n:,}",
                    f"{one.wins:,} / {one.ties:,} / {one.losses:,}",
                    one.verdict + (f"; {one.note}" if one.note else ""),
                )
                for one in comparisons[:_ROWS]
            ),
        )
    lines += _table(
        ("group", "scores", "mean", "95% interval"),
        (
            (
                literal(each.group),
                f"{each.count:,}",
                f"{each.mean:.4f}",
                f"{_figure(each.low, '.4f')} to {_figure(each.high, '.4f')}",
            )
            for each in means[:_ROWS]
        ),
    )
    return "\n".join(lines)


def literal(text: str) -> str:
    """Escape a text so that GitHub shows it literally: no markup, link or mention, on one line.

    >>> literal("a|b <img> @me")
    '<code>a&#124;b&#32;&#60;img&#62;&#32;&#64;me</code>'
    """
    text = " ".join((text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…").split())
    safe = (
        letter if letter.isalnum() else f"&#{ord(letter)};" if letter.isprintable() else "\ufffd"
        for letter in text
    )
    return f"<code>{''.join(safe)}</code>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [*(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)), ""]


def _figure(value: float | None, form: str) -> str:
    return "unknown" if value is None else format(value, form)


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
