"""Weights as torch has them, and a model of transformers that takes every one of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from transformers import PreTrainedConfig
from transformers.utils import logging as transformers_logging

from beam_sts.errors import UserError
from beam_sts.models.files import reading
from beam_sts.models.tensors import UNUSED, check_dtype, check_finite, check_shape, refuse_names
from beam_sts.models.weights import check_header, read_weights

# A product's last bits depend on how its operands lie in memory, and in a mapped file that depends on the
# length of the file's header. So weights of fewer bytes are copied to where torch puts its tensors; bigger
# ones stay mapped, and processes share their pages.
_COPIED = 1 << 26


def read_tensors(folder: Path, *, allow_pickle: bool = False) -> dict[str, torch.Tensor]:
    """All tensors of a folder by name; see ``read_weights``.

    Args:
        folder: where the files are.
        allow_pickle: read a ``.bin`` where there is no safetensors file.

    Raises:
        UserError: the weights are absent, not allowed, or not whole.
    """
    return read_weights(folder, _load_safetensors, load_pickle if allow_pickle else None)


def _load_safetensors(file: Path) -> dict[str, torch.Tensor]:
    with reading(f"{file}: not a whole safetensors file", "Copy it again."):
        check_header(file)
        weights: dict[str, torch.Tensor] = load_file(file)
    # A header of an odd length places the numbers at odd addresses, which the kernels do not read.
    return {name: w if w.data_ptr() % 8 == 0 else w.clone() for name, w in weights.items()}


def load_pickle(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a ``.bin`` by name.

    Raises:
        UserError: it holds anything else, or is damaged.
    """
    with reading(f"{file}: not a whole file of tensors", "Save the checkpoint as safetensors."):
        # Tensors and plain containers only: a pickle that calls anything else is refused even here.
        weights: dict[str, torch.Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(weights, dict) or not all(isinstance(w, torch.Tensor) for w in weights.values()):
        raise UserError(f"{file}: not a file of tensors by name. Save the checkpoint as safetensors.")
    return weights


def to_arrays(weights: dict[str, torch.Tensor], file: Path) -> dict[str, NDArray[Any]]:
    """Tensors as arrays; those in bfloat16, which NumPy has not, as float32.

    Raises:
        UserError: a tensor is of a kind that NumPy has not, such as a sparse one.
    """
    with reading(f"{file}: not a file of plain tensors", "Save the checkpoint as safetensors."):
        return {name: (w.float() if w.dtype is torch.bfloat16 else w).numpy() for name, w in weights.items()}


def build(
    auto_class: Any,
    config: PreTrainedConfig,
    weights: dict[str, torch.Tensor],
    place: Path,
    *,
    trust_remote_code: bool = False,
) -> Any:
    """The architecture of a config in float32 with these weights, all of its own and no others.

    Args:
        auto_class: a transformers Auto class, such as ``AutoModelForSequenceClassification``.
        config: the checkpoint's config.
        weights: tensors by name.
        place: the checkpoint, for errors.
        trust_remote_code: whether the architecture may be code of the checkpoint's own.

    Raises:
        UserError: the weights and the config do not fit, or the architecture is unknown.
    """
    # Old checkpoints carry this buffer; it holds 0, 1, 2, ... and no knowledge.
    weights = {name: w for name, w in weights.items() if not name.endswith("embeddings.position_ids")}
    if sum(w.nbytes for w in weights.values()) < _COPIED:
        weights = {name: w.clone() for name, w in weights.items()}
    for name, tensor in weights.items():
        if not UNUSED.search(name):
            check_dtype(name, tensor, place)
    unfit = f"{place}: the weights do not fit config.json"
    with reading(unfit, "Take a complete checkpoint of this architecture."):
        with torch.device("meta"):
            described = auto_class.from_config(config, trust_remote_code=trust_remote_code)
        _check_size(described, weights, place)
        with _quiet():
            model, report = type(described).from_pretrained(
                None,
                config=config,
                state_dict=weights,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are in the report, and refused
            )
    for name, found, expected in sorted(report.get("mismatched_keys") or ()):
        check_shape(name, tuple(found), tuple(expected), place)
    for kind in ("missing", "unexpected"):
        keys = sorted(map(str, report.get(f"{kind}_keys") or ()))
        refuse_names(place, kind, [key for key in keys if kind == "missing" or not UNUSED.search(key)])
    for name, tensor in model.named_parameters():
        check_finite(name, tensor.detach(), place)
    return model


def _check_size(described: Any, weights: dict[str, torch.Tensor], place: Path) -> None:
    """See, before memory is taken, that a model without weights is one of those that are here.

    Most names are the model's own, and these tensors are compared. Some libraries' old names are not; what
    they stand for is compared when the model has taken them.
    """
    own = {name: tuple(tensor.shape) for name, tensor in described.state_dict().items()}
    for name in sorted(own.keys() & weights.keys()):
        check_shape(name, tuple(weights[name].shape), own[name], place)
    needed = sum(parameter.numel() for parameter in described.parameters())
    given = sum(tensor.numel() for tensor in weights.values())
    if needed > 2 * given:
        raise UserError(
            f"{place}: the weights do not fit config.json: the config describes {needed:,} numbers, the "
            f"weights have {given:,}. Take a complete checkpoint of this architecture."
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar, and no printed report of missing keys: those are our errors."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
