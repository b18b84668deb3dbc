"""The data set card, read by the datasets library without a network; what mining reports on facts."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.cli import mine
from beam_sts.mining.core import SUBSETS

SUBJECTS = [
    f"{name} of {place}" for name in ("The mayor", "A clerk", "The judge") for place in ("Ulm", "Pau")
]
TEXTS = [
    text.format(who=who, days=3 + at)
    for at, who in enumerate(SUBJECTS)
    for text in (
        "{who} said on Monday that the old bridge will be closed for {days} days in the spring.",
        "{who} said Monday the old bridge will be closed for {days} days in the spring.",
        "{who} said on Monday that the old bridge will be closed for 90 days in the spring.",
        "Farmers north of the river expect a poor harvest of apples and plums, {who} wrote.",
    )
]


@pytest.fixture(scope="module")
def mined(tmp_path_factory):
    folder = tmp_path_factory.mktemp("card")
    pq.write_table(pa.table({"text": TEXTS}), folder / "in.parquet")
    options = ["--input", str(folder / "in.parquet"), "--output", str(folder / "out"), "--text", "text"]
    assert mine.main([*options, "--threads", "1", "--test_share", "0.3", "--seed", "1", "--quiet"]) == 0
    return folder / "out"


def rows(mined, subset, split="train"):
    return pa.concat_tables(
        map(pq.read_table, sorted((mined / subset / split).glob("*.parquet")))
    ).to_pylist()


def test_the_library_loads_each_set_without_a_network(mined, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    for subset in SUBSETS:
        if not (rows(mined, subset) or rows(mined, subset, "test")):
            continue
        loaded = datasets.load_dataset(str(mined), subset, cache_dir=str(tmp_path))
        assert set(loaded) == {split for split in ("train", "test") if rows(mined, subset, split)}
        for split in loaded:
            assert loaded[split].to_list() == rows(mined, subset, split)
    assert datasets.load_dataset(str(mined), cache_dir=str(tmp_path))["train"].column_names == [
        *("anchor", "positive", "negative")
    ]


def test_pairs_that_differ_in_a_fact_are_negatives_and_no_positives(mined):
    found = rows(mined, "triplet-hard") + rows(mined, "triplet-hard", "test")
    assert found
    assert all(("90 days" in row["anchor"]) == ("90 days" in row["positive"]) for row in found)
    assert any(("90 days" in row["anchor"]) != ("90 days" in row["negative"]) for row in found)


def test_a_corpus_without_positives_says_what_keeps_them_away(tmp_path, capsys):
    """Descriptions of packages are alike, but each names another package and version."""
    texts = [
        f"Header files of the library lib{name} {number}, for programs that use it."
        for number, name in enumerate(("alpha", "beta", "gamma", "delta", "omega", "sigma"))
    ]
    texts += ["Rain fell on the hills all day.", "Tomatoes need six hours of sun.", "He sold the old boat."]
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet")
    options = ["--input", str(tmp_path / "in.parquet"), "--output", str(tmp_path / "out"), "--text", "text"]
    assert mine.main([*options, "--test_share", "0", "--positive", "0.7"]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["pairs_differing"] > 5
    assert f"since a fact differs: {summary['pairs_differing']} pairs" in capsys.readouterr().out
    assert "with the score of a positive differ in a fact (" in (tmp_path / "out" / "report.html").read_text()
