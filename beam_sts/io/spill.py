"""Texts and numbers in local files, so that those of a corpus need not fit into memory."""

from __future__ import annotations

import mmap
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.arrays import chunks_of, one_array
from beam_sts.io.files import file_system, is_local
from beam_sts.io.output import OutputFolder

_MAPS: WeakValueDictionary[int, mmap.mmap] = WeakValueDictionary()
"""The memory maps of files of texts, by address."""
_TAKEN_AT_ONCE = 500  # a random read may load a megabyte around a text


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
        for chunk in chunks_of(texts):
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
        if self._map is not None:
            _MAPS[data.address] = self._map
        return pa.LargeStringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), data)

    def release(self) -> None:
        """Release the memory of the pages that ``column`` has loaded. They are loaded again when needed.

        Otherwise random reads would load the whole file in the end, unless memory is short.
        """
        if self._map is not None:
            _release(self._map)

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
        self._chunks += chunks_of(texts)

    def column(self) -> pa.LargeStringArray:
        """All texts so far."""
        return one_array(pa.chunked_array(self._chunks, pa.large_string()))

    def release(self) -> None:
        """Does nothing, since the texts stay in memory."""


def take_texts(texts: pa.Array, rows: NDArray[np.int64]) -> pa.Array:
    """Some texts of a column. Texts that are on disk leave the memory after each few hundred."""
    parts = [texts.slice(0, 0)]
    for start in range(0, len(rows), _TAKEN_AT_ONCE):
        parts.append(texts.take(pa.array(rows[start : start + _TAKEN_AT_ONCE])))
        release_texts(texts)
    return pa.concat_arrays(parts)


def release_texts(texts: pa.Array | pa.ChunkedArray) -> None:
    """Release the memory of the pages that a column, or a part of it, has loaded from a :class:`TextFile`.

    Does nothing for other columns. So one pass over the texts of a corpus has only some of them in memory.
    """
    for chunk in chunks_of(texts):
        data = chunk.buffers()[-1]
        if data is not None and (mapped := _MAPS.get(data.address)) is not None:
            _release(mapped)


def _release(mapped: mmap.mmap) -> None:
    if hasattr(mapped, "madvise"):
        mapped.madvise(mmap.MADV_DONTNEED)


class NumberFile:
    """An array of several parts of equal shape, written some rows at a time and read one part at a time.

    Args:
        folder: a local folder for a temporary file. None: the array is kept in memory.
        parts: the number of parts.
        rows: the number of rows of each part.
        width: the number of columns of each part.
        dtype: the type of the numbers.

    >>> file = NumberFile(None, parts=2, rows=3, width=1, dtype=np.dtype(np.uint32))
    >>> file.write(1, np.array([[[5], [6]], [[7], [8]]]))
    >>> file.read(1, 3)[1:].tolist()
    [[7], [8]]
    """

    def __init__(
        self, folder: Path | None, *, parts: int, rows: int, width: int, dtype: np.dtype[Any]
    ) -> None:
        self._shape, self._dtype = (parts, rows, width), dtype
        self._memory = np.zeros(self._shape, dtype) if folder is None else None
        self._stream = None if folder is None else tempfile.TemporaryFile(dir=folder)  # noqa: SIM115

    def write(self, row: int, values: NDArray[Any]) -> None:
        """Store the values of some rows, from ``row`` on, of all parts: shape (parts, rows, width)."""
        if self._memory is not None:
            self._memory[:, row : row + values.shape[1]] = values
        elif self._stream is not None:
            for part, of_part in enumerate(values.astype(self._dtype, copy=False)):
                self._stream.seek(self._place(part, row))
                self._stream.write(of_part.tobytes())

    def read(self, part: int, rows: int) -> NDArray[Any]:
        """The first ``rows`` rows of a part: shape (rows, width)."""
        if self._memory is not None:
            return self._memory[part, :rows]
        if self._stream is None:
            raise RuntimeError("there is neither a file nor an array")
        self._stream.seek(self._place(part, 0))
        width = self._shape[2]
        return np.frombuffer(self._stream.read(rows * width * self._dtype.itemsize), self._dtype).reshape(
            rows, width
        )

    def _place(self, part: int, row: int) -> int:
        _, rows, width = self._shape
        return (part * rows + row) * width * self._dtype.itemsize
