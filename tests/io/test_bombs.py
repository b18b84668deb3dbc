"""Small files that expand to huge ones: an error or rejected rows, within 3 GB of memory.

It takes minutes: python -m pytest -m slow tests/io/test_bombs.py
"""

import bz2
import gzip
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.io.test_changed import with_footer

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
# All steps of reading and writing without a model: plan, read, check_rows, rejected rows, one shard's bytes.
READ = """
import json, sys
from pathlib import Path
import pyarrow as pa
from beam_sts.errors import UserError
from beam_sts.io.encode import encode
from beam_sts.io.rejected import rejected_schema, rejected_table
from beam_sts.io.reading import plan_input, read_slices
from beam_sts.io.column_paths import column_at, with_text
texts, found = ("text_a", "text_b"), {"good": 0, "bad": 0, "error": None}
def peak():  # not by getrusage, which has the parent's peak too
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    return int(line.split()[1]) >> 10
before = peak()
try:
    plan = plan_input(sys.argv[1], 20_000)
    schema = with_text(with_text(plan.schema, "text_a"), "text_b")
    for unit in plan.units[:3]:
        for part in read_slices(unit, schema, texts):
            held = [column_at(part.table, name).cast(pa.large_string()) for name in texts]
            rejected = rejected_table(part, [], [], rejected_schema(schema))
            encode(rejected, "jsonl"), encode(part.table, "parquet")
            found["good"] += len(part.table)
            found["bad"] += len(rejected)
            if len(rejected):
                found["reason"] = rejected["reason"][0].as_py()
except UserError as error:
    found["error"] = str(error)
print(json.dumps({**found, "megabytes": peak() - before}))
"""


def read(path):
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    print(path.name, path.stat().st_size, found, file=sys.stderr)
    return found


ROW = b'{"text_a": "a", "text_b": "b"}\n'


def line_of_2_gb(path):
    with gzip.open(path, "wb", 1) as stream:
        stream.write(ROW)
        for _ in range(2048):
            stream.write(b"a" * (1 << 20))
        stream.write(b"\n" + ROW)


def packed_zeros(pack):
    return lambda path: path.write_bytes(pack(ROW + bytes(600 << 20) + b"\n" + ROW))


def nested(kind):
    def write(path):
        opening, closing = {"object": (b'{"a":', b"}"), "list": (b"[", b"]")}[kind]
        value = opening * 100_000 + b"1" + closing * 100_000
        path.write_bytes(b'{"text_a": "a", "text_b": "b", "z": %s}\n' % value + ROW)

    return write


def many_values(part):
    def write(path):
        path.write_bytes(
            b'{"text_a": "a", "text_b": "b", "z": [' + part * (200_000_000 // len(part)) + b"1]}\n" + ROW
        )

    return write


def keys(count):
    def write(path):
        members = b",".join(b'"k%d":1' % at for at in range(count))
        path.write_bytes(ROW + b'{"text_a":"a","text_b":"b",%s}\n' % members)

    return write


def header_of_ten_million(path):
    path.write_bytes(b"text_a,text_b" + b"".join(b",c%d" % at for at in range(10_000_000)) + b"\na,b\n")


def columns_of_300_rows(path):
    with path.open("wb") as stream:
        for row in range(300):
            members = b",".join(b'"k%d_%d":1' % (row, at) for at in range(100))
            stream.write(b'{%s,"text_a":"a","text_b":"b"}\n' % members)


def nulls(path):
    column = pa.nulls(100_000_000, pa.string())
    pq.write_table(pa.table({"text_a": column, "text_b": column}), path, row_group_size=len(column))


def dictionary(kind):
    def write(path):
        large = pa.array(["x" * (1 << 20)])
        coded = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), large)
        schema = pa.schema([("text_a", coded.type), ("text_b", coded.type)])
        table = pa.table({"text_a": coded, "text_b": coded}, schema)
        pq.write_table(table, path, compression="zstd", store_schema=kind == "dictionary")

    return write


def claims(at, value):
    return lambda path: path.write_bytes(with_footer(path.parent, at, value))


BOMBS = {
    "a line of 2 GB": ("in.jsonl.gz", line_of_2_gb, {"good": 2, "bad": 1}, "line too long"),
    "zeros in gzip": ("in.jsonl.gz", packed_zeros(gzip.compress), {"good": 2, "bad": 1}, "line too long"),
    "zeros in bzip2": ("in.jsonl.bz2", packed_zeros(bz2.compress), {"good": 2, "bad": 1}, "line too long"),
    "zeros in Zstandard": (
        "in.jsonl.zst",
        packed_zeros(lambda data: pa.Codec("zstd").compress(data, asbytes=True)),
        {"good": 2, "bad": 1},
        "line too long",
    ),
    "objects 100,000 deep": ("in.jsonl", nested("object"), {"good": 1, "bad": 1}, "nested too deep"),
    "lists 100,000 deep": ("in.jsonl", nested("list"), {"good": 1, "bad": 1}, "nested too deep"),
    "empty lists": ("in.jsonl", many_values(b"[],"), {"good": 1, "bad": 1}, "too many values"),
    "empty objects": ("in.jsonl", many_values(b"{},"), {"good": 1, "bad": 1}, "too many values"),
    "short texts": ("in.jsonl", many_values(b'"ab",'), {"good": 1, "bad": 1}, "too many values"),
    "ten million keys": ("in.jsonl", keys(10_000_000), {"good": 1, "bad": 1}, "too many values"),
    "a million keys": ("in.jsonl", keys(1_000_000), {}, "has 1,000,002 columns, over the limit"),
    "ten million columns": ("in.csv", header_of_ten_million, {}, "has 10,000,002 columns, over the limit"),
    "30,000 columns in 300 rows": ("in.jsonl", columns_of_300_rows, {"good": 300, "bad": 0}, None),
    "100 M null rows": ("in.parquet", nulls, {"good": 480_000, "bad": 0}, None),
    "a dictionary": ("in.parquet", dictionary("dictionary"), {}, "take more than 1,024 MiB"),
    "a dictionary read as texts": ("in.parquet", dictionary("texts"), {}, "take more than 1,024 MiB"),
    "2^62 rows": ("in.parquet", claims("rows", 2**62), {}, "would make|damaged"),
    "a chunk of 2^40 bytes": ("in.parquet", claims("size", 2**40), {}, "refers to more bytes than"),
}


@pytest.mark.parametrize("name", list(BOMBS))
def test_a_bomb_is_an_error_or_rejected_rows_in_bounded_memory(tmp_path, name):
    file, write, counts, why = BOMBS[name]
    write(tmp_path / file)
    found = read(tmp_path / file)
    assert found["megabytes"] < 3000
    if counts:
        assert found["error"] is None
        assert {key: found[key] for key in counts} == counts
        assert not why or why in found["reason"]
    else:
        assert any(each in found["error"] for each in why.split("|"))
