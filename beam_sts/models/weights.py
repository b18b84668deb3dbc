"""Weights: safetensors, or pickles where the user allows them, and a model that takes every one of them."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import PreTrainedConfig
from transformers.utils import logging as transformers_logging

from beam_sts.errors import UserError

# Parts that checkpoints carry over from pretraining and a classifier does not use.
_UNUSED = re.compile(r"(^|\.)(position_ids$|pooler\.|lm_head\.|cls\.predictions\.|cls\.seq_relationship\.)")

# A product's last bits depend on how its operands lie in memory, and in a mapped file that depends on the
# length of the file's header. So weights of fewer bytes are copied to where torch puts its tensors; bigger
# ones stay mapped, and processes share their pages.
_COPIED = 1 << 26
_WORD_EMBEDDINGS = "bert.embeddings.word_embeddings."


def read_weights(folder: Path, *, allow_pickle: bool = False) -> dict[str, torch.Tensor]:
    """All tensors of a folder by name: ``model.safetensors``, its shards, or ``pytorch_model.bin``.

    Args:
        folder: where the files are.
        allow_pickle: read a ``.bin`` where there is no safetensors file.

    Raises:
        UserError: the weights are absent, not allowed, or not whole.
    """
    for stem, ending in (("model", "safetensors"), ("pytorch_model", "bin")):
        index = folder / f"{stem}.{ending}.index.json"
        files = _indexed(index) if index.is_file() else [folder / f"{stem}.{ending}"]
        if ending == "safetensors" and (index.is_file() or files[0].is_file()):
            return _merge(files, _read_safetensors)
        if ending == "bin" and allow_pickle and (index.is_file() or files[0].is_file()):
            return _merge(files, _read_pickle)
    pickled = sorted(file.name for file in folder.glob("*.bin"))
    if pickled:
        raise UserError(
            f"{folder}: model.safetensors is missing ({', '.join(pickled)} is a pickle, which can run code, "
            "and is not loaded). Save the checkpoint as safetensors, or, if you trust its source, say "
            "--allow_pickle (allow_pickle=True)."
        )
    raise UserError(f"{folder}: model.safetensors is missing. Save the checkpoint as safetensors.")


def _indexed(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        outside = any(Path(name).name != name for name in names)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{index}: not an index of weight files: {error}. Copy it again.") from error
    if outside:
        raise UserError(f"{index}: a weight file lies outside of the checkpoint folder.")
    return [index.parent / name for name in names]


def _merge(files: list[Path], read: Any) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = {}
    for file in files:
        if not file.is_file():
            raise UserError(f"{file.parent}: {file.name} is missing. Copy the checkpoint again.")
        weights.update(read(file))
    return weights


def _read_safetensors(file: Path) -> dict[str, torch.Tensor]:
    try:
        weights: dict[str, torch.Tensor] = load_file(file)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file}: not a whole safetensors file: {error}. Copy it again.") from error
    return weights


def _read_pickle(file: Path) -> dict[str, torch.Tensor]:
    try:
        # Tensors and plain containers only: a pickle that calls anything else is refused even here.
        weights: dict[str, torch.Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise UserError(f"{file}: not a whole file of tensors: {brief(error)}") from error
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
        if name.startswith(_WORD_EMBEDDINGS) and not name.startswith(f"{_WORD_EMBEDDINGS}embeddings.")
    ]
    matrices = [name for name in others if weights[name].ndim == 2]
    biases = [name for name in others if weights[name].ndim == 1]
    if len(matrices) != 1 or len(biases) > 1 or len(others) != len(matrices) + len(biases):
        raise UserError(
            f"{place}: expected one projection under {_WORD_EMBEDDINGS}*, found {sorted(others) or 'none'}. "
            "Take a complete BERT-hash checkpoint."
        )
    renamed = dict(weights)
    matrix = renamed.pop(matrices[0])
    bias = renamed.pop(biases[0]) if biases else torch.zeros(matrix.shape[0], dtype=matrix.dtype)
    renamed[f"{_WORD_EMBEDDINGS}projections.weight"] = matrix
    renamed[f"{_WORD_EMBEDDINGS}projections.bias"] = bias
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
    try:
        with torch.device("meta"):
            architecture = type(auto_class.from_config(config, trust_remote_code=trust_remote_code))
        with _quiet():
            model, report = architecture.from_pretrained(
                None,
                config=config,
                state_dict=weights,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=False,
            )
    except (RuntimeError, ValueError, AttributeError, ImportError) as error:
        raise UserError(f"{place}: the weights do not fit config.json: {brief(error)}") from error
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        keys = sorted(map(str, report.get(kind) or ()))
        if kind == "unexpected_keys":
            keys = [key for key in keys if not _UNUSED.search(key)]
        if keys:
            raise UserError(
                f"{place}: the weights do not fit config.json: {len(keys)} {kind.replace('_', ' ')}, such as "
                f"{keys[0]}. Take a complete checkpoint of this architecture ({config.model_type})."
            )
    return model


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


def brief(error: BaseException) -> str:
    """An error's message on one line, cut to a length that can be read."""
    return " ".join(str(error).split())[:300]
