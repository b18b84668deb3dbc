"""Thread pools that survive a fork: a child process starts its own threads.

A fork copies only the thread that forks. The threads of a pool are gone in the child, and locks that they
held, in Python or in native code, stay locked. So a fork waits until no task runs, and in the child every
pool, and every other object that is registered here, starts again.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol

# Seconds that a fork waits for tasks. A task takes milliseconds, or seconds with the largest models.
_PATIENCE = 30.0


class Renewable(Protocol):
    """An object that must start again in a child process."""

    def after_fork(self) -> None:
        """Drop the state that the fork broke. Called in the child before anything else runs."""
        ...


class _Gate:
    """Keeps tasks and forks apart: a fork waits for running tasks, and tasks wait for a fork."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._running: dict[int, int] = {}  # counts of tasks by thread
        self._forks = 0

    @contextmanager
    def task(self) -> Iterator[None]:
        me = threading.get_ident()
        with self._change:
            while self._forks and me not in self._running:
                self._change.wait()
            self._running[me] = self._running.get(me, 0) + 1
        try:
            yield
        finally:
            with self._change:
                self._running[me] -= 1
                if not self._running[me]:
                    del self._running[me]
                self._change.notify_all()

    def close(self) -> None:
        me = {threading.get_ident()}
        with self._change:
            self._forks += 1
            self._change.wait_for(lambda: self._running.keys() <= me, _PATIENCE)

    def open(self) -> None:
        with self._change:
            self._forks -= 1
            self._change.notify_all()


_gate = _Gate()
_renewables: weakref.WeakSet[Any] = weakref.WeakSet()


def unforked() -> Any:
    """A context in which no other thread can fork, for native code that takes locks."""
    return _gate.task()


def renew_after_fork(thing: Renewable) -> None:
    """Register an object, by a weak reference, for ``after_fork`` calls in child processes."""
    _renewables.add(thing)


def _in_child() -> None:
    global _gate
    _gate = _Gate()
    for thing in list(_renewables):
        thing.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(
        before=lambda: _gate.close(), after_in_parent=lambda: _gate.open(), after_in_child=_in_child
    )


class Threads:
    """A pool of threads, one in each process that uses it.

    Args:
        count: threads in a process.
        name: prefix of the threads' names.
        nested: whether tasks run tasks of another pool and wait for them; a fork then waits for those only.
    """

    def __init__(self, count: int, name: str, *, nested: bool = False) -> None:
        self._count = count
        self._name = name
        self._nested = nested
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Reset the pool; the first task starts its threads."""
        self._executor = ThreadPoolExecutor(self._count, self._name, initializer=_alone)

    def map(self, run: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Run a function on items, and yield the results in the items' order."""
        return self._executor.map(run if self._nested else _Task(run), items)


def _alone() -> None:
    """If torch is imported, let it start no further threads for this one."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


class _Task:
    """A function during which no fork happens."""

    def __init__(self, run: Callable[[Any], Any]) -> None:
        self._run = run

    def __call__(self, item: Any) -> Any:
        with _gate.task():
            return self._run(item)
