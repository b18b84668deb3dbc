"""A Flink cluster on this machine, without Docker, and the jar of Beam's job server for it.

    python -m scripts.flink start DIR   # prints the options that send a pipeline there
    python -m scripts.flink stop DIR

``start`` needs Java 11 or 17 and Maven. Into DIR it downloads Flink (the jars that PyPI's
apache-flink-libraries carries) and builds the job server's jar from Beam's published parts; both are kept for
the next start. It starts a job manager, task managers of one slot each, and a pool of Python workers of the
interpreter it runs under; all listen on 127.0.0.1 only.
"""

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
from pathlib import Path

from scripts.job_server import FLINK, job_server_jar

TASK_MANAGERS = 2

_FLINK_URL = (
    "https://files.pythonhosted.org/packages/3a/5b/35ef2814340246d0d89a0c56345c8a6fef813cb9615c691fe33dfbc0d2b8/"
    f"apache-flink-libraries-{FLINK}.tar.gz"
)
_FLINK_SHA256 = "2bd8577a011cd6673d3e59d45fff79621258ce54e57298d07064c54928b47b17"
_CONFIG = """\
jobmanager.rpc.address: 127.0.0.1
jobmanager.bind-host: 127.0.0.1
jobmanager.rpc.port: {rpc}
rest.address: 127.0.0.1
rest.bind-address: 127.0.0.1
rest.port: {rest}
taskmanager.bind-host: 127.0.0.1
taskmanager.host: 127.0.0.1
taskmanager.numberOfTaskSlots: 1
taskmanager.cpu.cores: 1.0
taskmanager.memory.framework.heap.size: 128m
taskmanager.memory.framework.off-heap.size: 128m
taskmanager.memory.task.heap.size: 384m
taskmanager.memory.task.off-heap.size: 64m
taskmanager.memory.network.min: 256m
taskmanager.memory.network.max: 256m
taskmanager.network.sort-shuffle.min-buffers: 16
taskmanager.memory.managed.size: 256m
taskmanager.memory.jvm-metaspace.size: 256m
taskmanager.memory.jvm-overhead.min: 192m
taskmanager.memory.jvm-overhead.max: 192m
io.tmp.dirs: {tmp}
blob.storage.directory: {tmp}
heartbeat.interval: 1000
heartbeat.timeout: 10000
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 10
restart-strategy.fixed-delay.delay: 1 s
"""
_LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %-5p %c{1} - %m%n
"""
# Java 17 closes what Flink's serialisers look into.
_OPENED = ("lang", "lang.reflect", "io", "net", "nio", "text", "time", "util", "util.concurrent")


class Cluster:
    """A job manager, task managers and a worker pool of one folder; a context manager that stops them.

    Args:
        home: folder of downloads, configuration, logs and process numbers.
        worker_python: interpreter of the pool's Python workers.
        boot: Beam's boot program, which installs on the workers what a job stages; None: they have it.
    """

    def __init__(
        self, home: Path, worker_python: Path = Path(sys.executable), boot: Path | None = None
    ) -> None:
        self.home = home.resolve()
        self.worker_python = worker_python
        self.boot = boot
        self._lib = self.home / f"flink-{FLINK}"
        self._ports = self.home / "ports.json"

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def master(self) -> str:
        """Address for ``--flink_master``."""
        return f"127.0.0.1:{self._port('rest')}"

    @property
    def job_server_jar(self) -> Path:
        """The jar of Beam's job server."""
        return job_server_jar("flink", self.home)

    @property
    def options(self) -> list[str]:
        """Beam options that send a pipeline to this cluster."""
        pool = f"127.0.0.1:{self._port('pool')}"
        return [
            "--runner=FlinkRunner",
            f"--flink_master={self.master}",
            f"--flink_job_server_jar={self.job_server_jar}",
            f"--parallelism={TASK_MANAGERS}",
            "--environment_type=EXTERNAL",
            f"--environment_config={pool}",
            # Else every step of a batch job starts Python workers anew, seconds of imports each.
            "--environment_cache_millis=60000",
        ]

    def prepare(self) -> None:
        """Download and build what is not there yet."""
        self.home.mkdir(parents=True, exist_ok=True)
        if not self._lib.is_dir():
            _download_flink(self._lib)
        job_server_jar("flink", self.home)

    def start(self) -> None:
        """Start every process and wait until the task managers have reported.

        Raises:
            RuntimeError: a cluster of this folder runs already, or this one did not come up.
        """
        if self.pids():
            raise RuntimeError(f"{self.home}: a cluster runs there: {self.pids()}. Stop it first.")
        self.prepare()
        for name in ("conf", "log", "tmp"):
            shutil.rmtree(self.home / name, ignore_errors=True)
            (self.home / name).mkdir()
        ports = dict(zip(("rest", "rpc", "pool"), free_ports(3), strict=True))
        self._ports.write_text(json.dumps(ports))
        config = _CONFIG.format(rpc=ports["rpc"], rest=ports["rest"], tmp=self.home / "tmp")
        (self.home / "conf" / "flink-conf.yaml").write_text(config)
        (self.home / "conf" / "log4j.properties").write_text(_LOGGING)
        self._java("job_manager", "runtime.entrypoint.StandaloneSessionClusterEntrypoint")
        for number in range(TASK_MANAGERS):
            self.start_task_manager(number)
        self._start_worker_pool(ports["pool"])
        self._wait()

    def start_task_manager(self, number: int) -> None:
        """Start one task manager."""
        self._java(f"task_manager_{number}", "runtime.taskexecutor.TaskManagerRunner")

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
        """Send a signal to one process and its children, such as ``task_manager_0``."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pids()[name], how)

    def pids(self) -> dict[str, int]:
        """The processes that live, by name."""
        found = {path.stem: int(path.read_text()) for path in sorted(self.home.glob("*.pid"))}
        return {name: pid for name, pid in found.items() if _alive(pid)}

    def workers(self) -> list[int]:
        """Process numbers of the pool's workers."""
        listing = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.pids()["worker_pool"])],
            capture_output=True,
            text=True,
            check=False,
        )
        return [int(pid) for pid in listing.stdout.split()]

    def overview(self) -> dict[str, int]:
        """What the job manager tells of its task managers, slots and jobs."""
        with urllib.request.urlopen(f"http://{self.master}/overview", timeout=5) as answer:
            told: dict[str, int] = json.load(answer)
        return told

    def _wait(self) -> None:
        started, deadline = len(self.pids()), time.monotonic() + 120
        while len(self.pids()) == started and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if self.overview()["taskmanagers"] >= TASK_MANAGERS:
                    return
            time.sleep(0.5)
        self.stop()
        raise RuntimeError(f"The cluster did not come up. Look into {self.home}/log.")

    def _port(self, name: str) -> int:
        return int(json.loads(self._ports.read_text())[name])

    def _java(self, name: str, main: str) -> None:
        opened = [f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in _OPENED]
        logging = f"-Dlog4j.configurationFile={self.home}/conf/log4j.properties"
        memory = ("-Xmx512m", "-XX:MaxDirectMemorySize=448m", f"-Djava.io.tmpdir={self.home}/tmp")
        command = ["java", *opened, *memory, logging, "-cp", f"{self._lib}/*", f"org.apache.flink.{main}"]
        self._spawn(name, [*command, "--configDir", f"{self.home}/conf"])

    def _start_worker_pool(self, port: int) -> None:
        python = self.worker_python
        command = [str(python), str(Path(__file__).with_name("worker_pool.py")), f"--port={port}"]
        # Workers are started as plain `python`.
        environment = {**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
        if self.boot is not None:
            command.append(f"--container_executable={self.boot}")
            environment["RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT"] = "1"  # boot installs into that environment
            environment.pop("PYTHONPATH", None)
        self._spawn("worker_pool", command, environment)

    def _spawn(self, name: str, command: list[str], environment: dict[str, str] | None = None) -> None:
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


def _download_flink(target: Path) -> None:
    archive = target.with_suffix(".tar.gz")
    with urllib.request.urlopen(_FLINK_URL, timeout=60) as source, archive.open("wb") as sink:
        shutil.copyfileobj(source, sink)
    with archive.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != _FLINK_SHA256:
        raise RuntimeError(f"{_FLINK_URL}: sha256 is {digest.hexdigest()}, not {_FLINK_SHA256}.")
    unpacked = target.with_name(f"{target.name}.partial")
    unpacked.mkdir(exist_ok=True)
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and "/deps/lib/" in member.name:
                source_file = tar.extractfile(member)
                assert source_file is not None
                with (unpacked / Path(member.name).name).open("wb") as jar:
                    shutil.copyfileobj(source_file, jar)
    unpacked.rename(target)
    archive.unlink()


def free_ports(count: int) -> list[int]:
    """Different ports of 127.0.0.1 that nothing listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [held.getsockname()[1] for held in sockets]


def _alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # a child of ours that has ended would look alive until it is waited for
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
        "--boot", type=Path, metavar="FILE", help="Beam's boot program, to install what a job stages"
    )
    own = parser.parse_args()
    cluster = Cluster(own.home, own.worker_python, own.boot)
    if own.what == "stop":
        cluster.stop()
        return
    cluster.start()
    print(" ".join(cluster.options))


if __name__ == "__main__":
    main()
