"""The load test detects the faults that it is for.

Ten million pairs: python -m benchmarks.load --pairs 10000000 --folder DIR --memory_limit 1500
"""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts import PairScorer
from benchmarks import load


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(load, "BLOCK", 40)
    monkeypatch.setattr(load, "FILE", 120)
    monkeypatch.setattr(load, "EVERY", 50)


def written(folder, table, shard=70):
    (folder / "scores").mkdir(parents=True)
    for number, start in enumerate(range(0, len(table), shard)):
        pq.write_table(table[start : start + shard], folder / "scores" / f"part-{number:06d}.parquet")
    return folder


def test_the_check_takes_the_whole_input_and_nothing_else(small, tmp_path):
    made = load.write_input(tmp_path / "in", 300)
    table = pq.read_table(tmp_path / "in")
    assert load.write_input(tmp_path / "in", 300) == made  # continued
    with pytest.raises(SystemExit, match="has 300 pairs, not 200"):
        load.write_input(tmp_path / "in", 200)
    scores = PairScorer("beam-sts-pico").run(table["text_a"], table["text_b"]).scores
    table = table.append_column("score", pa.array(scores))
    assert load.check(written(tmp_path / "good", table), 300, made)["rows"] == 300
    rows = list(range(300))
    texts = table["text_a"].to_pylist()
    texts[170] += "."
    scores[100] += 1e-3
    wrong = {
        "lost": table.take(rows[:100] + rows[101:]),
        "lost at the end": table.take(rows[:-1]),
        "twice": table.take([*rows[:100], 99, *rows[101:]]),
        "swapped": table.take([1, 0, *rows[2:]]),
        "one more": table.take([*rows, 0]),
        "changed": table.set_column(1, "text_a", pa.array(texts)),
        "another score": table.set_column(3, "score", pa.array(scores)),
    }
    for name, bad in wrong.items():
        with pytest.raises(RuntimeError):
            load.check(written(tmp_path / name, bad), 300, made)


def test_memory_that_grows_is_told():
    memory = load.Memory()
    memory.samples = [1 << 30] * 400
    assert memory.report()["memory_flat"] is True
    memory.samples = [(1 << 30) + at * (1 << 21) for at in range(400)]
    assert memory.report()["memory_flat"] is False
    memory.samples = [1 << 30] * 30
    assert memory.report()["memory_flat"] is None


@pytest.mark.slow
def test_a_hundred_thousand_pairs_hold_and_a_stopped_run_goes_on(tmp_path, capfd):
    flags = ["--pairs", "100000", "--folder", str(tmp_path), "--memory_limit", "1500"]
    load.main(flags)
    found = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert (found["rows"], found["shards_skipped"]) == (100_000, 0)
    (tmp_path / "out" / "scores" / "part-000002.parquet").unlink()
    load.main(flags)
    again = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert again["shards_skipped"] == 4
    assert again["scores_sha256"] == found["scores_sha256"]
