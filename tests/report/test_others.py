"""The reports of real runs of dedup, mine and evaluate."""

import json

import pytest

from beam_sts.cli import dedup, evaluate, mine
from beam_sts.report import render
from beam_sts.report.dedup import dedup_page
from beam_sts.report.dedup import notes as dedup_notes
from beam_sts.report.mine import mine_page
from tests.checkpoints import SENTENCES
from tests.report.runs import HOSTILE
from tests.report.test_score import Structure


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    texts = [*SENTENCES, *SENTENCES, *(text + " today" for text in SENTENCES), *HOSTILE, None]
    lines = [json.dumps({"id": at, "text": text}) for at, text in enumerate(texts)]
    (folder / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def deduplicated(corpus, tiny):
    flags = ["--input", str(corpus / "in.jsonl"), "--output", str(corpus / "dedup"), "--model", str(tiny)]
    assert dedup.main([*flags, "--text", "text", "--id", "id", "--threshold", "0.5", "--quiet"]) == 0
    return corpus / "dedup"


def check(html):
    tags = {tag for tag, _ in Structure(html).elements}
    assert not tags & {"script", "iframe", "img", "object", "embed", "form"}
    assert "<script>document" not in html


def test_the_page_of_a_deduplication(deduplicated):
    html = (deduplicated / "report.html").read_text()
    summary = json.loads((deduplicated / "summary.json").read_text())
    check(html)
    assert f"{summary['rows_removed']:,} of {summary['rows_read']:,} rows were removed" in html
    assert "The most doubtful removals" in html
    assert "null in column" in html
    assert summary["fingerprint"] in html
    for step in ("candidates", "scored", "accepted"):
        assert f'<span class="name">{step}</span>' in html
    assert '<span class="name">reused</span>' not in html  # no pair was reused
    for chart in ("Histogram of the pairs&#39; lengths", "Throughput over"):
        assert chart in html
    scored = summary["verify"]["pairs"] - summary["verify"]["identical"]
    assert sum(summary["verify"]["length_histogram"].values()) == scored


def test_a_deduplication_that_removes_nothing_has_a_page(deduplicated):
    summary = json.loads((deduplicated / "summary.json").read_text())
    none = {"rows_removed": 0, "clusters": 0, "cluster_sizes": {"1": 5}, "largest_clusters": []}
    html = render(dedup_page({**summary, **none, "candidates": [], "thresholds": []}, {}))
    check(html)
    assert "No row was removed" in html


def test_what_needs_a_look_in_a_deduplication_is_said(deduplicated):
    summary = json.loads((deduplicated / "summary.json").read_text())
    bad = {"rows_removed": summary["rows_read"] - 1, "unverified": 3, "pairs_failed": 2}
    said = " ".join(note.text for note in dedup_notes({**summary, **bad}))
    for part in ("was rejected", "could not be scored", "not compared with every survivor", "than half"):
        assert part in said


def test_the_page_of_mined_pairs(corpus, tiny):
    flags = ["--input", str(corpus / "in.jsonl"), "--output", str(corpus / "mined"), "--model", str(tiny)]
    assert mine.main([*flags, "--text", "text", "--quiet", "--test_share", "0.4", "--random", "3"]) == 0
    html = (corpus / "mined" / "report.html").read_text()
    summary = json.loads((corpus / "mined" / "summary.json").read_text())
    check(html)
    assert f"{summary['pairs']:,} pairs of {summary['texts']:,} texts" in html
    assert "pair-score-sampled" in html
    for dropped in (0, 3):  # a count of 0 is not shown
        page = render(mine_page({**summary, "pairs_straddling": dropped}, {}))
        assert ("pairs dropped" in page) == (dropped > 0)
    for chart in ("Histogram of the pairs&#39; lengths", "Throughput over"):
        assert chart in html
    assert sum(summary["tokens"]["length_histogram"].values()) == summary["pairs"]
    assert (
        sum(summary["score_histogram"].values()) + sum(summary["pairs_failed"].values()) == summary["pairs"]
    )


def test_a_corpus_of_which_no_pair_is_proposed_is_kept_whole(tmp_path, tiny):
    texts = ["Rivers run north.", "Seven pale horses", "zinc oxide prices 1998"]
    lines = [json.dumps({"id": at, "text": text}) for at, text in enumerate(texts)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    flags = ["--input", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "out"), "--model", str(tiny)]
    assert dedup.main([*flags, "--text", "text", "--id", "id", "--quiet"]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["pairs"], summary["rows_kept"], summary["rows_removed"]) == (0, 3, 0)
    check((tmp_path / "out" / "report.html").read_text())


@pytest.fixture(scope="module")
def evaluated(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    rows = [
        {"a": a, "b": b, "mark": (i * 7 + j) % 5, "system": ("<b>x</b>", "y", "z")[(i + j) % 3]}
        for i, a in enumerate([*SENTENCES, *HOSTILE[:4]])
        for j, b in enumerate(SENTENCES[:6])
    ]
    rows.append({"a": "x", "b": None, "mark": 1, "system": "y"})
    lines = "\n".join(json.dumps(row) for row in rows)
    (folder / "in.jsonl").write_text(lines, encoding="utf-8")
    flags = ["--input", str(folder / "in.jsonl"), "--text_a", "a", "--text_b", "b", "--model", str(tiny)]
    base = [*flags, "--group", "system", "--quiet"]
    pages = {"groups": base, "gold": [*base, "--score", "mark", "--json", str(folder / "gold.json")]}
    for name, more in pages.items():
        assert evaluate.main([*more, "--report", str(folder / f"{name}.html")]) == 0
    return folder


def test_the_page_of_an_evaluation_with_gold_scores(evaluated):
    html = (evaluated / "gold.html").read_text()
    said = json.loads((evaluated / "gold.json").read_text())
    check(html)
    assert f"{said['pearson']:.4f}" in html
    assert "&lt;b&gt;x&lt;/b&gt;" in html
    for group in said["agreement"]:  # the groups of a gold set are not ranked by their scores
        assert f"{group['pearson']:.3f} ({group['low']:.3f} to {group['high']:.3f})" in html
    assert "is the best" not in html
    assert "is better?" not in html
    for part in (
        "The model scores higher than people",
        "The model scores lower",
        "null in column",
        "Scatter of",
    ):
        assert part in html
    assert html.count('class="dot"') == len(said["agreement"]) == 3


def test_the_page_of_answers_without_gold_scores_shows_the_lowest(evaluated):
    html = (evaluated / "groups.html").read_text()
    check(html)
    assert "The lowest scores" in html
    assert "How good is each system?" in html
    assert "Scatter" not in html


def test_an_evaluation_page_stays_small_with_many_groups(evaluated, tiny, tmp_path):
    rows = [
        {"text1": "a cat", "text2": f"cat {i}", "g": f"{'<' * 300}{i}", "mark": i % 7} for i in range(3000)
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    flags = ["--input", str(tmp_path / "in.jsonl"), "--model", str(tiny), "--group", "g", "--score", "mark"]
    assert evaluate.main([*flags, "--quiet", "--report", str(tmp_path / "out.html")]) == 0
    html = (tmp_path / "out.html").read_text()
    check(html)
    assert len(html.encode()) < 3_000_000
    assert "Of 3,000 groups, 30 are drawn and 200 listed" in html
