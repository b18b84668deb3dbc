"""The same input through every runner that a machine alone can run: the same bytes out.

Record in docs/runners.md what ran: BEAM_STS_RECORD=1 python -m pytest -m slow tests/pipelines/test_runners.py
"""

import json

import apache_beam as beam
import pytest

from pipelines import score
from tests import engines
from tests.checkpoints import SENTENCES

pytestmark = pytest.mark.slow

RUNNERS = {
    "DirectRunner, threads": ["--direct_running_mode=multi_threading", "--direct_num_workers=2"],
    "DirectRunner, processes": ["--direct_running_mode=multi_processing", "--direct_num_workers=2"],
    "PortableRunner, LOOPBACK": [
        "--runner=PortableRunner",
        "--job_endpoint=embed",
        "--environment_type=LOOPBACK",
    ],
    "PrismRunner": ["--runner=PrismRunner", "--prism_location={prism}", "--environment_type=LOOPBACK"],
}
PRISM = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{beam.version.__version__}"
SETTINGS = ("--rows_per_shard=40", "--threshold=0.5", "--threads=1", "--empty=reject")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Rows of which some are rejected."""
    path = tmp_path_factory.mktemp("runners") / "pairs.jsonl"
    rows = [
        {"id": i, "text_a": SENTENCES[i % 7], "text_b": f"{SENTENCES[i % 5]} {i}" if i % 11 else ""}
        for i in range(500)
    ]
    lines = [json.dumps(row) for row in rows]
    lines[123] = '{"id": 123, "text_a": "cut sho'
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def reference(source, tiny, tmp_path_factory):
    """The output of DirectRunner in memory."""
    output = tmp_path_factory.mktemp("reference") / "out"
    assert score.main([*_places(source, output, tiny), *SETTINGS]) == 0
    engines.record("DirectRunner, in memory", "(none)", "score", "the reference")
    return output


def _places(source, output, model):
    return ["--input", str(source), "--output", str(output), "--model", str(model)]


@pytest.mark.parametrize("name", RUNNERS)
def test_every_runner_gives_the_bytes_of_the_one_in_memory(name, source, reference, tiny, tmp_path):
    options = RUNNERS[name]
    shown = " ".join(options).replace("{prism}", "PRISM")
    if "Prism" in name:
        options = [option.format(prism=engines.go_program(PRISM)) for option in options]
    assert score.main([*_places(source, tmp_path / "out", tiny), *SETTINGS, *options]) == 0
    assert engines.shards(tmp_path / "out") == engines.shards(reference)
    assert engines.summary(tmp_path / "out") == engines.summary(reference)
    assert engines.summary(reference)["rows_rejected"] == 47
    assert not list((tmp_path / "out").rglob(".*"))
    engines.record(name, shown, "score", "same bytes")
