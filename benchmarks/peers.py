"""The contestants of ``benchmarks.score``, each in a separate process: common ways to score pairs, and ours.

    python -m benchmarks.peers "CrossEncoder torch 32" --model FOLDER

The process loads the model, then answers each line of JSON on its input with a line on its output. It can run
under another Python (``benchmarks.score --peer_python``).
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

Pairs = list[tuple[str, str]]


class Contestant:
    """A way to score pairs; only ``run`` is timed."""

    def prepare(self, pairs: Pairs) -> Any:
        """The pairs in the form that a user has before scoring."""
        return pairs

    def run(self, prepared: Any) -> Any:
        """Score."""
        raise NotImplementedError

    def answer(self, result: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """Scores of shape (n,), and counts if known: tokens with and without padding."""
        return np.asarray(result, dtype=np.float32), {}


class CrossEncoderPredict(Contestant):
    """``CrossEncoder.predict`` with one of its backends."""

    def __init__(self, model: str, backend: str, batch_size: str, device: str = "cpu") -> None:
        from sentence_transformers import CrossEncoder

        with suppress(ImportError):  # a Python of the peers may not have it
            import beam_sts  # noqa: F401  (registers the architecture)
        self._model = CrossEncoder(model, device=device, backend=backend)
        self.batch_size = int(batch_size)

    def run(self, prepared: Pairs) -> np.ndarray:
        scores: np.ndarray = self._model.predict(
            prepared, batch_size=self.batch_size, show_progress_bar=False
        )
        return scores


class BeamStockHandler(Contestant):
    """Beam's PytorchModelHandlerKeyedTensor on FnApiRunner in this process.

    As in Beam's documentation, a step tokenises and the handler batches. The handler can only stack tensors
    of one length, so a custom inference function pads each batch, which is faster than padding all pairs to
    the model's limit. (HuggingFacePipelineModelHandler cannot be imported without TensorFlow, Beam 2.77.)
    """

    scores: dict[int, float] = {}  # noqa: RUF012  (shared with the worker's copy of _keep)

    def __init__(self, model: str, batch_size: str) -> None:
        import torch
        from transformers import AutoConfig, AutoModelForSequenceClassification

        import beam_sts  # noqa: F401

        self._model, self.batch_size = model, int(batch_size)
        self._config = AutoConfig.from_pretrained(model)
        self._weights = Path(tempfile.mkdtemp(prefix="beam_sts-benchmark-")) / "weights.pt"
        torch.save(AutoModelForSequenceClassification.from_pretrained(model).state_dict(), self._weights)

    def prepare(self, pairs: Pairs) -> Any:
        return list(enumerate(pairs))

    def run(self, prepared: Any) -> None:
        import apache_beam as beam
        from apache_beam.ml.inference.base import KeyedModelHandler, RunInference
        from apache_beam.ml.inference.pytorch_inference import PytorchModelHandlerKeyedTensor
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner
        from transformers import AutoModelForSequenceClassification

        handler = PytorchModelHandlerKeyedTensor(
            state_dict_path=str(self._weights),
            model_class=AutoModelForSequenceClassification.from_config,
            model_params={"config": self._config},
            device="CPU",
            inference_fn=_pad_and_score,
            min_batch_size=self.batch_size,
            max_batch_size=self.batch_size,
        )
        self.scores.clear()
        with beam.Pipeline(runner=FnApiRunner()) as pipeline:
            rows = pipeline | beam.Create(prepared, reshuffle=False)
            tokens = rows | beam.Map(_tokenise, model=self._model)
            _ = tokens | RunInference(KeyedModelHandler(handler)) | beam.Map(_keep)

    def answer(self, result: None) -> tuple[np.ndarray, dict[str, Any]]:
        return np.array([self.scores[index] for index in range(len(self.scores))], np.float32), {}

    def __del__(self) -> None:
        shutil.rmtree(self._weights.parent, ignore_errors=True)


@cache
def _tokenizer(model: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model)


def _tokenise(row: tuple[int, tuple[str, str]], model: str) -> tuple[int, Any]:
    index, (a, b) = row
    encoded = _tokenizer(model)(a, b, truncation=True, return_tensors="pt")
    return index, {name: tensor[0] for name, tensor in encoded.items()}


def _pad_and_score(
    batch: Any, model: Any, device: Any, arguments: Any = None, model_id: Any = None
) -> list[Any]:
    import torch
    from apache_beam.ml.inference.base import PredictionResult

    padded = {
        name: torch.nn.utils.rnn.pad_sequence([row[name] for row in batch], batch_first=True).to(device)
        for name in batch[0]
    }
    with torch.inference_mode():
        scores = model(**padded).logits[:, 0].sigmoid().tolist()
    return [PredictionResult(row, score) for row, score in zip(batch, scores, strict=True)]


def _keep(result: tuple[int, Any]) -> None:
    BeamStockHandler.scores[result[0]] = result[1].inference


class BareLoop(Contestant):
    """Our scorer without Beam."""

    def __init__(
        self, model: str, precision: str, backend: str, device: str = "cpu", threads: str | None = None
    ) -> None:
        from beam_sts import PairScorer

        count = int(threads) if threads else None
        self._scorer = PairScorer(model, precision=precision, backend=backend, device=device, threads=count)

    def run(self, prepared: Pairs) -> Any:
        return self._scorer.run([a for a, _ in prepared], [b for _, b in prepared])

    def answer(self, result: Any) -> tuple[np.ndarray, dict[str, Any]]:
        stats = result.stats
        return result.scores, {"real_tokens": stats.real_tokens, "padded_tokens": stats.padded_tokens}


class WholePipeline(Contestant):
    """``python -m pipelines.score``, Parquet to Parquet, without the interpreter's start."""

    def __init__(self, model: str, precision: str, backend: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="beam_sts-benchmark-"))
        self._options = ["--model", model, "--precision", precision, "--backend", backend]

    def prepare(self, pairs: Pairs) -> Path:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self._folder / f"{len(pairs)}.parquet"
        table = pa.table({f"text_{name}": [pair[side] for pair in pairs] for side, name in enumerate("ab")})
        pq.write_table(table, path)
        return path

    def run(self, prepared: Path) -> Path:
        from beam_sts.cli import score

        output = prepared.with_suffix("")
        shutil.rmtree(output, ignore_errors=True)
        if score.main(["--input", str(prepared), "--output", str(output), *self._options]):
            raise RuntimeError("pipelines.score failed")
        return output

    def answer(self, result: Path) -> tuple[np.ndarray, dict[str, Any]]:
        import pyarrow.parquet as pq

        summary = json.loads((result / "summary.json").read_text())
        tokens = {name: summary[name] for name in ("real_tokens", "padded_tokens")}
        return pq.read_table(result / "scores")["score"].to_numpy(), tokens

    def __del__(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


KINDS = {
    "CrossEncoder": CrossEncoderPredict,
    "PytorchModelHandlerKeyedTensor": BeamStockHandler,
    "PairScorer": BareLoop,
    "pipelines.score": WholePipeline,
}


def peak_memory() -> int:
    """Peak memory of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def versions() -> dict[str, str]:
    """Versions of the relevant packages."""
    names = ("torch", "transformers", "tokenizers", "sentence-transformers", "apache-beam", "onnxruntime")
    found = {"python": sys.version.split()[0]}
    for name in (*names, "openvino", "numpy", "pyarrow"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def serve(contestant: Contestant, answers: Any) -> None:
    """Answer requests: a file of pairs, a range of them, settings, and the path for the scores."""
    loaded: dict[str, Pairs] = {}
    for line in sys.stdin:
        request = json.loads(line)
        path = request["pairs"]
        if path not in loaded:
            loaded = {path: [tuple(pair) for pair in json.loads(Path(path).read_text("utf-8"))]}
        vars(contestant).update(request["settings"])
        prepared = contestant.prepare(loaded[path][request["first"] : request["last"]])
        started, cpu = time.perf_counter(), time.process_time()
        result = contestant.run(prepared)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        scores, known = contestant.answer(result)
        np.save(request["scores"], scores)
        answers.write(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak_memory(), **known}) + "\n")


def main() -> None:
    """Serve one contestant on standard input and output."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    p.add_argument("name", help=f"one of {', '.join(KINDS)}, and its settings")
    p.add_argument("--model", required=True)
    own = p.parse_args()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # output of libraries must not be read as an answer
    kind, *settings = own.name.split()
    contestant = KINDS[kind](own.model, *settings)
    answers.write(json.dumps({"versions": versions()}) + "\n")
    serve(contestant, answers)


if __name__ == "__main__":
    from benchmarks import peers  # not __main__: Beam pickles functions by their module

    peers.main()
