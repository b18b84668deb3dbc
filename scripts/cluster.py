"""Start, list, kill and stop the processes of an engine on this machine, by name and folder."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

C = TypeVar("C", bound="Cluster")

MALLOC = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_TRIM_THRESHOLD_": "1048576"}
"""Makes glibc return freed memory of Python workers, which have many threads and live as long as a job."""


class Cluster:
    """An engine's processes and a pool of Python workers. A context manager that stops them.

    Args:
        home: folder for downloads, configuration, logs and process ids.
        worker_python: interpreter of the Python workers.
        boot: Beam's boot program, which installs a job's packages on the workers; None if they have them.
    """

    kept_millis = 60_000
    """How long an engine keeps idle Python workers."""

    def __init__(
        self, home: Path, worker_python: Path = Path(sys.executable), boot: Path | None = None
    ) -> None:
        self.home = home.resolve()
        self.worker_python = worker_python
        self.boot = boot
        self._ports = self.home / "ports.json"

    def __enter__(self: C) -> C:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def options(self) -> list[str]:
        """Beam options that send a pipeline to this cluster."""
        return [
            *self.runner_options(),
            "--environment_type=EXTERNAL",
            f"--environment_config=127.0.0.1:{self.port('pool')}",
            # Otherwise every step of a batch job starts new Python workers: seconds of imports each.
            f"--environment_cache_millis={self.kept_millis}",
        ]

    def runner_options(self) -> list[str]:
        """The part of ``options`` for the runner, the job server and its address."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Download and build what is missing."""
        raise NotImplementedError

    def start_engine(self) -> None:
        """Start the engine's processes. The ports are chosen before."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Returns whether all of the engine's processes are registered.

        Raises:
            OSError: the first process does not answer.
        """
        raise NotImplementedError

    def start(self) -> None:
        """Start every process and wait until the engine is ready.

        Raises:
            RuntimeError: a cluster runs in this folder already, or this one did not start.
        """
        if self.pids():
            raise RuntimeError(
                f"{self.home}: a cluster runs in this folder, processes {self.pids()}. Stop it first."
            )
        self.home.mkdir(parents=True, exist_ok=True)
        self.prepare()
        for name in ("conf", "log", "tmp"):
            shutil.rmtree(self.home / name, ignore_errors=True)
            (self.home / name).mkdir()
        self._ports.write_text(json.dumps(dict(zip(("web", "rpc", "pool"), free_ports(3), strict=True))))
        self.start_engine()
        self._start_worker_pool()
        self.wait()

    def wait(self) -> None:
        """Wait until the engine is ready.

        Raises:
            RuntimeError: it did not start in time. All its processes are stopped.
        """
        started, deadline = len(self.pids()), time.monotonic() + 120
        while len(self.pids()) == started and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if self.ready():
                    return
            time.sleep(0.5)
        self.stop()
        raise RuntimeError(f"The cluster did not start. See {self.home}/log.")

    def stop(self) -> None:
        """End every process of this folder."""
        for name in self.pids():
            self.kill(name, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while self.pids() and time.monotonic() < deadline:
            time.sleep(0.1)
        for name in self.pids():
            self.kill(name, signal.SIGKILL)

    def kill(self, name: str, how: int = signal.SIGKILL) -> None:
        """Send a signal to a process, such as ``worker_pool``, and to its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pids()[name], how)

    def pids(self) -> dict[str, int]:
        """The running processes: ids by name."""
        found = {path.stem: int(path.read_text()) for path in sorted(self.home.glob("*.pid"))}
        return {name: pid for name, pid in found.items() if _alive(pid)}

    def workers(self) -> list[int]:
        """Process ids of the pool's workers."""
        listing = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.pids()["worker_pool"])],
            capture_output=True,
            text=True,
            check=False,
        )
        return [int(pid) for pid in listing.stdout.split()]

    def port(self, name: str) -> int:
        """The port chosen at the start for ``web``, ``rpc`` or ``pool``."""
        return int(json.loads(self._ports.read_text())[name])

    def spawn(self, name: str, command: list[str], environment: dict[str, str] | None = None) -> None:
        """Start a process in a new session, with a log and a process id file."""
        with (self.home / "log" / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.home,
                env=environment,
                start_new_session=True,
            )
        (self.home / f"{name}.pid").write_text(str(process.pid))

    def _start_worker_pool(self) -> None:
        python = self.worker_python
        pool = Path(__file__).with_name("worker_pool.py")
        command = [str(python), str(pool), f"--port={self.port('pool')}"]
        # Workers are started as plain `python`.
        environment = {**os.environ, **MALLOC, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
        if self.boot is not None:
            command.append(f"--container_executable={self.boot}")
            environment["RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT"] = "1"  # boot installs into that environment
            environment.pop("PYTHONPATH", None)
        self.spawn("worker_pool", command, environment)


def unpack_jars(url: str, sha256: str, folder: str, target: Path) -> None:
    """Download an archive and extract the files of one of its folders.

    Args:
        url: address of a ``.tar.gz`` file.
        sha256: SHA-256 of the archive, in hexadecimal digits.
        folder: folder in the archive, such as ``/deps/lib/``.
        target: folder to create; if it exists, nothing is done.

    Raises:
        RuntimeError: the archive has another SHA-256.
    """
    if target.is_dir():
        return
    archive = target.with_name(f"{target.name}.tar.gz")
    with urllib.request.urlopen(url, timeout=60) as source, archive.open("wb") as sink:
        shutil.copyfileobj(source, sink)
    with archive.open("rb") as stream:
        digest = hashlib.sha256(stream.read()).hexdigest()
    if digest != sha256:
        raise RuntimeError(f"{url}: sha256 is {digest}, not {sha256}.")
    unpacked = target.with_name(f"{target.name}.partial")
    unpacked.mkdir(exist_ok=True)
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and folder in member.name:
                source_file = tar.extractfile(member)
                assert source_file is not None
                with (unpacked / Path(member.name).name).open("wb") as jar:
                    shutil.copyfileobj(source_file, jar)
    unpacked.rename(target)
    archive.unlink()


def free_ports(count: int) -> list[int]:
    """Returns different ports of 127.0.0.1 that are not in use."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [held.getsockname()[1] for held in sockets]


def command_line(doc: str, cluster_of: Callable[[Path, Path, Path | None], Cluster]) -> None:
    """Run ``start DIR`` or ``stop DIR`` for one engine."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("start", "stop"))
    parser.add_argument("home", type=Path, metavar="DIR")
    parser.add_argument(
        "--worker_python",
        type=Path,
        default=sys.executable,
        metavar="PYTHON",
        help="interpreter of the pool's workers (default: this one)",
    )
    parser.add_argument(
        "--boot", type=Path, metavar="FILE", help="Beam's boot program, which installs a job's packages"
    )
    args = parser.parse_args()
    cluster = cluster_of(args.home, args.worker_python, args.boot)
    if args.what == "stop":
        cluster.stop()
        return
    cluster.start()
    print(" ".join(cluster.options))


def _alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # a child that has ended looks alive until it is reaped
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
