"""The report of a real run of score."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from beam_sts import report
from beam_sts.cli import score
from beam_sts.examples import LONGEST_TEXT, MOST_EXAMPLES
from beam_sts.io.summary import BINS, LENGTH_BOUNDS
from beam_sts.report import render
from beam_sts.report.score import at_least, notes, score_page
from tests.report import runs

CSS = (Path(report.__file__).parent / "templates" / "page.css").read_text()
VOID = {"meta", "link", "br"}


@pytest.fixture(scope="module")
def output(tiny, tmp_path_factory):
    return runs.scored(tmp_path_factory.mktemp("run"), tiny)


@pytest.fixture(scope="module")
def summary(output):
    return json.loads((output / "summary.json").read_text())


@pytest.fixture(scope="module")
def html(output):
    return (output / "report.html").read_text()


class Structure(HTMLParser):
    """A parser that collects a page's elements and checks their nesting."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_runs_nothing_and_loads_nothing(html):
    elements = Structure(html).elements
    tags = {tag for tag, _ in elements}
    assert not tags & {"script", "iframe", "img", "object", "embed", "form", "base"}
    for tag, attributes in elements:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        for name in ("href", "src", "action"):
            assert re.match(r"#|data:,", attributes.get(name) or "#")
    assert "default-src 'none'" in html
    assert "url(" not in html
    assert "@import" not in html


def test_hostile_texts_are_shown_as_text(html):
    assert "&lt;script&gt;document.title" in html
    assert "in &lt;img src=x onerror=alert(1)&gt;.jsonl" in html
    assert "{{ 7 * 7 }}" in html
    assert "a" * (LONGEST_TEXT + 1) not in html


def test_links_lead_somewhere_and_charts_are_named(html):
    elements = Structure(html).elements
    anchors = {attributes["id"] for _, attributes in elements if "id" in attributes}
    assert {a["href"][1:] for tag, a in elements if tag == "a"} <= anchors
    for _, attributes in elements:
        if attributes.get("role") in ("img", "region", "note"):
            assert len(attributes["aria-label"]) > 5
    assert sum(attributes.get("role") == "img" for _, attributes in elements) >= 4


def test_the_page_has_the_counts_of_the_summary(html, summary):
    assert summary["rows_scored"] + summary["rows_rejected"] == summary["rows_read"] == len(runs.lines())
    for name in ("rows_read", "rows_scored", "rows_rejected", "matches", "truncated"):
        assert f"{summary[name]:,}" in html
    assert summary["truncated"] > 0
    assert summary["fingerprint"] in html
    assert summary["model"]["sha256"] in html
    assert "not valid JSON" in html
    assert sum(summary["length_histogram"].values()) == summary["rows_scored"]
    assert sum(summary["timeline"]["rows"]) == pytest.approx(summary["rows_read"], abs=1)


def test_what_needs_a_look_is_said(summary):
    said = " ".join(note.text for note in notes(summary))
    assert "were rejected" in said
    assert "limit and truncated" in said
    quiet = {**summary, "rows_rejected": 0, "truncated": 0, "unknown": 0}
    quiet["settings"] = {**summary["settings"], "threshold": None}
    assert notes(quiet) == []


def test_counts_by_threshold_follow_the_histogram(summary):
    assert at_least(summary, 0) == summary["rows_scored"]
    assert at_least(summary, 0.5) == summary["matches"]
    assert at_least(summary, 1.01) == 0


def test_no_text_is_shown_when_none_is_wanted(tiny, tmp_path):
    html = (runs.scored(tmp_path, tiny, "--report_examples", "0") / "report.html").read_text()
    assert "document.title" not in html
    assert "were rejected" in html


def test_too_many_examples_are_refused(tmp_path, capsys):
    flags = ["--input", "x", "--output", str(tmp_path / "out"), "--report_examples", "1000"]
    assert score.main(flags) == 2
    assert "--report_examples 1000: must be at most 50" in capsys.readouterr().err


def test_the_page_stays_small_whatever_the_input(summary):
    worst = '"' * LONGEST_TEXT  # each becomes five characters when escaped
    example = {"file": "/f" * 200, "row": 10**9, "text_a": worst, "text_b": worst, "line": None}
    kinds = [*(f"tenth-{tenth}" for tenth in range(10)), "above", "below", "truncated", "windowed", "unknown"]
    examples = {kind: [{**example, "score": 0.5}] * MOST_EXAMPLES for kind in kinds}
    examples["rejected"] = [{**example, "score": None, "reason": worst}] * 10_000
    big = {
        **summary,
        "score_histogram": {str(place): 10**12 for place in range(BINS)},
        "length_histogram": {str(bound): 10**12 for bound in LENGTH_BOUNDS},
        "rejected_reasons": {f"{worst}{i}": 5 for i in range(10_000)},
    }
    html = render(score_page(big, examples, card="&" * 1_000_000))
    assert len(html.encode()) < 3_000_000
    Structure(html)


def test_an_input_without_rows_has_a_page(tiny, tmp_path):
    (tmp_path / "in.csv").write_text("text1,text2\n")
    flags = ["--input", str(tmp_path / "in.csv"), "--output", str(tmp_path / "out"), "--model", str(tiny)]
    assert score.main(flags) == 0
    html = (tmp_path / "out" / "report.html").read_text()
    assert "The input has no rows." in html
    Structure(html)


def test_a_finished_run_that_is_run_again_keeps_a_page(output, tiny, capsys):
    before = json.loads((output / "summary.json").read_text())
    runs.scored(output.parent, tiny)
    again = json.loads((output / "summary.json").read_text())
    assert again["timeline"] == {}
    assert "are from an earlier run" in (output / "report.html").read_text()
    for name in ("rows_read", "score_histogram", "length_histogram", "fingerprint"):
        assert again[name] == before[name]


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


SCHEMES = [
    dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    for block in re.findall(r":root \{(.*?)\}", CSS, re.S)
]


@pytest.mark.parametrize("colours", SCHEMES, ids=["light", "dark", "print"])
def test_colours_contrast_as_wcag_asks(colours):
    """The contrast is at least 4.5 for text, and 3 for meaningful shapes (WCAG 2.2, 1.4.3 and 1.4.11)."""
    for ground in ("back", "panel"):
        for ink in ("ink", "muted", "link", "bad"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
        for shape in ("good", "soft", "warn", "bad"):
            assert contrast(colours[shape], colours[ground]) >= 3, (shape, ground)
    assert contrast(colours["on-marked"], colours["marked"]) >= 4.5


def test_light_dark_and_print_are_all_there():
    assert len(SCHEMES) == 3
    assert SCHEMES[0] == SCHEMES[2] != SCHEMES[1]
