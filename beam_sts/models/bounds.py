"""Bounds on the values in a checkpoint's files, checked before they are used.

The values of a config or a tokenizer decide how much memory is allocated and what native code reads. So the
type and range of each value are checked first, whatever its source.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beam_sts.errors import UserError
from beam_sts.models.files import kind_of, read_object

_POSITIVE = {
    "vocab_size": 1 << 22,
    "hidden_size": 1 << 15,
    "d_model": 1 << 15,
    "dim": 1 << 15,
    "embedding_size": 1 << 15,
    "intermediate_size": 1 << 18,
    "hidden_dim": 1 << 18,
    "num_hidden_layers": 512,
    "n_layers": 512,
    "num_attention_heads": 1024,
    "n_heads": 1024,
    "num_key_value_heads": 1024,
    "head_dim": 1 << 12,
    "projections": 1 << 15,
    "window": 255,
    "rotary_dims": 1 << 12,
    "segment_dims": 1 << 12,
    "sharp_length": 1 << 24,
    "max_position_embeddings": 1 << 24,
    "max_length": 1 << 24,
    "type_vocab_size": 1 << 10,
    "local_attention": 1 << 24,
    "global_attn_every_n_layers": 512,
    "sliding_window": 1 << 24,
    "num_labels": 1 << 16,
    "chunk_size_feed_forward": 1 << 24,
}
_LOWEST = {
    "rotary_dims": 0,
    "segment_dims": 0,
    "sharp_length": 2,
    "type_vocab_size": 0,
    "num_labels": 0,
    "max_position_embeddings": -1,  # in some configs it means "no limit"
    "chunk_size_feed_forward": 0,
    "sliding_window": -1,
}
_NUMBERS = {
    "layer_norm_eps": (1e-30, 0.1),  # 0 would divide by zero
    "norm_eps": (1e-30, 0.1),
    "rms_norm_eps": (1e-30, 0.1),
    "rotary_base": (1.0, 1e12),
    "rope_theta": (1.0, 1e12),
    "query_pre_attn_scalar": (1e-6, 1e12),
    "initializer_range": (0.0, 1e6),
}
_OPTIONAL = {"head_dim", "num_key_value_heads", "sliding_window", "max_position_embeddings", "num_labels"}
_WORDS = ("model_type", "hidden_act", "hidden_activation", "classifier_pooling", "dtype", "torch_dtype")
_ATTENTION = ("eager", "sdpa", "flash_attention_2")
# Each of these changes the computation in a way that is not supported, or loads code from elsewhere.
_UNSUPPORTED = ("quantization_config", "per_layer_config", "compression_config")


def check_config(file: Path) -> dict[str, Any]:
    """Read a config.json and check the type and range of its values.

    Raises:
        UserError: a value is invalid; the message names the file, the key, the value and what is valid.
    """
    values = read_object(file)
    if not values:
        raise UserError(f"{file}: missing or empty. Copy the checkpoint again.")
    check_values(values, str(file))
    return values


def check_values(values: Mapping[str, Any], place: str) -> None:
    """Check the type and range of a config's values.

    Args:
        values: the content of the config.
        place: the file, for messages.

    Raises:
        UserError: a value is invalid; the message names the place, the key, the value and what is valid.
    """
    for key, value in values.items():
        if key in _UNSUPPORTED and value is not None:
            raise UserError(f"{place}: {key} is not supported. Use a checkpoint without it.")
        if key in ("attn_implementation", "_attn_implementation") and value not in (None, *_ATTENTION):
            raise UserError(f"{place}: {key} {value!r} is not one of {', '.join(_ATTENTION)}.")
        if key in _WORDS and not isinstance(value, str) and value is not None:
            raise UserError(f"{place}: {key} {_shown(value)} is {kind_of(value)}, not a string.")
        if key in _POSITIVE:
            check_whole(place, key, value, _LOWEST.get(key, 1), _POSITIVE[key], key in _OPTIONAL)
        elif key in _NUMBERS:
            check_number(place, key, value, *_NUMBERS[key])
        elif key.endswith("_dropout") or key.endswith("_dropout_prob"):
            check_number(place, key, value, 0, 1, optional=True)
        elif key.endswith("_token_id"):
            for one in value if isinstance(value, list) else [value]:
                check_whole(place, key, one, -1, 1 << 31, optional=True)
        elif key.startswith(("num_", "n_")):
            check_number(place, key, value, 0, 1 << 16, optional=True)
        elif key == "architectures":
            if value is not None and not (isinstance(value, list) and all(isinstance(v, str) for v in value)):
                raise UserError(f"{place}: {key} {_shown(value)} is not a list of names.")
        elif isinstance(value, dict):
            check_values(value, f"{place}: {key}")
        elif isinstance(value, float | int) and not isinstance(value, bool):
            check_number(place, key, value, -1e15, 1e15)
    _check_relations(values, place)


def _check_relations(values: Mapping[str, Any], place: str) -> None:
    hidden, heads = values.get("hidden_size"), values.get("num_attention_heads")
    if hidden and heads and not values.get("head_dim") and hidden % heads:
        raise UserError(f"{place}: hidden_size {hidden} is not a multiple of num_attention_heads {heads}.")
    pad, vocabulary = values.get("pad_token_id"), values.get("vocab_size")
    if pad is not None and vocabulary is not None and not 0 <= pad < vocabulary:
        raise UserError(f"{place}: pad_token_id {pad} is not within vocab_size {vocabulary}.")


def check_whole(place: object, key: str, value: Any, low: int, high: int, optional: bool = False) -> None:
    """Check that a value is an integer, and not a boolean, from ``low`` to ``high``.

    Args:
        place: the file, for messages.
        key: the key of the value, for messages.
        value: what is checked.
        low: the least valid value.
        high: the greatest valid value.
        optional: whether None is valid too.

    Raises:
        UserError: the value is invalid; the message names the place, the key, the value and the range.
    """
    if value is None and optional:
        return
    if type(value) is not int or not low <= value <= high:
        raise UserError(
            f"{place}: {key} {_shown(value)} must be a whole number from {low:,} to {high:,}. Use the "
            "config that the model was saved with."
        )


def check_number(
    place: object, key: str, value: Any, low: float, high: float, optional: bool = False
) -> None:
    """Check that a value is a number, and neither a boolean nor NaN, from ``low`` to ``high``.

    Args:
        place: the file, for messages.
        key: the key of the value, for messages.
        value: what is checked.
        low: the least valid value.
        high: the greatest valid value.
        optional: whether None is valid too.

    Raises:
        UserError: the value is invalid; the message names the place, the key, the value and the range.
    """
    if value is None and optional:
        return
    if type(value) not in (int, float) or not low <= value <= high:
        raise UserError(
            f"{place}: {key} {_shown(value)} must be a number from {low:,} to {high:,}. Use the config that "
            "the model was saved with."
        )


def check_vocabulary(file: Path, vocab_size: int) -> set[str] | None:
    """Check that every token id of a tokenizer.json has a row in the model's table.

    Args:
        file: the path of tokenizer.json.
        vocab_size: rows of the table.

    Returns:
        The tokens; None if the file does not exist.

    Raises:
        UserError: an id is out of range; the message names the token, its id and the bound.
    """
    if not file.is_file():
        return None
    content = read_object(file)
    model, added = content.get("model"), content.get("added_tokens") or []
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocabulary, list):  # a Unigram model: pairs of a token and its score
        named = [(entry[0], number) for number, entry in enumerate(vocabulary) if _is_scored(entry)]
        if len(named) != len(vocabulary):
            raise UserError(f"{file}: its vocabulary is not a list of tokens and their scores.")
    elif isinstance(vocabulary, dict):
        named = list(vocabulary.items())
    else:
        raise UserError(f"{file}: has no vocabulary. Copy the checkpoint again.")
    if not isinstance(added, list) or not all(isinstance(token, dict) for token in added):
        raise UserError(f"{file}: added_tokens is not a list of tokens. Copy the checkpoint again.")
    named += [(token.get("content"), token.get("id")) for token in added]
    for token, number in named:
        if type(number) is not int or not isinstance(token, str) or not 0 <= number < vocab_size:
            raise UserError(
                f"{file}: the token {_shown(token)} has the id {_shown(number)}, but the model has "
                f"{vocab_size:,} rows; they do not belong together."
            )
    return {token for token, _ in named}


def _is_scored(entry: Any) -> bool:
    return (
        isinstance(entry, list)
        and len(entry) == 2
        and type(entry[1]) in (int, float)
        and math.isfinite(entry[1])
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
