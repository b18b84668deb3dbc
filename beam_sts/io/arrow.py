"""Arrow IPC: files (Feather version 2 is the same) and streams, told apart by their first bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import pyarrow as pa

from beam_sts.errors import UserError
from beam_sts.io.files import file_system, is_local
from beam_sts.io.ranges import read_ranges, row_ranges
from beam_sts.io.schema import check_unique
from beam_sts.io.slices import SLICES_PER_UNIT, FileScan, Slice, SliceData
from beam_sts.io.streams import described

_BLOCK = 1 << 20


class Arrow:
    """Slices are row ranges. Batches before a unit are skipped, which costs little on a local file."""

    name = "Arrow"
    suffixes: tuple[str, ...] = (".arrow", ".feather", ".ipc", ".arrows")

    def scan(self, path: str, rows_per_slice: int) -> FileScan:
        """Read the file once: count its rows, hash its bytes."""
        rows, largest = 0, 0.0
        with _open(path) as (schema, batches):
            check_unique(schema.names, path)
            try:
                for batch in batches:
                    batch.validate()  # offsets of an untrusted file; its texts are looked at later
                    rows += len(batch)
                    largest = max(largest, batch.get_total_buffer_size() / len(batch) if len(batch) else 0.0)
            except (OSError, pa.ArrowException) as error:
                raise UserError(f"{path}: damaged after row {rows}: {error}") from error
        return FileScan(schema, row_ranges(path, rows, rows_per_slice, largest), _digest(path))

    def units(self, slices: list[Slice]) -> list[list[Slice]]:
        """A few slices, or a whole remote file."""
        size = SLICES_PER_UNIT if slices and is_local(slices[0].path) else max(1, len(slices))
        return [slices[i : i + size] for i in range(0, len(slices), size)]

    def read(
        self, unit: Sequence[Slice], schema: pa.Schema, texts: Sequence[tuple[str, ...]]
    ) -> Iterator[SliceData]:
        """Stream the batches and cut the unit's slices out of them."""
        with _open(unit[0].path) as (own, batches):
            yield from read_ranges(batches, 0, unit, own)


@contextmanager
def _open(path: str) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    fs, inside = file_system(path)
    try:
        source: Any = (
            pa.memory_map(inside) if is_local(path) else pa.PythonFile(fs.open(inside, "rb"), mode="r")
        )
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
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
            raise UserError(
                f"{path}: not a readable Arrow file{described(path, 'Arrow')}: {error}"
            ) from error
        yield schema, batches


def _digest(path: str) -> str:
    fs, inside = file_system(path)
    digest = sha256()
    with fs.open(inside, "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
