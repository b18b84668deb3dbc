"""The error for a pattern without matches lists existing files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from beam_sts.errors import UserError
from beam_sts.io.reading import plan_input

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def told(pattern):
    with pytest.raises(UserError) as error:
        plan_input(str(pattern), 10)
    return str(error.value)


def test_a_folder_of_another_type_says_what_is_there_and_what_is_readable(folder):
    for name in ("a.txt", "b.txt", "c.pdf", "LICENSE"):
        (folder / name).write_text("x")
    message = told(folder)
    assert message.startswith(
        f"--input {folder}: no file matches: there are 4 files in this folder, but none"
    )
    assert "(2 .txt, 1 no ending, 1 .pdf). Readable: .parquet, .pq, .jsonl, .ndjson" in message


def test_an_empty_folder_and_one_of_hidden_files(folder):
    assert "this folder is empty" in told(folder)
    (folder / "_part.csv").write_text("text_a,text_b\n")
    message = told(folder)
    assert "there is 1 readable file in this folder, such as '_part.csv'" in message
    assert "names that begin with . or _ are skipped" in message


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("data/pair.csv", "there is no file or folder 'pair.csv' in {}/data. Did you mean 'pairs.csv'?"),
        ("dta/pairs.csv", "there is no folder 'dta' in {}. Did you mean 'data'?"),
        ("no/where/*.csv", "there is no folder 'no' in {}. {} contains 1: 'data'."),
        ("data/*.tsv", "no file matches. {}/data contains 2: 'deep', 'pairs.csv'."),
        ("data/d*", "there is 1 folder and no file. Name the files in it: 'data/d*/**/*.parquet'."),
        ("data/pairs.csv/x", "{}/data/pairs.csv is a file, not a folder."),
        ("'data/*.csv'", "the quotes are part of this name, since some shells pass them on. Leave them out."),
        ('"data/*.csv"', "the quotes are part of this name"),
        ("data\\*.csv", "folders are separated by / here, not by \\."),
        ("data/link.csv", "is a link to 'gone.csv', which does not exist."),
        ("memory://nothing/x.csv", "there is no such bucket or folder."),
    ],
)
def test_a_path_that_is_not_there_says_how_far_it_is(folder, pattern, said):
    (folder / "deep").mkdir()
    (folder / "pairs.csv").write_text("text_a,text_b\n")
    if "link" in pattern:
        (folder / "link.csv").symlink_to("gone.csv")
    assert said.replace("{}", str(folder.parent)) in told(pattern)


def test_a_file_of_another_type_and_what_is_no_file(folder):
    (folder / "a.xlsx").write_bytes(b"PK")
    assert "its ending is not that of a known format. Readable: .parquet" in told(folder / "a.xlsx")
    os.mkfifo(folder / "a.csv")
    assert "is a pipe, a device or a socket" in told(folder / "a.csv")


def test_a_name_that_is_no_text_is_refused_and_shown_in_ascii(folder):
    Path(os.fsdecode(bytes(folder) + b"/\xff.csv")).write_text("text_a,text_b\n")
    for pattern in (folder, os.fsdecode(bytes(folder) + b"/\xff.csv")):
        message = told(pattern)
        assert message.isascii()
        assert "\\udcff.csv': the bytes of this name are not UTF-8. Rename it." in message


def test_a_home_folder_is_found_though_the_shell_leaves_it(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    (folder / "pairs.csv").write_text("text_a,text_b\nx,y\n")
    assert plan_input("~/pairs.csv", 10).rows == 1


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="becomes another user, as root")
def test_a_folder_that_may_not_be_looked_into_is_no_empty_one(folder):
    (folder / "closed").mkdir(mode=0o700)
    (folder / "closed" / "pairs.csv").write_text("text_a,text_b\n")
    (folder / "pairs.csv").write_text("text_a,text_b\n")
    for above in (folder, *folder.parents[:-1]):
        above.chmod(above.stat().st_mode | 0o055)
    code = (
        "import os, sys; from beam_sts.io.files import find_files; from beam_sts.errors import UserError\n"
        "def answer(pattern):\n"
        "    try: return find_files(pattern, ('.csv',))\n"
        "    except UserError as error: return error\n"
        # Root imports every module first, because the other user may not be able to read the environment.
        "[answer(pattern) for pattern in sys.argv[1:]]\n"
        "os.setuid(65534)\n"
        "for pattern in sys.argv[1:]: print(answer(pattern))"
    )
    patterns = ["data", "data/closed", "data/closed/pairs.csv", "data/**/*.csv", "data/closed/*.csv"]
    done = subprocess.run(
        [sys.executable, "-c", code, *patterns],
        capture_output=True,
        text=True,
        cwd=folder.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(patterns)
    for line in lines:
        assert "ermission denied" in line, line
