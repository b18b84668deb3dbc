"""The most memory and the processor time of each process of a run, by name."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

_TICK = os.sysconf("SC_CLK_TCK")


def family(roots: Mapping[int, str]) -> dict[int, str]:
    """These processes and all that they have started, by process id, with a name."""
    found = dict(roots)
    for pid in (queue := list(found)):
        for file in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                for child in map(int, file.read_text().split()):
                    name = Path(f"/proc/{child}/comm").read_text().strip()
                    found[child] = f"{found[pid]}'s {name}"
                    queue.append(child)
    return found


@contextlib.contextmanager
def repeating(call: Callable[[], None]) -> Iterator[None]:
    """A context during which a function is called twice a second."""
    stop = threading.Event()

    def calls() -> None:
        while not stop.wait(0.5):
            call()

    thread = threading.Thread(target=calls, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class Watch:
    """Reads the memory of processes and their children twice a second.

    ``roots`` are process ids with names; more may be added. ``peaks`` has the largest peak of resident memory
    in MiB of the processes with a name, ``processor`` the sum of their processor seconds.
    """

    def __init__(self, roots: Mapping[int, str]) -> None:
        self.roots = dict(roots)
        self.peaks: dict[str, int] = {}
        self._processor: dict[tuple[str, int], float] = {}

    def watching(self) -> contextlib.AbstractContextManager[None]:
        """A context during which processes are watched."""
        before = {pid: _seconds(pid) for pid in family(self.roots)}
        return repeating(partial(self._read, before))

    def _read(self, before: dict[int, float]) -> None:
        for pid, name in family(self.roots).items():
            self.peaks[name] = max(self.peaks.get(name, 0), _peak(pid))
            self._processor[name, pid] = _seconds(pid) - before.get(pid, 0.0)

    @property
    def processor(self) -> dict[str, float]:
        """Processor seconds by name, since the start of the context."""
        sums: dict[str, float] = {}
        for (name, _), seconds in self._processor.items():
            sums[name] = round(sums.get(name, 0.0) + seconds, 1)
        return sums

    def report(self) -> dict[str, Any]:
        """Both."""
        return {"peak_mib": self.peaks, "processor_seconds": self.processor}


def _peak(pid: int) -> int:
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) // 1024 if found else 0
    return 0


def _seconds(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK
    return 0.0
