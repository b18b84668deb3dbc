"""A Spark cluster on this machine, without Docker, and the jar of Beam's job server for it.

    python -m scripts.spark start DIR   # prints the options that send a pipeline there
    python -m scripts.spark stop DIR

``start`` needs Java 11 or 17 and Maven. It downloads Spark into DIR (the jars of the PyPI package pyspark)
and builds the job server's jar from Beam's published parts; DIR keeps both for the next start. It starts a
master, two Spark workers with one core each, and a pool of Python workers that run its own interpreter. All
of them listen on 127.0.0.1 only. Beam's job server, which the launcher starts, is Spark's driver.
"""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path
from typing import Any

from scripts.cluster import Cluster, command_line, unpack_jars
from scripts.job_server import SPARK, job_server_jar

SPARK_WORKERS = 2

_SPARK_URL = (
    "https://files.pythonhosted.org/packages/92/11/5c0f24537fa68624cb6271d2a8a8982e81bd05f5cb51e9d2d2a89baa0e1a/"
    f"pyspark-{SPARK}.tar.gz"
)
_SPARK_SHA256 = "d41a9b76bd2aca370a6100d075c029e22ba44c5940927877e9435a3a9c566558"
_LOCAL = ("-Dspark.driver.host=127.0.0.1", "-Dspark.driver.bindAddress=127.0.0.1")


class SparkCluster(Cluster):
    """The master, Spark workers and Python workers of a folder."""

    @property
    def _spark(self) -> Path:
        return self.home / f"spark-{SPARK}"

    @property
    def master(self) -> str:
        """Address for ``--spark_master_url``."""
        return f"spark://127.0.0.1:{self.port('rpc')}"

    def runner_options(self) -> list[str]:
        """See ``Cluster``."""
        jar = job_server_jar("spark", self.home)
        return [
            "--runner=SparkRunner",
            f"--spark_master_url={self.master}",
            f"--spark_job_server_jar={jar}",
            *(f"--job_server_jvm_properties={flag}" for flag in _LOCAL),
            # Otherwise executors load Spark's old Guava before Beam's, and the first task of each fails.
            f"--job_server_jvm_properties=-Dspark.executor.extraClassPath={jar}",
        ]

    def prepare(self) -> None:
        """See ``Cluster``."""
        self._spark.mkdir(exist_ok=True)
        unpack_jars(_SPARK_URL, _SPARK_SHA256, "/deps/jars/", self._spark / "jars")
        job_server_jar("spark", self.home)

    def start_engine(self) -> None:
        """See ``Cluster``."""
        ports = ("--port", str(self.port("rpc")), "--webui-port", str(self.port("web")))
        self._java("master", "master.Master", *ports)
        for number in range(SPARK_WORKERS):
            self.start_spark_worker(number)

    def start_spark_worker(self, number: int) -> None:
        """Start a Spark worker, which starts an executor for each job."""
        size = ("--cores", "1", "--memory", "1g", "--work-dir", f"{self.home}/tmp")
        self._java(f"spark_worker_{number}", "worker.Worker", *size, self.master)

    def ready(self) -> bool:
        """See ``Cluster``."""
        return bool(self.ask("json")["aliveworkers"] >= SPARK_WORKERS)

    def ask(self, path: str) -> dict[str, Any]:
        """Query the JSON pages of the master."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port('web')}/{path}", timeout=5) as answer:
            told: dict[str, Any] = json.load(answer)
        return told

    def _java(self, name: str, main: str, *args: str) -> None:
        spark = {"SPARK_HOME": str(self._spark), "SPARK_SCALA_VERSION": "2.12", "SPARK_LOCAL_IP": "127.0.0.1"}
        command = ["java", "-Xmx256m", "-cp", f"{self._spark}/jars/*", f"org.apache.spark.deploy.{main}"]
        self.spawn(name, [*command, "--host", "127.0.0.1", *args], {**os.environ, **spark})


if __name__ == "__main__":
    command_line(__doc__, SparkCluster)
