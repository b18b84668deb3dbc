"""All output to the terminal: it cannot control the terminal, and fits the encoding of the stream.

File names, ids, texts and messages of libraries are untrusted. Escape sequences, direction marks and other
invisible characters are printed as escapes.
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

READER_LEFT = 128 + signal.SIGPIPE  # the exit status of a command whose reader in a pipe has ended
_ACTING = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, format, lone surrogates, line separators
_MOVES = re.compile(r"[\r\n]*(\x1b\[A)*")  # written by tqdm between bars


class Safe(str):
    """Text that may be printed unchanged."""

    __slots__ = ()


def safe(text: str, keep: str = "\t") -> Safe:
    r"""A text that can neither control the terminal nor start a new line. Such characters become escapes.

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
    """A text in the characters of a stream's encoding. Others become escapes."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


class SafeStream:
    """A standard stream that makes everything written to it safe: by libraries, warnings, logs, tracebacks.

    Args:
        raw: the stream to write to.
        clean: applied to each text first.
        form: converts each line, such as to JSON.
    """

    def __init__(self, raw: Any, clean: Callable[[str], str], form: Callable[[str], str] | None) -> None:
        self.raw = raw
        self._clean = clean
        self._form = form
        self._begun = ""

    def write(self, text: str) -> int:
        """Write a text. Its line breaks are kept."""
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
    """Make all output to standard error safe, whatever writes it.

    Args:
        clean: applied to each text first.
        form: converts each line, such as to JSON.
    """
    before = sys.stderr
    if before is not None:
        sys.stderr = SafeStream(before, clean, form)
    try:
        yield
    finally:
        if form and before is not None:
            sys.stderr.write("\n")  # complete a started line
        sys.stderr = before


def print_lines(*lines: str) -> None:
    """Print lines on standard output. Each argument stays on one line.

    Raises:
        SystemExit: the reader of a pipe has ended, which is not a failure of this command.
    """
    stream = sys.stdout
    if stream is None:
        return
    try:
        stream.write("".join(f"{fitting(safe(line), stream)}\n" for line in lines))
        stream.flush()
    except BrokenPipeError:
        if not _pipe_is_broken():
            raise
        raise SystemExit(READER_LEFT) from None


def print_errors(*lines: str) -> None:
    """Print lines on standard error. A failure to print is ignored."""
    stream = getattr(sys.stderr, "raw", sys.stderr)
    with suppress(OSError, ValueError, AttributeError):
        stream.write("".join(f"{fitting(safe(line), stream)}\n" for line in lines))
        stream.flush()


def _pipe_is_broken() -> bool:
    """Whether the reader of standard output, such as ``head``, has ended. If so, nothing more is printed."""
    output, poll = sys.stdout.fileno(), select.poll()
    poll.register(output, 0)  # a broken pipe is always reported
    if not poll.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)  # since Python flushes once more at exit
    return True
