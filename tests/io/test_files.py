import fsspec
import pytest

from beam_sts import UserError
from beam_sts.io.files import find_files, publish


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
