"""What turns a micro-batch into logits."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from beam_sts.models.checkpoint import Checkpoint
from beam_sts.models.configs import BertHashConfig
from beam_sts.scoring.hash_backend import HashBackend
from beam_sts.scoring.long_text import Work
from beam_sts.scoring.tokens import MicroBatch, PairTokenizer

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Backend(Protocol):
    """Runs the model. Safe to call from several threads."""

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
        precision: ``fp32``, or ``bf16`` (autocast, weights stay in fp32).
    """

    def __init__(self, model: Any, device: str = "cpu", precision: str = "fp32") -> None:
        self._device = torch.device(device)
        self._model = model.to(self._device)
        self._dtype = PRECISIONS[precision]
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
        tensors = {name: torch.from_numpy(array).to(self._device) for name, array in inputs.items()}
        reduced = self._dtype is not torch.float32
        with torch.inference_mode(), torch.autocast(self._device.type, self._dtype, enabled=reduced):
            logits = self._model(**tensors).logits
        values: NDArray[np.float32] = logits.float().squeeze(-1).cpu().numpy()
        return values


def available_cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def thread_pool(threads: int) -> ThreadPoolExecutor:
    """Threads that each tokenise whole blocks of texts and run whole micro-batches.

    A micro-batch is computed by one thread, for two reasons: its scores do not depend, to the last bit, on
    how many threads there are, and no thread waits for another inside a matrix product. For the second reason
    the tokenizers' own pool stays unused.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    return ThreadPoolExecutor(threads, "beam_sts", initializer=torch.set_num_threads, initargs=(1,))


def load_backend(checkpoint: Checkpoint, tokenizer: PairTokenizer, device: str, precision: str) -> Backend:
    """The backend that runs a checkpoint on a device."""
    if device == "cpu" and isinstance(checkpoint.config, BertHashConfig):
        weights = checkpoint.weights()
        if HashBackend.takes(checkpoint.config, weights, tokenizer.template):
            return HashBackend(checkpoint.config, weights, tokenizer.template, precision)
    return TorchBackend(checkpoint.model(), device, precision)
