"""Ctrl-C and SIGTERM end a command with one line and an exit status, from its first moment to its last.

``beam_sts`` installs this before anything else in a command. So this module imports only modules that Python
has loaded already: even ``signal``, ``contextlib`` and ``logging`` take longer to import than Python takes to
start.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # without the enums
import atexit
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

WORDS: dict[int, str] = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


def _in_child() -> None:
    # A forked child shares the wake-up pipe of its parent, and would handle signals in its place.
    for number in WORDS:
        if signal.getsignal(number) is _leave:
            signal.set_wakeup_fd(-1)
            signal.signal(number, signal.SIG_DFL)


os.register_at_fork(after_in_child=_in_child)


def _nothing_yet(word: str, status: int) -> bytes:
    return f"{word}. Nothing was written.\n".encode()


_ending: Callable[[str, int], bytes] = _nothing_yet
"""Returns the final message of a command, from the word for the signal and the exit status."""
_leaving = False


def install() -> None:
    """End this process with one line on SIGINT and SIGTERM, unless its parent made it ignore them."""
    for number in WORDS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _leave)
    for number in (0, 1, 2):  # the next opened file would get the number of a closed one
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    atexit.register(_finish)  # registered first, so it runs last


def _finish() -> None:
    """Ignore Ctrl-C at exit, where Python would restore the default, since nothing is left to interrupt."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _leave(number: int, _: object = None) -> None:
    # Beam would turn the interrupt into another error, or would first finish a bundle for minutes. Every file
    # is written in one step, so an immediate exit loses nothing that is committed.
    global _leaving
    if _leaving:
        return
    _leaving = True
    try:
        os.write(2, (b"\n" if os.isatty(2) else b"") + _ending(WORDS[number], 128 + number))
    finally:
        os._exit(128 + number)


class attended:  # noqa: N801  used as a function
    """Handle the signals at once while a command runs, even if its main thread is in native code.

    Args:
        ending: ends whatever must not outlive the command, and returns the message to print.
    """

    def __init__(self, ending: Callable[[str, int], bytes]) -> None:
        self._new = ending

    def __enter__(self) -> None:
        import threading

        global _ending
        self._before = {number: signal.getsignal(number) for number in WORDS}
        self._ours = [number for number, handler in self._before.items() if handler != signal.SIG_IGN]
        self._earlier, _ending = _ending, self._new
        self._wake, self._tell = os.pipe()
        os.set_blocking(self._tell, False)
        self._woken = signal.set_wakeup_fd(self._tell, warn_on_full_buffer=False)
        self._listener = threading.Thread(target=self._listen, name="signals", daemon=True)
        self._listener.start()
        self._mask = None
        if sys.platform == "linux":
            # Child processes inherit the mask. Ctrl-C reaches the whole process group, and each Python
            # program in it would print a traceback.
            self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        for number in self._ours:
            signal.signal(number, _leave)

    def _listen(self) -> None:
        while number := os.read(self._wake, 1):
            if number[0] in self._ours:
                _leave(number[0])

    def __exit__(self, *_: object) -> None:
        global _ending
        for number in self._ours:
            signal.signal(number, self._before[number])
        if self._mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        signal.set_wakeup_fd(self._woken)
        os.close(self._tell)
        self._listener.join()
        os.close(self._wake)
        _ending = self._earlier
