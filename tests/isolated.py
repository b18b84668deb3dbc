"""Loads a checkpoint and scores with it in a separate process, so that a crash or a hang is an outcome.

One process imports everything once and forks for each folder: a fork takes milliseconds, an import seconds.
"""

from __future__ import annotations

import json
import math
import os
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PAIRS = [("A man plays a guitar, and aaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "Someone plays."), ("a", "b c " * 40)]


class Isolated:
    """Outcomes of loading checkpoints: ``scored``, ``UserError``, ``crash``, ``hang`` or another error.

    Args:
        seconds: limit of CPU time; more, or twelve times as much elapsed time, is a hang.
        memory: limit of the address space in bytes, besides that of the imports.
    """

    def __init__(self, seconds: float = 10, memory: int = 2 << 30) -> None:
        command = [sys.executable, "-m", "tests.isolated", str(seconds), str(memory)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
        )

    def outcome(self, folder: Path | str, **settings: Any) -> tuple[str, str]:
        """The kind of outcome, and the scores or the message."""
        self._process.stdin.write(json.dumps([str(folder), settings]) + "\n")
        self._process.stdin.flush()
        kind, detail = json.loads(self._process.stdout.readline())
        return kind, detail

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()


def _score(folder: str, settings: dict[str, Any]) -> tuple[str, str]:
    from beam_sts import PairScorer, UserError

    try:
        return "scored", str(PairScorer(folder, threads=1, **settings).score(PAIRS).tolist())
    except UserError as error:
        return "UserError", str(error)
    except BaseException as error:
        import traceback

        where = traceback.extract_tb(error.__traceback__)[-1]
        return (
            f"{type(error).__module__}.{type(error).__name__}",
            f"{error} ({where.filename}:{where.lineno})",
        )


def _forked(folder: str, settings: dict[str, Any], seconds: float, memory: int) -> tuple[str, str]:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
        limit = _address_space() + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds)))
        with os.fdopen(write, "w") as pipe:
            json.dump(_score(folder, settings), pipe)
        os._exit(0)
    os.close(write)
    end, parts = time.monotonic() + 12 * seconds, []
    while True:
        ready, _, _ = select.select([read], [], [], max(0, end - time.monotonic()))
        part = os.read(read, 1 << 16) if ready else None
        if not part:
            break
        parts.append(part)
    os.close(read)
    if part is None:
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if part is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)):
        return "hang", f"more than {seconds} s"
    if os.WIFSIGNALED(status):
        return "crash", signal.Signals(os.WTERMSIG(status)).name
    kind, detail = json.loads(b"".join(parts))
    return kind, detail


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _serve(seconds: float, memory: int) -> None:
    import transformers.models.bert.modeling_bert  # noqa: F401

    import beam_sts
    import beam_sts.models.bert_hash
    import beam_sts.models.neobert

    beam_sts.PairScorer(threads=1)  # for imports that happen late; starts no thread
    for line in sys.stdin:
        folder, settings = json.loads(line)
        print(json.dumps(_forked(folder, settings, seconds, memory)), flush=True)


if __name__ == "__main__":
    _serve(float(sys.argv[1]), int(sys.argv[2]))
