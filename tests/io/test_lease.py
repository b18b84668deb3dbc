import pickle
import subprocess
import sys
import uuid

import fsspec
import pyarrow as pa
import pytest

from beam_sts.errors import UserError
from beam_sts.io.claim import claim, lock, prepare_folder
from beam_sts.io.lease import hold
from beam_sts.io.output import OutputFolder


@pytest.fixture(params=["local", "memory"])
def path(request, tmp_path):
    return str(tmp_path / "lock") if request.param == "local" else f"memory://{uuid.uuid4().hex}/lock"


def test_a_second_writer_is_refused_by_name_until_the_first_lets_go(path):
    with (
        hold(path, "out"),
        pytest.raises(UserError, match=r"--output out: process \d+ on \S+ is"),
        hold(path, "out"),
    ):
        pass
    with hold(path, "out"):
        pass


def test_a_failure_lets_go(path):
    with pytest.raises(ZeroDivisionError), hold(path, "out"):
        raise ZeroDivisionError
    with hold(path, "out"):
        pass


def test_what_a_killed_run_left_on_a_store_is_taken_over_on_demand_only():
    path = f"memory://{uuid.uuid4().hex}/lock"
    fsspec.filesystem("memory").pipe_file(path, b'{"holder": "process 1 on gone", "token": "x"}')
    with pytest.raises(UserError, match=r"process 1 on gone .* --takeover"), hold(path, "out"):
        pass
    with hold(path, "out", takeover=True):
        pass
    with hold(path, "out"):
        pass


def test_a_writer_leaves_the_lease_of_the_one_that_took_over():
    path = f"memory://{uuid.uuid4().hex}/lock"
    first = hold(path, "out")
    with first:
        second = hold(path, "out", takeover=True)
        second.__enter__()
    with pytest.raises(UserError), hold(path, "out"):
        pass
    second.__exit__(None, None, None)


def test_one_that_was_taken_over_writes_nothing_any_more():
    folder = OutputFolder.at(f"memory://{uuid.uuid4().hex}")
    table = pa.table({"a": [1]})
    with claim(folder, {"pipeline": "score"}, overwrite=False) as first:
        first.commit(0, {"scores": table}, {})
        with lock(folder, takeover=True) as second:
            for write in (
                lambda: first.commit(1, {"scores": table}, {}),
                lambda: first.drop("scores", [0], "part"),
                lambda: first.write_text("report.html", ""),
            ):
                with pytest.raises(UserError, match=r"process \d+ on \S+ has taken this run over"):
                    write()
            second.commit(1, {"scores": table}, {})
        with pytest.raises(UserError, match="another run has taken this run over and is finished"):
            first.commit(2, {"scores": table}, {})
    assert folder.committed() == {0, 1}


def test_a_worker_that_outlives_its_run_writes_nothing(path):
    fsspec.core.url_to_fs(path)[0].pipe_file(path.replace("/lock", "/run.json"), b"{}")
    with hold(path, "out") as lease:
        worker = pickle.loads(pickle.dumps(lease))
        worker.check()
    with pytest.raises(UserError, match="has ended"):
        worker.check()
    with hold(path, "out"), pytest.raises(UserError, match="process"):
        worker.check()


def test_a_folder_that_was_removed_is_the_reason_that_is_said(tmp_path):
    for root in (str(tmp_path / "out"), f"memory://{uuid.uuid4().hex}/out"):
        folder = OutputFolder.at(root)
        with claim(folder, {"pipeline": "score"}, overwrite=False) as held:
            held.commit(0, {"scores": pa.table({"a": [1]})}, {})
            fs, inside = fsspec.core.url_to_fs(root)
            fs.rm(inside, recursive=True)
            with pytest.raises(UserError, match=r"out: the folder, or its _run/, was removed while"):
                held.commit(1, {"scores": pa.table({"a": [1]})}, {})
        assert not fs.exists(inside)


ORPHAN = """
import pickle, sys
from beam_sts.io.claim import claim, lock
from beam_sts.io.output import OutputFolder
with claim(OutputFolder.at(sys.argv[1]), {"pipeline": "score"}, overwrite=False) as held:
    print(pickle.dumps(held.lease).hex(), flush=True)
    sys.stdin.read()
"""


def test_a_worker_whose_run_was_killed_writes_nothing(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN, str(tmp_path / "out")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        worker = pickle.loads(bytes.fromhex(holder.stdout.readline()))
        worker.check()
        holder.kill()
        holder.wait()
        with pytest.raises(UserError, match="the run that this process worked for has ended"):
            worker.check()
        with lock(OutputFolder.at(str(tmp_path / "out"))):
            pass


def test_taking_over_does_not_mix_two_runs_of_different_settings():
    folder = OutputFolder.at(f"memory://{uuid.uuid4().hex}")
    run = {"pipeline": "score", "settings": {"threshold": 0.5}}
    with lock(folder) as first:
        prepare_folder(first, run, overwrite=False)
        with lock(folder, takeover=True) as second:
            prepare_folder(second, run, overwrite=True)
            other = {**run, "settings": {"threshold": 0.6}}
            with pytest.raises(UserError, match="--takeover needs the same input, model and settings"):
                prepare_folder(second, other, overwrite=True)
    with lock(folder) as alone:
        prepare_folder(alone, other, overwrite=True)


def test_a_store_without_a_conditional_write_is_refused(monkeypatch):
    def only_overwrites(self, path, value, mode="overwrite", **kwargs):
        raise NotImplementedError

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "pipe_file", only_overwrites)
    with (
        pytest.raises(UserError, match=r"--output out: this kind of store.*s3://"),
        hold("memory://x/lock", "out"),
    ):
        pass
