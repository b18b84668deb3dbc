"""Ctrl-C and SIGTERM at any moment: one line, no traceback, and the exit status of the signal."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from beam_sts.cli.main import VERBS

ROOT = Path(__file__).parents[2]
MOMENTS = int(os.environ.get("BEAM_STS_MOMENTS", "60"))
STATUS = {signal.SIGINT: (130, "interrupted. "), signal.SIGTERM: (143, "terminated. ")}


def _as_from_a_terminal():
    """Reset SIGINT: a shell's background jobs ignore it, and so would the processes that they start."""
    for number in STATUS:
        signal.signal(number, signal.SIG_DFL)


def _wait_until_attended(process):
    """Wait until SIGTERM is caught: Python itself catches only SIGINT, so the command's handlers are set."""
    bit = 1 << (signal.SIGTERM - 1)
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        caught = next((line for line in status.read_text().splitlines() if line.startswith("SigCgt")), "")
        if caught and int(caught.split()[1], 16) & bit:
            return
        time.sleep(0.001)


def interrupted(command, seconds, number, times=1):
    """Start a command, send a signal to its process group like a terminal, and return its status.

    The signal is sent ``seconds`` after the command has set its handlers; before that, Python starts.
    """
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
        preexec_fn=_as_from_a_terminal,
    ) as process:
        _wait_until_attended(process)
        time.sleep(seconds)
        for _ in range(times):
            if process.poll() is None:
                os.killpg(process.pid, number)
                time.sleep(0.01)
        _, said = process.communicate(timeout=120)
    status, word = STATUS[number]
    # At its end Python resets SIGTERM to its default.
    assert process.returncode in (status, 0, -signal.SIGTERM), (command, seconds, process.returncode, said)
    assert "Traceback" not in said
    lines = said.splitlines()
    assert len([line for line in lines if " pairs, " not in line]) <= 2, said  # a slow run shows its progress
    if process.returncode > 0:
        assert lines[-1].startswith(word), said
    return process.returncode


def python(*arguments):
    return [sys.executable, *arguments]


SCORE = ("--input", "examples/pairs.jsonl", "--overwrite", "--output")
PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


@pytest.mark.parametrize("verb", VERBS)
def test_the_first_second_of_every_verb(verb):
    command = python("-m", f"pipelines.{verb}", "--help")
    assert interrupted(command, 0, signal.SIGINT, times=2) == 130


def test_the_console_command_and_sigterm():
    start = (
        "import sys; sys.argv = ['beam-sts', 'score', '--help']; from beam_sts.cli.main import main; main()"
    )
    assert interrupted(python("-c", start), 0, signal.SIGTERM) == 143


def test_a_signal_that_is_ignored_stays_so():
    """As with ``command &`` in a script, Ctrl-C is not for this command."""
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); sys.argv = ['beam-sts']; "
        "import beam_sts; from beam_sts.interrupts import attended\n"
        "with attended(lambda word, status: b''): assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN"
    )
    assert subprocess.run(python("-c", code), cwd=ROOT, check=False).returncode == 0


def test_a_forked_child_does_not_answer_for_its_parent():
    code = (
        "import os, signal, sys, time; sys.argv = ['beam-sts']\n"
        "from beam_sts.interrupts import attended\n"
        "with attended(lambda word, status: b'told\\n'):\n"
        "    child = os.fork()\n"
        "    if not child: time.sleep(60)\n"
        "    time.sleep(0.2); os.kill(child, signal.SIGTERM); print(os.waitpid(child, 0)[1]); time.sleep(0.2)"
    )
    done = subprocess.run(python("-c", code), cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{int(signal.SIGTERM)}\n", "")


def test_signals_are_answered_before_anything_is_imported():
    """Without installed packages, because some make Python import more at its start."""
    code = "import sys; sys.argv = ['beam-sts']; import beam_sts"
    command = [sys.executable, "-S", "-X", "importtime", "-c", code]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stderr
    before, found, _ = told.partition("beam_sts.interrupts\n")
    assert found
    names = {line.rpartition("|")[2].strip() for line in before.splitlines()}
    assert not names & {"signal", "enum", "re", "contextlib", "logging", "beam_sts.cli", "beam_sts.errors"}


def workers_of(pid):
    """Process ids of the workers of a command that have begun to import."""
    children = [file.read_text().split() for file in Path(f"/proc/{pid}/task").glob("*/children")]
    found = [int(child) for line in children for child in line]
    words = {child: Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0") for child in found}
    # Beam starts a shell, which becomes the worker. Until then the command line is one argument of the shell,
    # and signals are not ignored yet.
    return sorted(child for child in found if b"beam_sts.cli.worker" in words[child])


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for it")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_answer_no_signal_and_end_with_their_command(number, tmp_path):
    command = python("-m", "pipelines.score", *SCORE, str(tmp_path / "out"), *PROCESSES)
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as process:
        deadline = time.monotonic() + 60
        while len(workers := workers_of(process.pid)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for worker in workers:  # while they import Beam
            os.kill(worker, signal.SIGINT)
            os.kill(worker, signal.SIGTERM)
        time.sleep(0.2)
        assert workers_of(process.pid) == workers
        os.kill(process.pid, number)
        _, said = process.communicate(timeout=60)  # the workers have standard error open too
    if number == signal.SIGKILL:
        assert (process.returncode, said) == (-number, "")
    else:
        assert (process.returncode, len(said.splitlines())) == (STATUS[number][0], 1), said


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), PROCESSES], ids=["one", "processes"])
def test_at_any_moment_of_a_run(more, tmp_path):
    """``pytest -m slow tests/cli/test_interrupts.py``: some 10 minutes; BEAM_STS_MOMENTS says how many."""
    rng = random.Random(26)
    command = python("-m", "pipelines.score", *SCORE, str(tmp_path / "out"), *more)
    started = time.monotonic()
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0
    whole = time.monotonic() - started
    for _ in range(MOMENTS):
        interrupted(command, rng.uniform(0, whole), rng.choice(list(STATUS)), times=rng.choice((1, 1, 2)))
