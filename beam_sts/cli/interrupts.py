"""Ctrl-C and SIGTERM: one line and an exit status, from the first moment of a command to its last.

``beam_sts`` installs this before all else in a command, since torch and Beam take seconds to import; so it
imports little itself.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
Ending = Callable[[str, int], bytes]
"""Gives the last words of a command, from the word of the signal and the exit status."""


def _in_child() -> None:
    # A forked child would answer for its parent: it shares the pipe that wakes it.
    for name in WORDS:
        if signal.getsignal(name) is _leave:
            signal.set_wakeup_fd(-1)
            signal.signal(name, signal.SIG_DFL)


os.register_at_fork(after_in_child=_in_child)


def _nothing_yet(word: str, status: int) -> bytes:
    return f"{word}. Nothing was written.\n".encode()


_ending: Ending = _nothing_yet
_leaving = False


def install() -> None:
    """End this process by one line on SIGINT and SIGTERM, unless its starter has them ignored."""
    for number in (0, 1, 2):  # a closed one would be taken by the first file that is opened
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in WORDS:
        if signal.getsignal(name) is not signal.SIG_IGN:
            signal.signal(name, _leave)
    atexit.register(_settle)  # registered first, so it runs last


def _settle() -> None:
    """At the very end Python would give the signals their defaults: by then there is nothing to interrupt."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _leave(number: int, _: object = None) -> None:
    # Beam would turn the interrupt into an error of its own, or sit in a bundle for minutes. Every file is
    # published in one step, so leaving at once loses nothing that is committed.
    global _leaving
    if _leaving:
        return
    _leaving = True
    with suppress(OSError):
        os.write(2, (b"\n" if os.isatty(2) else b"") + _ending(WORDS[signal.Signals(number)], 128 + number))
    os._exit(128 + number)


@contextmanager
def attended(ending: Ending) -> Iterator[None]:
    """Answer the signals at once while a command works, also where its main thread is in native code.

    Args:
        ending: says what is printed, after ending what must not outlive the command.
    """
    import threading

    global _ending
    before = {name: signal.getsignal(name) for name in WORDS}
    ours = [name for name, handler in before.items() if handler is not signal.SIG_IGN]
    earlier, _ending = _ending, ending
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    woken = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)

    def listen() -> None:
        while number := os.read(told, 1):
            if number[0] in ours:
                _leave(number[0])

    listener = threading.Thread(target=listen, name="signals", daemon=True)
    listener.start()
    mask = None
    if sys.platform == "linux":
        # Worker processes inherit the mask: Ctrl-C reaches the whole group, and each would print a traceback.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    for name in ours:
        signal.signal(name, _leave)
    try:
        yield
    finally:
        for name in ours:
            signal.signal(name, before[name])
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.set_wakeup_fd(woken)
        os.close(tell)
        listener.join()
        os.close(told)
        _ending = earlier
