"""A Flink cluster on this machine, without Docker, and the jar of Beam's job server for it.

    python -m scripts.flink start DIR   # prints the options that send a pipeline there
    python -m scripts.flink stop DIR

``start`` needs Java 11 or 17 and Maven. It downloads Flink into DIR (the jars of the PyPI package
apache-flink-libraries) and builds the job server's jar from Beam's published parts; DIR keeps both for the
next start. It starts a job manager, task managers with one slot each, and a pool of Python workers that run
its own interpreter. All of them listen on 127.0.0.1 only.
"""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path
from typing import Any

from scripts.cluster import Cluster, command_line, unpack_jars
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
taskmanager.memory.task.heap.size: 320m
taskmanager.memory.task.off-heap.size: 64m
taskmanager.memory.network.min: 256m
taskmanager.memory.network.max: 256m
taskmanager.network.sort-shuffle.min-buffers: 16
taskmanager.memory.managed.size: 192m
taskmanager.memory.jvm-metaspace.size: 256m
taskmanager.memory.jvm-overhead.min: 192m
taskmanager.memory.jvm-overhead.max: 192m
classloader.resolve-order: parent-first
io.tmp.dirs: {tmp}
blob.storage.directory: {tmp}
heartbeat.interval: 1000
heartbeat.timeout: 10000
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 10
restart-strategy.fixed-delay.delay: 8 s
"""
_LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %-5p %c{1} - %m%n
"""
# Java 17 closes packages that Flink's serialisers access by reflection.
_OPENED = ("lang", "lang.reflect", "io", "net", "nio", "text", "time", "util", "util.concurrent")


class FlinkCluster(Cluster):
    """The job manager, task managers and worker pool of a folder."""

    kept_millis = 5_000
    """Less than the delay of a restart, so that a restarted job does not meet a worker that has died."""

    @property
    def master(self) -> str:
        """Address for ``--flink_master``."""
        return f"127.0.0.1:{self.port('web')}"

    @property
    def _lib(self) -> Path:
        return self.home / f"flink-{FLINK}"

    def runner_options(self) -> list[str]:
        """See ``Cluster``."""
        return [
            "--runner=FlinkRunner",
            f"--flink_master={self.master}",
            f"--flink_job_server_jar={job_server_jar('flink', self.home)}",
            f"--parallelism={TASK_MANAGERS}",
        ]

    def prepare(self) -> None:
        """See ``Cluster``."""
        unpack_jars(_FLINK_URL, _FLINK_SHA256, "/deps/lib/", self._lib)
        job_server_jar("flink", self.home)

    def start_engine(self) -> None:
        """See ``Cluster``."""
        config = _CONFIG.format(rpc=self.port("rpc"), rest=self.port("web"), tmp=self.home / "tmp")
        (self.home / "conf" / "flink-conf.yaml").write_text(config)
        (self.home / "conf" / "log4j.properties").write_text(_LOGGING)
        self.start_job_manager()
        for number in range(TASK_MANAGERS):
            self.start_task_manager(number)

    def start_job_manager(self) -> None:
        """Start the job manager. It does not recover jobs."""
        self._java("job_manager", "runtime.entrypoint.StandaloneSessionClusterEntrypoint")

    def start_task_manager(self, number: int) -> None:
        """Start one task manager."""
        self._java(f"task_manager_{number}", "runtime.taskexecutor.TaskManagerRunner")

    def ready(self) -> bool:
        """See ``Cluster``."""
        return bool(self.ask("overview")["taskmanagers"] >= TASK_MANAGERS)

    def ask(self, path: str) -> dict[str, Any]:
        """Query the job manager's REST API, such as ``overview`` or ``jobs/overview``."""
        with urllib.request.urlopen(f"http://{self.master}/{path}", timeout=5) as answer:
            told: dict[str, Any] = json.load(answer)
        return told

    def _java(self, name: str, main: str) -> None:
        opened = [f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in _OPENED]
        logging = f"-Dlog4j.configurationFile={self.home}/conf/log4j.properties"
        # Several arenas of malloc, and the tables of the parallel collector, would add some 150 MB.
        memory = ("-Xmx448m", "-XX:MaxDirectMemorySize=448m", "-XX:+UseSerialGC")
        command = ["java", *opened, *memory, f"-Djava.io.tmpdir={self.home}/tmp", logging]
        # Beam keeps Python workers between steps only if Flink itself has loaded Beam's classes.
        classes = f"{self._lib}/*:{job_server_jar('flink', self.home)}"
        command += ["-cp", classes, f"org.apache.flink.{main}", "--configDir", f"{self.home}/conf"]
        self.spawn(name, command, {**os.environ, "MALLOC_ARENA_MAX": "2"})


if __name__ == "__main__":
    command_line(__doc__, FlinkCluster)
