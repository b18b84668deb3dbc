"""The command line of score: in this process, or in a separate one if it is killed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts import PairScorer
from beam_sts.cli import score
from beam_sts.scoring.decisions import decisive
from tests.checkpoints import SENTENCES
from tests.pairs.test_beam_handler import poison  # noqa: F401  a fixture

ROOT = Path(__file__).parents[2]


def _table(rows, prefix="sentence"):
    texts = [SENTENCES[i % 7] for i in range(rows)]
    others = [SENTENCES[i % 5] for i in range(rows)]
    return pa.table(
        {"id": range(rows), f"{prefix}1": texts, f"{prefix}2": others, "extra": [[i] for i in range(rows)]}
    )


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.parquet"
    pq.write_table(_table(500), path, row_group_size=90)
    return path


def _args(source, output, model, *more):
    return ["--input", str(source), "--output", str(output), "--model", str(model), "--threads", "1", *more]


def _run(source, output, model, *more):
    """Run in this process, and return exit status and summary."""
    status = score.main(_args(source, output, model, *more))
    return status, json.loads((output / "summary.json").read_text()) if status == 0 else None


def _read(folder):
    return pq.read_table(folder)


def _bytes(output):
    """Every shard, by name."""
    return {
        str(p.relative_to(output)): p.read_bytes()
        for folder in ("scores", "matches", "rejected")
        for p in sorted((output / folder).glob("*"))
    }


def test_every_column_and_row_comes_through_in_order_with_its_score(source, tmp_path, tiny):
    status, summary = _run(source, tmp_path / "out", tiny, "--rows_per_shard", "120")
    given, table = _table(500), _read(tmp_path / "out" / "scores")
    assert status == 0
    assert table.drop(["score"]).equals(given.cast(table.schema.remove(4)))
    pairs = list(zip(given["sentence1"].to_pylist(), given["sentence2"].to_pylist(), strict=True))
    np.testing.assert_allclose(table["score"].to_numpy(), PairScorer(tiny).score(pairs), atol=2e-6)
    shards = sorted(p.name for p in (tmp_path / "out" / "scores").iterdir())
    assert shards == [f"part-{i:06d}.parquet" for i in range(5)]
    assert [pq.read_metadata(tmp_path / "out" / "scores" / s).num_rows for s in shards] == [120] * 4 + [20]
    assert summary["rows_read"] == summary["rows_scored"] == 500
    assert summary["rows_rejected"] == summary["shards_skipped"] == 0
    assert summary["pairs_reused"] > 0
    assert 1 <= summary["padding_ratio"] < 1.5
    assert list(summary["score_quantiles"]) == ["0.01", "0.05", "0.25", "0.5", "0.75", "0.95", "0.99"]
    assert _read(tmp_path / "out" / "rejected").num_rows == 0
    assert not list((tmp_path / "out").rglob(".*"))


def test_null_texts_are_rejected_with_file_row_and_reason(tmp_path, tiny):
    table = _table(50).to_pylist()
    table[7]["sentence1"] = table[31]["sentence2"] = None
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "in.parquet")
    _, summary = _run(tmp_path / "in.parquet", tmp_path / "out", tiny, "--rows_per_shard", "20")
    rejected = _read(tmp_path / "out" / "rejected").to_pylist()
    assert [(r["file"], r["row"], r["reason"], r["record"]["id"]) for r in rejected] == [
        (str(tmp_path / "in.parquet"), 7, "null in column 'sentence1'", 7),
        (str(tmp_path / "in.parquet"), 31, "null in column 'sentence2'", 31),
    ]
    assert (summary["rows_scored"], summary["rows_rejected"], summary["rows_read"]) == (48, 2, 50)
    assert summary["rejected_reasons"] == {"null in column 'sentence1'": 1, "null in column 'sentence2'": 1}


def test_json_lines_with_bad_ones_are_scored_and_rejected(tmp_path, tiny):
    lines = [json.dumps(row) for row in _table(40, "text").to_pylist()]
    lines[3], lines[30] = "{oops", json.dumps({"text1": 5, "text2": "x"})
    (tmp_path / "in.jsonl").write_text("\n\n".join(lines))
    _, summary = _run(tmp_path / "in.jsonl", tmp_path / "out", tiny, "--rows_per_shard", "7")
    rejected = _read(tmp_path / "out" / "rejected").to_pylist()
    assert [(r["row"], r["line"]) for r in rejected] == [(3, "{oops"), (30, lines[30])]
    assert rejected[0]["reason"].startswith("line 7: not valid JSON")
    assert _read(tmp_path / "out" / "scores")["id"].to_pylist() == [i for i in range(40) if i not in (3, 30)]
    assert summary["rows_scored"] + summary["rows_rejected"] == summary["rows_read"] == 40


def test_a_threshold_also_writes_the_matches(source, tmp_path, tiny):
    rows = pq.read_table(source, columns=["sentence1", "sentence2"])
    middle = round(float(np.median(PairScorer(tiny).run(*rows.columns).scores)), 5)
    _, summary = _run(source, tmp_path / "out", tiny, "--threshold", str(middle), "--score_column", "s")
    scores, matches = (_read(tmp_path / "out" / name) for name in ("scores", "matches"))
    matching = decisive(scores["s"].to_numpy()) >= np.float32(middle)
    expected = [row for row, matches_it in zip(scores.to_pylist(), matching, strict=True) if matches_it]
    assert matches.to_pylist() == expected
    assert summary["matches"] == len(expected)
    assert 0 < len(expected) < 500


def test_memory_urls_work_for_input_and_output(source, tiny, capsys):
    import fsspec

    fs = fsspec.filesystem("memory")
    fs.put(str(source), "/in/pairs.parquet")
    assert score.main(_args("memory://in/*.parquet", "memory://out", tiny)) == 0
    with fs.open("/out/scores/part-000000.parquet") as stream:
        assert pq.read_table(stream).num_rows == 500
    assert json.loads(fs.cat("/out/summary.json"))["rows_scored"] == 500


def test_an_input_without_rows_gives_an_empty_shard_with_the_schema(tmp_path, tiny):
    pq.write_table(_table(0), tmp_path / "in.parquet")
    _, summary = _run(tmp_path / "in.parquet", tmp_path / "out", tiny)
    table = _read(tmp_path / "out" / "scores")
    assert (table.num_rows, table.column_names[-1]) == (0, "score")
    assert summary["rows_read"] == 0


def test_a_second_run_scores_nothing_and_says_so(source, tmp_path, tiny, capsys):
    _run(source, tmp_path / "out", tiny, "--rows_per_shard", "100")
    before = _bytes(tmp_path / "out")
    _, summary = _run(source, tmp_path / "out", tiny, "--rows_per_shard", "100")
    assert summary["shards_skipped"] == 5
    assert summary["rows_scored"] == 500
    assert _bytes(tmp_path / "out") == before
    assert "5 of 5 shards existed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (["--threshold", "0.9"], "threshold"),
        (["--symmetric"], "symmetric"),
        (["--rows_per_shard", "50"], "rows_per_shard"),
    ],
)
def test_changed_settings_on_an_existing_output_are_refused(source, tmp_path, tiny, change, named, capsys):
    _run(source, tmp_path / "out", tiny)
    before = _bytes(tmp_path / "out")
    assert score.main(_args(source, tmp_path / "out", tiny, *change)) == 2
    assert named in capsys.readouterr().err
    assert _bytes(tmp_path / "out") == before


def test_a_changed_input_or_model_is_refused_unless_overwritten(source, tmp_path, tiny, full_size, capsys):
    _run(source, tmp_path / "out", tiny)
    assert score.main(_args(source, tmp_path / "out", full_size)) == 2
    assert re.search(
        r": model was \S+ \([0-9a-f]{12}\.\.\.\), is \S+ \([0-9a-f]{12}", capsys.readouterr().err
    )
    pq.write_table(_table(499), source)
    assert score.main(_args(source, tmp_path / "out", tiny)) == 2
    assert f"input file {source} has" in capsys.readouterr().err
    _, summary = _run(source, tmp_path / "out", tiny, "--overwrite")
    assert summary["rows_scored"] == 499


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--input": "nowhere/*.parquet"}, "no file matches"),
        ({"--text_a": "nope", "--text_b": "sentence2"}, "--text_a nope: is not in the input"),
        ({"--text_a": "id", "--text_b": "sentence2"}, "column 'id' holds int64"),
        ({"--model": "beam-sts-nono"}, "did you mean"),
        ({"--rows_per_shard": "0"}, "--rows_per_shard 0"),
        ({"--device": "cuda"}, "no CUDA device"),
        ({"--output": "/proc/nope"}, "cannot be written"),
    ],
)
def test_mistakes_are_one_screen_before_the_long_work(source, tmp_path, tiny, change, message, capsys):
    flags = {"--input": str(source), "--output": str(tmp_path / "out"), "--model": str(tiny)} | change
    assert score.main([part for pair in flags.items() for part in pair]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) <= 5
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_an_unreadable_file_is_named(tmp_path, tiny, capsys):
    (tmp_path / "in.parquet").write_bytes(b"PAR1 not really")
    assert score.main(_args(tmp_path / "in.parquet", tmp_path / "out", tiny)) == 2
    assert "in.parquet: not a readable Parquet file" in capsys.readouterr().err


def test_a_folder_that_holds_something_else_is_left_alone(source, tmp_path, tiny, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    assert score.main(_args(source, tmp_path / "out", tiny, "--overwrite")) == 2
    assert "other files (thesis.tex)" in capsys.readouterr().err
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    ("flag", "near"),
    [
        ("--thresold", "--threshold"),
        ("--runer=X", "--runner"),
        ("--direct_num_worker", "--direct_num_workers"),
    ],
)
def test_an_unknown_option_names_the_nearest(source, tmp_path, tiny, flag, near, capsys):
    with pytest.raises(SystemExit) as stopped:
        score.main(_args(source, tmp_path / "out", tiny, flag))
    assert stopped.value.code == 2
    assert f"did you mean {near}?" in capsys.readouterr().err


def test_own_options_do_not_collide_with_beams():
    from beam_sts.cli.args import _beam_parser

    own = set(score.parser()._option_string_actions) - {"-h", "--help", "--help_beam"}
    assert own & set(_beam_parser()._option_string_actions) == set()


def test_an_estimate_reads_a_sample_and_writes_nothing(source, tmp_path, tiny, capsys):
    assert score.main(_args(source, tmp_path / "out", tiny, "--estimate")) == 0
    out = capsys.readouterr().out
    assert "500 in 1 file, 1 shard" in out
    assert "pairs/s" in out
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("poison")
def test_a_pair_on_which_the_backend_raises_is_rejected_alone(source, tmp_path, tiny, monkeypatch):
    native_alone = ("--rows_per_shard", "120", "--backend", "native")
    _, summary = _run(source, tmp_path / "out", tiny, *native_alone)
    table = _table(500)
    pairs = zip(table["sentence1"].to_pylist(), table["sentence2"].to_pylist(), strict=True)
    poisoned = [row for row, pair in enumerate(pairs) if "guitar" in "".join(pair)]
    rejected = _read(tmp_path / "out" / "rejected").to_pylist()
    assert [row["row"] for row in rejected] == poisoned
    assert {row["reason"] for row in rejected} == {"FloatingPointError: poisoned"}
    assert summary["rows_scored"] + len(poisoned) == summary["rows_read"] == 500
    monkeypatch.undo()
    _run(source, tmp_path / "whole", tiny, *native_alone)
    whole = {row["id"]: row["score"] for row in _read(tmp_path / "whole" / "scores").to_pylist()}
    for row in _read(tmp_path / "out" / "scores").to_pylist():
        assert row["score"] == pytest.approx(whole.pop(row["id"]), abs=2e-6)
    assert sorted(whole) == poisoned


def _start(*args, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines.score", *args],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        **options,
    )


def _wait_for_shards(process, output, count):
    deadline = time.monotonic() + 120
    while len(list(output.glob("scores/part-*"))) < count:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def long_source(tmp_path):
    """Input for some seconds of work of a model of full size, in many shards."""
    rows = 3000
    texts = [" ".join([SENTENCES[i % 7], str(i), *SENTENCES[:5]]) for i in range(rows)]
    pq.write_table(
        pa.table({"id": range(rows), "text_a": texts, "text_b": texts[::-1]}), tmp_path / "in.parquet"
    )
    return tmp_path / "in.parquet"


def test_a_killed_run_resumes_to_the_bytes_of_an_unbroken_one(long_source, tmp_path, full_size):
    shards = ("--rows_per_shard", "50", "--threshold", "0.5")
    assert score.main(_args(long_source, tmp_path / "whole", full_size, *shards)) == 0
    out = tmp_path / "out"
    for wanted in (5, 20):
        with _start(*_args(long_source, out, full_size, *shards)) as process:
            _wait_for_shards(process, out, wanted)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert not (out / "summary.json").exists()
    _, summary = _run(long_source, out, full_size, *shards)
    assert 20 <= summary["shards_skipped"] < 60
    assert _bytes(out) == _bytes(tmp_path / "whole")
    assert not list(out.rglob(".*"))
    whole = json.loads((tmp_path / "whole" / "summary.json").read_text())
    differing = {key for key in whole if whole[key] != summary[key]}
    assert differing <= {"seconds", "pairs_per_second", "shards_skipped", "started", "timeline"}


def test_a_second_process_is_refused_and_ctrl_c_leaves_a_resumable_output(
    long_source, tmp_path, full_size, capsys
):
    out = tmp_path / "out"
    shards = ("--rows_per_shard", "5")
    with _start(*_args(long_source, out, full_size, *shards)) as process:
        _wait_for_shards(process, out, 3)
        process.send_signal(signal.SIGSTOP)  # so that it does not end before the second run begins
        assert score.main(_args(long_source, out, full_size, *shards)) == 2
        process.send_signal(signal.SIGCONT)
        assert f"process {process.pid} on" in capsys.readouterr().err
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        error = process.stderr.read()
    assert "run the same command again" in error
    assert "Traceback" not in error
    _, summary = _run(long_source, out, full_size, *shards)
    assert summary["shards_skipped"] >= 3
    assert summary["rows_scored"] == 3000


def test_processes_give_the_same_bytes_as_one(long_source, tmp_path, full_size):
    shards = ("--rows_per_shard", "300")
    assert score.main(_args(long_source, tmp_path / "one", full_size, *shards)) == 0
    many = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    with _start(*_args(long_source, tmp_path / "many", full_size, *shards, *many)) as process:
        _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert _bytes(tmp_path / "many") == _bytes(tmp_path / "one")


def test_stsb_through_the_pipeline_has_the_scorers_pearson(tmp_path, tiny):
    source = ROOT.parent / "shared" / "data" / "stsb" / "test.parquet"
    if not source.is_file():
        pytest.skip(f"{source} is not on this machine")
    assert score.main(_args(source, tmp_path / "out", "beam-sts-nano", "--score_column", "similarity")) == 0
    table = _read(tmp_path / "out" / "scores")
    pairs = list(zip(table["sentence1"].to_pylist(), table["sentence2"].to_pylist(), strict=True))
    gold = table["score"].to_numpy()
    through, direct = (
        np.corrcoef(gold, scores)[0, 1]
        for scores in (table["similarity"].to_numpy(), PairScorer().score(pairs))
    )
    assert through == pytest.approx(direct, abs=1e-6)
    assert through >= 0.70
