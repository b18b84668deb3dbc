"""Our scorer beside ``CrossEncoder.predict`` on one GPU, on pairs of mixed lengths.

    python -m benchmarks.gpu                               # on a machine with CUDA
    python -m benchmarks.gpu --device cpu --dry            # the same steps with tiny models, no figures

Checkpoints: the embedded nano, and a random one of ModernBERT-large's shape (weights do not matter for speed;
the scores are compared all the same). All contestants run in each precision, in turn, in one process,
as a GPU has no thread pools to mix.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer, ModernBertConfig, ModernBertForSequenceClassification

from beam_sts import PairScorer
from beam_sts.models.checkpoint import load_checkpoint
from benchmarks.workloads import Pair, mixed

BATCH_SIZES = (32, 64, 128, 256)
# ModernBERT-large's shape, but for the vocabulary: the tokenizer is the embedded model's.
LARGE = {
    "hidden_size": 1024,
    "intermediate_size": 2624,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
}
DRY = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}


def modernbert(folder: Path, shape: dict[str, int]) -> Path:
    """A random ModernBERT cross-encoder with the embedded model's tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(load_checkpoint("beam-sts-nano").path, model_max_length=8192)
    torch.manual_seed(0)
    config = ModernBertConfig(
        **shape,
        vocab_size=len(tokenizer),
        num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
        cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = ModernBertForSequenceClassification(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def contestants(model: str, device: str) -> dict[str, Callable[[list[Pair]], np.ndarray]]:
    """What scores pairs, by name: the reference in each batch size, ours in each precision."""
    from sentence_transformers import CrossEncoder

    kind = torch.device(device).type
    found: dict[str, Callable[[list[Pair]], np.ndarray]] = {}

    def predict(pairs: list[Pair], encoder: CrossEncoder, size: int, cast: bool) -> np.ndarray:
        with torch.autocast(kind, torch.bfloat16, enabled=cast):
            return encoder.predict(pairs, batch_size=size, show_progress_bar=False)

    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        encoder = CrossEncoder(model, device=device, model_kwargs={"dtype": dtype})
        cast = False
        try:
            encoder.predict([("a", "b")])
        except RuntimeError:  # BERT-hash mixes types if its weights are not float32
            encoder, cast = CrossEncoder(model, device=device), True
        for size in BATCH_SIZES:
            found[f"CrossEncoder {name} {size}"] = partial(predict, encoder=encoder, size=size, cast=cast)
    for precision in ("fp32", "bf16"):
        scorer = PairScorer(model, device=device, precision=precision)
        found[f"PairScorer {precision}"] = scorer.score
    return found


def compare(model: str, device: str, pairs: list[Pair], rounds: int) -> None:
    """Print a table: the ratio of each precision is to the best CrossEncoder of the same precision."""
    runs = contestants(model, device)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    scores: dict[str, np.ndarray] = {}
    for round_ in range(rounds + 1):  # the first one warms up
        for name, run in runs.items():
            started = time.perf_counter()
            scores[name] = np.asarray(run(pairs), dtype=np.float32)  # on the host: the GPU has finished
            if round_:
                seconds[name].append(time.perf_counter() - started)
    expected = scores[f"CrossEncoder fp32 {BATCH_SIZES[0]}"]
    print(f"| {model} | pairs/s | ratio | largest difference |\n|---|---:|---:|---:|")
    for name, taken in seconds.items():
        precision = name.split()[1]
        rivals = [own for other, own in seconds.items() if other.startswith(f"CrossEncoder {precision}")]
        best = [min(round_) for round_ in zip(*rivals, strict=True)]
        ratio = statistics.median(b / s for b, s in zip(best, taken, strict=True))
        gap = np.abs(scores[name] - expected).max()
        print(f"| {name} | {len(pairs) / statistics.median(taken):,.0f} | {ratio:.2f} | {gap:.1e} |")


def main() -> None:
    """Measure both checkpoints."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    p.add_argument("--device", default="cuda")
    p.add_argument("--pairs", type=int, default=8192)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--dry", action="store_true", help="tiny models and few pairs: does it run?")
    own = p.parse_args()
    if own.device.startswith("cuda") and not torch.cuda.is_available():
        p.error(f"--device {own.device}: torch sees no CUDA device here; --device cpu --dry tries the steps")
    pairs = mixed(64 if own.dry else own.pairs, 0)
    where = torch.cuda.get_device_name(own.device) if own.device.startswith("cuda") else own.device
    print(f"{len(pairs):,} pairs of mixed lengths, {where}, torch {torch.__version__}\n")
    with tempfile.TemporaryDirectory(prefix="beam_sts-benchmark-") as name:
        large = modernbert(Path(name), DRY if own.dry else LARGE)
        for model in ("beam-sts-nano", str(large)):
            folder = str(load_checkpoint(model).path)
            compare(folder, own.device, pairs, 1 if own.dry else own.rounds)


if __name__ == "__main__":
    main()
