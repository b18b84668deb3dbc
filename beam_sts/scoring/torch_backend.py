"""The torch backend: runs a model class of transformers on a CPU or a GPU."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from beam_sts.scoring.long_text import Work
from beam_sts.scoring.plan import TOKEN_BUDGET
from beam_sts.scoring.tokens import MicroBatch

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# Micro-batches that a GPU runs at a time: while it computes one, the next is launched.
LANES = 2
# Larger than on a CPU, because launching the kernels takes milliseconds whatever the size.
GPU_TOKEN_BUDGET = 8 * TOKEN_BUDGET


class CudaStreams:
    """CUDA streams for the micro-batches in progress: ``LANES`` of them, one for each micro-batch.

    So a GPU computes the micro-batch of one thread while another thread launches the next, even where the
    model's code waits for the device. On a CPU there are no streams.

    Args:
        device: the torch device, which has the weights already.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._streams: SimpleQueue[Any] | None = None
        if device.type == "cuda":
            # This holds for the whole process. cuDNN plans its attention again for each shape of a
            # micro-batch, and there are hundreds: that was most of the nano's time in bfloat16.
            torch.backends.cuda.enable_cudnn_sdp(False)
            torch.cuda.synchronize(device)  # other streams do not wait for copies of weights
            self._streams = SimpleQueue()
            for _ in range(LANES):
                self._streams.put(torch.cuda.Stream(device))  # type: ignore[no-untyped-call]

    @contextmanager
    def one(self) -> Iterator[None]:
        """Take a stream that no other thread uses until the context ends."""
        if self._streams is None:
            yield
            return
        stream = self._streams.get()
        try:
            with torch.cuda.stream(stream):
                yield
        finally:
            self._streams.put(stream)

    def moved(self, array: NDArray[Any]) -> torch.Tensor:
        """Copy an array to the device. From pinned memory the copy does not wait for earlier work."""
        tensor = torch.from_numpy(array)
        if self._streams is None:
            return tensor.to(self._device)
        return tensor.pin_memory().to(self._device, non_blocking=True)


class TorchBackend:
    """Runs a transformers model.

    Args:
        model: a sequence-classification model with one label, in evaluation mode.
        device: a torch device, such as ``cpu`` or ``cuda``.
        precision: ``fp32``; ``bf16``, or ``fp16`` on a GPU, by autocast. For a GPU, weights are rounded
            once, which autocast alone would do for each micro-batch.
    """

    packs = False

    def __init__(self, model: Any, device: str = "cpu", precision: str = "fp32") -> None:
        self._device = torch.device(device)
        self.token_budget = TOKEN_BUDGET if self._device.type == "cpu" else GPU_TOKEN_BUDGET
        self._model = model.to(self._device)
        self._dtype = DTYPES[precision]
        if self._device.type == "cuda":
            round_matrices(self._model, self._dtype)
        self._streams = CudaStreams(self._device)
        accepted = inspect.signature(model.forward).parameters
        self._token_types = "token_type_ids" in accepted or any(
            parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in accepted.values()
        )

    def share(self, work: Work, run: Callable[..., Iterable[Any]]) -> None:
        """Nothing is shared: the model runs on whole pairs."""

    def logits(self, batch: MicroBatch) -> NDArray[np.float32]:
        """Logits of the rows, shape (rows,)."""
        padded = batch.padded
        inputs = {"input_ids": padded.input_ids, "attention_mask": padded.attention_mask}
        if padded.token_type_ids is not None and self._token_types:
            inputs["token_type_ids"] = padded.token_type_ids
        reduced = self._dtype is not torch.float32
        with (
            self._streams.one(),
            torch.inference_mode(),
            torch.autocast(self._device.type, self._dtype, enabled=reduced),
        ):
            tensors = {name: self._streams.moved(array) for name, array in inputs.items()}
            logits = self._model(**tensors).logits
            values: NDArray[np.float32] = logits.float().squeeze(-1).cpu().numpy()
        return values


def round_matrices(model: Any, dtype: torch.dtype) -> None:
    """Round the weights of a model's linear layers to the type that autocast would round them to.

    The scores are those of autocast alone, without rounding each weight again for each micro-batch. Weights
    that another kind of layer shares, such as a table of word embeddings, are not changed.
    """
    uses: dict[int, set[bool]] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            uses.setdefault(id(parameter), set()).add(type(module) is torch.nn.Linear)
    for parameter in model.parameters():
        if uses[id(parameter)] == {True}:
            parameter.data = parameter.data.to(dtype)


def multiplies_bfloat16() -> bool:
    """Whether this CPU, and oneDNN in this build of torch, can multiply matrices in bfloat16."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
