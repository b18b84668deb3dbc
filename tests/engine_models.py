"""Random BERT-hash classifiers and micro-batches for the native engine, with NumPy only."""

from types import SimpleNamespace

import numpy as np
from hypothesis import strategies as st

from beam_sts.scoring.engine.batch import PairBatch, TokenIds
from beam_sts.scoring.engine.native import Native
from beam_sts.scoring.engine.reference import Reference, attention_temperature, rotary_factors
from beam_sts.scoring.engine.shape import Shape
from beam_sts.scoring.engine.weights import Weights, tensor_shapes

SPECIAL = (2, 3, 3)


def config(**values):
    """The keys of a config.json that the engine reads."""
    return SimpleNamespace(
        **{
            "vocab_size": 50,
            "projections": 6,
            "window": 3,
            "hidden_size": 24,
            "num_attention_heads": 2,
            "num_hidden_layers": 2,
            "intermediate_size": 40,
            "max_position_embeddings": 1024,
            "type_vocab_size": 2,
            "rotary_dims": 4,
            "segment_dims": 3,
            "rotary_base": 100.0,
            "sharp_length": 12,
            "layer_norm_eps": 1e-5,
            "hidden_act": "gelu",
            "is_decoder": False,
            "add_cross_attention": False,
            "pad_token_id": 0,
            **values,
        }
    )


def tensors(shape, seed=0):
    """Random tensors with the names and sizes of a shape."""
    rng = np.random.default_rng(seed)
    made = {}
    for name, size in tensor_shapes(shape).items():
        scale = size[-1] ** -0.5 if len(size) == 2 and "embeddings.weight" not in name else 1.0
        made[name] = (rng.standard_normal(size) * scale).astype(np.float32)
    return made


def micro_batch(shape, lengths, seed=0):
    """Pairs of random token ids, with the given counts of tokens in each text, (2, pairs)."""
    rng = np.random.default_rng(seed)
    kept = np.array(lengths, dtype=np.int64).reshape(2, -1)
    total = int(kept.sum())
    ids = TokenIds(rng.integers(0, shape.vocabulary, total), shape.vocabulary)
    starts = (np.cumsum(kept) - kept.ravel()).reshape(kept.shape)
    temperature = attention_temperature(shape, kept.sum(axis=0) + 3)
    return PairBatch(ids, starts, kept, temperature, rotary_factors(shape, int(kept.max(initial=0)) + 2))


def expected_logits(shape, weights, pairs, dtype=np.float64):
    """The logits of the reference, pair by pair."""
    reference = Reference(shape, weights, SPECIAL, dtype)
    rows = []
    for pair in range(len(pairs)):
        texts = [pairs.ids.array[pairs.starts[side, pair] :][: pairs.kept[side, pair]] for side in range(2)]
        rows.append(reference.logit(*texts))
    return np.array(rows)


def model(library, settings, level, kind=0, seed=0):
    """A random model in the native engine, its shape and its weights."""
    shape = Shape.of(settings)
    weights = Weights.of(shape, tensors(shape, seed))
    return Native(library, shape, weights, SPECIAL, kind, level), shape, weights


@st.composite
def configs(draw, smallest=4):
    """Configs of all kinds: rotary or absolute positions, segment dimensions or token types, any window."""
    heads = draw(st.integers(1, 3))
    size = draw(st.integers(-(-smallest // heads), 40))
    rotary = 2 * draw(st.integers(0, size // 2))
    return config(
        num_attention_heads=heads,
        hidden_size=heads * size,
        rotary_dims=rotary,
        segment_dims=draw(st.integers(0, size - rotary)) if rotary else 0,
        projections=draw(st.integers(1, 20)),
        window=draw(st.sampled_from([1, 3, 5])),
        intermediate_size=draw(st.integers(1, 70)),
        num_hidden_layers=draw(st.integers(1, 3)),
        vocab_size=draw(st.integers(4, 60)),
        sharp_length=draw(st.sampled_from([2, 12, 10_000])),
    )


texts_lengths = st.lists(st.integers(0, 40) | st.sampled_from([60, 300]), min_size=2, max_size=12).map(
    lambda kept: kept[: len(kept) // 2 * 2]
)
