"""A file that has changed since it was planned is an error when it is read, in every format."""

import os

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.errors import UserError
from beam_sts.io.reading import plan_input, read_slices
from tests.io.samples import ENDINGS, LINES, write

ROWS = [f"text number {i:02d}" for i in range(20)]
PLAIN = [".parquet", ".arrow", ".arrows", ".jsonl", ".csv", ".tsv"]


def table(rows, name="a"):
    return pa.table({name: rows, "b": ["x"] * len(rows)})


def read(plan, units=None):
    return [
        text
        for unit in (plan.units if units is None else units)
        for part in read_slices(unit, plan.schema)
        for text in part.table[0].to_pylist()
    ]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("per_slice", [1, 7, 100])
def test_other_rows_under_the_same_name_are_an_error_in_every_slice(tmp_path, ending, per_slice):
    path = write(tmp_path / f"in{ending}", table(ROWS))
    plan = plan_input(str(path), per_slice)
    assert read(plan) == ROWS
    write(path, table(ROWS[::-1]))
    for part in plan.slices:
        with pytest.raises(UserError, match=rf"in{ending}: changed while it was read"):
            read(plan, [[part]])


@pytest.mark.parametrize("ending", PLAIN)
def test_one_bit_of_data_flipped_is_an_error_and_another_content(tmp_path, ending):
    path = tmp_path / f"in{ending}"
    if ending == ".parquet":
        pq.write_table(table(ROWS), path, compression="none", use_dictionary=False, row_group_size=3)
    else:
        write(path, table(ROWS))
    plan, before = plan_input(str(path), 4), path.stat()
    data = bytearray(path.read_bytes())
    data[data.rindex(b"number 13")] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    again = plan_input(str(path), 4)
    assert again.schema == plan.schema
    assert again.contents != plan.contents
    with pytest.raises(UserError, match="changed while it was read"):
        read(plan)
    assert read(plan, [plan.slices[:1]]) == ROWS[:4]  # unchanged parts are still read


@pytest.mark.parametrize("ending", ENDINGS)
def test_columns_that_change_places_are_an_error(tmp_path, ending):
    path = write(tmp_path / f"in{ending}", pa.table({"a": ["x"] * 5, "b": ["y"] * 5}))
    plan = plan_input(str(path), 4)
    write(path, pa.table({"b": ["x"] * 5, "a": ["y"] * 5}))
    with pytest.raises(UserError, match="changed while it was read"):
        read(plan)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("rows", [ROWS[:-1], [*ROWS, "one more"], ROWS[:1]])
def test_rows_lost_or_added_are_an_error(tmp_path, ending, rows):
    path = write(tmp_path / f"in{ending}", table(ROWS))
    plan = plan_input(str(path), 6)
    write(path, table(rows))
    if len(rows) > len(ROWS) and ending in LINES:
        assert read(plan) == ROWS  # of a growing log, a run reads what existed when it began
        return
    with pytest.raises(UserError, match=rf"in{ending}: "):
        read(plan)


def test_a_parquet_file_written_to_amid_a_unit_is_an_error(tmp_path):
    path = tmp_path / "in.parquet"
    pq.write_table(table(ROWS), path, compression="none", use_dictionary=False, row_group_size=4)
    plan = plan_input(str(path), 4)
    parts = read_slices(plan.units[0], plan.schema)
    assert next(parts).table["a"].to_pylist() == ROWS[:4]
    data = path.read_bytes()
    with path.open("r+b") as stream:
        stream.seek(data.rindex(b"number 19"))
        stream.write(b"NUMBER")
    os.utime(path, ns=(0, 10**18))
    with pytest.raises(UserError, match="changed while it was read"):
        list(parts)


def test_a_file_that_is_gone_is_named(tmp_path):
    for ending in ENDINGS:
        path = write(tmp_path / f"in{ending}", table(ROWS))
        plan = plan_input(str(path), 6)
        path.unlink()
        with pytest.raises(UserError, match=rf"in{ending}: "):
            read(plan)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_remote_file_is_compared_too(tmp_path, ending):
    fs = fsspec.filesystem("memory")
    place = f"memory://changed/in{ending}"
    fs.pipe_file(place, write(tmp_path / f"in{ending}", table(ROWS)).read_bytes())
    plan = plan_input(place, 4)
    assert read(plan) == ROWS
    # A remote Parquet file is identified by the store's version; here by its modification time.
    fs.pipe_file(place, write(tmp_path / f"in{ending}", table(ROWS[::-1])).read_bytes())
    with pytest.raises(UserError, match="changed while it was read"):
        read(plan)


@pytest.mark.parametrize(
    ("at", "value", "why"), [("rows", 2**62, "would make|damaged"), ("size", 2**40, "refers to more bytes")]
)
def test_a_footer_that_claims_what_is_not_there_is_refused(tmp_path, at, value, why):
    path = tmp_path / "in.parquet"
    path.write_bytes(with_footer(tmp_path, at, value))
    with pytest.raises(UserError, match=why):
        plan_input(str(path), 20_000)


def with_footer(folder, at, value):
    """A Parquet file whose footer, in Thrift's compact protocol, has another number at one place."""
    rows, size = 1_000_003, None
    columns = pa.table({"text_a": pa.nulls(rows, pa.string()), "text_b": pa.nulls(rows, pa.string())})
    pq.write_table(columns, folder / "x.parquet", row_group_size=rows, compression="none", store_schema=False)
    data = (folder / "x.parquet").read_bytes()
    length = int.from_bytes(data[-8:-4], "little")
    body, footer = data[: -8 - length], data[-8 - length : -8]
    if at == "size":
        size = pq.ParquetFile(folder / "x.parquet").metadata.row_group(0).column(0).total_compressed_size
    old, new = (varint(2 * number) for number in (size or rows, value))
    assert footer.count(old) >= 1
    footer = footer.replace(old, new)
    return body + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])
