import errno
import io
import itertools
import os

import fsspec
import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

from beam_sts import UserError
from beam_sts.io.encode import encode
from beam_sts.io.files import find_files, publish
from beam_sts.io.reading import plan_input, read_slices


def test_a_folder_gives_its_readable_files_sorted_and_no_hidden_ones(tmp_path):
    for name in ("b.jsonl", "a.parquet", "notes.txt", ".hidden.parquet", "_run/x.parquet", "sub/c.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = [f.path.removeprefix(f"{tmp_path}/") for f in find_files(str(tmp_path), (".parquet", ".jsonl"))]
    assert found == ["a.parquet", "b.jsonl", "sub/c.parquet"]


def test_a_pattern_that_matches_nothing_says_so(tmp_path):
    with pytest.raises(UserError, match="no file matches"):
        find_files(f"{tmp_path}/*.parquet", (".parquet",))


def test_an_unknown_protocol_says_so():
    with pytest.raises(UserError, match="nope"):
        find_files("nope://x", (".parquet",))


@pytest.mark.parametrize("root", ["local", "memory://publish"])
def test_publishing_twice_leaves_the_last_whole_and_nothing_else(root, tmp_path):
    root = str(tmp_path) if root == "local" else root
    fs, inside = fsspec.core.url_to_fs(root)
    for data in (b"first, longer", b"second"):
        publish(f"{root}/sub/file.bin", data)
    assert [fs.cat_file(p) for p in fs.find(inside)] == [b"second"]


def test_a_failed_publication_leaves_no_temporary(tmp_path):
    (tmp_path / "file.bin").mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(IsADirectoryError):
        publish(str(tmp_path / "file.bin"), b"x")
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin"]


def arrow_file(table):
    with io.BytesIO() as sink:
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.getvalue()


@pytest.mark.parametrize(
    ("ending", "call"),
    [("parquet", "info"), *itertools.product(["parquet", "arrow", "jsonl", "csv"], ["open", "read"])],
)
@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.EBUSY, OSError), (errno.EIO, OSError), (errno.EACCES, UserError), (errno.ENOENT, UserError)],
)
def test_a_store_that_fails_for_now_is_no_fault_of_the_file(number, kind, ending, call, monkeypatch):
    """The command then says that it can be run again; otherwise it would report bad input."""
    place = f"memory://failing/{call}/in.{ending}"
    table = pa.table({"text": ["a", "b"]})
    publish(place, arrow_file(table) if ending == "arrow" else encode(table, ending))
    plan = plan_input(place, 10)

    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    owner = MemoryFile if call == "read" else MemoryFileSystem
    monkeypatch.setattr(owner, call, fail)
    with pytest.raises(kind) as raised:
        list(read_slices(plan.units[0], plan.schema, ()))
    assert isinstance(raised.value, UserError) or raised.value.errno == number
