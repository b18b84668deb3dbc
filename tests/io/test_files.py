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
from beam_sts.io.files import file_system, find_files, normal_path, publish
from beam_sts.io.output import OutputFolder
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


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/data/part::1.csv", "/data/part::1.csv"),
        ("file:///data/s3::bucket/x", "/data/s3::bucket/x"),
        ("/data/s3://x", "/data/s3://x"),
        ("memory://box/part::1/x", "memory://box/part::1/x"),
        ("https://host/part::1.csv", "https://host/part::1.csv"),
    ],
)
def test_two_colons_are_part_of_a_name(path, name):
    assert normal_path(path) == name
    assert normal_path(name) == name


@pytest.mark.parametrize(
    "path", ["zip://a.csv::/data/x.zip", "simplecache::s3://bucket/a.csv", "zip://a.csv", "a::b://c"]
)
def test_a_file_system_within_another_is_refused(path):
    with pytest.raises(UserError, match="is a file system within another"):
        normal_path(path)


@pytest.mark.parametrize("path", ["s3://", "memory:///", "http://", "hf://", "file://", "nope://", "a\0b"])
def test_a_path_that_names_nothing_is_refused(path):
    """Without its slashes, ``s3://`` would be a local folder."""
    for use in (normal_path, OutputFolder.at, lambda path: find_files(path, (".csv",))):
        with pytest.raises(UserError, match=r"names no bucket|has a null character"):
            use(path)


@pytest.mark.parametrize(
    "path", ["s3:/bucket/a.csv", " s3://bucket", "\thttps://host/a.csv", "://a", "gs:/a"]
)
def test_what_is_almost_a_url_is_no_local_path(path):
    with pytest.raises(
        UserError, match=r"is not a URL, and would be a file or folder below this folder\. Write"
    ):
        normal_path(path)


def test_the_account_of_a_store_is_kept():
    """Otherwise the files of two containers of the same name would be confused."""
    pytest.importorskip("adlfs")
    url = "abfs://box@one.dfs.core.windows.net/in/a.csv"
    assert normal_path(url) == url
    assert file_system(normal_path(url))[0].account_name == "one"


class Hosts(MemoryFileSystem):
    """A file system whose URLs name a host, which is not part of its paths, as SFTP's are."""

    protocol = "hosts"

    def __init__(self, host, **options):
        super().__init__(**options)
        self.host = host

    @classmethod
    def _strip_protocol(cls, path):
        return f"/{path.split('/', 3)[3]}" if "://" in path else path.rstrip("/")

    @staticmethod
    def _get_kwargs_from_urls(path):
        return {"host": path.removeprefix("hosts://").split("/", 1)[0]}


def test_the_host_of_a_file_is_kept(monkeypatch):
    fsspec.register_implementation("hosts", Hosts, clobber=True)
    publish("hosts://one/in/a.csv", b"text_a,text_b\n")
    assert [file.path for file in find_files("hosts://one/in/*.csv", (".csv",))] == ["hosts://one/in/a.csv"]
    assert [file.path for file in find_files("hosts://two/in", (".csv",))] == ["hosts://two/in/a.csv"]


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
