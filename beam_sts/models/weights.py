"""Weights: safetensors, or pickles where the user allows them, and a model that takes every one of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import PreTrainedConfig
from transformers.utils import logging as transformers_logging

from beam_sts.errors import UserError
from beam_sts.models.files import read_object, reading
from beam_sts.models.tensors import (
    UNUSED,
    WORD_EMBEDDINGS,
    check_dtype,
    check_finite,
    check_shape,
    refuse_names,
)

_LONGEST_HEADER = 16_000_000
_WEIGHT_FILE = re.compile(r"[\w-][\w.-]*\.(safetensors|bin)")
# A product's last bits depend on how its operands lie in memory, and in a mapped file that depends on the
# length of the file's header. So weights of fewer bytes are copied to where torch puts its tensors; bigger
# ones stay mapped, and processes share their pages.
_COPIED = 1 << 26


def read_weights(folder: Path, *, allow_pickle: bool = False) -> dict[str, torch.Tensor]:
    """All tensors of a folder by name: ``model.safetensors``, its shards, or ``pytorch_model.bin``.

    Args:
        folder: where the files are.
        allow_pickle: read a ``.bin`` where there is no safetensors file.

    Raises:
        UserError: the weights are absent, not allowed, or not whole.
    """
    for stem, ending in (("model", "safetensors"), ("pytorch_model", "bin")):
        if ending == "bin" and not allow_pickle:
            break
        read = _read_safetensors if ending == "safetensors" else _read_pickle
        file = folder / f"{stem}.{ending}"
        if file.is_file():
            return read(file)
        index = folder / f"{file.name}.index.json"
        if index.is_file():
            return _read_shards(index, read)
    pickled = sorted(file.name for file in folder.glob("*.bin"))
    if pickled:
        raise UserError(
            f"{folder}: model.safetensors is missing ({', '.join(pickled)} is a pickle, which can run code, "
            "and is not loaded). Save the checkpoint as safetensors, or, if you trust its source, say "
            "--allow_pickle (allow_pickle=True)."
        )
    raise UserError(f"{folder}: model.safetensors is missing. Save the checkpoint as safetensors.")


def _read_shards(index: Path, read: Callable[[Path], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The tensors of an index's files: those that it names, each in its file and in no other."""
    places = read_object(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise UserError(f"{index}: has no weight_map. Copy it again.")
    for name in places.values():
        if not isinstance(name, str):
            raise UserError(f"{index}: is not an index: {name!r} is no weight file of the checkpoint folder.")
    for name in sorted(set(places.values())):
        if not _WEIGHT_FILE.fullmatch(name):
            raise UserError(
                f"{index}: {name[:100]!r} is no weight file of the checkpoint folder; nothing outside of the "
                "checkpoint is read."
            )
        if not (index.parent / name).is_file():
            raise UserError(f"{index.parent}: {name} is missing. Copy the checkpoint again.")
    weights: dict[str, torch.Tensor] = {}
    for name in sorted(set(places.values())):
        file = index.parent / name
        here = read(file)
        expected = {tensor for tensor, place in places.items() if place == name}
        for tensor in sorted(expected ^ set(here)):
            state = "lacks" if tensor in expected else "has"
            said = name if tensor in expected else places.get(tensor, "nowhere")
            raise UserError(
                f"{file}: {state} the tensor {tensor}, which {index.name} places in {said}. Copy both again."
            )
        weights.update(here)
    return weights


def _read_safetensors(file: Path) -> dict[str, torch.Tensor]:
    with reading(f"{file}: not a whole safetensors file", "Copy it again."):
        with file.open("rb") as stream:
            header = int.from_bytes(stream.read(8), "little")
        if header > _LONGEST_HEADER:
            raise ValueError(f"a header of {header:,} bytes, at most {_LONGEST_HEADER:,} are read")
        weights: dict[str, torch.Tensor] = load_file(file)
    # A header of an odd length places the numbers at odd addresses, which the kernels do not read.
    return {name: w if w.data_ptr() % 8 == 0 else w.clone() for name, w in weights.items()}


def _read_pickle(file: Path) -> dict[str, torch.Tensor]:
    with reading(f"{file}: not a whole file of tensors", "Save the checkpoint as safetensors."):
        # Tensors and plain containers only: a pickle that calls anything else is refused even here.
        weights: dict[str, torch.Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(weights, dict) or not all(isinstance(w, torch.Tensor) for w in weights.values()):
        raise UserError(f"{file}: not a file of tensors by name. Save the checkpoint as safetensors.")
    return weights


def rename_projection(weights: dict[str, torch.Tensor], place: Path) -> dict[str, torch.Tensor]:
    """Give the projection of a published checkpoint the name it has here.

    Whatever its author called it, it is the one other matrix under the word embeddings; its bias is optional.

    Args:
        weights: tensors by name.
        place: the checkpoint, for the error.

    Raises:
        UserError: there is not exactly one candidate.
    """
    others = [
        name
        for name in weights
        if name.startswith(WORD_EMBEDDINGS) and not name.startswith(f"{WORD_EMBEDDINGS}embeddings.")
    ]
    matrices = [name for name in others if weights[name].ndim == 2]
    biases = [name for name in others if weights[name].ndim == 1]
    if len(matrices) != 1 or len(biases) > 1 or len(others) != len(matrices) + len(biases):
        raise UserError(
            f"{place}: expected one projection under {WORD_EMBEDDINGS}*, found {sorted(others) or 'none'}. "
            "Take a complete BERT-hash checkpoint."
        )
    renamed = dict(weights)
    matrix = renamed.pop(matrices[0])
    bias = renamed.pop(biases[0]) if biases else torch.zeros(matrix.shape[0], dtype=matrix.dtype)
    renamed[f"{WORD_EMBEDDINGS}projections.weight"] = matrix
    renamed[f"{WORD_EMBEDDINGS}projections.bias"] = bias
    return renamed


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
