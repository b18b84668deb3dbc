from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from beam_sts.candidates.keys import text_blocks
from beam_sts.io.spill import NumberFile, TextFile, take_texts


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


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_pass_over_texts_on_disk_has_few_of_them_in_memory(tmp_path):
    file = TextFile(tmp_path / "texts")
    block = pa.array([f"{number:>10} " + "e" * 4000 for number in range(2000)], pa.large_string())
    for _ in range(10):
        file.append(block)
    column, before, most, count = file.column(), mapped_mib(), 0, 0
    for begin, part in text_blocks(column):
        assert part[0].as_py() == block[begin % 2000].as_py()
        most, count = max(most, mapped_mib() - before), count + len(part)
    assert count == 20_000
    assert most < 10
    rows = np.random.default_rng(0).permutation(20_000)
    assert take_texts(column, rows).to_pylist() == [block[row % 2000].as_py() for row in rows.tolist()]
    assert mapped_mib() - before < 10
    assert take_texts(column, rows[:0]).to_pylist() == []


@pytest.mark.parametrize("on_disk", [False, True])
def test_numbers_are_read_by_part(on_disk, tmp_path):
    values = np.random.default_rng(0).integers(0, 1 << 32, (3, 10, 2)).astype(np.uint32)
    folder = tmp_path if on_disk else None
    file = NumberFile(folder, parts=3, rows=12, width=2, dtype=values.dtype)
    for start in (6, 0, 3, 9):
        file.write(start, values[:, start : start + 3])
    for part in (2, 0, 1):
        assert (file.read(part, 10) == values[part]).all()
    assert file.read(1, 0).shape == (0, 2)
    assert not list(tmp_path.iterdir()), "the file has no name"
