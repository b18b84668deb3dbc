"""A larger student that scores like a smaller one before its first step."""

from __future__ import annotations

from typing import Any

import torch

from beam_sts.models.bert_hash import BertHashForSequenceClassification
from beam_sts.models.configs import BertHashConfig

_TABLE = "bert.embeddings.word_embeddings."
_NOISE = 0.3  # deviation of a copy's share of an outgoing weight, in shares


def grown(
    start: BertHashForSequenceClassification, config: BertHashConfig, seed: int
) -> BertHashForSequenceClassification:
    """Build a wider and deeper student with the function of another one.

    Each hidden unit and each head occurs several times, and its outgoing weights are divided among the copies
    in random shares, so that the copies learn different things (Net2Net, Chen et al. 2016). A new layer adds
    nothing to its input at first: its outputs are zero, and so are the projection's weights for new columns
    of the token table, which are random.

    Args:
        start: The smaller student; it has the vocabulary and the head size of the larger one.
        config: The config of the larger student. Its widths are multiples of the smaller one's.
        seed: Seed of shares and new weights.

    Returns:
        The larger student, in training mode.

    Raises:
        ValueError: A size is not a multiple of the smaller student's, or it is smaller.

    >>> from beam_sts.training.recipe import SIZES
    >>> small, large = (SIZES[size].config() for size in ("nano", "mini"))
    >>> large.vocab_size = small.vocab_size
    >>> sum(w.numel() for w in grown(BertHashForSequenceClassification(small), large, seed=0).parameters())
    4135169
    """
    old = start.config
    times = config.hidden_size // old.hidden_size
    for name in ("hidden_size", "intermediate_size", "num_attention_heads"):
        if getattr(config, name) != times * getattr(old, name):
            raise ValueError(f"{name} is {getattr(config, name)}, not {times} times {getattr(old, name)}")
    for name in ("vocab_size", "window", "rotary_dims", "segment_dims"):
        if getattr(config, name) != getattr(old, name):
            raise ValueError(f"{name} is {getattr(config, name)}, but the start has {getattr(old, name)}")
    for name in ("projections", "num_hidden_layers"):
        if getattr(config, name) < getattr(old, name):
            raise ValueError(f"{name} is {getattr(config, name)}, but the start has {getattr(old, name)}")
    torch.manual_seed(seed)
    model = BertHashForSequenceClassification(config)
    weights, shapes = start.state_dict(), {name: value.shape for name, value in model.state_dict().items()}
    values = {
        name: _widened(value, shapes[name], times)
        for name, value in weights.items()
        if not name.startswith(_TABLE)
    }
    values |= _embeddings(weights, old, config, times)
    model.load_state_dict(values, strict=False)
    with torch.no_grad():
        _pass_on(model.bert.encoder.layer, old.num_hidden_layers)
    model.train()
    return model


def _widened(value: torch.Tensor, shape: torch.Size, times: int) -> torch.Tensor:
    """A weight or bias for ``times`` copies of the units that it reads, and of those that it makes."""
    made = torch.cat([value] * (shape[0] // len(value)))
    if value.ndim == 1:
        return made
    noise = torch.randn(times, *made.shape).clamp(-1.5, 1.5) * _NOISE / times
    shares = 1 / times + noise - noise.mean(0)
    return torch.cat(list(made * shares), 1)


def _embeddings(
    weights: dict[str, torch.Tensor], old: BertHashConfig, new: BertHashConfig, times: int
) -> dict[str, torch.Tensor]:
    """The token table with new random columns, and the projection, which does not read them yet."""
    narrow = weights[f"{_TABLE}embeddings.weight"]
    added = torch.randn(len(narrow), new.projections - old.projections) * narrow.std()
    added[new.pad_token_id] = 0
    reading = weights[f"{_TABLE}projections.weight"].view(old.hidden_size, old.window, old.projections)
    wide = torch.zeros(old.hidden_size, new.window, new.projections)
    wide[:, :, : old.projections] = reading
    return {
        f"{_TABLE}embeddings.weight": torch.cat([narrow, added], 1),
        f"{_TABLE}projections.weight": torch.cat([wide.flatten(1)] * times),
        f"{_TABLE}projections.bias": torch.cat([weights[f"{_TABLE}projections.bias"]] * times),
    }


def _pass_on(layers: Any, known: int) -> None:
    """Make the layers after the first ``known`` return what they read.

    The scale of the last known layer's normalisation moves to the last new layer: between them the vectors
    have mean 0 and variance 1, and normalising these again changes nothing.
    """
    last = layers[known - 1].output.LayerNorm
    for layer in layers[known:]:
        for part in (layer.attention.output, layer.output):
            part.dense.weight.zero_()
            part.dense.bias.zero_()
        layer.output.LayerNorm.load_state_dict(last.state_dict())
        last.weight.fill_(1.0)
        last.bias.zero_()
        last = layer.output.LayerNorm
