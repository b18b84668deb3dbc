"""Tables in memory of any kind: what a call takes becomes an Arrow table, and its result the same kind.

Arrow, pandas, polars and Hugging Face data sets; lists of dicts; and single texts in a list, an array or a
series. None of these packages is imported: only what the caller has made with them is converted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from beam_sts.errors import UserError


def as_table(data: Any, text: str = "text") -> pa.Table:
    """A table of what a call was given.

    Args:
        data: an Arrow table, record batch, array or chunked array; a pandas or polars frame or series; a
            Hugging Face data set; or an iterable of texts or of dicts.
        text: name of the column, where ``data`` is texts alone.

    Raises:
        UserError: it is none of these.

    >>> as_table(["one", "two"], "words").to_pylist()
    [{'words': 'one'}, {'words': 'two'}]
    """
    kind = _kind(data)
    try:
        if isinstance(data, pa.Table):
            return data
        if isinstance(data, pa.RecordBatch):
            return pa.Table.from_batches([data])
        if isinstance(data, pa.Array | pa.ChunkedArray):
            return pa.table({text: data})
        if kind == "pandas.DataFrame":
            return pa.Table.from_pandas(data, preserve_index=False).replace_schema_metadata(None)
        if kind == "pandas.Series":
            return pa.table({text: pa.Array.from_pandas(data)})
        if kind == "polars.DataFrame":
            return data.to_arrow()
        if kind == "polars.Series":
            return pa.table({text: data.to_arrow()})
        if kind == "datasets.Dataset":
            table: pa.Table = data.with_format("arrow")[:]
            return table.replace_schema_metadata(None)
        if isinstance(data, str | bytes | dict) or not isinstance(data, Iterable):
            raise UserError(
                f"{type(data).__name__}: is not a collection of texts. Give a list of texts or of dicts, "
                "or a table of Arrow, pandas, polars or datasets."
            )
        rows = list(data)
        if rows and all(isinstance(row, dict) for row in rows):
            return pa.Table.from_pylist(rows)
        return pa.table({text: pa.array(rows, pa.large_string())})
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise UserError(f"{type(data).__name__}: does not convert to an Arrow table: {error}") from error


def as_given(table: pa.Table, data: Any) -> Any:
    """A table as the kind that a call was given; an Arrow table for texts alone and what is unknown.

    Args:
        table: the result.
        data: what :func:`as_table` took.
    """
    kind = _kind(data)
    if kind.startswith("pandas."):
        return table.to_pandas()
    if kind.startswith("polars."):
        import polars

        return polars.from_arrow(table)
    if kind == "datasets.Dataset":
        import datasets

        return datasets.Dataset(table)
    return table


def _kind(data: Any) -> str:
    """The package and the name of a class or of the first of its bases that another package made."""
    known = ("pandas.DataFrame", "pandas.Series", "polars.DataFrame", "polars.Series", "datasets.Dataset")
    kinds = [f"{base.__module__.partition('.')[0]}.{base.__name__}" for base in type(data).__mro__]
    return next((kind for kind in kinds if kind in known), "")
