"""The console command, the terminal output that all verbs share, and ``beam-sts models``."""

import importlib
import json
import shlex
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.cli import main, models, score
from beam_sts.models import registry
from tests.checkpoints import SENTENCES

BEAMS = ("score", "dedup", "mine", "evaluate")  # verbs that accept Beam's options too
PARSERS = {verb: importlib.import_module(f"beam_sts.cli.{verb}").parser for verb in main.verbs()}


@pytest.fixture(autouse=True)
def program_name(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pytest"])


@pytest.fixture
def source(tmp_path):
    table = pa.table({"text_a": SENTENCES[:7] * 20, "text_b": SENTENCES[6::-1] * 20})
    pq.write_table(table, tmp_path / "in.parquet")
    return str(tmp_path / "in.parquet")


def test_the_verbs_that_are_there_are_listed_and_no_others(capsys):
    assert main.main(["--help"]) == 0
    said = capsys.readouterr().out
    assert {"score", "evaluate", "train", "models"} <= set(main.verbs()) <= set(main.VERBS)
    for verb in main.VERBS:
        assert (f"\n  {verb} " in said) == (verb in main.verbs())
    assert all(len(line) > 20 for line in main.verbs().values())


def test_a_misspelt_verb_is_refused_with_the_nearest(capsys):
    with pytest.raises(SystemExit) as stopped:
        main.main(["scroe"])
    assert stopped.value.code == 2
    assert "unknown verb scroe; did you mean score?" in capsys.readouterr().err


def test_help_of_the_console_command_imports_neither_torch_nor_beam():
    check = (
        "import sys; sys.argv = ['beam-sts', '--help']; from beam_sts.cli.main import main; main(); "
        "print([name for name in ('torch', 'apache_beam', 'transformers', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("verb", PARSERS)
def test_help_has_own_options_then_beams_then_examples(verb, monkeypatch):
    monkeypatch.setattr(sys, "argv", [f"beam-sts {verb}"])
    said = PARSERS[verb]().format_help()
    assert said.startswith(f"usage: beam-sts {verb} ")
    own, beams, examples = (said.find(part) for part in ("--help", "Beam's options, such as", "examples:"))
    assert 0 < own < examples
    if verb in BEAMS:
        assert own < said.find("\n  --output") < beams < said.find("--direct_num_workers ") < examples
    else:
        assert beams == -1
    assert f"  beam-sts {verb}" in said[examples:]


@pytest.mark.parametrize("verb", PARSERS)
def test_the_examples_in_help_parse(verb):
    for example in importlib.import_module(f"beam_sts.cli.{verb}").EXAMPLES:
        parser = PARSERS[verb]()
        (parser.split if verb in BEAMS else parser.parse)(shlex.split(example))


@pytest.mark.parametrize(
    ("verb", "arguments", "near"),
    [
        ("score", ["--input", "x", "--output", "y", "--treshold", "0.5"], "--threshold"),
        ("score", ["--input", "x", "--output", "y", "--runer=x"], "--runner"),
        ("evaluate", ["--input", "x", "--groups", "y"], "--group"),
        ("train", ["all", "--smok"], "--smoke"),
        ("models", ["--sped"], "--speed"),
        ("score", ["--inptu", "x", "--output", "y"], "--input"),
        ("evaluate", ["--inputs=x"], "--input"),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest(verb, arguments, near, capsys):
    parser = PARSERS[verb]()
    with pytest.raises(SystemExit) as stopped:
        (parser.split if verb in BEAMS else parser.parse)(arguments)
    assert stopped.value.code == 2
    assert f"did you mean {near}?" in capsys.readouterr().err


@pytest.mark.parametrize("shell", main.SHELLS)
def test_completion_knows_verbs_and_options(shell, capsys):
    pytest.importorskip("shtab", reason="needs the extra 'completion'")
    assert main.main(["--completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("evaluate", "--threshold", "--group", "--smoke"):
        assert word.lstrip("-") in script


def test_quiet_prints_nothing(source, tmp_path, tiny, capsys):
    flags = ["--input", source, "--output", str(tmp_path / "out"), "--model", str(tiny), "--quiet"]
    assert score.main(flags) == 0
    said = capsys.readouterr()
    assert said.out == said.err == ""
    assert score.main([*flags, "--threshold", "0.5"]) == 2
    assert "was made with other settings" in capsys.readouterr().err


def test_json_lines_for_programs(source, tmp_path, tiny, capsys):
    flags = [
        "--input",
        source,
        "--output",
        str(tmp_path / "out"),
        "--model",
        str(tiny),
        "--log_format",
        "json",
    ]
    assert score.main(flags) == 0
    (line,) = capsys.readouterr().out.splitlines()
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert json.loads(line) == {"event": "summary", **summary}
    assert score.main([*flags, "--empty", "reject"]) == 2
    error = json.loads(capsys.readouterr().err)
    assert (error["event"], error["status"]) == ("error", 2)
    assert "empty was" in error["message"]


def test_the_table_at_the_end_names_output_report_and_next_command(source, tmp_path, tiny, capsys):
    out = tmp_path / "out"
    assert score.main(["--input", source, "--output", str(out), "--model", str(tiny)]) == 0
    rows = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert rows["read"] == "140 rows"
    assert rows["output"] == f"{out}/scores"
    assert rows["report"] == f"{out}/report.html"
    done = subprocess.run(rows["next"], shell=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"score" in done.stdout


def test_progress_says_rate_time_left_and_file(capsys, monkeypatch):
    import time

    from beam_sts.cli import progress as speaking
    from beam_sts.cli.console import Console

    monkeypatch.setattr(speaking, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(speaking, "_LOG_SECONDS", 0.05)
    done = iter(range(0, 100_000))
    for console in (Console(), Console(json=True)):
        with speaking.progress(
            1000, lambda: next(done), "pairs", where=lambda: "b.csv (2 of 3)", console=console
        ):
            time.sleep(0.4)
        line = capsys.readouterr().err.splitlines()[0]
        if console.json:
            event = json.loads(line)
            assert (event["event"], event["total"], event["at"]) == ("progress", 1000, "b.csv (2 of 3)")
            assert event["per_second"] > 0
        else:
            assert "of 1,000 pairs" in line
            assert line.endswith(" s left, b.csv (2 of 3)")


def test_models_lists_embedded_known_and_cached_ones(tmp_path, monkeypatch, capsys):
    def cached(name, config):
        folder = tmp_path / f"models--{name.replace('/', '--')}"
        snapshot = folder / "snapshots" / ("0" * 40)
        snapshot.mkdir(parents=True)
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text("0" * 40)
        (snapshot / "config.json").write_text(json.dumps(config))

    one = {"architectures": ["BertForSequenceClassification"], "model_type": "bert", "id2label": {"0": "x"}}
    cached("me/pair-model", {**one, "max_position_embeddings": 512})
    cached("me/two-labels", {**one, "id2label": {"0": "x", "1": "y"}})
    cached("me/default-labels", {"architectures": one["architectures"], "model_type": "bert"})
    cached("me/encoder", {"architectures": ["BertModel"], "model_type": "bert"})
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.utils._cache_manager.HF_HUB_CACHE", str(tmp_path))
    assert models.main(["--log_format", "json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["models"]}
    names = [info.name for info in registry.known_models()]
    assert list(rows) == [*names, "me/pair-model"]
    assert rows["me/pair-model"]["where"] == "cached"
    nano = rows["beam-sts-nano"]
    assert (nano["where"], nano["parameters"], nano["figures"]) == ("embedded", 978_817, "measured here")
    assert models.main([]) == 0
    assert "beam-sts-nano" in capsys.readouterr().out


@pytest.mark.slow
def test_models_measures_speed_of_what_is_here(capsys):
    assert models.main(["--speed", "--log_format", "json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["models"]}
    assert rows["beam-sts-nano"]["pairs_per_second"] > 10
    assert all(row["pairs_per_second"] is None for row in rows.values() if row["where"] == "hub")


def test_no_folder_for_temporary_files_is_one_line():
    """A container in which only the output folder is writable."""
    code = (
        "import sys, tempfile; sys.argv = ['beam-sts', 'score']; "
        "tempfile._candidate_tempdir_list = lambda: ['/nowhere', '/proc/none']; "
        "from beam_sts.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: No usable temporary directory found in ['/nowhere', '/proc/none']")
    assert line.endswith("TMPDIR to a folder that can be written.")
