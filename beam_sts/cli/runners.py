"""What a Beam runner needs before a run: a job server or program, Java, reachable addresses, options.

Beam reports most problems only after the input has been planned, and as a traceback. This module checks the
options and the machine before the long work.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import logging
import re
import socket
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    GoogleCloudOptions,
    JobServerOptions,
    PipelineOptions,
    PortableOptions,
    PrismRunnerOptions,
    SetupOptions,
    SparkRunnerOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.runners.portability.prism_runner import PrismJobServer
from apache_beam.utils.subprocess_server import JavaJarServer
from apache_beam.version import __version__ as beam_version

OLDEST_JAVA = 11
_POOL = "python -m apache_beam.runners.worker.worker_pool_main --service_port=50000"
# Kinds of workers, each with the option that it takes instead of --environment_config, and what to give.
_WORKERS = {
    "LOOPBACK": ("", ""),
    "EXTERNAL": (
        "external_service_address",
        f"--environment_config=localhost:50000, the workers' pool on each of the engine's machines:\n{_POOL}",
    ),
    "DOCKER": ("", ""),
    "PROCESS": ("process_command", "--environment_options=process_command=/PATH/boot"),
}
_SECONDS = 20  # timeout for an address to answer, and for each read of a download

_KNOWN = {
    path.rpartition(".")[2].lower().removesuffix("runner"): path for path in StandardOptions.ALL_KNOWN_RUNNERS
}
_PORTABLE = ("flink", "spark", "portable", "prism")
_PRISM = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{beam_version}"
_LOCAL_FLINK = ("[auto]", "[local]")
_FLINK_PORT = 8081
_EXTRAS = {
    "dataflow": "pip install 'beam_sts[dataflow]'",
    "testdataflow": "pip install 'beam_sts[dataflow]'",
    "interactive": "pip install 'apache-beam[interactive]'",
}


class Machine:
    """The capabilities of this machine that runners need. Tests replace it."""

    def java(self, launcher: str) -> int | None:
        """The major version of a Java, such as 8 for 1.8; None if there is none."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(
                [launcher, "-version"], capture_output=True, text=True, check=False, timeout=60
            )
            found = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
            return int(found[1]) if found else None
        return None

    def answers(self, host: str, port: int) -> bool:
        """Whether something listens at an address."""
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=_SECONDS):
            return True
        return False

    def import_error(self, path: str) -> str | None:
        """Why a class cannot be imported, by its dotted path; None if it can."""
        module, _, name = path.rpartition(".")
        try:
            getattr(importlib.import_module(module), name)
        except Exception as error:  # the code of another package may raise anything
            return str(error)
        return None

    def jar(self, place: str, cache: str | None) -> Path:
        """The local file of a jar. A URL is downloaded by Beam into its cache unless it has it.

        Raises:
            OSError, ValueError, RuntimeError: the jar is not available.
        """
        with _short_timeout():
            return Path(JavaJarServer.local_jar(place, cache))

    def region(self) -> str | None:
        """The default region of Google Cloud in Beam, from the environment or from gcloud."""
        from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

        region: str | None = DataflowRunner().get_default_gcp_region()
        return region

    def prism(self, options: PipelineOptions) -> None:
        """Find Prism in the way that Beam does, or download it.

        Raises:
            OSError, ValueError, RuntimeError: Prism is not available.
        """
        with _short_timeout():
            PrismJobServer.local_bin(PrismJobServer(options).path_to_binary())


@contextlib.contextmanager
def _short_timeout() -> Iterator[None]:
    """Limit Beam's downloads, which log long warnings and otherwise wait forever if packets are lost."""
    before, logger = socket.getdefaulttimeout(), logging.getLogger(JavaJarServer.__module__)
    level = logger.level
    socket.setdefaulttimeout(_SECONDS)
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
        logger.setLevel(level)


def _reason(error: BaseException) -> str:
    """The original message of the system or the server, from a chain of errors that repeat it with advice."""
    found, at = error, error.__context__
    while at is not None:
        found, at = (at if isinstance(at, OSError) else found), at.__context__
    return str(found)


def is_runner(options: PipelineOptions, name: str) -> bool:
    """Whether the options name a runner, given in lower case without the suffix ``runner``."""
    return _short(options.view_as(StandardOptions).runner or "") == name


def runner_problem(options: PipelineOptions, here: Machine) -> str | None:
    """What is missing for a run with the named runner, and what to type; None if nothing is missing.

    Args:
        options: the options of the run.
        here: the machine that starts the run.
    """
    given = options.view_as(StandardOptions).runner
    if not given:
        return None
    name = _short(given)
    problem = _of_name(given, name, here)
    if problem is None and name in ("flink", "spark"):
        problem = _of_job_server(name, options, here)
    if problem is None and name == "portable":
        problem = _of_endpoint(options, here)
    if problem is None and name == "prism":
        problem = _of_prism(options, here)
    if problem is None and name == "dataflow":
        problem = _of_dataflow(options, here)
    if problem is None and (name in _PORTABLE or name == "dataflow"):
        problem = _of_workers(name, options, here)
    return problem and f"--runner {given}: {problem}"


def _short(given: str) -> str:
    # Beam accepts a name in any case, with or without "Runner", or the dotted path of a class.
    return given.rpartition(".")[2].lower().removesuffix("runner")


def _of_name(given: str, name: str, here: Machine) -> str | None:
    if name == "dask":
        return (
            "Beam's DaskRunner loses rows silently: it drops what a step outputs at the end of a bundle "
            "(observed in Beam 2.77). Leave out --runner to run here, or use FlinkRunner."
        )
    if name == "kafkastreams":
        return "no Beam release has its job server. Leave out --runner to run here, or use FlinkRunner."
    path = given if "." in given else _KNOWN.get(name)
    if path is None:
        near = difflib.get_close_matches(name, _KNOWN, n=1)
        meant = f"Did you mean {_class(_KNOWN[near[0]])}? " if near else ""
        known = ", ".join(map(_class, _KNOWN.values()))
        return f"Beam {beam_version} has no such runner. {meant}It has {known}."
    if name == "dataflow":
        path = "apache_beam.runners.dataflow.internal.apiclient.DataflowApplicationClient"
    problem = here.import_error(path)
    if problem is None:
        return None
    extra = f" Install it: {_EXTRAS[name]}" if name in _EXTRAS else ""
    return f"cannot be imported: {problem.rstrip('.')}.{extra}"


def _class(path: str) -> str:
    return path.rpartition(".")[2]


def _of_job_server(name: str, options: PipelineOptions, here: Machine) -> str | None:
    """The problem of Flink or Spark: with the endpoint, or with the jar, Java or the master."""
    if options.view_as(PortableOptions).job_endpoint:
        return _of_endpoint(options, here)
    server = options.view_as(JobServerOptions)
    if name == "flink":
        flink = options.view_as(FlinkRunnerOptions)
        engine, jar, version = "Flink", flink.flink_job_server_jar, flink.flink_version
        master, remote = flink.flink_master, flink.flink_master.strip() not in _LOCAL_FLINK
        uploads = remote and flink.flink_submit_uber_jar
        flag, default = "--flink_master", _FLINK_PORT
    else:
        spark = options.view_as(SparkRunnerOptions)
        engine, jar, version = "Spark", spark.spark_job_server_jar, spark.spark_version
        uploads = spark.spark_submit_uber_jar
        if uploads and not spark.spark_rest_url:
            return (
                "--spark_submit_uber_jar needs the address of Spark's REST: --spark_rest_url=http://HOST:6066"
            )
        master = spark.spark_rest_url if uploads else spark.spark_master_url
        remote = uploads or master.startswith("spark://")
        flag, default = ("--spark_rest_url", 6066) if uploads else ("--spark_master_url", 7077)
    if not uploads:
        java = here.java(server.job_server_java_launcher)
        needed = f"{engine}'s job server needs Java {OLDEST_JAVA} or newer"
        if java is None:
            return (
                f"{needed}; {server.job_server_java_launcher!r} does not run. Install it (Debian: apt "
                "install openjdk-17-jre-headless) or give --job_server_java_launcher=/PATH/bin/java."
            )
        if java < OLDEST_JAVA:
            return (
                f"{needed}; {server.job_server_java_launcher!r} is Java {java}. Give a newer one: "
                "--job_server_java_launcher=/PATH/bin/java."
            )
    problem = _of_jar(engine, jar, version, server.jar_cache_dir, here)
    if problem is None and remote:
        problem = _of_address(flag, master, default, here)
    return problem


def _of_jar(engine: str, given: str | None, version: str, cache: str | None, here: Machine) -> str | None:
    low = engine.lower()
    flag, artifact = f"--{low}_job_server_jar", f"beam-runners-{low}-{version}-job-server"
    get = (
        f"mvn dependency:copy -DoutputDirectory=. -Dartifact=org.apache.beam:{artifact}:{beam_version}\n"
        f"and give {flag}={artifact}-{beam_version}.jar"
        + (f" (for Flink {version}; replace it for another version, such as 1.19)." if low == "flink" else "")
    )
    place = given or JavaJarServer.path_to_beam_jar(f":runners:{low}:{version}:job-server:shadowJar")
    if given and "://" not in given and not Path(given).is_file():
        return f"{flag} {given}: no such file. Fetch Beam's job server: {get}"
    try:
        found = here.jar(place, cache)
    except (OSError, ValueError, RuntimeError) as error:
        return f"no job server at {place} ({_reason(error)}). Fetch it: {get}"
    main = _main_class(found)
    if not main.endswith(f".{engine}JobServerDriver"):
        what = f"starts {main}" if main else "starts no program"
        return f"{found}: is not Beam's job server for {engine}: it {what}. Fetch that: {get}"
    return None


def _main_class(jar: Path) -> str:
    """The class that ``java -jar`` starts; empty if the file is not a jar or starts none."""
    try:
        with zipfile.ZipFile(jar) as archive:
            manifest = archive.read("META-INF/MANIFEST.MF").decode("utf-8", "replace")
    except (OSError, KeyError, zipfile.BadZipFile):
        return ""
    found = re.search(r"^Main-Class: *(\S+)", manifest, flags=re.MULTILINE)
    return found[1] if found else ""


def _of_address(flag: str, given: str, default: int | None, here: Machine) -> str | None:
    """The problem with an address HOST:PORT, with or without a scheme; None if it answers."""
    try:
        parts = urlsplit(given if "://" in given else f"//{given}")
        host, port = parts.hostname, parts.port or default
    except ValueError:
        host = port = None
    if not host or port is None:
        return f"{flag} {given}: is not HOST:PORT."
    if not here.answers(host, port):
        return (
            f"{flag} {given}: nothing answers at {host}:{port}. Start it, or check that this machine can "
            "reach it."
        )
    return None


def _of_endpoint(options: PipelineOptions, here: Machine) -> str | None:
    endpoint = options.view_as(PortableOptions).job_endpoint
    if not endpoint:
        return (
            "needs the address of a job server: --job_endpoint=HOST:PORT, or for the one in this process "
            "--job_endpoint=embed --environment_type=LOOPBACK"
        )
    return None if endpoint == "embed" else _of_address("--job_endpoint", endpoint, None, here)


def _of_prism(options: PipelineOptions, here: Machine) -> str | None:
    if options.view_as(PortableOptions).job_endpoint:
        return _of_endpoint(options, here)
    location = options.view_as(PrismRunnerOptions).prism_location
    get = f"go install {_PRISM}; then give --prism_location=$(go env GOPATH)/bin/prism"
    if location and "://" not in location and not Path(location).is_file():
        return f"--prism_location {location}: no such file. Build Prism: {get}"
    try:
        here.prism(options)
    except (OSError, ValueError, RuntimeError) as error:
        return f"Beam could not fetch the program Prism ({_reason(error)}). Build it: {get}"
    return None


def _of_dataflow(options: PipelineOptions, here: Machine) -> str | None:
    cloud = options.view_as(GoogleCloudOptions)
    missing = []
    if not cloud.project:
        missing.append("--project=PROJECT")
    if not (cloud.region or here.region()):
        missing.append("--region=REGION")
    if not (cloud.temp_location or cloud.staging_location):
        missing.append("--temp_location=gs://BUCKET/tmp")
    return f"also needs {' '.join(missing)}" if missing else None


def _of_workers(name: str, options: PipelineOptions, here: Machine) -> str | None:
    """The problem with the Python workers: where they come from, and whether they have beam_sts."""
    portable, setup = options.view_as(PortableOptions), options.view_as(SetupOptions)
    kind = portable.environment_type or _default_environment(name, options)
    if kind not in _WORKERS and not kind.startswith("beam:env:"):
        return f"--environment_type {kind}: is not one of {', '.join(_WORKERS)}."
    option, example = _WORKERS.get(kind, ("", ""))
    if example and not (portable.environment_config or portable.lookup_environment_option(option)):
        return f"--environment_type={kind} also needs {example}"
    if kind != "DOCKER":
        return None
    image = (
        options.view_as(WorkerOptions).sdk_container_image
        or portable.environment_config
        or portable.lookup_environment_option("docker_container_image")
    )
    staged = setup.setup_file or setup.extra_packages or setup.requirements_file
    if image or staged or setup.prebuild_sdk_container_engine:
        return None
    others = "" if name == "dataflow" else "--environment_type=LOOPBACK for workers in this process, or "
    return (
        "would start workers in Beam's image, which does not have beam_sts. "
        f"Give {others}--sdk_container_image=IMAGE for an image that has it, or stage it: "
        "--extra_package=beam_sts-VERSION.whl"
    )


def _default_environment(name: str, options: PipelineOptions) -> str:
    """Beam's default for workers: this process for engines on this machine, containers otherwise."""
    flink = options.view_as(FlinkRunnerOptions).flink_master in _LOCAL_FLINK
    spark = re.match(r"local(\[.+\])?$", options.view_as(SparkRunnerOptions).spark_master_url)
    here = {"flink": flink, "spark": bool(spark), "prism": True}
    return "LOOPBACK" if here.get(name) else "DOCKER"
