"""Backends, which compute the logits of a micro-batch, and the choice between them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from beam_sts.errors import UserError
from beam_sts.extras import need_torch
from beam_sts.models.checkpoint import Checkpoint
from beam_sts.models.files import reading
from beam_sts.scoring.engine import Engine
from beam_sts.scoring.exported import (
    NEEDS,
    CannotExportError,
    ExportedBackend,
    check_backend,
    exported,
    installed,
)
from beam_sts.scoring.long_text import Work
from beam_sts.scoring.threads import Threads
from beam_sts.scoring.tokens import MicroBatch, PairTokenizer

log = logging.getLogger(__name__)

PRECISIONS = ("fp32", "bf16", "fp16", "int8")
BACKENDS = ("auto", "native", "torch", "onnx", "openvino")
_AGREE = 1e-5
# Threads that serve a GPU: one more than the micro-batches that it runs at a time.
_GPU_THREADS = 3


class Backend(Protocol):
    """Runs the model. Safe to call from several threads.

    ``token_budget`` is the best size of a micro-batch in tokens, padding included; ``packs`` says whether
    it takes pairs end to end, without padding.
    """

    token_budget: int
    packs: bool

    def share(self, work: Work, run: Callable[..., Iterable[Any]]) -> Any:
        """Compute what the micro-batches of a macro-batch share, by ``run``, a ``map`` over threads."""
        ...

    def logits(self, batch: MicroBatch) -> NDArray[np.float32]:
        """Logits of the rows, shape (rows,)."""
        ...


def available_cores() -> int:
    """Count of the CPU cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def default_threads(device: str, processes: int = 1) -> int:
    """Count of threads for one of several processes that share this machine's cores.

    With a GPU it is three at most: each launch of a kernel, some three hundred per micro-batch, needs the GIL
    and waits for every thread that tokenises.

    Args:
        device: the torch device of the model.
        processes: how many processes share the cores.
    """
    share = max(1, available_cores() // processes)
    return share if device == "cpu" else min(share, _GPU_THREADS)


def thread_pool(threads: int) -> Threads:
    """A pool of threads, each of which tokenises whole blocks of texts and runs whole micro-batches.

    One thread computes a micro-batch, for two reasons: the scores do not depend on the number of threads,
    to the last bit, and no thread waits for another inside a matrix product. For the second reason the
    thread pool of the tokenizers library is not used.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    return Threads(threads, "beam_sts")


def resolve_backend(
    checkpoint: Checkpoint, tokenizer: PairTokenizer, backend: str, precision: str, device: str
) -> str:
    """The backend that runs a model: resolves ``auto``, and gives torch if a backend cannot run the model.

    ``auto`` is the native engine for BERT-hash on the CPU. For other models on the CPU with ``fp32`` it is
    OpenVINO, or else ONNX Runtime, if that is installed and its scores of sample pairs agree with torch's
    within 1e-5; with ``int8`` it is ONNX Runtime. Everything else runs in torch. If torch replaces a
    backend, the reason is logged.

    Args:
        checkpoint: the model's checkpoint.
        tokenizer: its tokenizer.
        backend: what the user asked for.
        precision: what the user asked for.
        device: the torch device.

    Returns:
        ``native``, ``onnx``, ``openvino`` or ``torch``.

    Raises:
        UserError: backend, precision and device cannot be combined, or an extra is missing.
    """
    native = device == "cpu" and _is_native(checkpoint, tokenizer)
    check_backend(backend, precision, device, native=native)
    if backend in ("auto", "native") and native:
        return "native"
    engines = [backend] if backend in NEEDS else []
    if backend == "auto" and device == "cpu":
        usual = [name for name in ("openvino", "onnx") if installed(name)]
        engines = {"fp32": usual, "int8": ["onnx"]}.get(precision, [])
    if backend == "native":
        log.info(
            "%s runs on torch: the native engine runs only BERT-hash with GELU and a template of "
            "[CLS] a [SEP] b [SEP]",
            checkpoint.name,
        )
    for engine in engines:
        try:
            gap = _disagreement(checkpoint, tokenizer, engine)
        except CannotExportError as error:
            if precision == "int8":
                raise UserError(
                    f"{checkpoint.name}: --precision int8 needs an export to ONNX, which failed: "
                    f"{error}. Choose another precision."
                ) from error
            log.warning("%s runs on torch: it cannot be exported for %s: %s", checkpoint.name, engine, error)
            break
        if gap <= _AGREE or backend != "auto":
            return engine
        log.warning(
            "%s: backend %s is not used, because its scores differ from torch's by up to %.1e",
            checkpoint.name,
            engine,
            gap,
        )
    return "torch"


def load_backend(
    checkpoint: Checkpoint, tokenizer: PairTokenizer, backend: str, precision: str, device: str, threads: int
) -> Backend:
    """Load a checkpoint in a backend, and score two short pairs to see that it works.

    Args:
        checkpoint: the model's checkpoint.
        tokenizer: its tokenizer.
        backend: a result of ``resolve_backend``.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``.
        device: the torch device.
        threads: how many threads will call the backend at once.

    Raises:
        UserError: the checkpoint's weights do not fit its config, or it cannot score even a short pair.
    """
    loaded = _load(checkpoint, tokenizer, backend, precision, device, threads)
    with reading(f"{checkpoint.path}: the model cannot score a pair", "Use another checkpoint."):
        logits = loaded.logits(_batch(tokenizer, ["a", "b"]))
        if logits.shape != (2,) or not np.isfinite(logits).all():
            raise ValueError(f"the logits of two pairs are {logits}")
    return loaded


def _load(
    checkpoint: Checkpoint, tokenizer: PairTokenizer, backend: str, precision: str, device: str, threads: int
) -> Backend:
    if backend in NEEDS:
        return ExportedBackend(exported(checkpoint, tokenizer), backend, precision, threads)
    if backend == "native":
        return Engine(checkpoint.sizes, checkpoint.weights(), tokenizer.template, precision)
    need_torch(f"{checkpoint.name}: its model" if device == "cpu" else f"--device {device}")
    import torch

    from beam_sts.scoring.modernbert import ModernBertBackend
    from beam_sts.scoring.torch_backend import TorchBackend

    torch.set_num_threads(1)
    model = checkpoint.model()
    try:
        if ModernBertBackend.takes(model, device, precision):
            return ModernBertBackend(model, device, precision)
    except Exception as error:  # anything that this GPU, torch or transformers lacks
        reason = str(error).partition("\n")[0]
        log.warning(
            "%s runs in the model class of transformers, which is slower: %s", checkpoint.name, reason
        )
    return TorchBackend(model, device, precision)


def _is_native(checkpoint: Checkpoint, tokenizer: PairTokenizer) -> bool:
    sizes = checkpoint.sizes
    return sizes is not None and Engine.takes(sizes, checkpoint.weights(), tokenizer.template)


def _disagreement(checkpoint: Checkpoint, tokenizer: PairTokenizer, engine: str) -> float:
    """Largest difference of a score between an exported model and torch, on pairs of several lengths."""
    from beam_sts.scoring.torch_backend import TorchBackend

    words = [*"abcdefgh"] * 8
    texts = [" ".join(words[start : start + length]) for start in range(8) for length in (1, 3, 7, 20, 56)]
    batch = _batch(tokenizer, texts)
    ours = ExportedBackend(exported(checkpoint, tokenizer), engine, "fp32", 1).logits(batch)
    reference = TorchBackend(checkpoint.model()).logits(batch)
    return float(np.abs(checkpoint.activate(ours) - checkpoint.activate(reference)).max())


def _batch(tokenizer: PairTokenizer, texts: list[str]) -> MicroBatch:
    """A micro-batch of pairs: text i with text i from the end."""
    table = tokenizer.encode(texts)
    a, b = np.arange(len(texts)), np.arange(len(texts))[::-1].copy()
    kept = tokenizer.truncate(table.lengths[a], table.lengths[b])
    return MicroBatch(tokenizer, table, a, b, *kept, a)
