"""The report of a run that searched for passages."""

from beam_sts.report import render
from beam_sts.report.passages import notes, passages_page

SUMMARY = {
    "pipeline": "passages",
    "path": "one machine",
    "input": {"pattern": "<b>in</b>.parquet", "files": 1, "bytes": 9, "first": [{"path": "in", "size": 9}]},
    "rows_read": 10,
    "rows_kept": 6,
    "rows_removed": 3,
    "rows_rejected": 1,
    "rejected_reasons": {"null in column 'text'": 1},
    "rows_changed": 0,
    "rows_with_passages": 3,
    "passages": 4,
    "characters": 1000,
    "characters_found": 120,
    "most_found": {f"q{number}": 1 for number in range(15)},
    "score_histogram": {"999": 3, "720": 1},
    "items": 20,
    "items_too_short": 2,
    "seconds": {"read": 1.0},
    "settings": {"contains": True},
    "fingerprint": "f" * 64,
    "versions": {"beam_sts": "0"},
}
EXAMPLE = {
    "kind": "passage",
    "file": "in",
    "row": 3,
    "text_a": "<script>alert(1)</script>",
    "text_b": "before [...] after",
    "score": 0.72,
    "note": "characters 1 to 9 are 0 to 8 of q1 in against",
}


def test_the_page_has_counts_and_passages_and_runs_nothing():
    page = render(passages_page(SUMMARY, {"passage": [EXAMPLE]}))
    assert "4 passages were found in 3 of 10 rows." in page
    assert "characters 1 to 9 are 0 to 8 of q1 in against" in page
    assert "<script>alert" not in page
    assert "<b>in</b>" not in page
    assert "% of the text" in page
    assert "q9" in page
    assert "q10" not in page


def test_notes_say_what_was_not_compared():
    assert [note.text for note in notes(SUMMARY)] == [
        "1 row was rejected.",
        "2 of 20 items have too few words to look for.",
    ]


def test_a_run_without_passages_has_a_page():
    none = {"passages": 0, "rows_with_passages": 0, "score_histogram": {}, "most_found": {}}
    assert "No passage was found in 10 rows." in render(passages_page({**SUMMARY, **none}, {}))
