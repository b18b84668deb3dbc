"""CSV and TSV: every column is text, exactly as it is in the file.

The dialect is that of RFC 4180. A field may be enclosed in double quotes. It may then contain delimiters and
line breaks, and a quote within it is doubled. A quote elsewhere in a field is an ordinary character. Python's
csv module reads well-formed files in the same way (a test compares them), but does not tell which lines a
malformed record covers.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa

from beam_sts.errors import UserError
from beam_sts.io.lines import LineFormat, Record, overlong, undecodable
from beam_sts.io.schema import check_column_names, check_width
from beam_sts.io.slices import FileScan, ReadOptions
from beam_sts.io.streams import BOM, LINE_LIMIT, Line, read_lines, refuse_binary

_ENDS = b"\r\n"
_INSIDE = re.compile(rb'[^"]*(?:""[^"]*)*')  # a quoted field up to its closing quote
_QUOTED = re.compile(rb'"[^"]*"')
_SNIFFED = 20  # lines from which the delimiter is detected
_UNCLOSED = "quote not closed properly"


@dataclass(frozen=True)
class Delimited(LineFormat):
    """Records of delimited fields under a header line, which is required.

    Args:
        name: the name of the format in messages.
        endings: the file endings.
        options: the delimiter, one ASCII character; whether double quotes enclose fields or are ordinary
            characters; the encoding.
        usual: the delimiter if the options have none.
    """

    name: str
    endings: tuple[str, ...]
    options: ReadOptions
    usual: str = ","

    @property
    def encoding(self) -> str | None:  # type: ignore[override]
        """The encoding of the files; None for UTF-8."""
        return self.options.encoding

    @property
    def delimiter(self) -> str:
        """The character that separates fields."""
        return self.options.delimiter or self.usual

    def scan(self, path: str, rows_per_slice: int) -> FileScan:
        """Plan a file. Refuses a file whose lines seem to be separated by another delimiter."""
        if self.options.delimiter is None:
            refuse_binary(path, self.name, whatever_encoding=self.encoding is not None)
            found = sniff_delimiter(path, self.encoding, self.usual)
            if found != self.usual:
                shown = "tab" if found == "\t" else f"'{found}'"
                raise UserError(
                    f"{path}: its first lines seem to be separated by {shown}, not by {self.usual!r}. "
                    f"Set the delimiter: give --delimiter {shown}, or --delimiter "
                    f"{'tab' if self.usual == chr(9) else repr(self.usual)} to read each line as one column."
                )
        return super().scan(path, rows_per_slice)

    def header(self, path: str, lines: Iterator[Line]) -> list[str]:
        """The column names, from the first line that is not blank."""
        refuse_binary(path, self.name, whatever_encoding=self.encoding is not None)
        for line in lines:
            if line.offset == 0 and line.data.startswith(BOM):
                line = Line(line.number, len(BOM), line.data[len(BOM) :], line.size - len(BOM))
            if not line.data.strip(_ENDS):
                continue
            if line.data.startswith(b'{"'):
                raise UserError(
                    f"{path}: not {self.name}, although its ending says so; it looks "
                    "like JSON Lines (.jsonl)."
                )
            check_width(line.data.count(self.delimiter.encode()) + 1, path)
            fields, _ = self._split(line, lambda: next(lines, None))
            names = fields if isinstance(fields, str) else self._decode(fields)
            if isinstance(names, str):
                raise UserError(f"{path}: line {line.number}, the header with the column names: {names}.")
            check_column_names(names, path)
            return names
        return []

    def records(
        self, lines: Iterator[Line], header: list[str], texts: Sequence[tuple[str, ...]]
    ) -> Iterator[Record]:
        """Parse records. Blank lines between records are not rows.

        If a quote is not closed properly, the first line of the record becomes a bad row, and parsing
        continues with the second line. So a stray quote does not swallow the rows after it.
        """
        ahead: deque[Line] = deque()

        def following() -> Line | None:
            return ahead.popleft() if ahead else next(lines, None)

        while (line := following()) is not None:
            if not line.data.strip(_ENDS):
                continue
            fields, taken = self._split(line, following)
            if isinstance(fields, str):
                ahead.extendleft(reversed(taken[1:]))
                yield Record(line, line.data, fault=fields)
                continue
            raw = b"".join(each.data for each in taken)
            if len(fields) != len(header):
                many = f" in {len(taken)} lines" if len(taken) > 1 else ""
                yield Record(
                    line,
                    raw,
                    fault=f"wrong number of fields: {len(fields)}{many}, the header has {len(header)}",
                )
                continue
            values = self._decode(fields)
            if isinstance(values, str):
                yield Record(line, raw, fault=values)
            else:
                yield Record(line, raw, values)

    def schema(self, path: str, header: list[str], values: Iterable[tuple[int, Any]]) -> pa.Schema:
        """All columns are strings."""
        for _ in values:
            pass
        return pa.schema([pa.field(name, pa.string()) for name in header])

    def table(self, records: list[Record], header: list[str], schema: pa.Schema) -> pa.Table:
        """The fields as columns of a table."""
        columns = list(zip(*(record.value for record in records), strict=True)) or [()] * len(header)
        own = pa.schema([pa.field(name, pa.string()) for name in header])
        return pa.Table.from_arrays([pa.array(column, pa.string()) for column in columns], schema=own)

    def _decode(self, fields: list[bytes]) -> list[str] | str:
        try:
            return [field.decode() for field in fields]
        except UnicodeDecodeError as error:
            return undecodable(error, self.encoding)

    def _split(
        self, line: Line, following: Callable[[], Line | None]
    ) -> tuple[list[bytes] | str, list[Line]]:
        """Split a record into fields, or return its fault. Also returns the lines that it covers."""
        if why := overlong(line):
            return why, [line]
        delimiter = self.delimiter.encode()
        if not self.options.quotes or b'"' not in line.data:
            return line.data.rstrip(_ENDS).split(delimiter), [line]
        fields: list[bytes] = []
        taken, data, position, total = [line], line.data, 0, line.size
        while True:
            body = len(data.rstrip(_ENDS))
            if data.startswith(b'"', position):
                parts, begin = [], position + 1
                while (end := _end(data, begin)) == len(data):
                    parts.append(data[begin:])
                    more = following()
                    if more is not None:
                        taken.append(more)
                        total += more.size
                    if more is None or total > LINE_LIMIT:
                        return _UNCLOSED, taken
                    data, begin = more.data, 0
                body = len(data.rstrip(_ENDS))
                parts.append(data[begin:end])
                fields.append(b"".join(parts).replace(b'""', b'"'))
                position = end + 1
                if position < body and not data.startswith(delimiter, position):
                    return _UNCLOSED, taken
            else:
                end = data.find(delimiter, position, body)
                end = body if end < 0 else end
                fields.append(data[position:end])
                position = end
            if position >= body:
                return fields, taken
            position += 1


def _end(data: bytes, begin: int) -> int:
    """The end of a quoted field that starts at ``begin``: its closing quote, or the end of the data."""
    found = _INSIDE.match(data, begin)
    assert found is not None  # the pattern matches the empty string
    return found.end()


def sniff_delimiter(path: str, encoding: str | None = None, usual: str = ",") -> str:
    """Detect the delimiter of a file from its first lines.

    It is the usual one, unless the header does not contain it but contains another one, which each of the
    first lines contains as often as the header, outside quotes.
    """
    lines = (line.data.rstrip(_ENDS) for line in read_lines(path, encoding=encoding))
    head = [_QUOTED.sub(b"", line) for line in islice(filter(None, lines), _SNIFFED)]
    if not head or usual.encode() in head[0] or b'"' in head[0] or head[0].startswith(b"{"):
        return usual
    for other in (";", "\t", "|", ","):
        counts = [line.count(other.encode()) for line in head if b'"' not in line]
        if counts[0] and all(count == counts[0] for count in counts):
            return other
    return usual
