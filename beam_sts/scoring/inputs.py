"""Pairs and columns of texts that a caller passes: converted, or refused with the place and the way out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np
import pyarrow as pa

from beam_sts.arrays import arrow_texts
from beam_sts.plurals import plural

_WAY_OUT = "Give pairs of strings: scorer.score([(a, b), ...]), or two columns: scorer.run(texts_a, texts_b)."


def read_pairs(pairs: Any) -> tuple[list[str], list[str]]:
    """The first and the second texts of pairs.

    Args:
        pairs: an iterable of pairs, each a tuple, list or other sequence of two strings; a NumPy array of
            shape (n, 2); or a table of two columns of texts (pandas, polars, Arrow).

    Raises:
        TypeError: an element is not a pair of strings; the message names the first.
    """
    if _is_frame(pairs):
        first, second = _columns(pairs)
        pairs = list(zip(first, second, strict=True))
    elif isinstance(pairs, np.ndarray):
        if pairs.ndim == 2 and pairs.shape[1] != 2:
            raise TypeError(f"pairs is an array of shape {pairs.shape}, not (n, 2). {_WAY_OUT}")
        pairs = np.atleast_1d(pairs).tolist()
    elif isinstance(pairs, str | bytes | bytearray | Mapping | Set) or not isinstance(pairs, Iterable):
        raise TypeError(f"pairs is {_shown(pairs)}, not an iterable of pairs. {_WAY_OUT}")
    first, second = [], []
    for index, pair in enumerate(pairs):
        if not isinstance(pair, tuple | list) and not _is_sequence(pair):  # the second check is the slow one
            raise TypeError(f"pairs[{index}] is not a pair of strings but {_shown(pair)}. {_WAY_OUT}")
        if len(pair) != 2:
            raise TypeError(
                f"pairs[{index}] is not a pair of strings but {plural(len(pair), 'value')}: {_shown(pair)}."
            )
        first.append(pair[0])
        second.append(pair[1])
    others = ((_first_other(texts), side, texts) for side, texts in (("first", first), ("second", second)))
    for index, side, texts in sorted(other for other in others if other[0] < len(first)):
        raise TypeError(
            f"pairs[{index}] is not a pair of strings: its {side} text is {_shown(texts[index])}."
        )
    return first, second


def text_column(name: str, texts: Any) -> pa.ChunkedArray:
    """A column of texts as an Arrow array.

    Args:
        name: the argument's name in messages.
        texts: a sequence of strings, or a column of them (Arrow, pandas, polars).

    Raises:
        TypeError: a row is not a string; the message names the first.
        ValueError: a text is null, or not valid Unicode.
    """
    if _is_frame(texts) or isinstance(texts, str | bytes | bytearray | Mapping | Set):
        raise TypeError(f"{name} is {_shown(texts)}, not a column of texts. {_WAY_OUT}")
    if isinstance(texts, pa.Array):
        column = pa.chunked_array([texts])
    elif isinstance(texts, pa.ChunkedArray) or hasattr(texts, "__arrow_c_stream__"):
        column = pa.chunked_array(texts) if not isinstance(texts, pa.ChunkedArray) else texts
    else:
        column = pa.chunked_array([_strings(name, texts)])
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    if not any(test(kind) for test in tests):
        raise TypeError(f"{name} holds {column.type}, not strings. {_WAY_OUT}")
    if column.null_count:
        raise _null(name)
    return column.cast(pa.large_string())


def _strings(name: str, texts: Any) -> pa.Array:
    texts = list(texts)
    index = _first_other(texts)
    if index < len(texts):
        text = texts[index]
        raise _null(name) if text is None else TypeError(f"{name}[{index}] is {_shown(text)}, not a string.")
    try:
        return arrow_texts(texts)
    except UnicodeEncodeError as error:
        index = next(i for i, text in enumerate(texts) if not _encodes(text))
        raise ValueError(
            f"{name}[{index}] has a lone surrogate, which is not valid Unicode: {ascii(texts[index])[:80]}"
        ) from error


def _first_other(texts: Sequence[Any]) -> int:
    """Index of the first element that is no string; the length where all are."""
    if set(map(type, texts)) <= {str}:  # much faster than to ask for each
        return len(texts)
    return next((index for index, text in enumerate(texts) if not isinstance(text, str)), len(texts))


def _is_sequence(pair: Any) -> bool:
    return isinstance(pair, Sequence | np.ndarray) and not isinstance(pair, str | bytes | bytearray)


def _null(name: str) -> ValueError:
    return ValueError(f"{name} has a null; remove such rows before scoring")


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_frame(data: Any) -> bool:
    kind = type(data)
    return hasattr(kind, "columns") or hasattr(kind, "column_names")


def _columns(frame: Any) -> list[list[Any]]:
    """The two columns of a table."""
    if isinstance(frame, pa.Table | pa.RecordBatch):
        columns = [column.to_pylist() for column in frame.columns]
    elif hasattr(frame, "iloc"):
        columns = [frame.iloc[:, number].tolist() for number in range(frame.shape[1])]
    elif hasattr(frame, "get_columns"):
        columns = [column.to_list() for column in frame.get_columns()]
    else:
        raise TypeError(
            f"pairs is a {type(frame).__name__}, which cannot be read as pairs. Pass its two columns: "
            "scorer.score(list(zip(table[a], table[b])))."
        )
    if len(columns) != 2:
        names = list(map(str, frame.column_names if hasattr(frame, "column_names") else frame.columns))
        raise TypeError(
            f"pairs is a table with {plural(len(columns), 'column')} ({', '.join(names[:10])}), not two. "
            "Select the columns of the texts: scorer.score(table[[a, b]])."
        )
    return columns


def _shown(value: Any) -> str:
    text = ascii(value) if isinstance(value, str) else repr(value)
    text = text if len(text) <= 60 else f"{text[:60]}..."
    return f"a {type(value).__name__}: {text}" if value is not None else "None"
