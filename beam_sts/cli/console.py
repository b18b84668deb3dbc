"""The output of a command: its summary, its messages, and a short message for an error."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

from beam_sts.cli.terminal import fitting, print_errors, print_lines, safe, safe_streams
from beam_sts.errors import UserError
from beam_sts.interrupts import attended
from beam_sts.io.names import describe_renames
from beam_sts.links import report_it
from beam_sts.secrets import hide_secrets

_LONGEST = 500  # characters of a library's message that are shown
_WORKER_THREAD = "run_worker"  # Beam's name for the thread that waits for a worker process


def guarded(
    run: Callable[[], int], *, stays: str, again: str | None = None, console: Console | None = None
) -> int:
    """Run a command, and turn any error into a short message and an exit status.

    Args:
        run: the command. It returns its exit status.
        stays: what is kept of its work if it ends early, as a sentence without a full stop.
        again: how to continue it then, such as "run the same command again to continue".
        console: where the command prints.

    Returns:
        The exit status.
    """
    _leave_pandas_out()
    console = console or Console()
    rest = f"{stays}: {again}." if again else f"{stays}."
    finished = threading.Event()

    def final_message(word: str, status: int) -> bytes:
        finished.set()
        _end_workers()
        return console.ending(f"{word}. {rest}", status).encode(errors="backslashreplace")

    def watch(failed: threading.ExceptHookArgs) -> None:
        if failed.thread is None or failed.thread.name != _WORKER_THREAD:
            # Errors of Beam's threads about lost connections add nothing to the message below.
            if _debugging() or not failed.exc_type.__module__.startswith("grpc"):
                logging.getLogger(__name__).error(
                    "in a thread: %s: %s", failed.exc_type.__name__, failed.exc_value
                )
            return
        # With multi_processing Beam waits forever for a worker process that has died.
        if finished.is_set():
            return  # this process has ended the worker
        finished.set()
        _end_workers()
        code = int(str(failed.exc_value).rpartition(" ")[2])
        status = code if code >= 0 else 128 - code  # in a shell's form for the number of a signal
        killed = " (killed, probably by the kernel for lack of memory: try fewer --direct_num_workers)"
        why = f"a worker process ended with status {status}{killed if status == 137 else ''}."
        os._exit(console.error(1, why, rest))

    before = threading.excepthook
    threading.excepthook = watch
    try:
        with (
            safe_streams(hide_secrets, _json_log if console.json else None),
            _logs(console),
            attended(final_message),
        ):
            try:
                return run()
            except Exception as error:
                return _report_error(error, stays, again, console)
            finally:
                finished.set()
    finally:
        threading.excepthook = before


def kept_in(output: str) -> dict[str, str]:
    """The messages of ``guarded`` for a command that resumes from its output folder."""
    way = " with --takeover" if "://" in output else ""  # an interrupted run leaves its lease in a store
    return {
        "stays": f"What is committed in {output} is kept",
        "again": f"run the same command again{way} to continue",
    }


class _NoPandas(MetaPathFinder):
    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(name=fullname)


def _leave_pandas_out() -> None:
    """Make pyarrow treat pandas as not installed: commands do not use it, and its import takes 0.2 s.

    pyarrow imports pandas at its first conversion of a list, once per process, to check for a Series.
    """
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is None or "pandas" in sys.modules:
        return
    hiding = _NoPandas()
    sys.meta_path.insert(0, hiding)
    try:
        pyarrow.array([0])
    finally:
        sys.meta_path.remove(hiding)


def _report_error(error: Exception, stays: str, again: str | None, console: Console) -> int:
    if message := user_error(error):
        return console.error(2, *message.split("\n"))
    if _debugging():
        console.note("traceback", traceback.format_exc())
    message = _without_runner(*_named(error))[:_LONGEST]
    if _NO_THREAD in message:
        message += ": the limit of memory or threads of this process is reached (see ulimit -v, ulimit -u)"
    if _may_pass(error, message):
        # Only after a temporary problem is it useful to run the command again.
        cause = f"with {_CREDENTIALS_OF}" if _CREDENTIALS.match(message) else "once the cause is gone"
        then = f": {cause}, {again}" if again else ""
        return console.error(1, message, f"{stays}{then}.", _HOW)
    fault = "This is a fault of beam_sts, or an input that it does not support."
    return console.error(1, message, f"{stays}. {fault}", f"{_HOW} {report_it()}")


def _named(error: Exception) -> tuple[str, str]:
    """The type of an unexpected error, and the line that describes it."""
    if type(error).__module__.startswith("grpc") and hasattr(error, "details"):  # as text it ends with a ">"
        return f"gRPC {error.code().name}", " ".join(str(error.details()).split())  # type: ignore[attr-defined]
    return type(error).__name__, _first_words(str(error))


_JAVA_STACK = re.compile(r"\n\s+at [\w.$/]+\(")
_PYTHON_STACK = "Traceback (most recent call last)"


def _first_words(text: str) -> str:
    """Returns the line that states the error: the last one, or the first before a Java stack trace."""
    before, *after = _JAVA_STACK.split(text, maxsplit=1)
    lines = [line.strip() for line in before.splitlines() if line.strip()] or [""]
    return lines[0] if after and _PYTHON_STACK not in before else lines[-1]


def _without_stack(record: logging.LogRecord) -> bool:
    """Log filter: shorten an error of the job server to one line, because the end of the run reports it."""
    if not _debugging() and _JAVA_STACK.search(message := record.getMessage()):
        record.msg, record.args = _first_words(message), ()
    return True


_HOW = "BEAM_STS_DEBUG=1 prints the traceback."


# In the error types of the clients of all stores.
_CREDENTIALS = re.compile(r"\w*(Credential|ClientAuthentication)\w*Error")
_CREDENTIALS_OF = (
    "credentials (--storage_options FILE, or the environment or configuration file of the store)"
)
_NO_THREAD = "can't start new thread"  # Python's words


def _may_pass(error: Exception, message: str) -> bool:
    """Whether an error is external: of a disk, the network, memory or a worker. Beam may pass it as text."""
    outside = {"EOFError", "IOException", "OutOfMemoryError", "OutOfMemoryException"}  # torch's, DuckDB's
    kinds: list[type] = [OSError, MemoryError]
    for kind in kinds:
        kinds += kind.__subclasses__()
        outside.add(kind.__name__)
    name = message.partition(":")[0].rpartition(".")[2]
    remote = type(error).__module__.partition(".")[0] in ("grpc", "botocore", "aiohttp", "google", "azure")
    # An error of the engine without a Python traceback: a worker or a machine was lost.
    lost = bool(_JAVA_STACK.search(str(error))) and _PYTHON_STACK not in str(error)
    limited = _NO_THREAD in str(error)
    refused = bool(_CREDENTIALS.match(message))
    return (
        isinstance(error, (OSError, MemoryError)) or name in outside or remote or lost or limited or refused
    )


def _debugging() -> bool:
    return bool(os.environ.get("BEAM_STS_DEBUG"))


@contextmanager
def _logs(console: Console) -> Iterator[None]:
    """Send the logs of all libraries to the current standard error, as JSON lines if requested."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    logging.getLogger("root").setLevel(logging.ERROR)  # Beam's import warnings
    if not _debugging():
        for name in ("common", "worker.data_plane"):  # log a traceback per attempt, or per lost connection
            logging.getLogger(f"apache_beam.runners.{name}").setLevel(logging.CRITICAL)
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    raw = getattr(sys.stderr, "raw", sys.stderr)
    moved = [
        (handler, handler.stream, handler.formatter)
        for logger in loggers
        for handler in logger.handlers
        if isinstance(handler, logging.StreamHandler)
        and "stream" in vars(handler)  # logging's last resort looks up standard error for each record
        and handler.stream in (raw, sys.stderr)
    ]
    for handler, _, _ in moved:
        handler.addFilter(_without_stack)
        handler.setStream(raw if console.json else sys.stderr)
        if console.json:
            handler.setFormatter(_JsonLines())
    try:
        yield
    finally:
        for handler, stream, formatter in moved:
            handler.removeFilter(_without_stack)
            handler.setStream(stream)
            handler.setFormatter(formatter)


class _JsonLines(logging.Formatter):
    """Formats a log record as a line of JSON. The logs of training are its progress."""

    def format(self, record: logging.LogRecord) -> str:
        message = hide_secrets(super().format(record))
        if record.name.startswith("beam_sts.training"):
            return json.dumps({"event": "progress", "message": message})
        return _json_log(message, record.levelname.lower())


def _json_log(message: str, level: str = "warning") -> str:
    return json.dumps({"event": "log", "level": level, "message": message})


def _end_workers() -> None:
    """Kill all descendants of this process, before they print errors about its end."""
    processes = [os.getpid()]
    for process in processes:
        for file in Path(f"/proc/{process}/task").glob("*/children"):
            with suppress(OSError):
                processes += map(int, file.read_text().split())
    for process in processes[1:]:
        with suppress(OSError):
            os.kill(process, signal.SIGKILL)


def _without_runner(kind: str, message: str) -> str:
    """An error as raised in a worker, without the type and the step that Beam puts around it."""
    message, step, _ = message.partition(" [while running")
    return message if step else f"{kind}: {message}"


def user_error(error: BaseException | None) -> str | None:
    """The message of the UserError in a chain of causes, even if it came from another process as text."""
    marker = f"{UserError.__module__}.{UserError.__qualname__}: "
    while error is not None:
        text = str(error)
        if isinstance(error, UserError) or marker in text:
            return text.rpartition(marker)[2].partition(" [while running")[0].strip()
        error = error.__cause__ or error.__context__
    return None


SummaryLine = tuple[str, str | None]
"""The name and the text of a line of a summary. A line without a text is left out."""


@dataclass(frozen=True)
class Console:
    """Prints the output of a command: as text, as JSON lines, or errors only."""

    quiet: bool = False
    json: bool = False

    def finish(self, lines: Iterable[SummaryLine], summary: dict[str, Any]) -> None:
        """Print the summary on standard output, as a table of names and texts or as one line of JSON."""
        if self.quiet:
            return
        if self.json:
            print_lines(json.dumps({"event": "summary", **summary}))
        else:
            print_lines(*(f"{name:<10} {text}" for name, text in lines if text is not None))

    def show(self, lines: Iterable[str], summary: dict[str, Any]) -> None:
        """Print a result on standard output, as text or as one line of JSON."""
        if self.json or self.quiet:
            self.finish((), summary)
        else:
            print_lines(*lines)

    def error(self, status: int, *lines: str) -> int:
        """Print an error on standard error, without secrets. Returns the exit status."""
        print_errors(*self._error(lines, status))
        return status

    def ending(self, line: str, status: int) -> str:
        """The message that a signal has ended the command, with a line break."""
        shown = self._error([line], status) if self.json else [hide_secrets(line)]
        return "".join(f"{fitting(safe(each), sys.stderr)}\n" for each in shown)

    def note(self, event: str, text: str) -> None:
        """Print a message about a run on standard error, without secrets."""
        text = hide_secrets(text)
        print_errors(*([json.dumps({"event": event, "message": text})] if self.json else text.splitlines()))

    def _error(self, lines: Iterable[str], status: int) -> list[str]:
        hidden = [hide_secrets(line) for line in lines]
        if self.json:
            return [json.dumps({"event": "error", "status": status, "message": "\n".join(hidden)})]
        first, *more = hidden
        return [f"{'error' if status == 2 else 'failed'}: {first}", *more]


def add_console_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--quiet`` and ``--log_format`` to a command."""
    group = parser.add_argument_group("terminal")
    group.add_argument("--quiet", action="store_true", help="print errors only")
    group.add_argument(
        "--log_format",
        choices=("text", "json"),
        default="text",
        help="json: progress and errors as JSON lines on standard error, the summary as a JSON line on "
        "standard output",
    )


def console_of(args: argparse.Namespace) -> Console:
    """Make the console from the options."""
    return Console(args.quiet, args.log_format == "json")


def note_renamed(console: Console, changed: dict[str, str]) -> None:
    """Print which added columns are renamed, since the input has columns of the same names."""
    if changed:
        console.note("columns", f"columns: {describe_renames(changed)}")
