"""A script that makes a program end together with its parent process, and then executes the program.

Beam starts the job server of Flink and Spark, and the workers of ``multi_processing``, as children of the
launcher, and stops them at the end of the job. If the launcher is killed, it cannot stop them, and they would
keep running.
"""

from __future__ import annotations

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Request a signal from Linux for the end of the parent process, then execute the program.

    The arguments are the process id of the parent, the name of the signal, the program and its arguments.
    """
    parent, name, *program = sys.argv[1:]
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.Signals[name])
    if os.getppid() == int(parent):  # otherwise the parent ended before the request
        os.execvp(program[0], program)


if __name__ == "__main__":
    main()
