"""A program that ends with the process that starts it; run as a script, by its path, before that program.

Beam starts the job server of Flink and Spark, and the workers of ``multi_processing``, as children of the
launcher, and stops them at the job's end. A launcher that is killed stops nothing: they would stay.
"""

from __future__ import annotations

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Ask Linux for a signal when the parent ends, then become the given program.

    The arguments are the parent's process number, the name of the signal, the program and its arguments.
    """
    parent, name, *program = sys.argv[1:]
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.Signals[name])
    if os.getppid() == int(parent):  # else it ended before it was watched
        os.execvp(program[0], program)


if __name__ == "__main__":
    main()
