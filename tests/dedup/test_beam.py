import json
import pickle
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from beam_sts.cli import dedup
from beam_sts.cli.console import user_error
from beam_sts.dedup.beam import DeduplicateTexts
from tests import engines
from tests.cli.test_dedup import made_texts

THRESHOLD = 0.7


def run(rows, folder, **args):
    """Every output as a list, through files."""
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
    done = run([*rows[::-1], {"id": "n", "text": None}], tmp_path, threshold=THRESHOLD, keep=keep)
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
    assert sorted(sorted(p[:2]) for p in done["pairs"] if p[4] != "identical") == scored
    assert len(done["pairs"]) == len(pairs)
    sizes = {}
    for row in clusters:
        sizes.setdefault(row["cluster"], []).append(row["id"])
    several = {i: name for name, ids in sizes.items() if len(ids) > 1 for i in ids}
    assert dict(done["clusters"]) == several
    assert [rejected.reason for rejected in done["rejected"]] == ["null in field 'text'"]


def test_an_id_that_recurs_is_an_error(tmp_path):
    rows = [{"id": 1, "text": "one"}, {"id": 1, "text": "two"}]
    with pytest.raises(Exception, match="several") as caught:
        run(rows, tmp_path)
    assert "id 1: several" in (user_error(caught.value) or "")


@pytest.mark.parametrize("keep", ["first", pytest.param("highest:stars", marks=pytest.mark.slow)])
def test_the_command_gives_the_same_by_a_runner(tmp_path, keep):
    texts = [*made_texts(12), *made_texts(2), "", None]
    rows = [{"name": f"r{-i % 31:03}", "text": text, "stars": i % 5} for i, text in enumerate(texts)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    args = ["--input", str(tmp_path / "in.parquet"), "--text", "text", "--id", "name", "--threads", "1"]
    args += ["--keep", keep, "--threshold", "0.7", "--rows_per_shard", "9"]
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
    assert dedup.main([*again, "--output", str(tmp_path / "four"), "--runner", "FnApiRunner"]) == 0
    for name in ("kept", "removed", "clusters"):
        assert pq.read_table(tmp_path / "four" / name) == pq.read_table(tmp_path / "three" / name)


def both(tmp_path, *args, model="beam-sts-nano"):
    """Run the same command on one machine and by a runner, check equal tables, and return both folders."""
    common = ["--input", str(tmp_path / "in.parquet"), "--text", "text", "--id", "name", "--threads", "1"]
    common += ["--rows_per_shard", "9", "--model", str(model), *args]
    one, two = tmp_path / "one", tmp_path / "two"
    assert dedup.main([*common, "--output", str(one)]) == 0
    assert dedup.main([*common, "--output", str(two), "--runner", "FnApiRunner"]) == 0
    for name in ("kept", "removed", "clusters", "rejected", "pairs"):
        mine, theirs = (pq.read_table(folder / name).to_pylist() for folder in (one, two))
        if name in ("removed", "pairs"):  # a score's last bits depend on its batch
            for row, other in zip(*(sorted(rows, key=_ends) for rows in (mine, theirs)), strict=True):
                assert row.pop("score") == pytest.approx(other.pop("score"), abs=3e-6)
            mine, theirs = sorted(mine, key=_ends), sorted(theirs, key=_ends)
        assert mine == theirs, name
    engines.check_summary_and_report(one, two)
    return one, two, json.loads((one / "summary.json").read_text())


def _ends(row):
    return str([row.get(name) for name in ("name", "id_a", "id_b", "rule", "b_in")])


CORPUS = [*made_texts(10), *made_texts(2), "", " ", "\x1c \x1f", "\u2003", None]


def write(path, texts, **columns):
    rows = {"name": [f"r{-i % 53:03}" for i in range(len(texts))], "text": texts, **columns}
    pq.write_table(pa.table(rows), path)


ALL = "exact,minhash,lexical,neighbours,block:lower(land)"


@pytest.mark.parametrize(
    "more",
    [
        ("--candidates", ALL, "--neighbours", "2", "--rule", "blend", "--threshold", "0.8"),
        pytest.param(
            ("--cascade_model", "beam-sts-pico", "--cascade_band", "0.5,0.9", "--empty", "score"),
            marks=pytest.mark.slow,
        ),
        pytest.param(("--candidates", "block:land", "--bucket_cap", "2"), marks=pytest.mark.slow),
    ],
    ids=["all sources, blend", "cascade, empty", "block, hot buckets"],
)
def test_every_source_and_rule_is_the_same_by_a_runner(tmp_path, more):
    write(tmp_path / "in.parquet", CORPUS, land=[f"{'dD'[i % 2]}{i % 3}" for i in range(len(CORPUS))])
    _, two, summary = both(tmp_path, "--threshold", "0.7", *more)
    assert (two / "report.html").stat().st_size > 10_000
    if "--bucket_cap" not in more:
        assert summary["rows_removed"] > 3
    else:
        assert summary["candidates"][0]["hot"] == 6
        assert summary["candidates"][0]["pairs_capped"] > 0


@pytest.mark.parametrize("within", [(), pytest.param(("--within",), marks=pytest.mark.slow)])
def test_against_another_input_is_the_same_by_a_runner(tmp_path, within):
    texts = made_texts(16)
    twins = ["prices of copper fell on friday", "prices of copper fell on a friday"]  # not in the other input
    new = [*texts[::2], *texts[:6:2], *twins, "", None]
    write(tmp_path / "in.parquet", new, v=vectors(len(new)))
    write(tmp_path / "old.parquet", [*texts[1::2], texts[0], ""], v=vectors(len(texts[1::2]) + 2))
    more = ("--against", str(tmp_path / "old.parquet"), "--candidates", "exact,minhash,neighbours")
    _, two, _ = both(tmp_path, *more, "--embedding", "v", "--threshold", "0.6", *within)
    where = pq.read_table(two / "removed")["survivor_in"].to_pylist()
    assert set(where) == ({"against", "input"} if within else {"against"})
    ends = {row["b_in"] for row in pq.read_table(two / "pairs").to_pylist()}
    assert ends == ({"against", "input"} if within else {"against"})


def vectors(count):
    return [[float(i % 5), 1.0, float(i % 3)] for i in range(count)]


def test_average_linkage_is_the_same_by_a_runner(tmp_path):
    texts = made_texts(14)
    write(tmp_path / "in.parquet", [*texts, *texts[:3], *(f"{text} at noon" for text in texts[:9])])
    more = ("--linkage", "average", "--candidates", "lexical", "--neighbours", "4", "--threshold", "0.6")
    more += ("--guard", "none", "--max_lost", "none")
    *_, summary = both(tmp_path, *more, "--keep", "central")
    assert summary["rows_removed"] > 3
    single = (*more[2:], "--keep", "central", "--overwrite")
    _, _, loose = both(tmp_path, *single)
    assert summary["clusters"] > loose["clusters"]  # it split a connected component


def test_one_to_one_is_the_same_by_a_runner(tmp_path):
    texts = made_texts(12)
    write(tmp_path / "in.parquet", [text for text in texts[:8] for _ in (0, 1)])
    write(tmp_path / "old.parquet", [*texts[2:], *texts[4:6]])
    more = ("--against", str(tmp_path / "old.parquet"), "--one_to_one", "--threshold", "0.6")
    _, two, summary = both(tmp_path, *more)
    representatives = pq.read_table(two / "removed")["survivor"].to_pylist()
    assert len(representatives) == len(set(representatives)) == summary["rows_removed"] > 3


@pytest.mark.parametrize("against", [False, True])
def test_scores_of_an_earlier_run_decide_the_same_by_a_runner(tmp_path, against):
    texts = made_texts(12)
    write(tmp_path / "in.parquet", [*texts, *texts[:3], *(f"{text} and on" for text in texts[:6]), "", None])
    write(tmp_path / "old.parquet", texts[8:])
    more = ("--against", str(tmp_path / "old.parquet"), "--within") if against else ()
    args = ["--input", str(tmp_path / "in.parquet"), "--text", "text", "--id", "name", "--threads", "1"]
    earlier = ["--threshold", "0.5", "--candidates", "lexical", "--neighbours", "4"]
    assert dedup.main([*args, *more, *earlier, "--output", str(tmp_path / "first")]) == 0
    _, _, summary = both(
        tmp_path, *more, "--from_pairs", str(tmp_path / "first"), "--threshold", "0.7", "--keep", "longest"
    )
    assert summary["pairs_scored"] == 0
    assert summary["rows_removed"] > 3


def test_given_pairs_of_two_files_are_one_source_on_one_machine_and_by_a_runner(tmp_path):
    write(tmp_path / "in.parquet", [*made_texts(6), *made_texts(1)])
    names = pq.read_table(tmp_path / "in.parquet")["name"].to_pylist()
    given = [(names[a], names[b]) for a, b in ((0, 1), (1, 0), (2, 3), (4, 5), (0, 0))] + [("no", names[1])]
    table = pa.table({"id_a": [a for a, _ in given], "id_b": [b for _, b in given]})
    pq.write_table(table.slice(0, 4), tmp_path / "pairs.parquet")
    pq.write_table(table.slice(4), tmp_path / "more.parquet")
    files = ",".join(f"pairs:{tmp_path / name}.parquet" for name in ("pairs", "more"))
    more = ("--candidates", files, "--threshold", "0.3")
    _, _, summary = both(tmp_path, *more)
    (report,) = summary["candidates"]
    assert (report["rows"], report["unknown"], report["same"], report["pairs"]) == (6, 1, 1, 3)


def test_too_many_pairs_stop_a_run_by_a_runner(tmp_path, capsys):
    write(tmp_path / "in.parquet", made_texts(12))
    args = ["--input", str(tmp_path / "in.parquet"), "--text", "text", "--output", str(tmp_path / "out")]
    assert dedup.main([*args, "--max_pairs", "3", "--runner", "FnApiRunner"]) == 2
    assert "--max_pairs 3: there are" in capsys.readouterr().err
