"""Each runner's first error comes before the input is read, and says what is missing and what to type."""

import socket
import zipfile
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.version import __version__ as beam_version

from beam_sts.cli import dedup, mine, score
from beam_sts.cli.runners import Machine, runner_problem
from scripts import job_server

DATAFLOW = ["--runner=DataflowRunner", "--project=p", "--region=r", "--temp_location=gs://b/t"]


class Made(Machine):
    """A machine described by attributes; by default it has everything except a network."""

    major: int | None = 17
    listening: tuple[tuple[str, int], ...] = ()
    unimportable: dict[str, str]
    known_region: str | None = None

    def __init__(self, **has):
        self.unimportable = {}
        vars(self).update(has)

    def java(self, launcher):
        return self.major

    def answers(self, host, port):
        return (host, port) in self.listening

    def import_error(self, path):
        return self.unimportable.get(path.rpartition(".")[2])

    def jar(self, place, cache):
        if "://" in place:
            raise OSError("Name or service not known")
        return Path(place)

    def region(self):
        return self.known_region

    def prism(self, options):
        if not options.get_all_options()["prism_location"]:
            raise RuntimeError("Unable to fetch")


def server(folder, engine):
    """A jar that starts the same class as Beam's job server for an engine."""
    path = folder / f"{engine}.jar"
    with zipfile.ZipFile(path, "w") as jar:
        main = f"org.apache.beam.runners.{engine.lower()}.{engine}JobServerDriver"
        jar.writestr("META-INF/MANIFEST.MF", f"Manifest-Version: 1.0\r\nMain-Class: {main}\r\n")
    return path


@pytest.fixture
def flink(tmp_path):
    return ["--runner=FlinkRunner", f"--flink_job_server_jar={server(tmp_path, 'Flink')}"]


@pytest.fixture
def spark(tmp_path):
    return ["--runner=SparkRunner", f"--spark_job_server_jar={server(tmp_path, 'Spark')}"]


def problem(args, **has):
    return runner_problem(PipelineOptions(args), Made(**has))


def check(message, *wanted):
    assert message, wanted
    assert len(message.splitlines()) <= 2
    assert message.startswith("--runner ")
    for part in wanted:
        assert part in message


@pytest.mark.parametrize("runner", ["DirectRunner", "direct", "FnApiRunner", "BundleBasedDirectRunner"])
def test_runners_of_this_process_need_nothing(runner):
    assert runner_problem(PipelineOptions([f"--runner={runner}"]), Machine()) is None


def test_no_runner_needs_nothing():
    assert problem([]) is None


@pytest.mark.parametrize("runner", ["FlinkRunner", "flink", "flinkrunner"])
def test_a_published_job_server_is_named_by_its_coordinates(runner):
    artifact = "beam-runners-flink-2.2-job-server"
    check(
        problem([f"--runner={runner}"]),
        "Name or service not known",
        f"mvn dependency:copy -DoutputDirectory=. -Dartifact=org.apache.beam:{artifact}:{beam_version}",
        f"--flink_job_server_jar={artifact}-{beam_version}.jar",
    )


def test_the_job_server_is_of_the_flink_version_given():
    check(problem(["--runner=FlinkRunner", "--flink_version=1.19"]), f"flink-1.19-job-server:{beam_version}")
    artifact = f"beam-runners-spark-3-job-server:{beam_version}"
    check(problem(["--runner=SparkRunner"]), artifact, "--spark_job_server_jar=")


def test_a_dotted_path_is_the_same_runner():
    path = "apache_beam.runners.portability.flink_runner.FlinkRunner"
    check(problem([f"--runner={path}"]), "--flink_job_server_jar=")


def test_a_jar_that_is_not_there_and_one_that_is_another(tmp_path, spark):
    flag = "--flink_job_server_jar"
    gone = problem(["--runner=FlinkRunner", f"{flag}={tmp_path}/no.jar"])
    check(gone, f"{flag} {tmp_path}/no.jar: no such file", "mvn dependency:copy")
    other = problem(["--runner=FlinkRunner", spark[1].replace("--spark", "--flink")])
    check(other, "not Beam's job server for Flink", "SparkJobServerDriver")
    (tmp_path / "text.jar").write_text("<html>")
    check(problem(["--runner=FlinkRunner", f"{flag}={tmp_path}/text.jar"]), "starts no program")


def test_a_jar_s_address_that_answers_nothing(flink):
    """A real look-up at a port without a listener."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    args = ["--runner=FlinkRunner", f"--flink_job_server_jar=http://127.0.0.1:{port}/server.jar"]

    class Real(Made):
        jar = Machine.jar

    check(runner_problem(PipelineOptions(args), Real()), f"127.0.0.1:{port}", "Connection refused", "mvn ")


def test_java_that_is_missing_or_too_old(flink, spark):
    for args in (flink, spark):
        check(
            problem(args, major=None), "needs Java 11", "'java' does not run", "--job_server_java_launcher="
        )
        check(problem(args, major=8), "needs Java 11", "'java' is Java 8", "--job_server_java_launcher=")
        assert problem(args, major=11) is None


@pytest.mark.parametrize(
    ("told", "major"),
    [
        ('openjdk version "1.8.0_402"', 8),
        ('openjdk version "11.0.22" 2024-01-16', 11),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\njava version "21" 2023-09-19 LTS', 21),
        ("sh: not a Java", None),
    ],
)
def test_the_version_of_java_is_asked_for(told, major, tmp_path):
    launcher = tmp_path / "java"
    launcher.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{told}\nEND\n")
    launcher.chmod(0o755)
    assert Machine().java(str(launcher)) == major
    assert Machine().java(str(tmp_path / "none")) is None


@pytest.mark.parametrize(
    ("master", "asked"),
    [("h:80", "h:80"), ("http://h:80", "h:80"), ("h", "h:8081"), ("https://h:443/x", "h:443")],
)
def test_a_flink_master_that_does_not_answer(master, asked, flink):
    args = [*flink, f"--flink_master={master}", "--environment_type=LOOPBACK"]
    check(problem(args), f"--flink_master {master}: nothing answers at {asked}.")
    host, _, port = asked.partition(":")
    assert problem(args, listening=((host, int(port)),)) is None


def test_a_spark_master_that_does_not_answer(spark):
    args = [*spark, "--spark_master_url=spark://h:7077", "--environment_type=LOOPBACK"]
    check(problem(args), "--spark_master_url spark://h:7077: nothing answers at h:7077.")
    assert problem(args, listening=(("h", 7077),)) is None
    check(problem(["--runner=SparkRunner", "--spark_submit_uber_jar"]), "--spark_rest_url=http://HOST:6066")


def test_job_endpoints(flink):
    for runner in ("PortableRunner", "FlinkRunner", "SparkRunner", "PrismRunner"):
        args = [f"--runner={runner}", "--environment_type=LOOPBACK", "--job_endpoint"]
        check(problem([*args, "h:8099"]), "--job_endpoint h:8099: nothing answers at h:8099.")
        check(problem([*args, "h"]), "--job_endpoint h: is not HOST:PORT.")
        check(problem([*args, "h:port"]), "--job_endpoint h:port: is not HOST:PORT.")
        assert problem([*args, "h:8099"], listening=(("h", 8099),)) is None
        assert problem([*args, "embed"]) is None
    check(problem(["--runner=PortableRunner"]), "--job_endpoint=HOST:PORT", "embed")


def test_prism(tmp_path):
    program = f"go install github.com/apache/beam/sdks/v2/go/cmd/prism@v{beam_version}"
    check(problem(["--runner=PrismRunner"]), program, "--prism_location=")
    check(problem(["--runner=PrismRunner", "--prism_location=/no/prism"]), "no such file", program)
    (tmp_path / "prism").touch()
    assert problem(["--runner=PrismRunner", f"--prism_location={tmp_path}/prism"]) is None


def test_dataflow():
    no_client = {"DataflowApplicationClient": "No module named 'google'"}
    check(problem(DATAFLOW, unimportable=no_client), "pip install 'beam_sts[dataflow]'", "'google'")
    missing = problem(["--runner=DataflowRunner"])
    check(missing, "--project=PROJECT", "--region=REGION", "--temp_location=gs://BUCKET/tmp")
    check(problem([*DATAFLOW[:2], DATAFLOW[3]]), "needs --region=REGION")
    check(problem(DATAFLOW), "does not have beam_sts", "--sdk_container_image=IMAGE", "--extra_package")
    image = "--sdk_container_image=i"
    assert problem([*DATAFLOW, image]) is None
    assert problem([*DATAFLOW[:2], DATAFLOW[3], image], known_region="r") is None


def test_workers_that_would_not_have_beam_sts(flink, tmp_path):
    cluster = [*flink, "--flink_master=h:1"]
    listening = (("h", 1),)
    check(
        problem(cluster, listening=listening),
        "does not have beam_sts",
        "--sdk_container_image=IMAGE",
        "LOOPBACK",
    )
    external = [*cluster, "--environment_type=EXTERNAL"]
    check(problem(external, listening=listening), "--environment_config=localhost:50000", "worker_pool_main")
    for has in (
        "--environment_type=LOOPBACK",
        "--sdk_container_image=i",
        "--setup_file=./setup.py",
        "--extra_package=beam_sts.whl",
        "--environment_options=docker_container_image=i",
    ):
        assert problem([*cluster, has], listening=listening) is None
    for has in (
        "--environment_config=localhost:50000",
        "--environment_options=external_service_address=localhost:50000",
    ):
        assert problem([*external, has], listening=listening) is None
    process = [*cluster, "--environment_type=PROCESS"]
    check(problem(process, listening=listening), "--environment_options=process_command=/PATH/boot")
    assert problem([*process, '--environment_config={"command": "b"}'], listening=listening) is None
    other = problem([*cluster, "--environment_type=loopback"], listening=listening)
    check(other, "--environment_type loopback: is not one of LOOPBACK, EXTERNAL, DOCKER, PROCESS.")


def test_names():
    check(problem(["--runner=FlnkRunner"]), "Did you mean FlinkRunner?", f"Beam {beam_version}")
    check(problem(["--runner=Foo"]), "no such runner", "SparkRunner")
    check(problem(["--runner=KafkaStreamsRunner"]), "no Beam release")
    lost = {"InteractiveRunner": "No module named 'IPython'"}
    check(problem(["--runner=interactive"], unimportable=lost), "IPython", "'apache-beam[interactive]'")
    check(
        runner_problem(PipelineOptions(["--runner=nowhere.Runner"]), Machine()), "No module named 'nowhere'"
    )


@pytest.mark.parametrize("command", [score, dedup, mine])
def test_each_command_says_so_before_the_input_is_looked_at(command, tmp_path, capsys):
    output = tmp_path / "out"
    text = [] if command is score else ["--text=text"]
    args = ["--input=/nowhere/*.parquet", f"--output={output}", *text, "--runner=PortableRunner"]
    assert command.main(args) == 2
    assert capsys.readouterr().err.startswith(
        "error: --runner PortableRunner: needs the address of a job server"
    )
    assert not output.exists()


def test_the_documented_versions_are_those_of_the_engines_that_the_tests_start():
    text = (Path(__file__).parents[2] / "docs" / "tested_runners.md").read_text(encoding="utf-8")
    assert f"| Flink | {job_server.FLINK}," in text
    assert f"| Spark | {job_server.SPARK}," in text
    assert f"Beam's runners {job_server.BEAM}, with the job service of {job_server.JOB_SERVICE} |" in text
