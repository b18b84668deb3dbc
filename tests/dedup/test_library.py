import datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import beam_sts
from beam_sts import UserError, deduplicate
from beam_sts.cli import dedup
from tests.cli.test_dedup import made_texts

TEXTS = [*made_texts(14), *made_texts(3), "", " ", None]
NAMES = [f"r{-i % 53:03}" for i in range(len(TEXTS))]
SETTINGS = {"threshold": 0.7, "threads": 1}


def table(**more):
    return pa.table({"name": NAMES, "text": TEXTS, "stars": [i % 4 for i in range(len(TEXTS))], **more})


def by_command(tmp_path, *args):
    pq.write_table(table(), tmp_path / "in.parquet")
    out = tmp_path / "out"
    places = ["--input", str(tmp_path / "in.parquet"), "--output", str(out), "--text", "text", "--id", "name"]
    assert dedup.main([*places, "--threads", "1", "--quiet", "--overwrite", *args]) == 0
    return {name: pq.read_table(out / name) for name in ("kept", "removed", "pairs", "clusters", "rejected")}


def kinds():
    """The table as each supported kind, with the function that converts it back."""
    yield "arrow", lambda made: made, lambda frame: frame
    yield "batch", lambda made: made.combine_chunks().to_batches()[0], lambda frame: frame
    yield (
        "pandas",
        lambda made: made.to_pandas(),
        lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
    )
    yield (
        "polars",
        lambda made: pytest.importorskip("polars").from_arrow(made),
        lambda frame: frame.to_arrow(),
    )
    yield (
        "datasets",
        lambda made: pytest.importorskip("datasets").Dataset(made),
        lambda frame: frame.with_format("arrow")[:],
    )


@pytest.mark.parametrize(("kind", "bring", "back"), list(kinds()), ids=[kind for kind, *_ in kinds()])
@pytest.mark.parametrize("keep", ["first", "highest:stars * 2"])
def test_a_table_of_any_kind_gives_what_the_command_gives(kind, bring, back, keep, tmp_path):
    if kind == "pandas":
        pytest.importorskip("pandas")
    wanted = by_command(tmp_path, "--threshold", "0.7", "--keep", keep)
    brought = bring(table())
    found = deduplicate(brought, id="name", keep=keep, **SETTINGS)
    if kind != "batch":
        assert type(found.kept) is type(found.removed) is type(found.pairs) is type(brought)
    assert back(found.kept).to_pylist() == wanted["kept"].to_pylist()
    assert back(found.removed).to_pylist() == wanted["removed"].to_pylist()
    assert back(found.clusters).to_pylist() == wanted["clusters"].to_pylist()
    pairs = back(found.pairs).cast(wanted["pairs"].schema)  # missing numbers are NaN in pandas
    rows = [[str(v) for v in row.values()] for row in pairs.to_pylist()]
    assert sorted(rows) == sorted([str(v) for v in row.values()] for row in wanted["pairs"].to_pylist())
    (rejected,) = back(found.rejected).to_pylist()
    assert rejected["reject_reason"] == "null in column 'text'"
    assert found.counts == {
        **{name: len(wanted[name]) for name in ("kept", "removed", "rejected")},
        **{"read": len(TEXTS), "pairs": found.counts["pairs"], "clusters": found.counts["clusters"]},
        "guarded": len(wanted["pairs"]["differs"].drop_null()),
    }


def test_pandas_rows_keep_their_index_and_types():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"text": ["one text", "two", "one  text"], "x": [{1, 2}, None, 3]}, index=list("cab")
    )
    found = deduplicate(frame, threads=1)
    assert list(found.kept.index) == ["c", "a"]
    assert list(found.removed.index) == ["b"]
    assert found.kept["x"].tolist() == [{1, 2}, None]  # a column that Arrow cannot represent
    assert found.removed["survivor"].tolist() == [0]


def test_texts_come_back_as_texts():
    found = deduplicate(("one text", "two", "one  text", None), threads=1)
    assert found.kept == ["one text", "two"]
    assert [(row["text"], row["survivor"], row["rule"]) for row in found.removed] == [
        ("one  text", 0, "form")
    ]
    assert found.rejected == [{"text": None, "reject_reason": "null in column 'text'"}]
    assert deduplicate([]).kept == []
    assert deduplicate(pa.array(["a", "b"]), threads=1).kept == ["a", "b"]


def test_against_another_table(tmp_path):
    old = pa.table({"id": ["x", "y"], "body": [TEXTS[0], TEXTS[4]]})
    found = deduplicate(table(), id="name", against=old, against_text="body", against_id="id", **SETTINGS)
    representatives = {(row["survivor"], row["survivor_in"]) for row in found.removed.to_pylist()}
    assert representatives == {("x", "against"), ("y", "against")}
    assert "survivor_in" not in deduplicate(table(), id="name", **SETTINGS).removed.column_names
    assert "against" in found.explain(found.removed["name"][0].as_py())


class Counted:
    """A scorer that counts its pairs."""

    def __init__(self, scores):
        self.scores, self.pairs = scores.score, 0

    def __call__(self, a, b, *args, **more):
        self.pairs += len(a)
        return self.scores(a, b, *args, **more)


@pytest.mark.parametrize("keep", ["first", "central"])
def test_at_another_threshold(tmp_path, keep, monkeypatch):
    chain = ["red fox runs over hill"] + [f"red fox runs over hill {'and on ' * i}" for i in range(1, 9)]
    found = deduplicate(
        [*chain, *made_texts(10)], threshold=0.8, keep=keep, threads=1, candidates=("lexical",)
    )
    counted = Counted(found._parts.scores)
    monkeypatch.setattr(found._parts.scores, "score", counted)
    for threshold in (0.8, 0.85, 0.9, 1.0):
        higher = found.at(threshold)
        assert all(row["score"] >= np.float32(threshold) for row in higher.removed)
        assert len(higher.kept) >= len(found.kept)
    assert counted.pairs == 0
    assert found.at(0.8).removed == found.removed
    lower = found.at(0.4)
    anew = deduplicate(
        [*chain, *made_texts(10)], threshold=0.4, keep=keep, threads=1, candidates=("lexical",)
    )
    assert lower.kept == anew.kept
    without = [{k: v for k, v in row.items() if k != "score"} for row in lower.removed]
    assert without == [{k: v for k, v in row.items() if k != "score"} for row in anew.removed]
    scored = counted.pairs
    assert scored == len(lower.pairs) - len(found.pairs)  # only the missing pairs, each once
    assert lower.at(0.5).threshold == 0.5
    assert counted.pairs == scored  # the scores of the run at 0.4 are reused
    with pytest.raises(UserError, match=r"threshold 1\.5: must be between 0 and 1"):
        found.at(1.5)


def test_explain_and_a_notebook_show_texts_as_they_are(tmp_path):
    texts = ["the <b>cat</b> sat on the mat", "the <b>cat</b>  sat on a mat", "other words of nothing"]
    found = deduplicate(texts, threshold=0.5, threads=1, candidates=("lexical",))
    said = found.explain(1)
    assert "removed for 0" in said
    assert "[-the-] {+a+}" in said
    assert "kept" in found.explain("2")
    with pytest.raises(UserError, match="9: no kept or removed row has that id"):
        found.explain(9)
    html = found._repr_html_()
    assert "&lt;b&gt;cat&lt;/b&gt;" in html
    assert "<b>" not in html
    assert repr(found).startswith("Deduplication at 0.5: 2 kept, 1 removed, 0 rejected of 3 rows")


def test_names_that_are_taken_are_not_overwritten():
    brought = pa.table({"text": ["one text", "one  text"], "score": [7, 8]})
    removed = deduplicate(brought, threads=1).removed
    assert removed["score"].to_pylist() == [8]
    assert removed["beam_sts_score"].to_pylist()[0] > 0.9


@pytest.mark.parametrize(
    ("data", "args", "message"),
    [
        ("one text", {}, "neither texts nor a table"),
        ({"text": ["a"]}, {}, "neither texts nor a table"),
        (7, {}, "neither texts nor a table"),
        (["a", 3], {}, r"texts\[1\] is 3, not a text"),
        (["a", "\ud800"], {}, r"texts\[1\]"),
        (pa.table({"body": ["a"]}), {}, "no column is called 'text'"),
        (pa.table({"text": ["a"]}), {"text": "txt"}, "did you mean 'text'"),
        (pa.table({"text": ["a"]}), {"id": "name"}, "id name: is not in the input"),
        (pa.table({"text": [1]}), {}, "holds int64, not texts"),
        (
            pa.table({"text": ["a"], "id": [datetime.date(2020, 1, 1)]}),
            {"id": "id"},
            "ids must be integers, texts, bytes or UUIDs",
        ),
        (pa.table({"text": ["a", "b"], "id": [1, 1]}), {"id": "id"}, "1 is the id of the good rows 0 and 1"),
        (["a"], {"keep": "highest:stars"}, "stars"),
        (["a"], {"against": "b"}, "against is a str"),
        (["a b c d", "a b c  d"], {"max_pairs": 1, "candidates": ("exact", "lexical")}, None),
    ],
)
def test_what_is_wrong_is_told(data, args, message):
    if message is None:
        assert len(deduplicate(data, threads=1, **args).kept) == 1
        return
    with pytest.raises(UserError, match=message):
        deduplicate(data, **args)


def test_it_is_offered_at_the_top():
    assert beam_sts.deduplicate is deduplicate
    assert "deduplicate" in beam_sts.__all__
