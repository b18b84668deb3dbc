"""The configs of our own architectures, known to transformers from here on.

Their model classes come when a config is made (``beam_sts.models.architectures``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from transformers import AutoConfig, BertConfig, PreTrainedConfig

_alone: ContextVar[bool] = ContextVar("_alone", default=False)
_when_made: list[Callable[[str], None]] = []


def when_made(call: Callable[[str], None]) -> None:
    """Have a function called with the model type of every config of ours that is made from now on."""
    _when_made.append(call)


def _made(config: PreTrainedConfig) -> None:
    if not _alone.get():
        for call in _when_made:
            call(config.model_type)


@contextmanager
def config_alone() -> Iterator[None]:
    """Configs made inside do not bring their model classes along."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


class BertHashConfig(BertConfig):
    """A ``BertConfig`` with the width of the narrow token table and the project's two extensions.

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
        window: Tokens under the projection: the token itself and ``window // 2`` neighbours on each side
            (odd).
        rotary_dims: Dimensions of each attention head that rotate with the token's place in its own text
            (even); 0 for BERT's learned absolute positions. With rotary positions there is no position
            table, and queries grow with the logarithm of the pair's length, so that attention stays as sharp
            on long texts.
        rotary_base: Base of the rotation's wavelengths.
        sharp_length: Tokens of a pair from which on the queries grow.
        segment_dims: Dimensions of each attention head, before the rotating ones, whose sign is the token's
            text; 0 for BERT's token-type embeddings. The product of two signs says only whether two tokens
            share a text, so the score is the same in both orders. Needs rotary positions.
    """

    model_type = "bert_hash"
    projections: int = 5
    window: int = 1
    rotary_dims: int = 0
    rotary_base: float = 10_000.0
    sharp_length: int = 64
    segment_dims: int = 0

    def __post_init__(self, **kwargs: Any) -> None:
        """Make the model classes known to the Auto classes, which get at a config first."""
        super().__post_init__(**kwargs)
        self._check()
        _made(self)

    def _check(self) -> None:
        head_size = self.hidden_size // self.num_attention_heads
        if self.window < 1 or self.window % 2 == 0:
            raise ValueError(f"window must be odd and at least 1, found {self.window} in the config")
        if self.rotary_dims < 0 or self.segment_dims < 0 or self.rotary_dims % 2:
            raise ValueError(
                "rotary_dims must be even, and neither it nor segment_dims negative: "
                f"found rotary_dims {self.rotary_dims}, segment_dims {self.segment_dims}"
            )
        if self.rotary_dims + self.segment_dims > head_size:
            raise ValueError(
                f"rotary_dims must be even and at most the head size {head_size} less segment_dims: "
                f"found rotary_dims {self.rotary_dims}, segment_dims {self.segment_dims}"
            )
        if self.segment_dims and not self.rotary_dims:
            raise ValueError(f"segment_dims {self.segment_dims} needs rotary positions, found rotary_dims 0")


class NeoBertConfig(PreTrainedConfig):
    """Sizes of NeoBERT; the defaults are the published model's.

    ``max_length`` is the context in tokens. ``intermediate_size`` is the width of an ordinary feed-forward
    network: SwiGLU, with its three matrices, has two thirds of it, rounded up to a multiple of 8.
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
        """Make the model classes known to the Auto classes, which get at a config first."""
        super().__post_init__(**kwargs)
        _made(self)

    @property
    def ffn_size(self) -> int:
        """Hidden units of a SwiGLU block."""
        return -(-int(2 * self.intermediate_size / 3) // 8) * 8


for _config in (BertHashConfig, NeoBertConfig):
    AutoConfig.register(_config.model_type, _config, exist_ok=True)
