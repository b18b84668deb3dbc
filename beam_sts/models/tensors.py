"""The one check that a checkpoint's tensors are those of its config, whatever runs the model.

Tensors are those of torch, arrays, or ``StoredTensor``: all have ``shape`` and ``dtype``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from beam_sts.errors import UserError
from beam_sts.models.sizes import BertHashSizes

T = TypeVar("T")

# Parts that checkpoints carry over from pretraining and a classifier does not use.
UNUSED = re.compile(
    r"(^|\.)(position_ids$|pooler\.dense\.|lm_head\.|cls\.predictions\.|cls\.seq_relationship\.)"
)
WORD_EMBEDDINGS = "bert.embeddings.word_embeddings."
_FLOATS = ("float32", "float16", "bfloat16", "float64")


def check_tensors(
    weights: Mapping[str, T], expected: Mapping[str, tuple[int, ...]], place: Path
) -> dict[str, T]:
    """See that weights are those expected: none missing, unexpected or misshapen, all floats.

    Args:
        weights: tensors by name.
        expected: their shapes by name.
        place: the checkpoint, for errors.

    Returns:
        The expected ones: without what checkpoints carry over from pretraining and a classifier does not use.

    Raises:
        UserError: naming the tensor and, of a misshapen one, both shapes.
    """
    missing = sorted(expected.keys() - weights.keys())
    refuse_names(place, "missing", missing)
    extra = sorted(name for name in weights.keys() - expected.keys() if not UNUSED.search(name))
    refuse_names(place, "unexpected", extra)
    tensors: Mapping[str, Any] = weights
    for name, shape in expected.items():
        check_shape(name, tuple(tensors[name].shape), shape, place)
        check_dtype(name, tensors[name], place)
    return {name: weights[name] for name in expected}


def check_shape(name: str, found: tuple[int, ...], expected: tuple[int, ...], place: Path) -> None:
    """See that a tensor has the shape that the config asks for.

    Raises:
        UserError: naming the tensor and both shapes.
    """
    if found != expected:
        raise UserError(
            f"{place}: the weights do not fit config.json: {name} has the shape {list(found)}, the config "
            f"asks for {list(expected)}. Take a complete checkpoint of this architecture."
        )


def check_dtype(name: str, tensor: Any, place: Path) -> None:
    """See that a tensor holds floats.

    Raises:
        UserError: naming the tensor and its type.
    """
    kind = str(tensor.dtype).removeprefix("torch.")
    if kind not in _FLOATS:
        raise UserError(f"{place}: {name} holds {kind}, not floats. Save the checkpoint in float32.")


def check_finite(name: str, tensor: Any, place: Path) -> None:
    """See that the numbers of a tensor are finite in float32.

    Args:
        name: of the tensor, for the error.
        tensor: of torch or NumPy.
        place: the checkpoint, for the error.

    Raises:
        UserError: naming the tensor and its extremes.
    """
    if math.prod(tensor.shape):
        with np.errstate(over="ignore"):
            low, high = (float(np.float32(float(bound))) for bound in (tensor.min(), tensor.max()))
        if not (math.isfinite(low) and math.isfinite(high)):
            raise UserError(
                f"{place}: {name} holds numbers that are not finite in float32 ({low} to {high}). Copy the "
                "checkpoint again."
            )


def refuse_names(place: Path, kind: str, names: list[str]) -> None:
    """Refuse tensors that are missing or unexpected.

    Raises:
        UserError: there is one.
    """
    if names:
        raise UserError(
            f"{place}: the weights do not fit config.json: {len(names)} {kind} keys, such as "
            f"{names[0][:200]}. Take a complete checkpoint of this architecture."
        )


def bert_hash_shapes(config: BertHashSizes) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors of a BERT-hash classifier by name, without its model class, which needs torch."""
    hidden, inner, narrow = config.hidden_size, config.intermediate_size, config.projections
    shapes: dict[str, tuple[int, ...]] = {
        f"{WORD_EMBEDDINGS}embeddings.weight": (config.vocab_size, narrow),
        f"{WORD_EMBEDDINGS}projections.weight": (hidden, narrow * config.window),
        f"{WORD_EMBEDDINGS}projections.bias": (hidden,),
    }
    if not config.rotary_dims:
        shapes["bert.embeddings.position_embeddings.weight"] = (config.max_position_embeddings, hidden)
    if not config.segment_dims:
        shapes["bert.embeddings.token_type_embeddings.weight"] = (config.type_vocab_size, hidden)
    linear = {"bert.pooler.dense": (hidden, hidden), "classifier": (config.num_labels, hidden)}
    norms = ["bert.embeddings.LayerNorm"]
    for layer in range(config.num_hidden_layers):
        name = f"bert.encoder.layer.{layer}"
        parts = ("self.query", "self.key", "self.value", "output.dense")
        linear |= {f"{name}.attention.{part}": (hidden, hidden) for part in parts}
        linear |= {f"{name}.intermediate.dense": (inner, hidden), f"{name}.output.dense": (hidden, inner)}
        norms += [f"{name}.attention.output.LayerNorm", f"{name}.output.LayerNorm"]
    for name, shape in linear.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name in norms:
        shapes |= {f"{name}.weight": (hidden,), f"{name}.bias": (hidden,)}
    return shapes
