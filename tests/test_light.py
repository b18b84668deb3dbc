"""The default path starts fast, needs little memory, and imports neither torch nor transformers.

``python -m benchmarks.start`` measures the same. The limits here are twice its results, since machines
differ.
"""

import importlib.util
import subprocess
import sys

import pytest

from benchmarks import start

FOREIGN = {"torch", "transformers"}
IN_PROCESS = """
import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from beam_sts import CrossEncoderModelHandler, DeduplicateTexts, MinePairs, ScorePairs
from apache_beam.ml.inference.base import RunInference

texts = [{"id": n, "text": f"a man plays the guitar on stage {n % 3}"} for n in range(6)]
with beam.Pipeline(FnApiRunner()) as pipeline:
    pairs = pipeline | beam.Create([("a cat", "a dog"), ("a", "b")])
    _ = pairs | "one" >> ScorePairs()
    _ = pairs | "two" >> RunInference(CrossEncoderModelHandler())
    rows = pipeline | "rows" >> beam.Create(texts)
    _ = rows | DeduplicateTexts(text="text", id="id")
    _ = pipeline | "texts" >> beam.Create([row["text"] for row in texts]) | MinePairs()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("light")


@pytest.fixture(scope="module")
def costs(folder):
    # Otherwise the checks below prove nothing.
    assert all(map(importlib.util.find_spec, {*FOREIGN, "pandas"}))
    return start.measure(1, folder)


def test_no_use_imports_torch_or_transformers(costs):
    assert not {use: cost.large for use, cost in costs.items() if FOREIGN & set(cost.large)}


def test_transforms_and_run_inference_import_neither(folder):
    assert not FOREIGN & set(start.run(IN_PROCESS, folder).large)


def test_workers_import_neither_and_are_small(folder):
    both = start.workers(folder)
    assert len(both) == 2
    assert not any(FOREIGN & set(cost.large) for cost in both)
    assert sum(cost.memory for cost in both) < 700


def test_one_machine_imports_no_beam_and_no_pandas(costs):
    for use in ("beam-sts --help", "import, score a pair", "dedup", "mine", "evaluate"):
        assert not {"apache_beam", "pandas"} & set(costs[use].large), use


def test_a_score_leaves_pandas_and_arrow_as_they_are(folder):
    start.run(
        """
import sys
import pyarrow as pa
from beam_sts import PairScorer
PairScorer().score([("a cat", "a dog")])
assert "pandas" not in sys.modules
import pandas as pd
assert pa.array(pd.Series([1.0, float("nan")])).null_count == 1
assert pa.array([pd.NA, 1], from_pandas=True).null_count == 1
""",
        folder,
    )


def test_starts_are_fast_and_small(costs):
    empty = costs["empty Beam pipeline"]
    assert costs["beam-sts --help"].cpu < 2 * 0.4
    assert costs["import, score a pair"].cpu < 2 * 0.5
    assert costs["import, score a pair"].memory < 150
    assert costs["score"].cpu - empty.cpu < 2 * 0.8
    assert costs["score"].memory - empty.memory < 120
    assert costs["dedup"].cpu < 2 * 1.5
    assert costs["mine"].cpu < 2 * 1.5


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("PairScorer('owner/name')", "not in the Hugging Face cache"),
        ("PairScorer(device='cuda')", "device 'cuda' needs torch and transformers: {}"),
        ("PairScorer(backend='onnx')", "--backend onnx needs torch and transformers: {onnx}"),
        ("PairScorer(sys.argv[1])", "the architecture bert needs torch and transformers: {}"),
    ],
)
def test_what_needs_torch_names_the_extra_in_one_line(code, told, tmp_path):
    from tests.architectures import bert

    hide = "import sys\nsys.modules.update(dict.fromkeys(('torch', 'transformers')))\n"
    tried = f"try:\n    {code}\nexcept UserError as error:\n    print(error)"
    code = f"{hide}from beam_sts import PairScorer, UserError\n{tried}"
    done = subprocess.run(
        [sys.executable, "-c", code, bert(tmp_path / "bert")], capture_output=True, text=True, check=True
    )
    ways = (f"pip install 'beam_sts[{extra}]'." for extra in ("torch", "onnx"))
    assert told.format(next(ways), onnx=next(ways)) in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_without_torch_the_verb_train_names_its_extra():
    hide = "import sys\nsys.modules.update(dict.fromkeys(('torch', 'transformers')))\n"
    code = f"{hide}from beam_sts.cli.main import main\nmain(['train', '--help'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "error: beam-sts train needs torch and transformers: pip install 'beam_sts[train]'.\n"
    )
