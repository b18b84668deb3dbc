"""Texts in a local file, read through a memory map, so that a corpus need not fit into memory."""

from __future__ import annotations

import mmap
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from beam_sts.io.files import file_system, is_local
from beam_sts.io.output import OutputFolder


@contextmanager
def work_folder(output: OutputFolder) -> Iterator[Path]:
    """A temporary folder on a local disk for texts, within the output folder if that is local."""
    local = Path(file_system(output.path("_run", "work"))[1]) if is_local(output.root) else None
    folder = local or Path(tempfile.mkdtemp(prefix="beam_sts"))
    shutil.rmtree(folder, ignore_errors=True)  # the leftovers of a killed run
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class TextFile:
    """A growing column of texts in a local file. Takes eight bytes of memory per text.

    Args:
        path: the file, which is overwritten.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = TextFile(Path(folder) / "texts")
    ...     file.append(pa.array(["one", "", "three"], pa.large_string()))
    ...     file.append(pa.array(["four"], pa.large_string()))
    ...     file.column().take(pa.array([3, 0])).to_pylist()
    ['four', 'one']
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._stream = path.open("w+b")
        self._ends = [np.zeros(1, dtype=np.int64)]
        self._map: mmap.mmap | None = None

    def append(self, texts: pa.Array | pa.ChunkedArray) -> None:
        """Add a column of large strings without nulls."""
        for chunk in texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]:
            _, ends, data = chunk.buffers()
            offsets = np.frombuffer(ends, dtype=np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
            if len(chunk):
                if data is not None:
                    self._stream.write(memoryview(data)[offsets[0] : offsets[-1]])
                self._ends.append(offsets[1:] - offsets[0] + self._ends[-1][-1])

    def column(self) -> pa.LargeStringArray:
        """All texts so far, backed by the pages of the file."""
        self._stream.flush()
        ends = np.concatenate(self._ends)
        self._ends = [ends]
        self._map = mmap.mmap(self._stream.fileno(), 0, access=mmap.ACCESS_READ) if ends[-1] else None
        data = pa.py_buffer(self._map or b"")
        return pa.LargeStringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), data)

    def release(self) -> None:
        """Release the memory of the pages that ``column`` has loaded. They are loaded again when needed.

        Otherwise random reads would load the whole file in the end, unless memory is short.
        """
        if self._map is not None and hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Delete the file."""
        self._stream.close()
        self._path.unlink(missing_ok=True)


class TextList:
    """A growing column of texts in memory, with the interface of :class:`TextFile`."""

    def __init__(self) -> None:
        self._chunks: list[pa.Array] = []

    def append(self, texts: pa.Array | pa.ChunkedArray) -> None:
        """Add a column of large strings without nulls."""
        self._chunks += texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]

    def column(self) -> pa.LargeStringArray:
        """All texts so far."""
        joined = pa.chunked_array(self._chunks, pa.large_string()).combine_chunks()
        return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined

    def release(self) -> None:
        """Does nothing, since the texts stay in memory."""
