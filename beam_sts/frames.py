"""Adapters for the texts and tables that users pass in. Results are of the same type as the input."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

import pyarrow as pa

from beam_sts.arrays import IntArray
from beam_sts.errors import UserError
from beam_sts.io.names import PREFIX, free_names

TEXT = "text"
"""The name of the text column when the input is a plain list of texts."""


class Frame(Protocol):
    """The input of a user: texts or a table."""

    @property
    def names(self) -> list[str]:
        """The names of its columns."""
        ...

    def table(self, columns: Collection[str] | None) -> pa.Table:
        """The given columns, by default all, as an Arrow table."""
        ...

    def rows(self, numbers: IntArray, more: pa.Table | None = None) -> Any:
        """The rows with these numbers, optionally with additional columns."""
        ...

    def made(self, table: pa.Table) -> Any:
        """Convert an Arrow table to the user's type."""
        ...


class _Texts:
    """A list of texts. Rows are returned as texts, or as dicts if there are additional columns."""

    def __init__(self, texts: list[Any]) -> None:
        self._texts = texts

    @property
    def names(self) -> list[str]:
        return [TEXT]

    def table(self, columns: Collection[str] | None) -> pa.Table:
        try:
            return pa.table({TEXT: pa.array(self._texts, pa.large_string())})
        except (pa.ArrowException, UnicodeError, TypeError) as error:
            at = next(i for i, t in enumerate(self._texts) if t is not None and not _is_text(t))
            raise UserError(f"texts[{at}] is {self._texts[at]!r:.80}, not a text.") from error

    def rows(self, numbers: IntArray, more: pa.Table | None = None) -> list[Any]:
        texts = [self._texts[row] for row in numbers.tolist()]
        if more is None:
            return texts
        return [{TEXT: text, **row} for text, row in zip(texts, more.to_pylist(), strict=True)]

    def made(self, table: pa.Table) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = table.to_pylist()
        return found


def _is_text(value: Any) -> bool:
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


class _ArrowTable:
    """An Arrow table or record batch. A record batch is returned as a table."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    @property
    def names(self) -> list[str]:
        return list(self._table.column_names)

    def table(self, columns: Collection[str] | None) -> pa.Table:
        return self._table if columns is None else self._table.select(list(columns))

    def rows(self, numbers: IntArray, more: pa.Table | None = None) -> pa.Table:
        taken = self._table.take(pa.array(numbers))
        for name in more.column_names if more is not None else ():
            taken = taken.append_column(name, more.column(name))  # type: ignore[union-attr]
        return taken

    def made(self, table: pa.Table) -> pa.Table:
        return table


class _PandasFrame:
    """A pandas DataFrame. Rows keep their index."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    @property
    def names(self) -> list[str]:
        return [str(name) for name in self._frame.columns]

    def table(self, columns: Collection[str] | None) -> pa.Table:
        frame = self._frame if columns is None else self._frame[list(columns)]
        return pa.Table.from_pandas(frame, preserve_index=False)

    def rows(self, numbers: IntArray, more: pa.Table | None = None) -> Any:
        taken = self._frame.iloc[numbers].copy()
        for name in more.column_names if more is not None else ():
            taken[name] = more.column(name).to_pandas().to_numpy()  # type: ignore[union-attr]
        return taken

    def made(self, table: pa.Table) -> Any:
        return table.to_pandas()


class _PolarsFrame:
    """A polars DataFrame."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    @property
    def names(self) -> list[str]:
        return list(self._frame.columns)

    def table(self, columns: Collection[str] | None) -> pa.Table:
        return (self._frame if columns is None else self._frame.select(list(columns))).to_arrow()

    def rows(self, numbers: IntArray, more: pa.Table | None = None) -> Any:
        taken = self._frame[numbers.tolist()]
        return taken if more is None else taken.hstack(self.made(more))

    def made(self, table: pa.Table) -> Any:
        return type(self._frame)({name: table.column(name).combine_chunks() for name in table.column_names})


class _HuggingFaceDataset:
    """A ``datasets.Dataset``."""

    def __init__(self, data: Any) -> None:
        self._data = data

    @property
    def names(self) -> list[str]:
        return list(self._data.column_names)

    def table(self, columns: Collection[str] | None) -> pa.Table:
        chosen = self._data if columns is None else self._data.select_columns(list(columns))
        return chosen.with_format("arrow")[:]

    def rows(self, numbers: IntArray, more: pa.Table | None = None) -> Any:
        taken = self._data.select(numbers)
        for name in more.column_names if more is not None else ():
            taken = taken.add_column(name, more.column(name).to_pylist())  # type: ignore[union-attr]
        return taken

    def made(self, table: pa.Table) -> Any:
        return type(self._data)(table)


def frame_of(data: Any, what: str = "data") -> Frame:
    """Wrap texts or a table in the adapter for its type.

    Args:
        data: an iterable of texts, or a table: Arrow, pandas, polars, Hugging Face.
        what: the name of the data in messages.

    Raises:
        UserError: the type is not supported. The message says what to pass instead.

    >>> import numpy as np
    >>> frame_of(["one", "two"]).rows(np.array([1]))
    ['two']
    """
    if isinstance(data, pa.Table | pa.RecordBatch):
        return _ArrowTable(pa.Table.from_batches([data]) if isinstance(data, pa.RecordBatch) else data)
    if isinstance(data, pa.Array | pa.ChunkedArray):
        return _Texts(data.to_pylist())
    kind = f"{type(data).__module__.partition('.')[0]}.{type(data).__name__}"
    frames: dict[str, Any] = {
        "pandas.DataFrame": _PandasFrame,
        "polars.DataFrame": _PolarsFrame,
        "datasets.Dataset": _HuggingFaceDataset,
    }
    if kind in frames:
        made: Frame = frames[kind](data)
        return made
    way_out = {
        "polars.LazyFrame": "collect() it first.",
        "datasets.DatasetDict": "Give one split of it, such as data['train'].",
        "datasets.IterableDataset": "Give a Dataset, or write it to files and run beam-sts dedup.",
    }.get(kind)
    plain = isinstance(data, Iterable) and not isinstance(data, str | bytes | bytearray | Mapping)
    if way_out is None and plain:
        return _Texts(list(data))
    way_out = way_out or "Give texts, or a table: Arrow, pandas, polars or a Hugging Face Dataset."
    raise UserError(f"{what} is a {type(data).__name__}, neither texts nor a table. {way_out}")


def beside(table: pa.Table, taken: Collection[str], prefix: str = PREFIX) -> pa.Table:
    """Rename the columns of a result table so that none has the name of an input column, by ``free_names``.

    >>> beside(pa.table({"score": [1], "rule": ["x"]}), ["score", "text"]).column_names
    ['beam_sts_score', 'rule']
    """
    return table.rename_columns(list(free_names(table.column_names, taken, prefix).values()))


def text_name(frame: Frame, text: str | None, what: str = "text") -> str:
    """The name of the text column: the given name, or ``text``.

    Raises:
        UserError: no name is given and there is no column ``text``.
    """
    if text is None and TEXT not in frame.names:
        raise UserError(f"{what}: no column is called {TEXT!r}. Name the text column: {what}=...")
    return text or TEXT
