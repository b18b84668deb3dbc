from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from beam_sts.io.spill import TextFile


def mapped_mib():
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssFile")
    )
    return int(line.split()[1]) >> 10


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_pages_that_were_read_are_given_back_and_read_again(tmp_path):
    file = TextFile(tmp_path / "texts")
    block = pa.array([f"{number:>10} " + "é" * 2000 for number in range(2000)], pa.large_string())
    for _ in range(10):
        file.append(block)
    column = file.column()
    before = mapped_mib()
    lengths = pc.sum(pc.utf8_length(column)).as_py()
    read = mapped_mib()
    file.release()
    assert read - before > 60, "the whole file is in memory"
    assert mapped_mib() - before < 10
    assert lengths == 10 * 2000 * 2011 == pc.sum(pc.utf8_length(column)).as_py()
    assert column.take(pa.array([19_999]))[0].as_py() == block[1999].as_py()


def test_an_empty_file_has_nothing_to_give_back(tmp_path):
    file = TextFile(tmp_path / "texts")
    file.append(pa.array(["", ""], pa.large_string()))
    assert file.column().to_pylist() == ["", ""]
    file.release()
