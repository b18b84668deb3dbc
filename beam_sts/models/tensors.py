"""The check that a checkpoint's tensors fit its config, the same for every backend.

A tensor may be a torch tensor, an array or a ``StoredTensor``: all have ``shape`` and ``dtype``.
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

# Tensors of pretraining that checkpoints may still have and that a classifier does not use.
UNUSED = re.compile(
    r"(^|\.)(position_ids$|pooler\.dense\.|lm_head\.|cls\.predictions\.|cls\.seq_relationship\.)"
)
WORD_EMBEDDINGS = "bert.embeddings.word_embeddings."
_FLOATS = ("float32", "float16", "bfloat16", "float64")


def check_tensors(
    weights: Mapping[str, T], expected: Mapping[str, tuple[int, ...]], place: Path
) -> dict[str, T]:
    """Check that no tensor is missing, unexpected or of the wrong shape, and that all are floats.

    Args:
        weights: tensors by name.
        expected: the shapes by name.
        place: the checkpoint, for messages.

    Returns:
        The expected tensors, without those of pretraining that a classifier does not use.

    Raises:
        UserError: a tensor does not fit; the message names it and, if the shape is wrong, both shapes.
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
    """Check that a tensor has the shape that the config requires.

    Raises:
        UserError: it has not; the message names the tensor and both shapes.
    """
    if found != expected:
        raise UserError(
            f"{place}: the weights do not fit config.json: {name} has the shape {list(found)}, but "
            f"the config requires {list(expected)}. Use a complete checkpoint of this architecture."
        )


def check_dtype(name: str, tensor: Any, place: Path) -> None:
    """Check that a tensor has floats.

    Raises:
        UserError: it has not; the message names the tensor and its type.
    """
    kind = str(tensor.dtype).removeprefix("torch.")
    if kind not in _FLOATS:
        raise UserError(f"{place}: {name} is {kind}, not floats. Save the checkpoint in float32.")


def check_finite(name: str, tensor: Any, place: Path) -> None:
    """Check that the numbers of a tensor are finite in float32.

    Args:
        name: the tensor's name, for messages.
        tensor: a torch tensor or a NumPy array.
        place: the checkpoint, for messages.

    Raises:
        UserError: a number is not; the message names the tensor, its least and its greatest number.
    """
    if math.prod(tensor.shape):
        with np.errstate(over="ignore"):
            low, high = (float(np.float32(float(bound))) for bound in (tensor.min(), tensor.max()))
        if not (math.isfinite(low) and math.isfinite(high)):
            raise UserError(
                f"{place}: {name} has numbers that are not finite in float32 ({low} to {high}). Copy the "
                "checkpoint again."
            )


def refuse_names(place: Path, kind: str, names: list[str]) -> None:
    """Refuse tensors that are missing or unexpected.

    Args:
        place: the checkpoint, for messages.
        kind: ``missing`` or ``unexpected``, for messages.
        names: the names of the tensors.

    Raises:
        UserError: ``names`` is not empty.
    """
    if names:
        raise UserError(
            f"{place}: the weights do not fit config.json: {len(names)} {kind} keys, such as "
            f"{names[0][:200]}. Use a complete checkpoint of this architecture."
        )


def bert_hash_shapes(config: BertHashSizes) -> dict[str, tuple[int, ...]]:
    """The shapes of a BERT-hash classifier's tensors by name, without its model class, which needs torch."""
    return classifier_shapes(
        vocabulary=config.vocab_size,
        projections=config.projections,
        window=config.window,
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        layers=config.num_hidden_layers,
        positions=0 if config.rotary_dims else config.max_position_embeddings,
        types=0 if config.segment_dims else config.type_vocab_size,
        labels=config.num_labels,
    )


def classifier_shapes(
    *,
    vocabulary: int,
    projections: int,
    window: int,
    hidden: int,
    intermediate: int,
    layers: int,
    positions: int,
    types: int,
    labels: int = 1,
) -> dict[str, tuple[int, ...]]:
    """The shapes of a BERT-hash classifier's tensors by name, from its sizes.

    ``positions`` and ``types`` are the rows of those tables, 0 if there is no table.
    """
    linear = {
        f"{WORD_EMBEDDINGS}projections": (hidden, projections * window),
        "bert.pooler.dense": (hidden, hidden),
        "classifier": (labels, hidden),
    }
    norms = ["bert.embeddings.LayerNorm"]
    for layer in range(layers):
        name = f"bert.encoder.layer.{layer}"
        parts = ("self.query", "self.key", "self.value", "output.dense")
        linear |= {f"{name}.attention.{part}": (hidden, hidden) for part in parts}
        linear |= {
            f"{name}.intermediate.dense": (intermediate, hidden),
            f"{name}.output.dense": (hidden, intermediate),
        }
        norms += [f"{name}.attention.output.LayerNorm", f"{name}.output.LayerNorm"]
    shapes: dict[str, tuple[int, ...]] = {f"{WORD_EMBEDDINGS}embeddings.weight": (vocabulary, projections)}
    if positions:
        shapes["bert.embeddings.position_embeddings.weight"] = (positions, hidden)
    if types:
        shapes["bert.embeddings.token_type_embeddings.weight"] = (types, hidden)
    for name, shape in linear.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name in norms:
        shapes |= {f"{name}.weight": (hidden,), f"{name}.bias": (hidden,)}
    return shapes
