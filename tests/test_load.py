"""The load test finds what it is there to find. Ten million pairs: ``python -m benchmarks.load``."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import load


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(load, "BLOCK", 100)
    monkeypatch.setattr(load, "ROWS_A_FILE", 300)


def written(folder, table, shard):
    (folder / "scores").mkdir(parents=True)
    for number, start in enumerate(range(0, len(table), shard)):
        pq.write_table(table[start : start + shard], folder / "scores" / f"part-{number:06d}.parquet")


def test_the_check_takes_the_whole_input_and_nothing_else(small, tmp_path):
    load.make_input(tmp_path / "in", 950)
    table = pq.read_table(tmp_path / "in")
    assert len(list((tmp_path / "in").iterdir())) == 4
    table = table.append_column("score", pa.array([0.5] * 950, pa.float32()))
    written(tmp_path / "good", table, 70)
    good = load.check(tmp_path / "good", 950)
    assert good == {
        "rows": 950,
        "ids_in_order": True,
        "scores_between_0_and_1": True,
        "same_digest": True,
    }
    rows = list(range(950))
    for name, order in {
        "lost": rows[:400] + rows[401:],
        "lost at the end": rows[:-1],
        "twice": [*rows[:400], 399, *rows[401:]],
        "swapped": [1, 0, *rows[2:]],
        "one more": [*rows, 0],
    }.items():
        written(tmp_path / name, table.take(order), 70)
        bad = load.check(tmp_path / name, 950)
        assert not (bad["ids_in_order"] and bad["same_digest"]), name
    texts = table.column("text_a").to_pylist()
    texts[500] += "."
    written(tmp_path / "changed", table.set_column(1, "text_a", pa.array(texts)), 70)
    assert not load.check(tmp_path / "changed", 950)["same_digest"]


@pytest.mark.slow
def test_a_hundred_thousand_pairs_hold(tmp_path, tiny, capfd):
    flags = ["--pairs", "100000", "--folder", str(tmp_path), "--model", str(tiny)]
    status = load.main(flags)
    found = json.loads(capfd.readouterr().out)
    assert status == 0, found
    assert found["rows"] == 100_000
    (tmp_path / "out" / "scores" / "part-000002.parquet").unlink()
    status = load.main(flags)
    found = json.loads(capfd.readouterr().out)
    assert status == 0, found
    assert found["shards_resumed"] == 4
