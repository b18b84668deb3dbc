"""Checks that a shard is as it was written: its size, number of rows and digest, from its record.

The end of a file is always compared. In Parquet it is the footer, with the position, size and statistics of
every column. All bytes are compared on demand, and wherever the file is read anyway.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.errors import UserError
from beam_sts.io.files import InputFile, file_system
from beam_sts.io.slices import Slice, digest_of

END = 1 << 16
"""The number of bytes at the end of a shard that are always compared."""

RUN_FILE = "_run/run.json"
"""The file with the fingerprint of a run, within the folder of the run."""

_SHARD = re.compile(r"/part-\d+\.\w+$")
_FEW = 4  # most files in a folder for which sizes are requested one by one
_AT_ONCE = 256  # files that are read concurrently


class ShardRecord(TypedDict):
    """The description of a shard. ``end`` is the digest of its last bytes, ``digest`` of all bytes."""

    bytes: int
    rows: int
    end: str
    digest: str


def describe(data: bytes, rows: int) -> ShardRecord:
    """Describe a shard with its number of rows."""
    return {"bytes": len(data), "rows": rows, "end": digest_of(data[-END:]), "digest": digest_of(data)}


def content_digest(*columns: pa.Array | pa.ChunkedArray | NDArray[Any]) -> str:
    """One digest of columns and arrays, by their values in memory."""
    return digest_of(*map(_bytes, columns))


def slice_identity(part: Slice) -> list[Any]:
    """The values that identify a slice among all slices of an input, for JSON."""
    return [part.path, part.row, part.rows, part.content]


def _bytes(column: pa.Array | pa.ChunkedArray | NDArray[Any]) -> bytes:
    if isinstance(column, np.ndarray):
        return column.tobytes()
    return _stream(pa.table({"": column}))


def _stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    whole = table.combine_chunks()
    with pa.ipc.new_stream(sink, whole.schema) as stream:
        stream.write_table(whole)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def damage(shards: Mapping[str, ShardRecord], *, verify: bool = False) -> dict[str, str]:
    """Find damaged shards.

    Args:
        shards: the descriptions of shards, by path.
        verify: compare all bytes instead of the last ones only.

    Returns:
        The fault of each damaged shard, by path.

    Raises:
        OSError: a shard exists and cannot be read.
    """
    found: dict[str, str] = {}
    for path, size in _sizes(shards).items():
        wanted = shards[path]["bytes"]
        if size != wanted:
            found[path] = "is missing" if size is None else f"has {size:,} bytes, not {wanted:,}"
    same = [path for path, shard in shards.items() if path not in found and shard["bytes"]]
    for path, data in zip(same, _read(same, shards, verify), strict=True):
        if isinstance(data, Exception):
            raise data
        if digest_of(data) != shards[path]["digest" if verify else "end"]:
            found[path] = "has changed since it was written"
    return found


def _sizes(paths: Iterable[str]) -> dict[str, int | None]:
    """The sizes of files, None for absent ones. Lists a folder, or asks for each of a few files."""
    sizes: dict[str, int | None] = dict.fromkeys(paths)
    folders: dict[str, list[str]] = {}
    for path in sizes:
        folders.setdefault(path.rpartition("/")[0], []).append(path)
    for folder, asked in folders.items():
        fs, inside = file_system(folder)
        fs.invalidate_cache()
        if len(asked) > _FEW:
            with contextlib.suppress(FileNotFoundError):
                for entry in fs.ls(inside, detail=True):
                    path = f"{folder}/{entry['name'].rpartition('/')[2]}"
                    if path in sizes:
                        sizes[path] = int(entry["size"])
            continue
        for path in asked:
            with contextlib.suppress(FileNotFoundError):
                sizes[path] = int(fs.info(file_system(path)[1])["size"])
    return sizes


def _read(paths: list[str], shards: Mapping[str, ShardRecord], verify: bool) -> Iterator[bytes | Exception]:
    ends = [shards[path]["bytes"] for path in paths]
    if verify:
        return _contents(paths, [None] * len(paths), [None] * len(paths), 1)
    return _contents(paths, [max(0, end - END) for end in ends], ends)


def _contents(
    paths: Sequence[str], starts: Sequence[int | None], ends: Sequence[int | None], at_once: int = _AT_ONCE
) -> Iterator[bytes | Exception]:
    """The bytes of files, read concurrently if the file system can; an exception for an unreadable file."""
    for first in range(0, len(paths), at_once):
        part = slice(first, first + at_once)
        fs, _ = file_system(paths[first])
        inside = [file_system(path)[1] for path in paths[part]]
        yield from fs.cat_ranges(inside, list(starts[part]), list(ends[part]), on_error="return")


def read_records(paths: Sequence[str]) -> Iterator[dict[str, Any] | None]:
    """Read records, some at a time. None for a record that is absent or damaged.

    Raises:
        OSError: a record exists and cannot be read.
    """
    nothing: list[int | None] = [None] * len(paths)
    return map(_parse, _contents(paths, nothing, nothing))


def read_record(path: str) -> dict[str, Any] | None:
    """Read one record, as ``read_records`` does."""
    return next(read_records([path]))


def record_text(record: dict[str, Any]) -> str:
    """A record as JSON, with a checksum."""
    return json.dumps({**record, "check": digest_of(json.dumps(record).encode())})


def _parse(content: bytes | Exception) -> dict[str, Any] | None:
    if isinstance(content, FileNotFoundError):
        return None
    if isinstance(content, Exception):
        raise content
    try:
        record = json.loads(content)
    except ValueError:
        return None
    if not isinstance(record, dict):
        return None
    check = record.pop("check", None)
    return record if check in (None, digest_of(json.dumps(record).encode())) else None


def recorded(root: str) -> tuple[dict[str, ShardRecord], list[str]]:
    """The shards in the records of a run, by path, and the paths of damaged records."""
    fs, inside = file_system(f"{root}/_run/records")
    fs.invalidate_cache()
    try:
        names = sorted(name.rpartition("/")[2] for name in fs.ls(inside, detail=False))
    except FileNotFoundError:
        return {}, []
    paths = [f"{root}/_run/records/{name}" for name in names if not name.startswith(".")]
    shards: dict[str, ShardRecord] = {}
    damaged = []
    for path, record in zip(paths, read_records(paths), strict=True):
        if record is None:
            damaged.append(path)
        else:
            shards |= {f"{root}/{name}": shard for name, shard in record.get("shards", {}).items()}
    return shards, damaged


def run_damage(root: str, folder: str = "", *, verify: bool = False) -> dict[str, str]:
    """Find damaged shards and records of a finished run.

    Args:
        root: the folder of the run.
        folder: check only shards in this folder.
        verify: compare all bytes.

    Returns:
        The fault of each damaged shard and record, by path.
    """
    shards, damaged = recorded(root)
    chosen = {path: shard for path, shard in shards.items() if path.startswith(f"{root}/{folder}")}
    return {**dict.fromkeys(damaged, "is damaged"), **damage(chosen, verify=verify)}


def check_run(root: str, folder: str, place: str) -> None:
    """Check that the shards in a folder of a finished run are as they were written.

    Args:
        root: the folder of the run.
        folder: the folder within it.
        place: the name of the run in the message.

    Raises:
        UserError: a shard is damaged. The message names it.
    """
    _refuse(run_damage(root, f"{folder}/"), place)


def check_files(files: Sequence[InputFile], place: str) -> None:
    """Check that files which are shards of finished runs are as they were written, and that none is missing.

    Args:
        files: the files of an input.
        place: the option that named them, with its value.

    Raises:
        UserError: a shard is damaged or missing. The message names it.
    """
    chosen = {file.path for file in files}
    folders = {path.rpartition("/")[0] for path in chosen if _SHARD.search(path)}
    for folder in sorted(folders):
        root = _run_of(folder)
        if root is None:
            continue
        found = run_damage(root, folder.removeprefix(f"{root}/") + "/")
        # One named file is checked alone. Otherwise all shards of the folder are expected.
        _refuse({path: why for path, why in found.items() if path in chosen or len(chosen) > 1}, place)


def _run_of(folder: str) -> str | None:
    """The folder of the finished run to which a folder of shards belongs: one or two levels up."""
    for _ in range(2):
        folder = folder.rpartition("/")[0]
        fs, inside = file_system(folder)
        if fs.exists(f"{inside}/{RUN_FILE}") and fs.exists(f"{inside}/summary.json"):
            return folder
    return None


def _refuse(found: dict[str, str], place: str) -> None:
    if found:
        path, why = next(iter(found.items()))
        more = f", and {len(found) - 1:,} more are damaged" if len(found) > 1 else ""
        raise UserError(
            f"{place}: {path} {why}{more}. Run the command that wrote it again, to write it again."
        )
