import pickle
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from beam_sts.transforms.dedup import DeduplicateTexts
from pipelines import dedup
from pipelines.cli import user_error
from tests.pipelines.test_dedup import made_texts

THRESHOLD = 0.7


def run(rows, folder, **args):
    """Every output as a list; a pipeline hands over files only."""
    with beam.Pipeline(FnApiRunner()) as pipeline:
        done = pipeline | beam.Create(rows) | DeduplicateTexts(threads=1, **args)
        for name in done._fields:
            values = getattr(done, name) | f"List {name}" >> beam.combiners.ToList()
            _ = values | f"Write {name}" >> beam.Map(_write, str(folder / name))
    return {name: pickle.loads((folder / name).read_bytes()) for name in done._fields}


def _write(values, path):
    Path(path).write_bytes(pickle.dumps(values))


@pytest.mark.parametrize(
    "keep",
    ["central", *(pytest.param(k, marks=pytest.mark.slow) for k in ("first", "longest", "highest:stars"))],
)
def test_beam_gives_what_one_machine_gives(tmp_path, keep):
    texts = made_texts(24)
    texts = [*texts, *texts[3:9], "", " "]
    rows = [{"id": f"r{i:03}", "text": text, "stars": i % 5} for i, text in enumerate(texts)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    args = ["--input", str(tmp_path / "in.parquet"), "--output", str(tmp_path / "out"), "--text", "text"]
    args += ["--id", "id", "--threads", "1", "--keep", keep, "--threshold", str(THRESHOLD)]
    assert dedup.main(args) == 0
    done = run([*rows[::-1], {"id": "n", "text": None}], tmp_path, threshold=THRESHOLD, keep=keep, rounds=6)
    kept, removed, pairs, clusters = (
        pq.read_table(tmp_path / "out" / name).to_pylist()
        for name in ("kept", "removed", "pairs", "clusters")
    )
    assert sorted(row["id"] for row in done["kept"]) == [row["id"] for row in kept]
    receipt = ("id", "survivor", "source", "rule")
    for mine, theirs in zip(sorted(done["removed"], key=lambda row: row["id"]), removed, strict=True):
        assert [mine[name] for name in receipt] == [theirs[name] for name in receipt]
        assert mine["score"] == pytest.approx(theirs["score"], abs=3e-6)
    assert len(removed) > 6
    scored = sorted(sorted((p["id_a"], p["id_b"])) for p in pairs if p["rule"] != "identical")
    assert sorted(sorted(p[:2]) for p in done["pairs"]) == scored
    sizes = {}
    for row in clusters:
        sizes.setdefault(row["cluster"], []).append(row["id"])
    several = {i: name for name, ids in sizes.items() if len(ids) > 1 for i in ids}
    assert dict(done["clusters"]) == several
    assert [rejected.reason for rejected in done["rejected"]] == ["null in field 'text'"]


def test_an_id_that_recurs_is_an_error(tmp_path):
    rows = [{"id": 1, "text": "one"}, {"id": 1, "text": "two"}]
    with pytest.raises(Exception, match="several") as caught:
        run(rows, tmp_path, rounds=1)
    assert "id 1: several" in (user_error(caught.value) or "")


@pytest.mark.parametrize("keep", ["first", pytest.param("highest:stars", marks=pytest.mark.slow)])
def test_the_command_gives_the_same_by_a_runner(tmp_path, keep):
    texts = [*made_texts(12), *made_texts(2), "", None]
    rows = [{"name": f"r{-i % 31:03}", "text": text, "stars": i % 5} for i, text in enumerate(texts)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    args = ["--input", str(tmp_path / "in.parquet"), "--text", "text", "--id", "name", "--threads", "1"]
    args += ["--keep", keep, "--threshold", "0.7", "--rows_per_shard", "9", "--component_rounds", "5"]
    assert dedup.main([*args, "--output", str(tmp_path / "one")]) == 0
    assert dedup.main([*args, "--output", str(tmp_path / "two"), "--runner", "FnApiRunner"]) == 0
    for name in ("kept", "removed", "clusters", "rejected"):
        one, two = (pq.read_table(tmp_path / out / name) for out in ("one", "two"))
        if name == "removed":
            assert len(one) > 3
            one, two = (table.drop_columns(["score"]) for table in (one, two))
        assert one == two
    again = [*args, "--output", str(tmp_path / "three"), "--from_pairs", str(tmp_path / "two")]
    assert dedup.main(again) == 0
    assert pq.read_table(tmp_path / "three" / "kept") == pq.read_table(tmp_path / "one" / "kept")
    assert (
        dedup.main([*args, "--output", str(tmp_path / "no"), "--runner", "FnApiRunner", "--rule", "blend"])
        == 2
    )
