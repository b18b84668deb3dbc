"""Java that ends with the process that started it; run as a script, by its path, in place of ``java``.

Beam starts the job server of Flink and Spark as a child of the launcher, and stops it at the job's end. A
launcher that is killed stops nothing, and the server would stay.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Ask Linux for SIGTERM when the parent ends, then become the given command."""
    parent = int(sys.argv[1])
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == parent:  # else it ended before it was watched
        os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
