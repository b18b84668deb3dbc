"""What turns a micro-batch into logits."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from beam_sts.errors import UserError
from beam_sts.models.checkpoint import Checkpoint
from beam_sts.models.configs import BertHashConfig
from beam_sts.scoring.exported import (
    NEEDS,
    CannotExportError,
    ExportedBackend,
    check_backend,
    exported,
    installed,
)
from beam_sts.scoring.hash_backend import HashBackend
from beam_sts.scoring.long_text import Work
from beam_sts.scoring.plan import TOKEN_BUDGET
from beam_sts.scoring.tokens import MicroBatch, PairTokenizer

log = logging.getLogger(__name__)

PRECISIONS = ("fp32", "bf16", "fp16", "int8")
BACKENDS = ("auto", "torch", "onnx", "openvino")
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_AGREE = 1e-5
# Micro-batches that a GPU has at a time: while it computes one, the next is launched.
LANES = 2


class Backend(Protocol):
    """Runs the model. Safe to call from several threads.

    ``token_budget`` is the padded size, in tokens, of the micro-batches that suit it.
    """

    token_budget: int

    def share(self, work: Work, run: Callable[..., Iterable[Any]]) -> Any:
        """What the micro-batches of a macro-batch share, computed by ``run``, a ``map`` over threads."""
        ...

    def logits(self, batch: MicroBatch) -> NDArray[np.float32]:
        """Logits of the rows, shape (rows,)."""
        ...


class TorchBackend:
    """PyTorch, on a CPU or a GPU.

    Args:
        model: a sequence-classification model with one label, in evaluation mode.
        device: a torch device, such as ``cpu`` or ``cuda``.
        precision: ``fp32``; ``bf16`` or, on a GPU, ``fp16``: autocast. A GPU gets its matrices rounded once,
            as autocast would do anew for each micro-batch.

    On a GPU ``LANES`` micro-batches are under way at a time, each on a stream of its own: that of one thread
    is computed while another thread launches the next, whatever waits inside the model's code.
    """

    def __init__(self, model: Any, device: str = "cpu", precision: str = "fp32") -> None:
        self._device = torch.device(device)
        # Launching a GPU's kernels takes milliseconds, whatever the size.
        self.token_budget = TOKEN_BUDGET if self._device.type == "cpu" else 8 * TOKEN_BUDGET
        self._model = model.to(self._device)
        self._dtype = _DTYPES[precision]
        self._lanes: SimpleQueue[Any] | None = None
        if self._device.type == "cuda":
            round_matrices(self._model, self._dtype)
            torch.cuda.synchronize(self._device)  # the lanes' streams do not wait for the weights
            self._lanes = SimpleQueue()
            for _ in range(LANES):
                self._lanes.put(torch.cuda.Stream(self._device))  # type: ignore[no-untyped-call]
        accepted = inspect.signature(model.forward).parameters
        self._token_types = "token_type_ids" in accepted or any(
            parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in accepted.values()
        )

    def share(self, work: Work, run: Callable[..., Iterable[Any]]) -> None:
        """Nothing: each pair goes through the model whole."""

    def logits(self, batch: MicroBatch) -> NDArray[np.float32]:
        """Logits of the rows, shape (rows,)."""
        padded = batch.padded
        inputs = {"input_ids": padded.input_ids, "attention_mask": padded.attention_mask}
        if padded.token_type_ids is not None and self._token_types:
            inputs["token_type_ids"] = padded.token_type_ids
        reduced = self._dtype is not torch.float32
        with (
            self._lane(),
            torch.inference_mode(),
            torch.autocast(self._device.type, self._dtype, enabled=reduced),
        ):
            tensors = {name: self._moved(array) for name, array in inputs.items()}
            logits = self._model(**tensors).logits
            values: NDArray[np.float32] = logits.float().squeeze(-1).cpu().numpy()
        return values

    @contextmanager
    def _lane(self) -> Iterator[None]:
        """A stream of the GPU's that no other thread uses meanwhile."""
        if self._lanes is None:
            yield
            return
        stream = self._lanes.get()
        try:
            with torch.cuda.stream(stream):
                yield
        finally:
            self._lanes.put(stream)

    def _moved(self, array: NDArray[np.int64]) -> torch.Tensor:
        """An array on the device. From pinned memory the copy does not wait for the work before it."""
        tensor = torch.from_numpy(array)
        if self._lanes is None:
            return tensor.to(self._device)
        return tensor.pin_memory().to(self._device, non_blocking=True)


def round_matrices(model: Any, dtype: torch.dtype) -> None:
    """Give the linear layers of a model weights of the type that autocast would round them to.

    Same scores as by autocast alone, without a rounding of each weight for each micro-batch. Weights that
    another kind of layer shares, such as a table of word embeddings, stay as they are.
    """
    uses: dict[int, set[bool]] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            uses.setdefault(id(parameter), set()).add(type(module) is torch.nn.Linear)
    for parameter in model.parameters():
        if uses[id(parameter)] == {True}:
            parameter.data = parameter.data.to(dtype)


def available_cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def default_threads(device: str, processes: int = 1) -> int:
    """Threads of one of several processes that share this machine's cores.

    Beside a GPU that is three at most. Each launch of a kernel, some three hundred a micro-batch, takes
    Python's lock, and waits for it behind every thread that tokenises.
    """
    share = max(1, available_cores() // processes)
    return share if device == "cpu" else min(share, LANES + 1)


def thread_pool(threads: int) -> ThreadPoolExecutor:
    """Threads that each tokenise whole blocks of texts and run whole micro-batches.

    A micro-batch is computed by one thread, for two reasons: its scores do not depend, to the last bit, on
    how many threads there are, and no thread waits for another inside a matrix product. For the second reason
    the tokenizers' own pool stays unused.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    return ThreadPoolExecutor(threads, "beam_sts", initializer=torch.set_num_threads, initargs=(1,))


def resolve_backend(
    checkpoint: Checkpoint, tokenizer: PairTokenizer, backend: str, precision: str, device: str
) -> str:
    """What ``auto`` stands for here; or torch, with a logged reason, for a backend that cannot run the model.

    ``auto`` is torch for the embedded kind of model, which has a forward pass of its own, and for every
    precision but fp32 and int8. Otherwise it is OpenVINO or else ONNX Runtime, where that is installed and
    its scores of sample pairs agree with torch's within 1e-5.

    Raises:
        UserError: backend, precision and device do not go together, or an extra is missing.
    """
    check_backend(backend, precision, device)
    engines = [backend]
    if backend == "auto":
        own = device != "cpu" or _own_forward(checkpoint, tokenizer)
        usual = [name for name in ("openvino", "onnx") if installed(name)]
        engines = ["onnx"] if precision == "int8" else [] if own or precision != "fp32" else usual
    for engine in engines:
        if engine == "torch":
            break
        try:
            gap = _disagreement(checkpoint, tokenizer, engine)
        except CannotExportError as error:
            if precision == "int8":
                raise UserError(f"{checkpoint.name}: int8 needs an export, which fails: {error}.") from error
            log.warning("%s runs on torch: it cannot be exported for %s: %s", checkpoint.name, engine, error)
            break
        if gap <= _AGREE or backend != "auto":
            return engine
        log.warning("%s: scores of %s differ by %.1e from torch's; not taken", checkpoint.name, engine, gap)
    return "torch"


def load_backend(
    checkpoint: Checkpoint, tokenizer: PairTokenizer, backend: str, precision: str, device: str, threads: int
) -> Backend:
    """The backend that runs a checkpoint; a name that ``resolve_backend`` gave."""
    if backend in NEEDS:
        return ExportedBackend(exported(checkpoint, tokenizer), backend, precision, threads)
    if device == "cpu" and _own_forward(checkpoint, tokenizer):
        return HashBackend(checkpoint.config, checkpoint.weights(), tokenizer.template, precision)
    return TorchBackend(checkpoint.model(), device, precision)


def _own_forward(checkpoint: Checkpoint, tokenizer: PairTokenizer) -> bool:
    return isinstance(checkpoint.config, BertHashConfig) and HashBackend.takes(
        checkpoint.config, checkpoint.weights(), tokenizer.template
    )


def _disagreement(checkpoint: Checkpoint, tokenizer: PairTokenizer, engine: str) -> float:
    """Largest difference of a score between an exported model and torch, on pairs of several lengths."""
    words = [*"abcdefgh"] * 8
    texts = [" ".join(words[start : start + length]) for start in range(8) for length in (1, 3, 7, 20, 56)]
    table = tokenizer.encode(texts)
    a, b = np.arange(len(texts)), np.arange(len(texts))[::-1].copy()
    kept = tokenizer.truncate(table.lengths[a], table.lengths[b])
    batch = MicroBatch(tokenizer, table, a, b, *kept, a)
    ours = ExportedBackend(exported(checkpoint, tokenizer), engine, "fp32", 1).logits(batch)
    reference = TorchBackend(checkpoint.model()).logits(batch)
    return float(np.abs(checkpoint.activate(ours) - checkpoint.activate(reference)).max())
