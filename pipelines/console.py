"""How a command speaks and ends: progress, its summary, and what goes wrong as one screen."""

from __future__ import annotations

import argparse
import json
import logging
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from beam_sts.errors import UserError
from beam_sts.io.storage import hide_secrets

_POLL_SECONDS = 0.5
_LOG_SECONDS = 10.0
_READER_LEFT = 128 + signal.SIGPIPE  # as of any command in a pipe whose reader has ended
_WORKER_THREAD = "run_worker"  # Beam's name for the thread that waits for a worker process


def guarded(run: Callable[[], int], *, interrupted: str, console: Console | None = None) -> int:
    """Run a command; turn what goes wrong into one screen and an exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    logging.getLogger("root").setLevel(logging.ERROR)  # Beam's import warnings
    if not os.environ.get("BEAM_STS_DEBUG"):
        for name in ("common", "worker.data_plane"):  # a traceback for each try, for each lost connection
            logging.getLogger(f"apache_beam.runners.{name}").setLevel(logging.CRITICAL)
    console = console or Console()

    def leave(*_: object) -> NoReturn:
        # Beam would turn the interrupt into an error of its own, or sit in a bundle for minutes. Every file
        # is published in one step, so leaving at once loses nothing that is committed.
        finished.set()
        _end_workers()
        sys.stderr.write(f"\ninterrupted. {interrupted}\n")
        sys.stderr.flush()
        os._exit(130)

    def watch(failed: threading.ExceptHookArgs) -> None:
        if failed.thread is None or failed.thread.name != _WORKER_THREAD:
            # Beam's threads that lose the connection say nothing that the message below does not.
            if os.environ.get("BEAM_STS_DEBUG") or not failed.exc_type.__module__.startswith("grpc"):
                threading.__excepthook__(failed)
            return
        # With multi_processing Beam waits for ever for a worker process that has died.
        if finished.is_set():
            return  # it is one of those that are ended here
        finished.set()
        _end_workers()
        code = str(failed.exc_value).rpartition(" ")[2]
        killed = " (killed; the kernel does so when memory is short: try fewer --direct_num_workers)"
        why = f"a worker process ended with status {code}{killed if code == '137' else ''}."
        os._exit(console.error(f"{why}\n{interrupted}", 1))

    finished = threading.Event()
    before = signal.signal(signal.SIGINT, leave)
    threading.excepthook = watch
    try:
        status = run()
        print(end="", flush=True)  # a reader that has left is met here, not when Python ends
        return status
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _reader_has_left():
            return _READER_LEFT
        own = user_error(error)
        if own:
            return console.error(own, 2)
        if os.environ.get("BEAM_STS_DEBUG"):
            sys.stderr.write(hide_secrets(traceback.format_exc()))
        last = [line for line in str(error).strip().splitlines() if line.strip()] or [""]
        said = _without_runner(type(error).__name__, last[-1])[:500]
        return console.error(f"{said}\n{interrupted}\nBEAM_STS_DEBUG=1 prints the traceback.", 1)
    finally:
        finished.set()
        threading.excepthook = threading.__excepthook__
        signal.signal(signal.SIGINT, before)


def _reader_has_left() -> bool:
    """Whether what reads standard output, such as ``head``, has ended; if so, nothing more is printed."""
    output, poll = sys.stdout.fileno(), select.poll()
    poll.register(output, 0)  # a broken pipe is told unasked
    if not poll.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)  # Python flushes once more when it ends
    return True


def _end_workers() -> None:
    """Kill the processes that this one started, and theirs, before they print how they miss it."""
    processes = [os.getpid()]
    for process in processes:
        for file in Path(f"/proc/{process}/task").glob("*/children"):
            with suppress(OSError):
                processes += map(int, file.read_text().split())
    for process in processes[1:]:
        with suppress(OSError):
            os.kill(process, signal.SIGKILL)


def _without_runner(kind: str, message: str) -> str:
    """An error as it was raised in a worker: Beam puts its own type before it and the step after it."""
    message, step, _ = message.partition(" [while running")
    return message if step else f"{kind}: {message}"


def user_error(error: BaseException | None) -> str | None:
    """The message of the UserError in a chain of causes, also of one that crossed a process as text."""
    marker = f"{UserError.__module__}.{UserError.__qualname__}: "
    while error is not None:
        text = str(error)
        if isinstance(error, UserError) or marker in text:
            return text.rpartition(marker)[2].partition(" [while running")[0].strip()
        error = error.__cause__ or error.__context__
    return None


@dataclass(frozen=True)
class Console:
    """How a command speaks: to people, in JSON lines to programs, or not at all but for errors."""

    quiet: bool = False
    json: bool = False

    def finish(self, lines: Iterable[tuple[str, str]], summary: dict[str, Any]) -> None:
        """The end of a run, on standard output: a table of names and texts, or one line of JSON."""
        if self.quiet:
            return
        if self.json:
            print(json.dumps({"event": "summary", **summary}, ensure_ascii=False))
        else:
            print("\n".join(f"{name:<10} {text}" for name, text in lines))

    def error(self, message: str, status: int) -> int:
        """What went wrong, on standard error and without secrets; gives the exit status back."""
        message = hide_secrets(message)
        if self.json:
            line = {"event": "error", "status": status, "message": message}
            sys.stderr.write(json.dumps(line, ensure_ascii=False) + "\n")
        else:
            sys.stderr.write(f"{'error' if status == 2 else 'failed'}: {message}\n")
        return status


def add_console_options(parser: argparse.ArgumentParser) -> None:
    """Give a command ``--quiet`` and ``--log_format``."""
    group = parser.add_argument_group("terminal")
    group.add_argument("--quiet", action="store_true", help="print errors only")
    group.add_argument(
        "--log_format",
        choices=("text", "json"),
        default="text",
        help="json: progress and errors as JSON lines on standard error, the summary as one on standard "
        "output",
    )


def console_of(own: argparse.Namespace) -> Console:
    """The console that the options ask for."""
    return Console(own.quiet, own.log_format == "json")


class Clock:
    """Seconds of the parts of a run, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """End a part."""
        now = time.perf_counter()
        self.seconds[name], self._last = round(now - self._last, 3), now


@contextmanager
def progress(
    total: int,
    done: Callable[[], int],
    unit: str,
    *,
    where: Callable[[], str] = str,
    console: Console | None = None,
) -> Iterator[None]:
    """Show rate, time left and place while a local run works: a bar on a terminal, plain lines otherwise.

    Args:
        total: units of the whole run.
        done: counts the units that are committed; called twice a second.
        unit: what is counted.
        where: says what is being worked on, such as a file; called after ``done``.
        console: how to speak.
    """
    stop, console = threading.Event(), console or Console()
    terminal = sys.stderr.isatty() and not console.json

    def line(now: int, rate: float) -> str:
        left = (total - now) / rate
        if console.json:
            event = {"event": "progress", "done": now, "total": total, "unit": unit}
            return json.dumps(
                event | {"per_second": round(rate, 1), "seconds_left": round(left, 1), "at": where()},
                ensure_ascii=False,
            )
        place = f", {where()}" if where() else ""
        return f"{now:,} of {total:,} {unit}, {rate:,.0f} {unit}/s, {left:,.0f} s left{place}"

    def count(last: int) -> int:
        try:
            return done()
        except OSError:  # a failing store ends the run with its reason, not its display
            return last

    def watch() -> None:
        start, first = time.monotonic(), count(0)
        logged = start
        with tqdm(
            total=total,
            initial=first,
            unit=f" {unit}",
            unit_scale=True,
            disable=not terminal,
            file=sys.stderr,
        ) as bar:
            while not stop.wait(_POLL_SECONDS):
                now = count(bar.n)
                bar.set_postfix_str(where(), refresh=False)
                bar.update(now - bar.n)
                if not terminal and now > first and time.monotonic() - logged >= _LOG_SECONDS:
                    logged = time.monotonic()
                    sys.stderr.write(line(now, (now - first) / (logged - start)) + "\n")
            bar.update(count(bar.n) - bar.n)

    if console.quiet:
        yield
        return
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join(timeout=5)
