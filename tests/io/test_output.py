import pickle
import random
import subprocess
import sys

import pyarrow as pa
import pytest

from beam_sts import UserError
from beam_sts.io.claim import claim, lock, prepare_folder
from beam_sts.io.committed import END, slice_identity
from beam_sts.io.output import OURS, OutputFolder
from beam_sts.io.slices import Slice

RUN = {"pipeline": "score", "settings": {"threshold": 0.5}, "input": [{"path": "a", "size": 1}]}


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    return OutputFolder.at(
        str(tmp_path / "out") if request.param == "local" else f"memory://{tmp_path.name}/out"
    )


def _commit(folder, index):
    table = pa.table({"x": [index]})
    folder.commit(index, {"scores": table}, {"rows_read": index}, of=slice_identity(_slice(index)))


def _slice(index):
    return Slice(index, "in.parquet", row=10 * index, rows=10)


def test_what_is_committed_is_known_and_its_records_are_read_in_order(folder):
    prepare_folder(folder, RUN, overwrite=False)
    for index in (11, 2, 0):
        _commit(folder, index)
    folder.commit(5, {}, {"rows_read": 5}, of=5)  # killed before its shard: not committed
    assert folder.committed() == {0, 2, 11}
    assert folder.is_whole(_slice(2))
    assert not folder.is_whole(_slice(5))
    assert [r["rows_read"] for r in folder.records([0, 2, 11])] == [0, 2, 11]


def test_a_changed_byte_far_from_the_end_is_found_when_all_are_compared(tmp_path):
    folder = OutputFolder.at(str(tmp_path))
    rng = random.Random(0)
    noise = pa.array([rng.randbytes(10) for _ in range(END // 5)])
    folder.commit(0, {"scores": pa.table({"x": noise})}, {}, of=slice_identity(_slice(0)))
    path = tmp_path / "scores" / "part-000000.parquet"
    raw = bytearray(path.read_bytes())
    raw[100] ^= 1
    path.write_bytes(raw)
    assert folder.resume([_slice(0)], verify=False) == ({0}, set())
    assert folder.resume([_slice(0)], verify=True) == (set(), {0})
    assert folder.committed() == set()


def test_the_same_run_goes_on_and_another_is_refused_with_what_differs(folder):
    prepare_folder(folder, RUN, overwrite=False)
    _commit(folder, 0)
    prepare_folder(folder, RUN, overwrite=False)
    assert folder.committed() == {0}
    other = {**RUN, "settings": {"threshold": 0.7}}
    with pytest.raises(UserError, match=r"settings: threshold was 0.5, is 0.7"):
        prepare_folder(folder, other, overwrite=False)
    prepare_folder(folder, other, overwrite=True)
    assert folder.committed() == set()


def test_an_earlier_run_stays_until_the_one_that_replaces_it_writes(tmp_path):
    folder, other = OutputFolder.at(str(tmp_path / "out")), {**RUN, "settings": {"threshold": 0.7}}

    def state():
        files = [path for path in sorted(tmp_path.rglob("*")) if path.is_file() and path.name != "lock"]
        return {path: path.read_bytes() for path in files}

    def replaced(error):
        with claim(folder, other, overwrite=True) as held:
            assert held.committed() == set()
            raise error

    with claim(folder, RUN, overwrite=False) as first:
        _commit(first, 0)
    before = state()
    with pytest.raises(UserError, match="ids recur"):
        replaced(UserError("ids recur"))
    assert state() == before
    for overwrite in (False, True):
        with pytest.raises(KeyboardInterrupt):
            replaced(KeyboardInterrupt())  # like a kill, this cleans nothing up
        assert state() != before
        with claim(folder, RUN, overwrite=overwrite) as again:
            assert again.committed() == (set() if overwrite else {0})
            if overwrite:
                _commit(again, 0)
        assert state() == before
    with claim(folder, other, overwrite=True) as third:
        _commit(pickle.loads(pickle.dumps(third)), 1)  # as a worker does
        assert third.committed() == {1}
    assert not list((tmp_path / "out" / "_run").glob("earlier*"))
    with pytest.raises(UserError, match=r"threshold was 0\.7"), claim(folder, RUN, overwrite=False):
        pass


def test_another_pipelines_output_is_refused(folder):
    prepare_folder(folder, {**RUN, "pipeline": "dedup"}, overwrite=False)
    with pytest.raises(UserError, match="contains the output of 'dedup'"):
        prepare_folder(folder, RUN, overwrite=False)


def test_a_folder_that_holds_something_else_is_refused_even_with_overwrite(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(UserError, match=r"other files \(thesis.tex\)"):
            prepare_folder(OutputFolder.at(str(tmp_path)), RUN, overwrite=overwrite)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_shards_without_their_run_are_refused(tmp_path):
    (tmp_path / "scores").mkdir()
    with pytest.raises(UserError, match=r"run\.json"):
        prepare_folder(OutputFolder.at(str(tmp_path)), RUN, overwrite=True)


def test_an_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("x")
    with (
        pytest.raises(UserError, match="is a file, not a folder"),
        lock(OutputFolder.at(str(tmp_path / "out"))),
    ):
        pass


def test_finishing_gives_empty_folders_a_shard_and_drops_what_killed_attempts_left(tmp_path):
    folder = OutputFolder.at(str(tmp_path))
    prepare_folder(folder, RUN, overwrite=False)
    _commit(folder, 0)
    files = [name for name in OURS if "." in name]
    leftovers = [tmp_path / f".{name}.123.0123abcd" for name in files]
    leftovers.append(tmp_path / "scores" / ".part-000001.parquet.123.0123abcd")
    assert {"README.md", "report.html", "summary.json"} <= set(files)
    for leftover in leftovers:
        leftover.write_bytes(b"half")
    (tmp_path / ".keep").write_bytes(b"not ours")
    folder.finish({"scores": pa.schema([]), "rejected": pa.schema([("reason", pa.string())])})
    assert not any(leftover.exists() for leftover in leftovers)
    assert (tmp_path / ".keep").exists()
    assert [p.name for p in (tmp_path / "rejected").iterdir()] == ["part-000000.parquet"]
    assert [p.name for p in (tmp_path / "scores").iterdir()] == ["part-000000.parquet"]


HOLD = """
import sys, time
from beam_sts.io.committed import END, slice_identity
from beam_sts.io.claim import claim, lock
from beam_sts.io.output import OutputFolder
from beam_sts.io.slices import Slice
with lock(OutputFolder.at(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path):
    folder = OutputFolder.at(str(tmp_path / "out"))
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, folder.root], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"process {holder.pid} on .* is writing there"), lock(folder):
            pass
        holder.kill()
        holder.wait()
        with lock(folder):
            pass
