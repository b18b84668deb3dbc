"""The progress of a run on the terminal, and the seconds of its parts."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from beam_sts.cli.console import Console
from beam_sts.cli.terminal import print_errors, safe
from beam_sts.secrets import hide_secrets

_POLL_SECONDS, _POLL_SHARE = 0.5, 20  # counting takes at most a twentieth of the time
_LOG_SECONDS = 10.0


class Clock:
    """Measures the seconds of the parts of a run, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """End a part of the run."""
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
    """Show the rate, the remaining time and the current file of a local run, as a bar or as lines.

    Args:
        total: number of units in the whole run.
        done: returns the number of committed units; called twice a second, less often if it is slow.
        unit: name of the unit.
        where: returns a label for the current work, such as a file; called after ``done``.
        console: the verbosity and form of output.
    """
    stop, console = threading.Event(), console or Console()
    terminal = sys.stderr is not None and sys.stderr.isatty() and not console.json

    def line(now: int, rate: float) -> str:
        left = (total - now) / rate
        if console.json:
            event = {"event": "progress", "done": now, "total": total, "unit": unit}
            return json.dumps(
                event | {"per_second": round(rate, 1), "seconds_left": round(left, 1), "at": where()}
            )
        place = f", {where()}" if where() else ""
        return f"{now:,} of {total:,} {unit}, {rate:,.0f} {unit}/s, {left:,.0f} s left{place}"

    def count(last: int) -> int:
        try:
            return done()
        except OSError:  # a failing store should end the run, not its display
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
            took = 0.0
            while not stop.wait(max(_POLL_SECONDS, _POLL_SHARE * took)):
                began = time.monotonic()
                now = count(bar.n)
                took = time.monotonic() - began
                bar.set_postfix_str(safe(where()), refresh=False)
                bar.update(now - bar.n)
                if not terminal and now > first and time.monotonic() - logged >= _LOG_SECONDS:
                    logged = time.monotonic()
                    print_errors(hide_secrets(line(now, (now - first) / (logged - start))))
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
