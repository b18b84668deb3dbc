"""ONNX Runtime and OpenVINO: a model is exported once, cached by its fingerprint, and run without torch."""

from __future__ import annotations

import ctypes
import hashlib
import inspect
import logging
import os
import shutil
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_sts.errors import UserError
from beam_sts.extras import need
from beam_sts.models.cache import published
from beam_sts.models.checkpoint import Checkpoint
from beam_sts.models.checksums import verify_digest, write_digest
from beam_sts.models.files import brief
from beam_sts.scoring.long_text import Work
from beam_sts.scoring.plan import TOKEN_BUDGET
from beam_sts.scoring.threads import renew_after_fork
from beam_sts.scoring.tokens import MicroBatch, PaddedBatch, PairTokenizer

log = logging.getLogger(__name__)

NEEDS = {
    "onnx": ("onnxruntime", "onnx", "torch", "transformers"),
    "openvino": ("openvino", "onnx", "torch", "transformers"),
}
_OPSET = 17
_SAMPLE = ("a b c", "b c a b", "", "c a")


class CannotExportError(Exception):
    """The exporter does not support the architecture."""


def installed(backend: str) -> bool:
    """Whether the packages of a backend are installed."""
    return all(find_spec(package) for package in NEEDS[backend])


def exported(checkpoint: Checkpoint, tokenizer: PairTokenizer) -> Path:
    """A checkpoint's model as an ONNX file in the local cache, exported at first use.

    If several processes start at once, each exports and one of the results stays. A cache folder appears
    only when it is complete.

    Raises:
        CannotExportError: the architecture cannot be exported.
    """
    import torch
    import transformers
    from huggingface_hub import constants

    versions = (torch.__version__, transformers.__version__, _OPSET)
    key = hashlib.sha256(repr((checkpoint.fingerprint, versions)).encode()).hexdigest()[:32]
    target = Path(constants.HF_HOME) / "beam_sts" / "onnx" / key
    if target.is_dir() and not _whole(target / "model.onnx"):
        shutil.rmtree(target, ignore_errors=True)
    if not target.is_dir():
        with published(target) as partial:
            _export(checkpoint.model(), _sample(tokenizer), partial / "model.onnx")
            write_digest(partial / "model.onnx")
    return target / "model.onnx"


def _whole(file: Path) -> bool:
    """Whether a file of the cache matches its digest. If not, the caller exports it again."""
    try:
        verify_digest(file)
    except (OSError, ValueError) as error:
        log.warning("%s is exported again: %s", file, error)
        return False
    return True


def _sample(tokenizer: PairTokenizer) -> PaddedBatch:
    table = tokenizer.encode(_SAMPLE)
    a, b = np.array([0, 2]), np.array([1, 3])
    return tokenizer.assemble(table, a, b, table.lengths[a], table.lengths[b])


def _export(model: Any, sample: PaddedBatch, file: Path) -> None:
    import torch

    accepted = inspect.signature(model.forward).parameters
    inputs = {
        name: torch.from_numpy(array)
        for name, array in vars(sample).items()
        if array is not None and name in accepted
    }

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: torch.Tensor) -> Any:
            return self.model(**dict(zip(inputs, tensors, strict=True))).logits

    axes = {name: {0: "rows", 1: "longest"} for name in inputs}
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                Logits().eval(),
                tuple(inputs.values()),
                str(file),
                input_names=list(inputs),
                output_names=["logits"],
                dynamic_axes={**axes, "logits": {0: "rows"}},
                opset_version=_OPSET,
                dynamo=False,
            )
    # The exporter may raise anything: IndexError, RuntimeError, its own errors.
    except Exception as error:
        raise CannotExportError(f"{type(error).__name__}: {brief(error)[:120]}") from error


class ExportedBackend:
    """Runs an exported model on the CPU.

    Args:
        file: the ONNX file.
        engine: ``onnx`` or ``openvino``.
        precision: ``fp32``; ``int8`` with ONNX Runtime (weights in 8 bits); ``bf16`` with OpenVINO.
        threads: how many threads call it at once, each with its own micro-batch.
    """

    packs = False

    def __init__(self, file: Path, engine: str, precision: str, threads: int) -> None:
        self.token_budget = TOKEN_BUDGET
        self._run = (_onnx if engine == "onnx" else _OpenVino)(file, precision, threads)

    def share(self, work: Work, run: Callable[..., Iterable[Any]]) -> None:
        """Nothing is shared: the model runs on whole pairs."""

    def logits(self, batch: MicroBatch) -> NDArray[np.float32]:
        """Logits of the rows, shape (rows,)."""
        return np.array(self._run(vars(batch.padded))).reshape(len(batch)).astype(np.float32)


def _onnx(file: Path, precision: str, threads: int) -> Callable[[dict[str, Any]], Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    path = _quantised(file) if precision == "int8" else file
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    return lambda arrays: session.run(None, {name: arrays[name] for name in names})[0]


def _quantised(file: Path) -> Path:
    """The path of the same model with 8-bit weights, created at first use."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    target = file.with_name("model_int8.onnx")
    if not target.is_file() or not _whole(target):
        handle, partial = tempfile.mkstemp(suffix=".onnx", prefix=".int8.", dir=file.parent)
        os.close(handle)
        try:
            logging.getLogger().addFilter(_not_about_quantising)
            # Weights use 7 of the 8 bits: without VNNI instructions, sums of 16 bits would overflow.
            quantize_dynamic(
                str(file), partial, weight_type=QuantType.QInt8, reduce_range=True, per_channel=True
            )
            Path(partial).replace(target)
            write_digest(target)
        finally:
            logging.getLogger().removeFilter(_not_about_quantising)
            Path(partial).unlink(missing_ok=True)
    return target


def _not_about_quantising(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    return "pre-processing" not in message and "unsupported type to quantize" not in message


class _OpenVino:
    """A model compiled by OpenVINO. A forked child has none of OpenVINO's threads, so it compiles again."""

    def __init__(self, file: Path, precision: str, threads: int) -> None:
        hint = {"fp32": "f32", "bf16": "bf16"}[precision]
        self._file = file
        self._settings = {
            "INFERENCE_PRECISION_HINT": hint,
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
        }
        self._requests: list[Any] = []
        self._compiled: Any = None
        self.after_fork()
        self._compile()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Drop the compiled model, but never delete it: its destructor would wait for lost threads."""
        for lost in (self._compiled, *self._requests):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(lost))
        self._compiled = None
        self._requests = []
        self._own = threading.local()
        self._lock = threading.Lock()

    def _compile(self) -> None:
        import openvino

        self._compiled = openvino.Core().compile_model(str(self._file), "CPU", self._settings)
        self._names = [entry.any_name for entry in self._compiled.inputs]

    def __call__(self, arrays: dict[str, Any]) -> Any:
        with self._lock:
            if self._compiled is None:
                self._compile()
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
            self._requests.append(self._own.request)
        return self._own.request.infer({name: arrays[name] for name in self._names})[0].copy()


def check_backend(backend: str, precision: str, device: str, *, native: bool = False) -> None:
    """Check that backend, precision and device fit together.

    Args:
        backend: what the user asked for.
        precision: what the user asked for.
        device: what the user asked for.
        native: whether the native engine can run the model.

    Raises:
        UserError: the backend does not support the precision or the device, or its extra is not installed.
    """
    cuda = device.startswith("cuda")
    precisions = {
        "native": ("fp32", "bf16", "int8"),
        "torch": ("fp32", "bf16", *(["fp16"] if cuda else [])),
        "onnx": ("fp32", "int8"),
        "openvino": ("fp32", "bf16"),
    }
    if backend == "auto" and precision == "int8" and not native:
        backend = "onnx"
    if backend in ("native", *NEEDS) and device != "cpu":
        raise UserError(f"--backend {backend} runs on the CPU; --device {device} needs --backend torch.")
    if backend in ("auto", "native"):
        backend = "native" if native else "torch"
    if precision not in precisions[backend]:
        others = ", ".join(precisions[backend])
        raise UserError(
            f"--precision {precision} is not one of backend {backend}'s on {device} ({others}). int8 needs "
            "--backend onnx, fp16 needs --device cuda."
        )
    if backend in NEEDS:
        need(f"--backend {backend}", backend, *NEEDS[backend])
