"""Every Arrow type is carried through, or refused by name before the run; any table is read as written.

The longer search: python -m pytest -m slow tests/io/test_types.py
"""

import datetime as dt
import json
import pickle
import re
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from beam_sts.errors import UserError
from beam_sts.io.encode import OUTPUT_FORMATS, check_encodable, encode
from beam_sts.io.reading import plan_input, read_slices
from beam_sts.io.rejected import rejected_schema, rejected_table


class Custom(pa.ExtensionType):
    """A type defined by a user, which workers do not know."""

    def __init__(self):
        super().__init__(pa.int16(), "my.custom")

    def __arrow_ext_serialize__(self):
        return b"x"

    @classmethod
    def __arrow_ext_deserialize__(cls, storage, serialized):
        return cls()


def extension(kind, storage):
    return pa.ExtensionArray.from_storage(kind, storage)


def offsets(*numbers):
    return pa.array(numbers, pa.int32())


CODED = pa.array(["a", None, "b"]).dictionary_encode()
UUIDS = extension(pa.uuid(), pa.array([b"a" * 16, None, b"b" * 16], pa.binary(16)))
RUNS = pa.RunEndEncodedArray.from_arrays(offsets(2, 3), pa.array(["a", None]))
UNION = (pa.array([0, 1, 0], pa.int8()), [pa.array([1, 2, 3]), pa.array(["x", "y", "z"])])
D = Decimal
ARRAYS = {
    "uuid": UUIDS,
    "json": extension(pa.json_(), pa.array(['{"a":1}', None, "5"])),
    "bool8": extension(pa.bool8(), pa.array([1, None, 0], pa.int8())),
    "tensor": extension(
        pa.fixed_shape_tensor(pa.int32(), [1, 2]), pa.array([[1, 2], [5, 6], [3, 4]], pa.list_(pa.int32(), 2))
    ),
    "tensor with nulls": extension(
        pa.fixed_shape_tensor(pa.int32(), [2]), pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int32(), 2))
    ),
    "opaque": extension(pa.opaque(pa.binary(), "t", "v"), pa.array([b"a", None, b"b"])),
    "custom": extension(Custom(), pa.array([1, None, 2], pa.int16())),
    "struct of uuid": pa.StructArray.from_arrays([UUIDS], ["u"]),
    "list of uuid": pa.ListArray.from_arrays(offsets(0, 1, 1, 3), UUIDS),
    "map of uuid": pa.MapArray.from_arrays(offsets(0, 1, 2, 3), pa.array(["a", "b", "c"]), UUIDS),
    "dictionary": CODED,
    "dictionary of int64": pa.array([1, None, 2]).dictionary_encode(),
    "dictionary of views": pa.DictionaryArray.from_arrays(
        pa.array([0, None, 1], pa.int8()), pa.array(["a", "b"], pa.string_view())
    ),
    "struct of dictionary": pa.StructArray.from_arrays([CODED], ["d"]),
    "list of dictionary": pa.ListArray.from_arrays(offsets(0, 1, 1, 3), CODED),
    "run ends": RUNS,
    "struct of run ends": pa.StructArray.from_arrays([RUNS], ["r"]),
    "string view": pa.array(["a", None, "b" * 30], pa.string_view()),
    "binary view": pa.array([b"a", None, b"b" * 30], pa.binary_view()),
    "list of views": pa.array([["a"], None, []], pa.list_(pa.string_view())),
    "map of views": pa.array([[("k", "v")], None, []], pa.map_(pa.string_view(), pa.string_view())),
    "list view": pa.array([[1], None, [2, 3]], pa.list_view(pa.int32())),
    "large list view": pa.array([["a"], None, ["b", "c"]], pa.large_list_view(pa.string_view())),
    "list of list views": pa.array([[[1]], None, [[2], [3]]], pa.list_(pa.list_view(pa.int32()))),
    "large list": pa.array([[1], None, [2, 3]], pa.large_list(pa.int32())),
    "fixed list": pa.array([[1, 2], [5, 6], [2, 3]], pa.list_(pa.int32(), 2)),
    "fixed list with nulls": pa.array([[1, 2], None, [2, 3]], pa.list_(pa.int32(), 2)),
    "struct of fixed list": pa.array(
        [{"f": [1, 2]}, None, {"f": None}], pa.struct([("f", pa.list_(pa.int8(), 2))])
    ),
    "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int8())),
    "dense union": pa.UnionArray.from_dense(UNION[0], offsets(0, 1, 2), UNION[1]),
    "sparse union": pa.UnionArray.from_sparse(*UNION),
    "interval": pa.array([pa.MonthDayNano([1, 2, 3]), None, pa.MonthDayNano([0, 0, 0])]),
    **{f"duration {unit}": pa.array([1, None, 2], pa.duration(unit)) for unit in ("s", "ms", "us", "ns")},
    **{
        f"timestamp {unit} {zone}": pa.array([1, None, 10**9], pa.timestamp(unit, zone))
        for unit in ("s", "ms", "us", "ns")
        for zone in (None, "UTC", "Europe/Rome", "+02:00")
    },
    "timestamp s far": pa.array([1, None, 2**40], pa.timestamp("s")),
    "time32 s": pa.array([1, None, 2], pa.time32("s")),
    "time32 ms": pa.array([1, None, 2], pa.time32("ms")),
    "time64 us": pa.array([1, None, 2], pa.time64("us")),
    "time64 ns": pa.array([1000, None, 2000], pa.time64("ns")),
    "date32": pa.array([1, None, 2], pa.date32()),
    "date64": pa.array([86_400_000, None, 0], pa.date64()),
    "decimal32": pa.array([D("1.5"), None, D(2)], pa.decimal32(5, 2)),
    "decimal64": pa.array([D("1.5"), None, D(2)], pa.decimal64(10, 2)),
    "decimal128": pa.array([D("1.5"), None, D(2)], pa.decimal128(30, 2)),
    "decimal256": pa.array([D("1.5"), None, D(2)], pa.decimal256(60, 2)),
    "decimal of hundreds": pa.array([D(100), None, D(200)], pa.decimal128(5, -2)),
    "half": pa.array([1.5, None, 2.0], pa.float16()),
    "null": pa.nulls(3),
    "list of null": pa.array([[None], None, []], pa.list_(pa.null())),
    "nested": pa.array([{"a": {"b": {"c": [1]}}}, None, {"a": None}]),
    "empty struct": pa.array([{}, None, {}], pa.struct([])),
    "struct of empty struct": pa.array([{"a": {}}, None, {"a": {}}], pa.struct([("a", pa.struct([]))])),
    "fixed binary": pa.array([b"ab", None, b"cd"], pa.binary(2)),
    "fixed binary of nothing": pa.array([b"", None, b""], pa.binary(0)),
    "large binary": pa.array([b"ab", None, b"cd"], pa.large_binary()),
    "large string": pa.array(["ab", None, "cd"], pa.large_string()),
    "uint64": pa.array([1, None, 2**64 - 1], pa.uint64()),
    "list of struct": pa.array([[{"a": 1}], None, []]),
}
NOT_READ = {"dictionary of views", "struct of run ends", "list of list views"}
NOT_READ_FROM_PARQUET = {"fixed list with nulls", "tensor with nulls", "struct of fixed list"}
NOT_WRITTEN = {"dense union": OUTPUT_FORMATS, "sparse union": OUTPUT_FORMATS} | dict.fromkeys(
    (
        *("interval", "empty struct", "struct of empty struct", "decimal of hundreds"),
        "fixed binary of nothing",
    ),
    ("parquet",),
)


def write(path, table):
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        new = pa.ipc.new_file if path.suffix == ".arrow" else pa.ipc.new_stream
        with new(str(path), table.schema) as writer:
            writer.write_table(table)


def values(column):
    """The values of any column, as texts if Python has no type for them."""
    return [str(value) if pa.types.is_timestamp(column.type) else value for value in listed(column)]


def listed(column):
    return column.cast(pa.string()).to_pylist() if pa.types.is_timestamp(column.type) else column.to_pylist()


@pytest.mark.parametrize("ending", ["arrow", "arrows", "parquet"])
@pytest.mark.parametrize("name", list(ARRAYS))
def test_every_type_is_carried_through_or_refused_by_name(tmp_path, name, ending):
    table = pa.table({"t": ["x", "y", "z"], "v": ARRAYS[name]})
    path = tmp_path / f"in.{ending}"
    try:
        write(path, table)
    except (pa.ArrowException, OSError) as error:
        assert ending == "parquet"
        pytest.skip(f"Parquet has no such type: {error}")
    if name in NOT_READ or (ending == "parquet" and name in NOT_READ_FROM_PARQUET):
        with pytest.raises(UserError, match=rf"in.{ending}: column 'v' .*(Cast|Write)"):
            plan_input(str(path), 2)
        return
    plan = plan_input(str(path), 2)
    parts = [part for unit in plan.units for part in read_slices(unit, plan.schema)]
    assert pickle.loads(pickle.dumps(plan)) == plan  # as it is sent to a worker
    parts = pickle.loads(pickle.dumps(parts))
    refused = NOT_WRITTEN.get(name, ())
    for form in OUTPUT_FORMATS:
        if form in refused:
            with pytest.raises(
                UserError, match=rf"column 'v' holds .*, which {form} cannot.*--output_format"
            ):
                check_encodable(plan.schema, form)
            continue
        check_encodable(plan.schema, form)
        encode(rejected_table(parts[0], [0, 1], ["r", "s"], rejected_schema(plan.schema)), form)
    if refused:
        return
    read = pa.concat_tables([part.table for part in parts])
    back = pq.read_table(pa.BufferReader(encode(read.take(pa.array([2, 0, 1])), "parquet")))
    if not pa.types.is_time(table["v"].type) and "timestamp s" not in name:
        expected = values(table["v"])
        assert values(back["v"]) == [expected[at] for at in (2, 0, 1)]
    first, second, _ = (json.loads(line)["v"] for line in encode(read, "jsonl").splitlines())
    assert first is not None or name == "null"
    assert (second is None) == (table["v"][1].as_py() is None)


EXTENSIONS = ("uuid", "json", "bool8", "tensor", "opaque", "struct of uuid", "list of uuid", "map of uuid")


@pytest.mark.parametrize("name", EXTENSIONS)
def test_an_extension_type_comes_out_as_itself(tmp_path, name):
    table = pa.table({"t": ["x", "y", "z"], "v": ARRAYS[name]})
    write(tmp_path / "in.parquet", table)
    plan = plan_input(str(tmp_path / "in.parquet"), 2)
    (unit,) = plan.units
    read = pa.concat_tables([part.table for part in read_slices(unit, plan.schema)])
    back = pq.read_table(pa.BufferReader(encode(read, "parquet")))
    kinds = [re.findall(r"arrow\.\w+", str(kind)) for kind in (back["v"].type, table["v"].type)]
    assert kinds[0] == kinds[1] != []
    assert values(back["v"]) == values(table["v"])


def test_extension_types_in_text_are_what_they_stand_for():
    from beam_sts.io.carried_types import carried
    from beam_sts.io.schema import conform

    names = ["uuid", "json", "bool8", "tensor"]
    table = pa.table({name: ARRAYS[name] for name in names})
    lines = encode(conform(table, carried(table.schema, "f"), "f"), "jsonl").splitlines()
    assert json.loads(lines[0]) == {
        "uuid": "61616161-6161-6161-6161-616161616161",
        "json": {"a": 1},
        "bool8": True,
        "tensor": [1, 2],
    }


def test_a_type_that_a_file_claims_in_our_metadata_is_not_believed(tmp_path):
    hostile = {b"beam_sts.type": b"\xff\xff\xff\xff" + bytes(40), b"beam_sts.json": b"1"}
    field = pa.field("v", pa.string(), metadata=hostile)
    write(tmp_path / "in.parquet", pa.table([pa.array(["{not JSON", "5", None])], schema=pa.schema([field])))
    plan = plan_input(str(tmp_path / "in.parquet"), 5)
    (part,) = read_slices(plan.units[0], plan.schema)
    lines = encode(part.table, "jsonl").splitlines()
    assert [json.loads(line)["v"] for line in lines] == ["{not JSON", 5, None]
    assert encode(part.table, "parquet")


def test_columns_nested_deeper_than_arrow_files_hold_are_refused(tmp_path):
    kind = pa.int8()
    for _ in range(63):
        kind = pa.list_(kind)
    pq.write_table(
        pa.table({"v": pa.nulls(1, kind), "t": ["x"]}), tmp_path / "in.parquet", store_schema=False
    )
    assert pickle.loads(pickle.dumps(plan_input(str(tmp_path / "in.parquet"), 5))).rows == 1
    pq.write_table(pa.table({"v": pa.nulls(1, pa.list_(kind))}), tmp_path / "in.parquet", store_schema=False)
    with pytest.raises(UserError, match="column 'v' is nested more than 64 levels deep"):
        plan_input(str(tmp_path / "in.parquet"), 5)


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
instants = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))
KINDS = {
    pa.string(): text,
    pa.large_string(): text,
    pa.string_view(): text,
    pa.dictionary(pa.int32(), pa.string()): text,
    pa.dictionary(pa.int8(), pa.large_string()): st.sampled_from("abc"),
    pa.binary(): st.binary(max_size=4),
    pa.binary_view(): st.binary(max_size=20),
    pa.binary(3): st.binary(min_size=3, max_size=3),
    pa.int8(): st.integers(-128, 127),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float16(): st.sampled_from([0.5, -1.0, 0.0]),
    pa.float32(): st.floats(width=32, allow_nan=False),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.timestamp("us", "Europe/Rome"): instants,
    pa.timestamp("ns"): instants,
    pa.date32(): st.dates(),
    pa.time64("us"): st.times(),
    pa.duration("ms"): st.integers(0, 10**9).map(lambda ms: dt.timedelta(milliseconds=ms)),
    pa.decimal128(20, 3): st.decimals(-(10**6), 10**6, places=3),
    pa.decimal256(60, 1): st.decimals(-(10**6), 10**6, places=1),
    pa.list_(pa.int32()): st.lists(st.none() | st.integers(0, 9), max_size=3),
    pa.large_list(pa.string()): st.lists(text, max_size=3),
    pa.list_(pa.string_view()): st.lists(text, max_size=3),
    pa.struct([("x", pa.int64()), ("y", pa.list_(pa.string()))]): st.fixed_dictionaries(
        {"x": st.none() | st.integers(0, 9), "y": st.none() | st.lists(text, max_size=2)}
    ),
    pa.map_(pa.string(), pa.int32()): st.dictionaries(text, st.integers(0, 9), max_size=2).map(
        lambda found: list(found.items())
    ),
    pa.uuid(): st.binary(min_size=16, max_size=16),
    pa.json_(): st.sampled_from(['{"a": 1}', "[]", '"x"']),
    pa.bool8(): st.integers(0, 1),
    pa.null(): st.none(),
}


@st.composite
def tables(draw):
    kinds = draw(st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=4))
    rows = draw(st.integers(0, 30))
    columns = []
    for kind in kinds:
        own = draw(st.lists(st.none() | KINDS[kind], min_size=rows, max_size=rows))
        if isinstance(kind, pa.BaseExtensionType):
            columns.append(extension(kind, pa.array(own, kind.storage_type)))
        elif pa.types.is_dictionary(kind):  # pyarrow 23 builds few dictionary types from values
            columns.append(pa.array(own, kind.value_type).dictionary_encode().cast(kind))
        else:
            columns.append(pa.array(own, kind))
    return pa.table(columns, [f"c{at}" for at in range(len(kinds))])


writers = st.fixed_dictionaries(
    {
        "row_group_size": st.sampled_from([1, 2, 7, 1000]),
        "data_page_size": st.sampled_from([1, 64, 1 << 20]),
        "data_page_version": st.sampled_from(["1.0", "2.0"]),
        "version": st.sampled_from(["2.4", "2.6"]),
        "use_dictionary": st.booleans(),
        "dictionary_pagesize_limit": st.sampled_from([1, 1 << 20]),
        "write_statistics": st.booleans(),
        "write_page_index": st.booleans(),
        "write_page_checksum": st.booleans(),
        "store_schema": st.booleans(),
        "compression": st.sampled_from(["none", "snappy", "gzip", "zstd", "lz4", "brotli"]),
        "write_batch_size": st.sampled_from([1, 1024]),
    }
)


def check_parquet(folder, table, options, per_slice, empty_groups):
    path = folder / "in.parquet"
    size = options["row_group_size"]
    options = {name: value for name, value in options.items() if name != "row_group_size"}
    with pq.ParquetWriter(path, table.schema, **options) as writer:
        for start in range(0, len(table), size):
            writer.write_table(table.slice(start, size), row_group_size=size)
            if empty_groups:
                writer.write_table(table.slice(0, 0))
    try:
        written = pq.read_table(path)
    except pa.ArrowInvalid:
        assume(False)  # Arrow itself fails on a null list in a page of a byte or two
    if len(written) < len(table):  # nor a single list, if it left the dictionary
        with pytest.raises(UserError, match="or is damaged: it ends before row"):
            check(path, written, per_slice)
        return
    check(path, written, per_slice)


def check_arrow(folder, table, batch, stream, compression, per_slice):
    path = folder / "in.arrow"
    options = pa.ipc.IpcWriteOptions(compression=compression, emit_dictionary_deltas=stream)
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(str(path), table.schema, options=options) as writer:
        writer.write_table(table.unify_dictionaries(), max_chunksize=batch)
    check(path, table, per_slice)


def check(path, table, per_slice):
    """The file is read as Arrow reads it, with any slices, and does not change when written as Parquet."""
    plan = plan_input(str(path), per_slice)
    parts = [part for unit in plan.units for part in read_slices(unit, plan.schema)]
    read = pa.concat_tables([plan.schema.empty_table(), *(part.table for part in parts)])
    written = pq.read_table(pa.BufferReader(encode(read, "parquet")))
    assert written.column_names == table.column_names
    for mine, theirs in zip(written.columns, table.columns, strict=True):
        assert mine.to_pylist() == theirs.to_pylist()
    assert len(encode(read, "jsonl").splitlines()) == len(table)


PARQUET = {
    "table": tables(),
    "options": writers,
    "per_slice": st.integers(1, 31),
    "empty_groups": st.booleans(),
}
ARROW = {
    "table": tables(),
    "batch": st.sampled_from([1, 3, 100]),
    "stream": st.booleans(),
    "compression": st.sampled_from([None, "lz4", "zstd"]),
    "per_slice": st.integers(1, 31),
}


def searched(examples):
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


@searched(50)
@given(**PARQUET)
def test_any_table_by_any_writer_of_parquet_is_read_as_written(
    tmp_path, table, options, per_slice, empty_groups
):
    check_parquet(tmp_path, table, options, per_slice, empty_groups)


@searched(50)
@given(**ARROW)
def test_any_table_by_any_writer_of_arrow_is_read_as_written(
    tmp_path, table, batch, stream, compression, per_slice
):
    check_arrow(tmp_path, table, batch, stream, compression, per_slice)


def test_a_parquet_file_without_the_rows_of_its_footer_is_an_error(tmp_path):
    """A file as Arrow 25 writes a single list in pages of one byte, of which Arrow itself can read no row."""
    path = tmp_path / "in.parquet"
    settings = {"data_page_size": 1, "write_batch_size": 1, "dictionary_pagesize_limit": 1}
    pq.write_table(pa.table({"a": [[1]]}), path, **settings)
    if len(pq.read_table(path)):
        pytest.skip("this Arrow writes it well")
    with pytest.raises(UserError, match="or is damaged: it ends before row 0"):
        check(path, pa.table({"a": [[1]]}), 10)


@pytest.mark.slow
@searched(5000)
@given(**PARQUET)
def test_five_thousand_tables_of_parquet(tmp_path, table, options, per_slice, empty_groups):
    check_parquet(tmp_path, table, options, per_slice, empty_groups)


@pytest.mark.slow
@searched(5000)
@given(**ARROW)
def test_five_thousand_tables_of_arrow(tmp_path, table, batch, stream, compression, per_slice):
    check_arrow(tmp_path, table, batch, stream, compression, per_slice)
