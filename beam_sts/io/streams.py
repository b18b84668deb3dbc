"""The decompressed bytes of a file, as blocks or numbered lines, and the detection of file types."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import pyarrow as pa

from beam_sts.errors import UserError
from beam_sts.io.files import fault_of_file, file_system

COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
LINE_LIMIT = 256 << 20
"""The most bytes of a line. A longer line is a rejected row, so that memory stays bounded."""

BOM = b"\xef\xbb\xbf"
_BLOCK = 1 << 20
_UTF_16_SHARE = 0.4  # fraction of zeros among the first bytes, all at even or all at odd positions
_KEPT = 1000  # bytes that are kept of a line over the limit
_MAGIC = (
    (b"PAR1", "Parquet (.parquet)"),
    (b"ARROW1", "an Arrow file (.arrow, .feather)"),
    (b"\xff\xff\xff\xff", "an Arrow stream (.arrow)"),
    (b"FEA1", "Feather version 1; write it again as version 2"),
    (b"\x1f\x8b", "gzip (.gz)"),
    (b"\x28\xb5\x2f\xfd", "Zstandard (.zst)"),
    (b"BZh", "bzip2 (.bz2)"),
    (b"\xfd7zXZ", "xz; decompress it first"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook; unpack it, or save it as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook; save it as CSV"),
    (b"%PDF", "PDF"),
    (b"SQLite format 3", "an SQLite database; export its table"),
    (b"Obj\x01", "Avro"),
    (b"ORC", "ORC"),
    (b"\xff\xfe", "UTF-16 text; give --encoding utf-16"),
    (b"\xfe\xff", "UTF-16 text; give --encoding utf-16"),
)
LATIN = re.compile(
    rb"[A-Za-z][\x91-\x94\xc0-\xfe]{1,2}(?![\x80-\xff])|(?<![\x80-\xff])[\x91-\x94\xc0-\xfe][A-Za-z]"
)
"""A letter or quotation mark of Windows-1252 next to ASCII letters, which does not occur in valid UTF-8."""


class Line(NamedTuple):
    """A line with its line break, its number from 1, and its position in the decompressed bytes.

    ``size`` exceeds the length of ``data`` if the line is over ``LINE_LIMIT``.
    """

    number: int
    offset: int
    data: bytes
    size: int


def codec_of(path: str) -> str | None:
    """The compression that the ending of a file names; None if there is none.

    >>> codec_of("pairs.csv.gz"), codec_of("pairs.csv")
    ('gzip', None)
    """
    return next((codec for ending, codec in COMPRESSIONS.items() if path.lower().endswith(ending)), None)


def looks_like(path: str, *, packed: bool = False) -> str | None:
    """The type of a file by its first bytes: from a magic number, or the kind of text; None if unknown.

    Args:
        path: the file.
        packed: for a compressed file, examine the compressed bytes.
    """
    if packed or codec_of(path) is None:
        fs, inside = file_system(path)
        head: bytes = fs.cat_file(inside, start=0, end=256)
    else:
        with open_stream(path) as stream:
            head = stream.read(256)
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if encoding := _utf_16(head):
        return f"UTF-16 text; give --encoding {encoding}"
    start = head.removeprefix(BOM).lstrip()
    if start.startswith(b"{"):
        return "JSON Lines (.jsonl)"
    if start.startswith(b"["):
        return "a JSON array; convert it to one object per line: jq -c '.[]' FILE > FILE.jsonl"
    if b"\0" in head or not start:
        return None
    return f"text that begins with {start.splitlines()[0][:60].decode('utf-8', 'replace')!r}"


def described(path: str, wanted: str) -> str:
    """The detected type of a file that could not be read as ``wanted``, as a clause of a message."""
    fs, inside = file_system(path)
    try:
        if fs.size(inside) == 0:
            return " (it is empty, 0 bytes)"
        found = looks_like(path)
    except OSError:
        return ""
    if found is None:
        return ""
    if wanted in found:
        return " (it begins like one, so it is truncated or damaged)"
    return f" (by its first bytes it is {found})"


def refuse_binary(path: str, wanted: str, *, whatever_encoding: bool = False) -> None:
    """Check that a text file does not begin with the bytes of another format.

    Args:
        path: the file.
        wanted: the format that its ending names.
        whatever_encoding: accept UTF-16, each line of which then becomes a bad row.

    Raises:
        UserError: it does.
    """
    with open_stream(path) as stream:
        head: bytes = stream.read(16)
    for magic, name in _MAGIC:
        if head.startswith(magic) and not (whatever_encoding and "UTF-16" in name):
            raise UserError(
                f"{path}: not {wanted}, although its ending says so; by its first bytes it is {name}."
            )
    found = None if whatever_encoding else sniff_encoding(path)
    if found and found.startswith("utf-16"):
        raise UserError(
            f"{path}: not {wanted} in UTF-8; by its first bytes it is UTF-16 text; give --encoding {found}."
        )


def check_encoding(name: str) -> str | None:
    """The codec of an encoding; None for UTF-8 with or without a byte order mark.

    Raises:
        UserError: Python has no text encoding of that name.

    >>> check_encoding("latin-1"), check_encoding("UTF8")
    ('iso8859-1', None)
    """
    try:
        codec = codecs.lookup(name).name
        if "a,b\n".encode(codec).decode(codec) == "a,b\n":
            return None if codec in ("utf-8", "utf-8-sig", "ascii") else codec
    except (LookupError, ValueError):
        pass
    raise UserError(f"--encoding {name}: is not known. Examples are utf-8, utf-16, cp1252 and latin-1.")


def sniff_encoding(path: str) -> str | None:
    """Detect the encoding of a file: None for UTF-8, or UTF-16, or else Latin-1, which has all bytes."""
    with open_stream(path) as stream:
        head: bytes = stream.read(_BLOCK)
    if encoding := _utf_16(head):
        return encoding
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "iso8859-1"
    return None


def _utf_16(head: bytes) -> str | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    for start, order in ((1, "le"), (0, "be")):
        if head[start::2].count(0) > _UTF_16_SHARE * len(head):
            return f"utf-16-{order}"
    return None


class _Recoded:
    """Converts a stream from another encoding to UTF-8. Invalid input becomes bytes that are not UTF-8."""

    def __init__(self, stream: Any, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("beam_sts.invalid")
        self._held, self._place, self._ended = b"", 0, False

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; none at the end."""
        while self._place == len(self._held) and not self._ended:
            block = self._stream.read(_BLOCK)
            self._ended = not block
            text = self._decoder.decode(block, self._ended)
            self._held, self._place = text.encode("utf-8", "surrogatepass"), 0
        taken = self._held[self._place : self._place + size]
        self._place += len(taken)
        return taken


codecs.register_error("beam_sts.invalid", lambda error: ("\udc80", getattr(error, "end", 0)))


@contextmanager
def open_stream(path: str, start: int = 0, encoding: str | None = None) -> Iterator[Any]:
    """Open a file, from a byte of its decompressed UTF-8 content.

    Raises:
        UserError: the file cannot be read, or (during reading) its compressed data is damaged.
    """
    fs, inside = file_system(path)
    codec = codec_of(path)
    try:
        with fs.open(inside, "rb") as raw:
            if codec is None and encoding is None:
                raw.seek(start)
                yield raw
                return
            with ExitStack() as stack:
                stream = raw
                if codec:
                    # Arrow reads files of several members or frames in all three, and reports truncation.
                    packed = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), codec)
                    stream = stack.enter_context(packed)
                if encoding:
                    stream = _Recoded(stream, encoding)
                while start > 0 and (skipped := len(stream.read(min(start, _BLOCK)))):
                    start -= skipped
                yield stream
    except OSError as error:
        raise fault_of_file(error, f"{path}: cannot be read: {error}{_mistaken(path)}") from error


def _mistaken(path: str) -> str:
    """The actual type of a compressed file with a wrong ending, as a clause of a message."""
    ending = next((ending for ending in COMPRESSIONS if path.lower().endswith(ending)), None)
    try:
        found = looks_like(path, packed=True) or "unknown"
    except OSError:
        return ""
    if ending is None or f"({ending})" in found:
        return ""
    return f"; by its first bytes it is not {COMPRESSIONS[ending]} but {found}"


def read_lines(
    path: str, *, start: int = 0, stop: int | None = None, number: int = 1, encoding: str | None = None
) -> Iterator[Line]:
    r"""The lines of a file, ended by ``\n``, ``\r\n`` or ``\r``. Memory holds one block and one line.

    Args:
        path: the file.
        start: the first byte.
        stop: the byte after the last one; by default the end of the file.
        number: the number of the first line.
        encoding: the encoding of the file; None for UTF-8. Lines and positions are in UTF-8.
    """
    held: list[bytes] = []  # the beginning of a line whose end has not been read yet
    size, after_return = 0, False
    with open_stream(path, start, encoding) as stream:
        left = None if stop is None else stop - start
        while block := stream.read(_BLOCK if left is None else min(_BLOCK, left)):
            left = None if left is None else left - len(block)
            pieces = block.splitlines(keepends=True)
            if after_return and not block.startswith(b"\n"):
                pieces.insert(0, b"")  # the \r before this block was a line break
            after_return = block.endswith(b"\r")
            for last, piece in enumerate(pieces, start=1 - len(pieces)):
                size += len(piece)
                if size <= LINE_LIMIT:
                    held.append(piece)
                elif len(held) != 1 or len(held[0]) > _KEPT:
                    held = [b"".join(held)[:_KEPT]]
                if last or piece.endswith(b"\n"):
                    yield Line(number, start, b"".join(held), size)
                    number, start, held, size = number + 1, start + size, [], 0
    if size:
        yield Line(number, start, b"".join(held), size)
