"""Reads in parallel: results in order, errors and early ends."""

import threading
import time

import pytest

from beam_sts.io.ahead import AHEAD, THREADS, ahead


def test_what_is_found_comes_in_order_and_side_by_side():
    running, most, lock = 0, 0, threading.Lock()

    def slow(number):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01 * (number % 3))
        with lock:
            running -= 1
        return number

    assert list(ahead(slow, range(200))) == list(range(200))
    assert 1 < most <= THREADS


def test_little_waits_where_it_is_taken_slowly():
    begun = []
    found = ahead(begun.append, iter(range(10_000)))
    for _ in range(3):
        next(found)
    time.sleep(0.05)
    assert len(begun) <= AHEAD + 3
    found.close()


def test_an_error_comes_at_its_turn():
    def fails(number):
        if number == 5:
            raise ValueError("five")
        return number

    found = ahead(fails, range(1000))
    assert [next(found) for _ in range(5)] == list(range(5))
    with pytest.raises(ValueError, match="five"):
        next(found)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few(count):
    assert list(ahead(str, range(count))) == [str(at) for at in range(count)]
