"""The sizes of a BERT-hash model: checked numbers from config.json, without torch and transformers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from beam_sts.errors import UserError
from beam_sts.models.bounds import check_values

MODEL_TYPE = "bert_hash"


@dataclass(frozen=True)
class BertHashSizes:
    """The keys of config.json that affect the scores of a BERT-hash classifier, with BERT's defaults.

    ``beam_sts.models.configs.BertHashConfig`` describes the keys that BERT does not have.
    """

    vocab_size: int = 30_522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    hidden_act: str = "gelu"
    pad_token_id: int | None = 0
    is_decoder: bool = False
    add_cross_attention: bool = False
    num_labels: int = 2
    projections: int = 5
    window: int = 1
    rotary_dims: int = 0
    rotary_base: float = 10_000.0
    sharp_length: int = 64
    segment_dims: int = 0

    model_type: ClassVar[str] = MODEL_TYPE


def bert_hash_sizes(values: Mapping[str, Any], place: object) -> BertHashSizes:
    """The sizes in the values of a config.

    Args:
        values: the content of config.json.
        place: the file, for messages.

    Raises:
        UserError: a value is invalid; the message names the place, the key, the value and what is valid.
    """
    check_values(values, str(place))
    given = {field.name: values[field.name] for field in fields(BertHashSizes) if field.name in values}
    for key, kind in (("hidden_act", str), ("is_decoder", bool), ("add_cross_attention", bool)):
        if not isinstance(given.get(key, kind()), kind):
            raise UserError(f"{place}: {key} {given[key]!r} must be a {kind.__name__}.")
    labels = values.get("id2label")
    if labels is not None:
        if not isinstance(labels, dict):
            raise UserError(f"{place}: id2label {str(labels)[:60]} must be an object.")
        if given.get("num_labels") is None:  # if both are set, transformers uses num_labels
            given["num_labels"] = len(labels)
    elif given.get("num_labels") is None:
        given.pop("num_labels", None)
    if not classifies(values):
        given["num_labels"] = 1
    sizes = BertHashSizes(**given)
    try:
        check_relations(sizes)
    except ValueError as error:
        raise UserError(f"{place}: {error}. Use the config that the model was saved with.") from error
    return sizes


def classifies(values: Mapping[str, Any]) -> bool:
    """Whether a config is that of a classifier. As in the reference, a bare encoder gets one label."""
    return any(name.endswith("ForSequenceClassification") for name in values.get("architectures") or ())


def check_relations(sizes: Any) -> None:
    """Check that the sizes of a BERT-hash model fit each other.

    Args:
        sizes: a ``BertHashSizes``, or a transformers config with the same attributes.

    Raises:
        ValueError: two do not fit; the message names them.
    """
    if sizes.hidden_size % sizes.num_attention_heads:
        raise ValueError(
            f"hidden_size {sizes.hidden_size} is not a multiple of num_attention_heads "
            f"{sizes.num_attention_heads}"
        )
    head_size = sizes.hidden_size // sizes.num_attention_heads
    if sizes.window < 1 or sizes.window % 2 == 0:
        raise ValueError(f"window must be odd and at least 1, found {sizes.window} in the config")
    if sizes.rotary_dims < 0 or sizes.segment_dims < 0 or sizes.rotary_dims % 2:
        raise ValueError(
            "rotary_dims must be even, and neither it nor segment_dims negative: "
            f"found rotary_dims {sizes.rotary_dims}, segment_dims {sizes.segment_dims}"
        )
    if sizes.rotary_dims + sizes.segment_dims > head_size:
        raise ValueError(
            f"rotary_dims must be even and at most the head size {head_size} less segment_dims: "
            f"found rotary_dims {sizes.rotary_dims}, segment_dims {sizes.segment_dims}"
        )
    if sizes.segment_dims and not sizes.rotary_dims:
        raise ValueError(f"segment_dims {sizes.segment_dims} needs rotary positions, but rotary_dims is 0")
