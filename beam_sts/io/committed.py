"""Whether a shard is what was written: its size, rows and digest, as its record has them.

The end of a file is always compared: in Parquet it is the footer, with the place, size and statistics of
every column. The whole of it on demand, and where the file is read anyway.
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
"""Bytes at the end of a shard that are always compared."""

RUN_FILE = "_run/run.json"
"""Of a run's folder: the run's fingerprint."""

_SHARD = re.compile(r"/part-\d+\.\w+$")
_FEW = 4  # files of a folder that are asked for one by one
_AT_ONCE = 256  # files that are read side by side


class ShardRecord(TypedDict):
    """What a record says of a shard; ``end`` and ``digest`` are of its last bytes and of all of them."""

    bytes: int
    rows: int
    end: str
    digest: str


def describe(data: bytes, rows: int) -> ShardRecord:
    """The record of a shard of so many rows."""
    return {"bytes": len(data), "rows": rows, "end": digest_of(data[-END:]), "digest": digest_of(data)}


def content_digest(*columns: pa.Array | pa.ChunkedArray | NDArray[Any]) -> str:
    """One digest of columns and arrays, as they are in memory."""
    return digest_of(*map(_bytes, columns))


def slice_identity(part: Slice) -> list[Any]:
    """What tells a slice from every other one of an input, as JSON."""
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
    """What is wrong with shards; nothing of those that are whole.

    Args:
        shards: their records, by path.
        verify: compare all bytes, not the last ones alone.

    Raises:
        OSError: a shard is there and cannot be read.
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
            found[path] = "has other content than was written"
    return found


def _sizes(paths: Iterable[str]) -> dict[str, int | None]:
    """Sizes, None where a file is absent: one listing of a folder, or a question for each of a few files."""
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
    """Bytes of files, some side by side where the file system can; an exception where one cannot be read."""
    for first in range(0, len(paths), at_once):
        part = slice(first, first + at_once)
        fs, _ = file_system(paths[first])
        inside = [file_system(path)[1] for path in paths[part]]
        yield from fs.cat_ranges(inside, list(starts[part]), list(ends[part]), on_error="return")


def read_records(paths: Sequence[str]) -> Iterator[dict[str, Any] | None]:
    """Records as they were written, some at a time; None where one is absent or cut.

    Raises:
        OSError: a record is there and cannot be read.
    """
    nothing: list[int | None] = [None] * len(paths)
    return map(_parse, _contents(paths, nothing, nothing))


def read_record(path: str) -> dict[str, Any] | None:
    """One record, as ``read_records`` reads it."""
    return next(read_records([path]))


def record_text(record: dict[str, Any]) -> str:
    """A record as JSON, with a check of itself."""
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
    """Every shard that the records of a run's folder name, by path, and the records that are damaged."""
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
    """What is wrong with the shards of a finished run and with their records, by path.

    Args:
        root: the run's folder.
        folder: look at its shards alone.
        verify: compare all bytes.
    """
    shards, damaged = recorded(root)
    chosen = {path: shard for path, shard in shards.items() if path.startswith(f"{root}/{folder}")}
    return {**dict.fromkeys(damaged, "is damaged"), **damage(chosen, verify=verify)}


def check_run(root: str, folder: str, place: str) -> None:
    """See that the shards in a folder of a finished run are as they were written.

    Args:
        root: the run's folder.
        folder: in it.
        place: what names the run, for the message.

    Raises:
        UserError: naming one that is not.
    """
    _refuse(run_damage(root, f"{folder}/"), place)


def check_files(files: Sequence[InputFile], place: str) -> None:
    """See that files which are shards of finished runs are as they were written, and none of them is missing.

    Args:
        files: of an input.
        place: the option that named them, with its value.

    Raises:
        UserError: naming one that is not.
    """
    chosen = {file.path for file in files}
    folders = {path.rpartition("/")[0] for path in chosen if _SHARD.search(path)}
    for folder in sorted(folders):
        root = _run_of(folder)
        if root is None:
            continue
        found = run_damage(root, folder.removeprefix(f"{root}/") + "/")
        # Who names one file alone wants that one; who names more, or the folder, all that are in it.
        _refuse({path: why for path, why in found.items() if path in chosen or len(chosen) > 1}, place)


def _run_of(folder: str) -> str | None:
    """The folder of the finished run that a folder of shards belongs to: one or two levels up."""
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
            f"{place}: {path} {why}{more}. The command that wrote it makes it again: run that once more."
        )
