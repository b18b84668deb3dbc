"""Weights as torch tensors, and transformers models that use exactly these weights."""

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

# The last bits of a product depend on the alignment of its operands, which in a mapped file depends on the
# length of the file's header. So weights of fewer bytes than this are copied to aligned memory; larger ones
# stay mapped, and processes share their pages.
_COPIED = 1 << 26


def read_tensors(folder: Path, *, allow_pickle: bool = False) -> dict[str, torch.Tensor]:
    """All tensors of a folder by name; see ``read_weights``.

    Args:
        folder: the folder of the files.
        allow_pickle: read a ``.bin`` file if there is no safetensors file.

    Raises:
        UserError: the weights are missing, not allowed, or incomplete.
    """
    return read_weights(folder, _load_safetensors, load_pickle if allow_pickle else None)


def _load_safetensors(file: Path) -> dict[str, torch.Tensor]:
    with reading(f"{file}: not a complete safetensors file", "Copy it again."):
        check_header(file)
        weights: dict[str, torch.Tensor] = load_file(file)
    # A header of odd length puts the numbers at odd addresses, which the kernels cannot read.
    return {name: w if w.data_ptr() % 8 == 0 else w.clone() for name, w in weights.items()}


def load_pickle(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a ``.bin`` file by name.

    Raises:
        UserError: the file has anything else, or is damaged.
    """
    with reading(f"{file}: not a complete file of tensors", "Save the checkpoint as safetensors."):
        # Only tensors and plain containers: a pickle that calls anything else is refused even here.
        weights: dict[str, torch.Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(weights, dict) or not all(isinstance(w, torch.Tensor) for w in weights.values()):
        raise UserError(f"{file}: not a file of tensors by name. Save the checkpoint as safetensors.")
    return weights


def to_arrays(weights: dict[str, torch.Tensor], file: Path) -> dict[str, NDArray[Any]]:
    """Tensors as arrays. Those in bfloat16, which NumPy lacks, become float32.

    Raises:
        UserError: a tensor is of a kind that NumPy lacks, such as a sparse one.
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
    """Build the architecture of a config in float32, with exactly these weights: none missing, none unused.

    Args:
        auto_class: a transformers Auto class, such as ``AutoModelForSequenceClassification``.
        config: the checkpoint's config.
        weights: tensors by name.
        place: the checkpoint, for messages.
        trust_remote_code: whether the architecture may be the checkpoint's own code.

    Raises:
        UserError: the weights and the config do not fit, or the architecture is unknown.
    """
    # Old checkpoints have this buffer of the constants 0, 1, 2, ...
    weights = {name: w for name, w in weights.items() if not name.endswith("embeddings.position_ids")}
    if sum(w.nbytes for w in weights.values()) < _COPIED:
        weights = {name: w.clone() for name, w in weights.items()}
    for name, tensor in weights.items():
        if not UNUSED.search(name):
            check_dtype(name, tensor, place)
    complete = "Use a complete checkpoint of this architecture."
    with reading(f"{place}: no model can be built from config.json", complete), torch.device("meta"):
        described = auto_class.from_config(config, trust_remote_code=trust_remote_code)
    with reading(f"{place}: the weights do not fit config.json", complete):
        _check_size(described, weights, place)
        with _quiet():
            model, report = type(described).from_pretrained(
                None,
                config=config,
                state_dict=weights,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # mismatches are in the report, and refused below
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
    """Check, before memory is allocated, that the sizes of a model's parameters are those of the weights.

    Most tensors have the names of the model's parameters, and these are compared. Tensors under the old names
    of some libraries are compared after the model has loaded them.
    """
    own = {name: tuple(tensor.shape) for name, tensor in described.state_dict().items()}
    for name in sorted(own.keys() & weights.keys()):
        check_shape(name, tuple(weights[name].shape), own[name], place)
    needed = sum(parameter.numel() for parameter in described.parameters())
    given = sum(tensor.numel() for tensor in weights.values())
    if needed > 2 * given:
        raise UserError(
            f"{place}: the weights do not fit config.json: the config describes {needed:,} numbers, "
            f"but the weights have {given:,}. Use a complete checkpoint of this architecture."
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Turn off the progress bar and the report of missing keys, which are raised as errors instead."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
