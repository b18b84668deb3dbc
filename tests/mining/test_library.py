"""Mining in memory: the results of the command on the same rows, in the type of the input."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts import Mined, UserError, mine
from beam_sts.cli.mine import main
from beam_sts.mining.core import SUBSETS

TEXTS = [
    f"The {colour} {animal} {deed}."
    for colour in ("red", "old", "big", "wet")
    for animal in ("cat", "dog", "cow")
    for deed in ("sat on the mat", "ran over the road")
]
TEXTS += [
    "Rain fell all day.",
    "The rain fell all day.",
    "Stocks rose.",
    "THE RED CAT sat  on the mat.",
    " ",
    None,
]
SETTINGS = {"doc_id": "page", "test_share": 0.4, "seed": 8, "positive": 0.6, "threads": 1}


def table():
    return pa.table(
        {"body": TEXTS, "page": [f"d{at // 4}" for at in range(len(TEXTS))], "n": range(len(TEXTS))}
    )


def kinds():
    """The table as each supported kind, with the function that converts it back."""
    yield "arrow", lambda made: made, lambda frame: frame
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


@pytest.fixture(scope="module")
def by_command(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mined")
    pq.write_table(table(), folder / "in.parquet")
    options = [f"--{name}={value}" for name, value in SETTINGS.items()]
    places = ["--input", str(folder / "in.parquet"), "--output", str(folder / "out"), "--text", "body"]
    assert main([*places, *options, "--quiet"]) == 0
    return folder / "out"


@pytest.mark.parametrize(("kind", "bring", "back"), list(kinds()), ids=[kind for kind, *_ in kinds()])
def test_a_table_of_any_kind_gives_what_the_command_gives(kind, bring, back, by_command):
    if kind == "pandas":
        pytest.importorskip("pandas")
    brought = bring(table())
    found = mine(brought, text="body", **SETTINGS)
    assert isinstance(found, Mined)
    for subset in SUBSETS:
        for split in ("train", "test"):
            rows = found.rows(subset, split)
            assert type(rows) is type(brought)
            assert back(rows).to_pylist() == pq.read_table(by_command / subset / split).to_pylist()
    assert sum(found.counts["rows_written"]["triplet"].values()) > 0
    pairs = back(found.pairs)
    assert pairs.column_names == ["sentence1", "sentence2", "score", "origin", "split"]
    assert len(pairs) == found.counts["pairs"]
    rejected = back(found.rejected).to_pylist()
    assert [(row["n"], row["reject_reason"]) for row in rejected] == [
        (28, "empty text in column 'body'"),
        (29, "null in column 'body'"),
    ]


def test_texts_alone():
    found = mine(TEXTS, test_share=0, threads=1)
    assert {row["split"] for row in found.pairs} == {"train"}
    assert not any("adjacent" in row["origin"] for row in found.pairs)
    assert found.rows("raw", "test") == []
    assert [row["reject_reason"][:5] for row in found.rejected] == ["empty", "null "]
    assert repr(found) == f"Mined({found.counts['pairs']:,} pairs of 27 texts)"
    assert "<td>triplet-hard</td>" in found._repr_html_()
    assert mine([], threads=1).pairs == []


@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        ("a text", {}, "data is a str"),
        ([1, 2], {}, r"texts\[0\] is 1, not a text"),
        (table(), {}, "no column is called 'text'"),
        (table(), {"text": "bdoy"}, "text bdoy: is not in the input.*body"),
        (table(), {"text": "body", "doc_id": "pgae"}, "doc_id pgae: is not in the input"),
        (table(), {"text": "n"}, "text n: holds int64, not texts"),
        (table(), {"text": "body", "embedding": "n"}, "not lists of numbers"),
        (TEXTS, {"neighbors": 3}, "mine has no 'neighbors'; did you mean 'neighbours'"),
        (TEXTS, {"report_examples": -1}, "report_examples -1"),
        (TEXTS, {"neighbours": 0, "lexical": 0, "random": 0}, "no pairs would be proposed: set neighbours"),
    ],
)
def test_mistakes_are_told_by_name(data, settings, message):
    with pytest.raises(UserError, match=message):
        mine(data, **settings)


def test_a_set_that_there_is_not():
    found = mine(TEXTS[:4], threads=1)
    with pytest.raises(UserError, match=r"subset 'triplets': .*did you mean 'triplet'"):
        found.rows("triplets")
    with pytest.raises(UserError, match="split 'dev'"):
        found.rows(split="dev")
