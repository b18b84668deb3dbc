"""Arrow IPC: files (also Feather version 2) and streams, distinguished by their first bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from typing import Any, NamedTuple

import pyarrow as pa

from beam_sts.io.carried_types import has_fixed_list, loosened
from beam_sts.io.files import fault_of_file, file_system, is_local
from beam_sts.io.ranges import read_ranges, row_ranges
from beam_sts.io.schema import check_column_names
from beam_sts.io.slices import SLICES_PER_UNIT, FileScan, Slice, SliceData, changed, digest_of
from beam_sts.io.streams import described


class Arrow:
    """Slices are row ranges. To read a unit, the batches before it are skipped, which is cheap locally."""

    name = "Arrow"
    suffixes: tuple[str, ...] = (".arrow", ".feather", ".ipc", ".arrows")

    def scan(self, path: str, rows_per_slice: int) -> FileScan:
        """Read the file once, to count its rows and to compute digests of its batches."""
        rows, largest = 0, 0.0
        nulls: set[str] = set()
        seen: list[_Batch] = []
        with _open(path) as (schema, batches):
            check_column_names(schema.names, path)
            fixed = [field.name for field in schema if has_fixed_list(field.type)]
            try:
                for batch in batches:
                    batch.validate()  # the offsets, since the file is untrusted; its texts are checked later
                    seen.append(_Batch(rows, rows + len(batch), _held(batch)[1]))
                    rows += len(batch)
                    nulls |= {name for name in fixed if batch.column(name).null_count}
                    largest = max(largest, batch.get_total_buffer_size() / len(batch) if len(batch) else 0.0)
            except (OSError, pa.ArrowException) as error:
                raise fault_of_file(error, f"{path}: damaged after row {rows}: {error}") from error
        for at, field in enumerate(schema):
            if field.name in nulls:
                schema = schema.set(at, loosened(field))
        ranges = row_ranges(path, rows, rows_per_slice, largest)
        slices = [replace(part, content=_content(seen, part)) for part in ranges]
        return FileScan(schema, slices, digest_of(*(batch.digest for batch in seen)))

    def units(self, slices: list[Slice]) -> list[list[Slice]]:
        """A few slices of a local file, or all slices of a remote file."""
        size = SLICES_PER_UNIT if slices and is_local(slices[0].path) else max(1, len(slices))
        return [slices[i : i + size] for i in range(0, len(slices), size)]

    def read(
        self, unit: Sequence[Slice], schema: pa.Schema, texts: Sequence[tuple[str, ...]]
    ) -> Iterator[SliceData]:
        """Stream the batches, and cut the slices of the unit out of them."""
        seen: list[_Batch] = []
        with _open(unit[0].path) as (own, batches):
            for data in read_ranges(_watched(batches, unit, seen), 0, unit, own):
                if _content(seen, data.slice) != data.slice.content:
                    raise changed(data.slice.path, data.slice.row)
                yield data


@contextmanager
def _open(path: str) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    fs, inside = file_system(path)
    try:
        source: Any = (
            pa.memory_map(inside) if is_local(path) else pa.PythonFile(fs.open(inside, "rb"), mode="r")
        )
    except OSError as error:
        raise fault_of_file(error, f"{path}: cannot be read: {error}") from error
    with source:
        try:
            if source.read(6) == b"ARROW1":
                file = pa.ipc.open_file(source)
                schema = file.schema
                batches = (file.get_batch(index) for index in range(file.num_record_batches))
            else:
                source.seek(0)
                stream = pa.ipc.open_stream(source)
                schema, batches = stream.schema, iter(stream)
        except (OSError, pa.ArrowException) as error:
            raise fault_of_file(
                error, f"{path}: not a readable Arrow file{described(path, 'Arrow')}: {error}"
            ) from error
        yield schema, batches


class _Batch(NamedTuple):
    """The digest of the batch with rows ``start`` to ``stop`` of a file."""

    start: int
    stop: int
    digest: bytes


def _held(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, bytes]:
    """Copy a batch to memory, and compute the digest of the copy, so that the digest is of what is used."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    data = sink.getvalue()
    return pa.ipc.open_stream(data).read_next_batch(), blake2b(data, digest_size=16).digest()


def _watched(
    batches: Iterator[pa.RecordBatch], unit: Sequence[Slice], seen: list[_Batch]
) -> Iterator[pa.RecordBatch]:
    """The batches. Those with rows of the unit are copied to memory and recorded in ``seen``."""
    row, start = 0, unit[0].row
    for batch in batches:
        stop = row + len(batch)
        if stop > start:
            batch, digest = _held(batch)
            seen.append(_Batch(row, stop, digest))
        yield batch
        row = stop


def _content(batches: Sequence[_Batch], part: Slice) -> str:
    """The digest of the batches that contain a slice."""
    held = [b.digest for b in batches if b.start < part.row + part.rows and b.stop > part.row]
    return digest_of(*held)
