"""A scorer in other processes: forked after its use, pickled, spawned. Each test has a time limit."""

import copy
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from beam_sts import PairScorer, UserError
from beam_sts.scoring.threads import _Gate
from tests import architectures

ROOT = Path(__file__).parents[2]
PAIRS = [("a man plays", "a guitar"), ("the fox", "the dog"), ("", "oil")]
HEAD = f"""
import multiprocessing, os, signal, sys, threading
from beam_sts import PairScorer

PAIRS = {PAIRS!r} * 40

def score(number):
    return scorer.score(PAIRS).tobytes()

def apply(scorer):
    return scorer.score(PAIRS).tobytes()

def forked(work, seconds=120):
    child = os.fork()
    if child == 0:
        signal.alarm(seconds)  # a hang ends by this signal
        os._exit(0 if work() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""


def _run(code, *arguments, timeout=300):
    """Run a script in a new session, with a time limit."""
    command = [sys.executable, "-c", HEAD + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_a_scorer_that_was_used_works_in_forked_processes():
    """Forks like those of gunicorn's preload, a data loader and a pool, and a fork of a fork."""
    _run("""
scorer = PairScorer(threads=2)
expected = score(0)
assert forked(lambda: score(0) == expected) == 0
assert forked(lambda: score(0) == expected and forked(lambda: score(0) == expected) == 0) == 0
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map_async(score, range(6)).get(120) == [expected] * 6
assert score(0) == expected
""")


def test_a_fork_while_other_threads_score_harms_neither_process():
    _run("""
scorer = PairScorer(threads=2)
expected = score(0)
stop, seen = threading.Event(), []

def on():
    while not stop.is_set():
        seen.append(score(0) == expected)

threads = [threading.Thread(target=on) for _ in range(3)]
for thread in threads:
    thread.start()
codes = [forked(lambda: score(0) == expected) for _ in range(10)]
stop.set()
for thread in threads:
    thread.join(60)
assert codes == [0] * 10, codes
assert seen and all(seen)
assert not any(thread.is_alive() for thread in threads)
""")


@pytest.mark.parametrize("backend", ["torch", "onnx", "openvino"])
def test_other_backends_work_in_forked_processes(backend, tmp_path):
    _run(
        """
os.environ["HF_HOME"] = sys.argv[3]
scorer = PairScorer(sys.argv[1], backend=sys.argv[2], threads=2)
expected = score(0)
assert forked(lambda: score(0) == expected) == 0
if sys.argv[2] != "onnx":  # whose own end of a forked process waits for ever: docs/limits.md
    assert forked(lambda: sys.exit(0) if score(0) == expected else False) == 0
assert score(0) == expected
""",
        architectures.bert(tmp_path / "bert"),
        backend,
        tmp_path / "home",
    )


# The main module of a spawned process is imported again, so it must be a file.
SPAWNED = """
import multiprocessing, sys
from beam_sts import PairScorer

PAIRS = {pairs!r}

def score(scorer):
    return scorer.score(PAIRS).tobytes()

if __name__ == "__main__":
    scorer = PairScorer(threads=2)
    expected = score(scorer)
    for method in sys.argv[1:]:
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.map_async(score, [scorer] * 3).get(240) == [expected] * 3, method
"""


@pytest.mark.parametrize("method", ["spawn", pytest.param("forkserver", marks=pytest.mark.slow)])
def test_a_scorer_goes_to_processes_that_start_anew(method, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SPAWNED.format(pairs=PAIRS))
    done = subprocess.run(
        [sys.executable, script, method],
        capture_output=True,
        text=True,
        timeout=400,
        cwd=ROOT,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_a_scorer_goes_through_joblib_and_datasets():
    _run("""
import joblib
from datasets import Dataset

scorer = PairScorer(threads=1)
expected = apply(scorer)
parallel = joblib.Parallel(n_jobs=2, timeout=240)
assert parallel(joblib.delayed(apply)(scorer) for _ in range(2)) == [expected] * 2
rows = Dataset.from_dict({"a": ["a man", "the fox"] * 4, "b": ["a guitar", "the dog"] * 4})
scored = rows.map(
    lambda batch: {"score": scorer.score(list(zip(batch["a"], batch["b"])))}, batched=True, num_proc=2
)
assert len(set(scored["score"])) == 2
""")


def test_a_pickle_is_the_settings_and_loads_when_it_is_used(tiny):
    scorer = PairScorer(tiny, threads=1, long_text="error", backend="native")
    pickled = pickle.dumps(scorer)
    assert len(pickled) < 2000
    again = pickle.loads(pickled)
    assert not again._loaded
    assert pickle.dumps(again) == pickled
    assert again.max_length == scorer.max_length
    assert again.checkpoint == scorer.checkpoint
    assert again.score(PAIRS).tobytes() == scorer.score(PAIRS).tobytes()
    with pytest.raises(RuntimeError, match="too long"):
        again.score([("guitar " * 2000, "a")])
    assert copy.deepcopy(scorer).score(PAIRS).tobytes() == scorer.score(PAIRS).tobytes()


def test_a_pickle_of_a_checkpoint_that_has_changed_is_refused(tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "copy")
    pickled = pickle.dumps(PairScorer(folder, backend="native"))
    config = json.loads((folder / "config.json").read_text()) | {"layer_norm_eps": 1e-3}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="has changed since the scorer was pickled"):
        pickle.loads(pickled).score(PAIRS)


def test_a_fork_waits_for_tasks_but_not_for_its_own_threads():
    gate = _Gate()
    with gate.task():
        gate.close()  # the forking thread is inside a task
        gate.open()
    gate.close()
    gate.open()
    with gate.task(), gate.task():
        pass
    assert gate._running == {}
