"""The one way to the terminal: what is printed acts on nothing there and fits the stream's encoding.

File names, ids, texts and messages of libraries are not trusted: escape sequences, direction marks and other
invisible letters reach the terminal spelled out.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

READER_LEFT = 128 + signal.SIGPIPE  # as of any command in a pipe whose reader has ended
_ACTING = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, format, lone surrogates, separators of lines
_MOVES = re.compile(r"[\r\n]*(\x1b\[A)*")  # what tqdm writes between bars


class Safe(str):
    """Text that may go to the terminal as it is."""

    __slots__ = ()


def safe(text: str, keep: str = "\t") -> Safe:
    r"""A text that cannot act on the terminal, nor begin a line of its own: such letters are spelled out.

    >>> print(safe("red \x1b[31m\u202e\nerror: none"))
    red \x1b[31m\u202e\nerror: none
    """
    if isinstance(text, Safe) or text.isprintable():
        return Safe(text)
    return Safe(
        "".join(
            letter
            if letter in keep or unicodedata.category(letter) not in _ACTING
            else letter.encode("unicode_escape", "surrogatepass").decode()
            for letter in text
        )
    )


def fitting(text: str, stream: Any) -> str:
    """A text in the letters that a stream's encoding has; others are spelled out."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


class SafeStream:
    """A standard stream that makes safe what anyone writes to it: libraries, warnings, logs, tracebacks.

    Args:
        raw: what is written to.
        clean: applied to each text before.
        form: makes a line of another form of each line, such as JSON.
    """

    def __init__(self, raw: Any, clean: Callable[[str], str], form: Callable[[str], str] | None) -> None:
        self.raw = raw
        self._clean = clean
        self._form = form
        self._begun = ""

    def write(self, text: str) -> int:
        """Write a text; its line breaks are kept."""
        if self._form:
            *lines, self._begun = (self._begun + text).split("\n")
            self.raw.write("".join(f"{self._form(self._clean(line))}\n" for line in lines if line.strip()))
        elif _MOVES.fullmatch(text):
            self.raw.write(text)
        else:
            self.raw.write(fitting(safe(self._clean(text), "\t\r\n"), self.raw))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


@contextmanager
def safe_streams(clean: Callable[[str], str], form: Callable[[str], str] | None = None) -> Iterator[None]:
    """Make all that reaches standard error safe, whoever writes it.

    Args:
        clean: applied to each text before.
        form: makes a line of another form of each line, such as JSON.
    """
    before = sys.stderr
    if before is not None:
        sys.stderr = SafeStream(before, clean, form)
    try:
        yield
    finally:
        if form and before is not None:
            sys.stderr.write("\n")  # what has been begun
        sys.stderr = before


def say(*lines: str) -> None:
    """Print lines on standard output, each on one line whatever is in it.

    Raises:
        SystemExit: who reads them has ended, which is no failure of this command.
    """
    stream = sys.stdout
    if stream is None:
        return
    try:
        stream.write("".join(f"{fitting(safe(line), stream)}\n" for line in lines))
        stream.flush()
    except BrokenPipeError:
        if not _reader_has_left():
            raise
        raise SystemExit(READER_LEFT) from None


def complain(*lines: str) -> None:
    """Print lines on standard error; there is nobody left to tell when that fails."""
    stream = getattr(sys.stderr, "raw", sys.stderr)
    with suppress(OSError, ValueError, AttributeError):
        stream.write("".join(f"{fitting(safe(line), stream)}\n" for line in lines))
        stream.flush()


def _reader_has_left() -> bool:
    """Whether what reads standard output, such as ``head``, has ended; if so, nothing more is printed."""
    output, poll = sys.stdout.fileno(), select.poll()
    poll.register(output, 0)  # a broken pipe is told unasked
    if not poll.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)  # Python flushes once more when it ends
    return True
