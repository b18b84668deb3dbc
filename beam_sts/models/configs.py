"""The configs of the architectures of this package, registered with transformers when it is imported.

Their model classes are imported when the first config is created (``beam_sts.models.architectures``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transformers import AutoConfig, BertConfig, PreTrainedConfig

from beam_sts.models.sizes import MODEL_TYPE, check_relations

_when_made: list[Callable[[str], None]] = []


def when_made(call: Callable[[str], None]) -> None:
    """Register a function that is called with the model type whenever a config of this package is created."""
    _when_made.append(call)


def _made(config: PreTrainedConfig) -> None:
    for call in _when_made:
        call(config.model_type)


class BertHashConfig(BertConfig):
    """A ``BertConfig`` with the width of the narrow token table and the three extensions of this package.

    Published sizes (2 layers, 2 heads, vocabulary 30,522, absolute positions, one label):

    ======  ===========  ===========  =================  ==========
    name    projections  hidden_size  intermediate_size  parameters
    ======  ===========  ===========  =================  ==========
    femto   5            50           200                242,611
    pico    8            80           320                448,417
    nano    16           128          512                969,761
    ======  ===========  ===========  =================  ==========

    Attributes:
        projections: Width of the narrow token table.
        window: Tokens that the projection covers (odd): the token and ``window // 2`` neighbours on each
            side.
        rotary_dims: Dimensions of each attention head that rotate with the token's position in its text
            (even); 0 for BERT's learned absolute positions. With rotary positions there is no position table,
            and queries are multiplied by the attention temperature, which grows with the logarithm of the
            pair's length, so that attention stays sharp on long texts.
        rotary_base: Base of the rotation's wavelengths.
        sharp_length: Length of a pair, in tokens, above which the attention temperature exceeds 1.
        segment_dims: Dimensions of each attention head, before the rotary ones, that are multiplied by the
            sign of the token's text; 0 for BERT's token-type embeddings. The product of two signs says only
            whether two tokens are in the same text, so the score is the same in both orders. Needs rotary
            positions.
    """

    model_type = MODEL_TYPE
    projections: int = 5
    window: int = 1
    rotary_dims: int = 0
    rotary_base: float = 10_000.0
    sharp_length: int = 64
    segment_dims: int = 0

    def __post_init__(self, **kwargs: Any) -> None:
        """Register the model classes with the Auto classes, which always create a config first."""
        super().__post_init__(**kwargs)
        check_relations(self)
        _made(self)


class NeoBertConfig(PreTrainedConfig):
    """Sizes of NeoBERT; the defaults are the published model's.

    ``max_length`` is the context in tokens. ``intermediate_size`` is the width of an ordinary feed-forward
    network; SwiGLU, which has three matrices, uses two thirds of it, rounded up to a multiple of 8.
    """

    model_type = "neobert"
    vocab_size: int = 30_522
    hidden_size: int = 768
    num_hidden_layers: int = 28
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    norm_eps: float = 1e-5
    max_length: int = 4096
    pad_token_id: int | None = 0
    classifier_dropout: float = 0.1

    def __post_init__(self, **kwargs: Any) -> None:
        """Register the model classes with the Auto classes, which always create a config first."""
        super().__post_init__(**kwargs)
        _made(self)

    @property
    def ffn_size(self) -> int:
        """Hidden units of a SwiGLU block."""
        return -(-int(2 * self.intermediate_size / 3) // 8) * 8


for _config in (BertHashConfig, NeoBertConfig):
    AutoConfig.register(_config.model_type, _config, exist_ok=True)
