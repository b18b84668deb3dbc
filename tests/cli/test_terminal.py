"""Output of every verb has no control sequences for the terminal, and works with any encoding and pipe."""

import ast
import contextlib
import json
import logging
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import grpc
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.cli import dedup, evaluate, explain, label, mine, score, terminal
from beam_sts.cli.console import Console, guarded
from beam_sts.cli.progress import progress
from tests.checkpoints import SENTENCES

ROOT = Path(__file__).parents[2]
ATTACK = "\x1b]0;PWNED\x07\x1b[31mR\x9b2J\u202e\u2066\u200b\nerror: faked\r\x7f"


def acts(text):
    """The characters of a text that control a terminal, except our line breaks and tabs."""
    kinds = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return [letter for letter in text if letter not in "\n\t" and unicodedata.category(letter) in kinds]


@pytest.mark.parametrize(
    "text", [ATTACK, "caf\u00e9 \u65e5\u672c \U0001f600 e\u0301", "a\u00a0b", "\udcff.csv"]
)
def test_ordinary_letters_stay_and_others_are_spelled_out(text):
    shown = terminal.safe(text)
    assert acts(shown) == []
    assert "\n" not in shown
    assert terminal.safe(shown) == shown
    if not acts(text):
        assert shown == text
    shown.encode()


def test_all_that_is_printed_goes_through_the_one_writer():
    """No other module writes to a standard stream; this checks their sources."""
    generators = {
        "beam_sts/models/__main__.py",
        "beam_sts/io/format_tables.py",
    }  # these print tables for the documentation
    found = []
    for path in [*ROOT.glob("beam_sts/**/*.py"), *ROOT.glob("pipelines/*.py")]:
        name = path.relative_to(ROOT).as_posix()
        if name in {*generators, "beam_sts/cli/terminal.py"}:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and "DeprecationWarning" not in map(ast.unparse, node.args):
                called = ast.unparse(node.func)
                if called in {"print", "warnings.warn", "traceback.print_exc", "sys.excepthook", "input"} or (
                    called.startswith(("sys.stdout.", "sys.stderr.", "sys.__std"))
                    and called.endswith(("write", "writelines"))
                ):
                    found.append(f"{name}:{node.lineno}: {called}")
    assert found == []


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Files, columns, ids, texts and a finished deduplication, all with hostile names."""
    folder = tmp_path_factory.mktemp("terminal") / f"d{ATTACK.replace('/', '')}"
    folder.mkdir()
    texts = [f"A cat number {number} sat on the mat {ATTACK}" for number in range(12)] * 2
    ids = [f"{number}{ATTACK}" for number in range(24)]
    table = pa.table({"id": ids, "text": texts, f"c{ATTACK}": texts, "text_a": texts, "text_b": texts[::-1]})
    pq.write_table(table, folder / "ok.parquet")
    pq.write_table(pa.concat_tables([table, table]), folder / "twice.parquet")
    (folder / "bad.parquet").write_bytes(b"not parquet")
    (folder / "bad.jsonl").write_text(
        '{"text_a": 5\n{"text_a":"x","text_b":"y"}\n{"text_a":7,"text_b":"\\u001b[2J"}\n'
    )
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text(
        json.dumps({"model_type": ATTACK, "architectures": [ATTACK]})
    )
    assert dedup.main([*_in(folder), "--output", str(folder / "run"), "--id", "id", "--quiet"]) == 0
    return folder, ids


def _in(folder):
    return ["--input", str(folder / "ok.parquet"), "--text", "text", "--threads", "1"]


def _calls(folder, ids):
    ok = ["--input", str(folder / "ok.parquet")]
    to = ["--output", str(folder / "out")]
    return [
        (score.main, [*ok, *to]),
        (score.main, [*ok, *to, "--empty", "reject"]),
        (score.main, ["--input", str(folder / "bad.parquet"), *to]),
        (score.main, ["--input", str(folder / f"gone{ATTACK}.parquet"), *to]),
        (score.main, ["--input", str(folder / "bad.jsonl"), "--output", str(folder / "rejected")]),
        (score.main, [*ok, *to, "--text_a", f"no{ATTACK}", "--text_b", "text_b"]),
        (score.main, [*ok, *to, "--model", str(folder / "model")]),
        (score.main, [*ok, *to, "--model", f"m{ATTACK}"]),
        (score.main, [*ok, *to, "--threshold", ATTACK]),
        (score.main, [*ok, *to, f"--odd{ATTACK}"]),
        (score.main, [*ok, *to, ATTACK]),
        (score.main, [*ok, *to, "--log_format", "json", "--overwrite"]),
        (dedup.main, [*_in(folder), *to, "--id", "id", "--keep", f"highest:{ATTACK}"]),
        (dedup.main, [*_in(folder), *to, "--id", f"no{ATTACK}"]),
        (
            dedup.main,
            ["--input", str(folder / "twice.parquet"), "--text", "text", "--id", "id", *to, "--overwrite"],
        ),
        (dedup.main, [*_in(folder), "--id", "id", "--output", str(folder / "two"), "--candidates", ATTACK]),
        (explain.main, ["--run", str(folder / "run"), ids[0]]),
        (explain.main, ["--run", str(folder / "run"), ids[13]]),
        (explain.main, ["--run", str(folder / "run"), ATTACK]),
        (explain.main, ["--run", ATTACK, "x"]),
        (label.main, ["--run", str(folder / "run"), "--sheet", str(folder / f"s{ATTACK}.csv")]),
        (label.main, ["--run", str(folder / "run"), "--read", str(folder / "bad.jsonl")]),
        (evaluate.main, [*ok, "--group", f"c{ATTACK}"]),
        (evaluate.main, [*ok, "--score", f"c{ATTACK}"]),
        (mine.main, [*_in(folder), "--output", str(folder / "mined")]),
    ]


def test_no_verb_prints_what_acts_on_a_terminal(hostile, capfd, monkeypatch):
    folder, ids = hostile
    for command, arguments in _calls(folder, ids):
        with contextlib.suppress(SystemExit):  # the option is refused
            command(arguments)
        said = capfd.readouterr()
        for stream in said:
            assert acts(stream) == [], (arguments, stream)
            assert "\nerror: faked" not in stream
            if "json" in arguments:
                for line in stream.splitlines():
                    json.loads(line)
        assert said.out or said.err
    for path in folder.rglob("*.html"):
        assert "\x1b" not in path.read_text()


def test_libraries_threads_and_bars_are_made_safe_too(capfd, monkeypatch):
    def run():
        sys.stderr.write(f"a library prints {ATTACK}\n")
        monkeypatch.setattr(sys.stderr.raw, "isatty", lambda: True)
        with progress(10, lambda: 3, "pairs", where=lambda: ATTACK):
            pass
        logging.getLogger("any").error("logged %s", ATTACK)
        raise ValueError(ATTACK)

    monkeypatch.setenv("BEAM_STS_DEBUG", "1")
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler()])
    assert guarded(run, stays="Nothing was written") == 1
    said = capfd.readouterr().err
    assert "a library prints" in said
    assert "logged" in said
    assert "Traceback" in said
    assert [letter for letter in acts(said) if letter != "\r"] == []


@pytest.mark.parametrize("form", [False, True])
def test_an_error_is_one_block_whatever_is_in_it(form, capfd):
    assert Console(json=form).error(1, f"name {ATTACK}", "second") == 1
    lines = capfd.readouterr().err.splitlines()
    if form:
        assert json.loads(lines[0])["message"] == f"name {ATTACK}\nsecond"
        assert lines[0].isascii()
    else:
        assert len(lines) == 2
        assert acts("".join(lines)) == []


def _run(arguments, **options):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        check=False,
        timeout=300,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


def test_an_encoding_without_the_letters_is_no_crash(tmp_path):
    (tmp_path / "caf\u00e9.jsonl").write_text('{"text_a": "a", "text_b": "b", "who": "\u65e5\u672c"}\n' * 3)
    source = str(tmp_path / "caf\u00e9.jsonl")
    done = _run(
        ["-m", "pipelines.evaluate", "--input", source, "--group", "who"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"caf\\xe9.jsonl" in done.stdout
    assert b"\\u65e5\\u672c" in done.stdout


@pytest.mark.parametrize("arguments", [["pipelines.main", "--help"], ["pipelines.models", "--help"]])
def test_help_to_a_reader_that_has_left_is_quiet(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    done = _run(["-m", *arguments], stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_closed_streams_and_no_home_are_no_failure(tmp_path):
    command = f'"{sys.executable}" -m pipelines.evaluate --input examples/pairs.jsonl --report "$1" {{}}'
    bare = {name: value for name, value in os.environ.items() if name != "HOME"}
    for number, closed in enumerate((">&-", "2>&-", ">&- 2>&- <&-")):
        report = tmp_path / f"{number}.html"
        shell = ["sh", "-c", command.replace("{}", closed), "sh", str(report)]
        assert subprocess.run(shell, cwd=ROOT, env=bare, check=False, timeout=300).returncode == 0
        assert report.read_text().rstrip().endswith("</html>")


def test_an_error_of_grpc_is_told_by_its_code_and_details(capfd):
    """As a text it has five lines; the last is ">"."""

    def run():
        with grpc.insecure_channel("127.0.0.1:1") as channel:  # there is no runner at this port
            return channel.unary_unary("/a/b")(b"", timeout=20)

    assert guarded(run, stays="All stays", again="run the same command again") == 1
    said = capfd.readouterr().err
    assert said.startswith("failed: gRPC UNAVAILABLE: failed to connect")
    assert "once the cause is gone" in said


def test_a_fault_says_so_and_what_may_pass_says_how_to_go_on(capfd):
    def failing(error):
        def run():
            raise error

        return run

    for error in (TypeError("x"), KeyError("y"), ValueError("z"), pa.ArrowNotImplementedError("extension")):
        assert guarded(failing(error), stays="All stays", again="run the same command again") == 1
        said = capfd.readouterr().err
        assert "This is a fault of beam_sts, or an input that it does not support." in said
        assert "BEAM_STS_DEBUG=1 prints the traceback. Please report it" in said
        assert "again" not in said
    outside = RuntimeError("ConnectionResetError: gone [while running 'Score']")
    limit = RuntimeError("can't start new thread")
    space = OSError(28, "No space left on device")
    for error in (space, ConnectionError("reset"), MemoryError(), outside, limit):
        assert guarded(failing(error), stays="All stays", again="run the same command again") == 1
        said = capfd.readouterr().err
        assert "All stays: once the cause is gone, run the same command again." in said
        assert "fault" not in said
        assert SENTENCES


def test_missing_credentials_are_asked_for(capfd):
    class NoCredentialsError(Exception):
        """As botocore's, which is an extra."""

    def run():
        raise NoCredentialsError("Unable to locate credentials")

    assert guarded(run, stays="All stays", again="run the same command again") == 1
    said = capfd.readouterr().err
    assert "All stays: with credentials (--storage_options FILE, or" in said
    assert "store), run the same command again." in said


LOST = (
    "org.apache.spark.SparkException: Job aborted: Task 0 failed 4 times: CANCELLED: call already cancelled"
)
STACK = "\n\tat io.grpc.Status.make(Status.java:524)\n\tat java.base/a.B.run(B.java:1)\n\nDriver stacktrace:"
PYTHON = "Error from a worker: Traceback (most recent call last):\n  File \"x.py\", line 1\nKeyError: 'y'"


@pytest.mark.parametrize(
    ("text", "line", "fault"), [(LOST, LOST, False), (PYTHON, "KeyError: 'y'", True)], ids=["lost", "raised"]
)
def test_an_error_of_a_job_server_is_told_in_its_one_line(text, line, fault, capfd):
    """The error's text has a Java stack trace after it, and Beam logs it too."""

    def run():
        logging.getLogger("beam_sts.test").error("%s", text + STACK)
        raise RuntimeError(text + STACK)

    assert guarded(run, stays="All stays", again="run the same command again") == 1
    said = capfd.readouterr().err
    assert f"failed: RuntimeError: {line}" in said
    assert ("fault of beam_sts" in said) == fault
    assert ("All stays: once the cause is gone, run the same command again." in said) == (not fault)
