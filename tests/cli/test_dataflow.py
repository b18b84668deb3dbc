"""Dataflow up to the job's submission: the real runner builds and stages the job to a local storage server.

    pip install -e '.[test,dataflow]' && python -m pytest -m slow tests/cli/test_dataflow.py

Needs Go: the server is built from its module. Google's service is replaced by one on this machine.
"""

import io
import json
import re
import shlex
import subprocess
import sys
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.portability.api import beam_runner_api_pb2 as api

from beam_sts.cli import dedup, mine, score
from beam_sts.models.registry import EMBEDDED
from scripts import flex_template
from tests import dataflow_service, engines, google
from tests.checkpoints import SENTENCES
from tests.dataflow_service import run_here

IMAGE = "europe-docker.pkg.dev/a-project/images/beam_sts:0.1.0"
SETTINGS = ("--rows_per_shard=50", "--threshold=0.5", "--model=beam-sts-pico")
# Options that the launcher of a Flex Template adds to the template's parameters.
DOOR = (
    "--runner=DataflowRunner",
    "--project=a-project",
    "--region=europe-west1",
    "--job_name=score-pairs",
    "--temp_location=gs://bucket/tmp",
    "--staging_location=gs://bucket/staging",
    "--template_location=gs://bucket/template",
    "--no_auth",
)
GPU = (
    "--device=cuda",
    "--dataflow_service_options=worker_accelerator=type:nvidia-tesla-t4;count:1;install-nvidia-driver",
    "--experiments=no_use_multiple_sdk_containers",
    "--machine_type=g2-standard-8",
)


@pytest.fixture
def store(tmp_path, monkeypatch):
    pytest.importorskip(
        "apache_beam.runners.dataflow.internal.apiclient",
        reason="needs the extra 'dataflow'",
        exc_type=ImportError,  # other extras install parts of it
    )
    with google.serving(tmp_path, monkeypatch) as bucket:
        yield bucket


@pytest.fixture
def source(store):
    """Pairs in the bucket; their table."""
    texts = [f"{SENTENCES[i % 7]} {i}" if i % 13 else None for i in range(400)]
    table = pa.table({"id": range(400), "text_a": texts, "text_b": texts[::-1]})
    store.put("in/pairs.parquet", parquet(table))
    return table


def parquet(table):
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def command(*more):
    places = ["--input=gs://bucket/in/*.parquet", "--output=gs://bucket/out"]
    return [*places, '--storage_options={"gs": {"token": "anon"}}', *SETTINGS, *DOOR, *more]


def built(store):
    """The template, the pipeline and its only environment, from the bucket."""
    pipeline = api.Pipeline.FromString(store.one("/pipeline.pb"))
    used = {t.environment_id for t in pipeline.components.transforms.values() if t.environment_id}
    (environment,) = used
    return json.loads(store.get("template")), pipeline, pipeline.components.environments[environment]


def image_of(environment):
    return api.DockerPayload.FromString(environment.payload).container_image


def staged_as(environment):
    """{name on the worker: (path, sha256)} of what workers install."""
    found = {}
    for one in environment.dependencies:
        place = api.ArtifactUrlPayload.FromString(one.type_payload)
        name = api.ArtifactStagingToRolePayload.FromString(one.role_payload).staged_name
        found[name] = place.url, place.sha256
    return found


@pytest.mark.slow
def test_a_job_with_the_workers_image(store, source, tmp_path):
    """Start like the launcher of a Flex Template: by the file's path, from another folder."""
    script = engines.ROOT / "pipelines" / "score.py"
    more = [f"--sdk_container_image={IMAGE}", "--machine_type=n2-standard-8", "--labels=team=data"]
    done = subprocess.run(
        [sys.executable, script, *command(*more, "--max_num_workers=10")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "template written to gs://bucket/template" in done.stdout
    template, pipeline, environment = built(store)
    assert image_of(environment) == IMAGE
    assert not any(name.endswith((".tar.gz", ".whl")) for name in staged_as(environment))
    assert template["type"] == "JOB_TYPE_BATCH"
    (pool,) = template["environment"]["workerPools"]
    assert pool["machineType"] == "n2-standard-8"
    assert pool["autoscalingSettings"]["maxNumWorkers"] == 10
    assert pool["workerHarnessContainerImage"] == IMAGE
    assert not store_has_output(store)

    # The job that Google would get, run on this machine, has the bytes of a run on local files.
    run_here(pipeline)
    pq.write_table(source, tmp_path / "pairs.parquet")
    places = ["--input", str(tmp_path / "pairs.parquet"), "--output", str(tmp_path / "out")]
    assert score.main([*places, *SETTINGS, "--threads=1"]) == 0
    for name, content in engines.shards(tmp_path / "out").items():
        # A rejected row names its file, which has another path.
        if not name.startswith("rejected"):
            assert store.get(f"out/{name}") == content

    # The same command without the runner writes the summary without scoring.
    gather = [part for part in command() if part not in DOOR]
    done = engines.finish(engines.start("score", *gather))
    assert "8 of 8 shards existed" in done
    summary = json.loads(store.get("out/summary.json"))
    assert summary["rows_scored"] == engines.summary(tmp_path / "out")["rows_scored"]


def store_has_output(store):
    return any(name.startswith("out/scores/") for name in store.names())


@pytest.mark.slow
def test_a_job_with_the_setup_file(store, source, tmp_path):
    """Workers of Beam's image install the staged package, which includes the embedded model."""
    (tmp_path / "requirements.txt").write_text("gcsfs\n")
    more = [f"--setup_file={engines.ROOT}/setup.py", f"--requirements_file={tmp_path}/requirements.txt"]
    done = engines.finish(engines.start("score", *command(*more, "--requirements_cache=skip")))
    assert "template written" in done
    template, _, environment = built(store)
    assert re.fullmatch(rf"\S+/beam_python3\.{sys.version_info[1]}_sdk:2\.\d+\.0", image_of(environment)), (
        image_of(environment)
    )
    staged = staged_as(environment)
    assert {"workflow.tar.gz", "requirements.txt"} <= staged.keys()
    place, _ = staged["workflow.tar.gz"]
    with tarfile.open(fileobj=io.BytesIO(store.get(place.removeprefix("gs://bucket/")))) as package:
        inside = {name.partition("/")[2]: name for name in package.getnames()}
        weights = package.extractfile(inside["beam_sts/models/embedded/beam-sts-pico/model.safetensors"])
        assert weights.read() == (EMBEDDED / "beam-sts-pico" / "model.safetensors").read_bytes()
    assert staged["requirements.txt"][0].startswith("gs://bucket/staging/")
    assert template["environment"]["workerPools"][0]["packages"]


def same_rows(output, reference):
    engines.assert_same_rows(output, reference, ("kept", "removed", "pairs", "clusters"))


def same_bytes(output, reference):
    found, wanted = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.parquet")}
        for folder in (output, reference)
    )
    assert found == wanted
    assert len(wanted) > 3


WAITS = {
    "dedup": (["--text=text_a", "--id=id", "--threshold=0.5"], same_rows, 19),
    "mine": (["--text=text_a"], same_bytes, None),
}
"""For each command: its options, the comparison with a run on this machine, and the shuffles of its job."""


@pytest.mark.slow
@pytest.mark.parametrize("verb", WAITS)
def test_a_command_that_waits_for_its_job(verb, store, source, tmp_path):
    """The job is created by the service, runs from what was staged, and the command continues with it."""
    options, check, shuffles = WAITS[verb]
    source = source.drop_null()  # a rejected row names its file, which has another path
    store.put("in/pairs.parquet", parquet(source))
    options = [*options, "--model=beam-sts-pico", "--quiet"]
    gcs = ["--input=gs://bucket/in/*.parquet", "--output=gs://bucket/out", *options]
    gcs += ['--storage_options={"gs": {"token": "anon"}}']
    gcs += [option for option in DOOR if not option.startswith(("--template", "--job_name"))]
    gcs += [f"--sdk_container_image={IMAGE}", "--machine_type=n2-highmem-4", "--max_num_workers=20"]
    with dataflow_service.serving(store) as (endpoint, jobs):
        engines.finish(engines.start(verb, *gcs, f"--dataflow_endpoint={endpoint}"))
    (job,) = jobs
    (pool,) = job["environment"]["workerPools"]
    assert pool["machineType"] == "n2-highmem-4"
    assert pool["autoscalingSettings"]["maxNumWorkers"] == 20
    assert pool["workerHarnessContainerImage"] == IMAGE
    pipeline = api.Pipeline.FromString(store.one("/pipeline.pb"))
    urns = [one.spec.urn for one in pipeline.components.transforms.values()]
    assert shuffles in (None, urns.count("beam:transform:group_by_key:v1"))

    pq.write_table(source, tmp_path / "pairs.parquet")
    places = ["--input", str(tmp_path / "pairs.parquet"), "--output", str(tmp_path / "local")]
    engines.finish(engines.start(verb, *places, *options))
    for name in store.names():
        if name.startswith("out/"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(store.get(name))
    check(tmp_path / "out", tmp_path / "local")


@pytest.mark.slow
def test_a_job_for_gpus(store, source):
    """One process for each worker; the machine that launches the job needs no GPU."""
    engines.finish(engines.start("score", *command(f"--sdk_container_image={IMAGE}", *GPU)))
    template, _, _ = built(store)
    environment = template["environment"]
    assert environment["serviceOptions"] == [GPU[1].partition("=")[2]]
    assert "no_use_multiple_sdk_containers" in environment["experiments"]
    assert "use_multiple_sdk_containers" not in environment["experiments"]


@pytest.mark.slow
def test_a_dry_run_sends_nothing(store, source):
    image = f"--sdk_container_image={IMAGE}"
    dry = [part for part in command("--dry_run=true", image) if "template_location" not in part]
    assert "nothing sent, for --dry_run" in engines.finish(engines.start("score", *dry))
    assert not any(name.startswith(("staging", "tmp")) for name in store.names())


def test_flex_template_metadata_is_that_of_the_options():
    kept = json.loads(flex_template.METADATA.read_text(encoding="utf-8"))
    assert kept == flex_template.metadata(), "python -m scripts.flex_template writes it anew"
    # Google's form: https://cloud.google.com/dataflow/docs/guides/templates/configuring-flex-templates
    assert kept.keys() == {"name", "description", "parameters"}
    for parameter in kept["parameters"]:
        assert parameter.keys() - {"regexes"} == {"name", "label", "helpText", "isOptional"}
        assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]*", parameter["name"])
        assert all(re.compile(pattern) for pattern in parameter.get("regexes", []))
    needed = [f"--{p['name']}=x" for p in kept["parameters"] if not p["isOptional"]]
    own, beam = score.parser().split([*needed, *DOOR])
    assert own.input == "x"
    assert set(beam) == set(DOOR)


def test_flex_template_starts_the_command_of_the_image():
    dockerfile = (flex_template.METADATA.parent / "Dockerfile").read_text()
    assert "FLEX_TEMPLATE_PYTHON_PY_FILE=/opt/beam_sts/pipelines/score.py\n" in dockerfile
    workers = (engines.ROOT / "Dockerfile").read_text()
    assert "WORKDIR /opt/beam_sts\n" in workers
    assert "COPY pipelines pipelines\n" in workers


@pytest.mark.parametrize("command", [dedup, mine])
def test_templates_are_refused_by_commands_that_wait(command, tmp_path, capsys):
    places = ["--input", str(tmp_path), "--output", str(tmp_path / "out"), "--text=text"]
    assert command.main([*places, *DOOR]) == 2
    assert "--template_location" in capsys.readouterr().err


def test_documented_commands_are_options_that_exist():
    """Each `python -m pipelines.score` of docs/dataflow.md parses."""
    text = (engines.ROOT / "docs" / "dataflow.md").read_text(encoding="utf-8").replace("\\\n", " ")
    commands = re.findall(r"^python -m pipelines\.score (.*)$", text, flags=re.MULTILINE)
    assert len(commands) >= 3
    for line in commands:
        score.parser().split(shlex.split(line, comments=True))
