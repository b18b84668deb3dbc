"""Random models and micro-batches through a library of the engine, compared with the NumPy reference.

    python -m tests.scoring.fuzz_engine LIBRARY SECONDS [SEED]

For libraries with sanitizers, which end the process if they find a fault. Prints the number of runs.
"""

import sys
import time
from pathlib import Path

import numpy as np

from beam_sts.scoring.engine import native
from beam_sts.scoring.engine.batch import PairBatch, SharedTexts, TokenIds
from beam_sts.scoring.engine.library import open_library, supported_kinds
from beam_sts.scoring.engine.native import Native
from beam_sts.scoring.engine.packing import FLOAT32, INT8
from beam_sts.scoring.engine.shape import Shape
from beam_sts.scoring.engine.weights import Weights
from tests.engine_models import SPECIAL, config, expected_logits, micro_batch, tensors


def random_config(rng):
    """A random config of any kind, with sizes down to 1."""
    heads = int(rng.integers(1, 4))
    size = int(rng.choice([1, 2, 3, 7, 16, 17, 25, 32, 33, 64]))
    rotary = 2 * int(rng.integers(0, size // 2 + 1))
    return config(
        num_attention_heads=heads,
        hidden_size=heads * size,
        rotary_dims=rotary,
        segment_dims=int(rng.integers(0, size - rotary + 1)) if rotary else 0,
        projections=int(rng.integers(1, 40)),
        window=int(rng.choice([1, 3, 7])),
        intermediate_size=int(rng.choice([1, 5, 16, 33, 200])),
        num_hidden_layers=int(rng.integers(1, 4)),
        vocab_size=int(rng.integers(4, 60)),
        sharp_length=int(rng.choice([2, 12, 10_000])),
        max_position_embeddings=2048,
    )


def random_lengths(rng):
    """Counts of tokens of each text: mostly short, some empty, some longer than a block of attention."""
    pairs = int(rng.choice([1, 2, 5, 40, 130]))
    longest = int(rng.choice([1, 8, 40, 260, 700])) if pairs < 40 else 12
    return rng.integers(0, longest + 1, (2, pairs))


def of_texts(engine: Native, pairs: PairBatch, shape: Shape) -> PairBatch:
    """The same micro-batch with a table of its texts, each computed once."""
    parts, rows, owners = [], [], []
    at = 0
    for start, kept in zip(pairs.starts.ravel(), pairs.kept.ravel(), strict=True):
        parts.append([*pairs.ids.array[start : start + kept], SPECIAL[1]])
        owners += [len(rows)] * (kept + 1)
        rows.append(at)
        at += kept + 1
    texts = SharedTexts.empty(shape, at)
    ids = TokenIds(np.concatenate(parts), shape.vocabulary)
    engine.embed(ids, np.array(owners, np.int32), texts, 0)
    engine.embed(TokenIds(np.array(SPECIAL[:1]), shape.vocabulary), np.zeros(1, np.int32), texts, at)
    where = np.array(rows).reshape(pairs.kept.shape)
    return PairBatch(pairs.ids, pairs.starts, pairs.kept, pairs.temperature, pairs.rotary, texts, where)


def one(library, rng) -> None:
    """A random model and micro-batch with every instruction set and type of this CPU."""
    shape = Shape.of(random_config(rng))
    weights = Weights.of(shape, tensors(shape, int(rng.integers(1 << 30))))
    pairs = micro_batch(shape, random_lengths(rng), int(rng.integers(1 << 30)))
    native._MOST_PROJECTED = int(rng.choice([0, 1 << 25]))
    small = len(pairs.ids) < 300 and shape.hidden > 8
    expected = expected_logits(shape, weights, pairs) if small else None
    seen: dict[int, np.ndarray] = {}
    for level in range(library.beam_sts_level() + 1):
        for kind in sorted(supported_kinds(library, level)):
            engine = Native(library, shape, weights, SPECIAL, kind, level)
            logits = engine.logits(pairs)
            if not np.isfinite(logits).all():
                raise SystemExit(f"{shape} level {level} type {kind}: {logits}")
            if expected is not None and kind == FLOAT32 and np.abs(logits - expected).max() > 1e-3:
                raise SystemExit(f"{shape} level {level}: {np.abs(logits - expected).max()}")
            if level == 3 and kind == INT8 and INT8 in seen and not np.array_equal(logits, seen[INT8]):
                raise SystemExit(f"{shape}: AMX differs by {np.abs(logits - seen[INT8]).max()}")
            seen[kind] = logits
            if shape.segment and shape.layers > 1:
                again = engine.logits(of_texts(engine, pairs, shape))
                if not np.array_equal(again, logits):
                    raise SystemExit(f"{shape} level {level} type {kind}: texts computed once differ")


def main() -> None:
    """Run until the time is up."""
    path, seconds, seed = sys.argv[1], float(sys.argv[2]), int((sys.argv[3:] or ["0"])[0])
    library, rng = open_library(Path(path)), np.random.default_rng(seed)
    ends, runs = time.perf_counter() + seconds, 0
    while time.perf_counter() < ends:
        one(library, rng)
        runs += 1
    print(runs, "models")


if __name__ == "__main__":
    main()
