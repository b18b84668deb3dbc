"""Many small reads in parallel: a read takes milliseconds, and there may be thousands of files."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS, AHEAD = 16, 64


def ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Apply a function to items in threads. Yields the results in order; at most ``AHEAD`` are buffered.

    Raises:
        Exception: what the function raises, at its item's turn. Later items are not started.

    >>> list(ahead(abs, range(-3, 0)))
    [3, 2, 1]
    """
    left = iter(items)
    first = list(islice(left, 2))
    if len(first) < 2:
        yield from map(function, first)
        return
    with ThreadPoolExecutor(THREADS, "ahead") as pool:
        waiting: deque[Future[Result]] = deque(pool.submit(function, item) for item in first)
        try:
            while waiting:
                waiting.extend(pool.submit(function, item) for item in islice(left, AHEAD - len(waiting)))
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
