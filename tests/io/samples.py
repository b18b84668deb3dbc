"""Tables as files of every supported format."""

import bz2
import csv
import gzip
import io
import sys

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

from beam_sts.io.encode import encode

CSV_NUL = sys.version_info >= (3, 11)
"""Whether Python's csv module reads and writes NUL."""

PACK = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": lambda data: pa.Codec("zstd").compress(data, asbytes=True),
}
LINES = [end + packed for end in (".jsonl", ".csv", ".tsv") for packed in PACK]
ENDINGS = [".parquet", ".feather", ".arrow", ".arrows", *LINES]


def write(path, table):
    """Write a table in the format of the path's extension, with a few rows in each group or batch."""
    plain, _, packed = path.name.partition(".")[2].partition(".")
    if plain == "parquet":
        pq.write_table(table, path, row_group_size=3)
    elif plain == "feather":
        feather.write_feather(table, path, chunksize=3, compression="lz4")
    elif plain == "arrow":
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=3)
    elif plain == "arrows":
        with pa.ipc.new_stream(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=3)
    else:
        if plain == "tsv":
            text = io.StringIO(newline="")
            rows = zip(*table.to_pydict().values(), strict=True)
            csv.writer(text, "excel-tab").writerows([table.column_names, *rows])
            data = text.getvalue().encode()
        else:
            data = encode(table, plain)
        path.write_bytes(PACK[packed and f".{packed}"](data))
    return path
