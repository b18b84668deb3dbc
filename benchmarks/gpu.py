"""``PairScorer`` compared with ``CrossEncoder.predict`` on one GPU, on pairs of mixed lengths.

    python -m benchmarks.gpu                               # on a machine with CUDA, three minutes or less
    python -m benchmarks.gpu --device cpu --dry            # the same steps with tiny models, no figures

Checkpoints: the embedded nano, and a random one of ModernBERT-large's shape (weights do not affect speed; the
scores are compared too). All runs are in one process, because a GPU has no thread pools that interfere. In
each precision, each batch size of CrossEncoder scores a quarter of the pairs twice. The fastest of them and
PairScorer then score all pairs in turn, round after round, until the time is up. Ratios are within a round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, ModernBertConfig, ModernBertForSequenceClassification

from beam_sts import PairScorer
from beam_sts.models.checkpoint import load_checkpoint
from benchmarks.workloads import Pair, mixed

BATCH_SIZES = (128, 64, 256, 32, 512, 1024)  # in the order of how often they are the fastest
# ModernBERT-large's shape, except for the vocabulary: the tokenizer is the embedded model's.
LARGE = {
    "hidden_size": 1024,
    "intermediate_size": 2624,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
}
DRY = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}


def modernbert(folder: Path, shape: dict[str, int], device: str) -> Path:
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
    with torch.device(device):  # random numbers are faster there
        model = ModernBertForSequenceClassification(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


Run = Callable[[list[Pair]], np.ndarray]


@contextmanager
def as_installed() -> Iterator[None]:
    """Turn on what PairScorer turns off for its process: the tokenizers' threads and cuDNN's attention."""
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    torch.backends.cuda.enable_cudnn_sdp(True)
    try:
        yield
    finally:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        torch.backends.cuda.enable_cudnn_sdp(False)


def reference(model: str, device: str, precision: str) -> Callable[[int], Run]:
    """A function from a batch size to one that scores pairs with CrossEncoder."""
    from sentence_transformers import CrossEncoder

    kind = torch.device(device).type
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    encoder, cast = CrossEncoder(model, device=device, model_kwargs={"dtype": dtype}), False
    try:
        encoder.predict([("a", "b")])
    except RuntimeError:  # BERT-hash mixes types if its weights are not float32
        encoder, cast = CrossEncoder(model, device=device), True

    def predict(pairs: list[Pair], size: int) -> np.ndarray:
        with as_installed(), torch.autocast(kind, torch.bfloat16, enabled=cast):
            scores: np.ndarray = encoder.predict(pairs, batch_size=size, show_progress_bar=False)
            return scores

    return lambda size: partial(predict, size=size)


def timed(run: Run, pairs: list[Pair], device: str) -> tuple[float, np.ndarray, int]:
    """Seconds, scores, and peak GPU memory of tensors during the run, weights included."""
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    started = time.perf_counter()
    scores = np.asarray(run(pairs), dtype=np.float32)  # on the host, so the GPU has finished
    taken = time.perf_counter() - started
    return taken, scores, torch.cuda.max_memory_allocated(device) if cuda else 0


def compare(
    name: str, model: str, device: str, precision: str, pairs: list[Pair], rounds: int, seconds: float
) -> dict[str, Any]:
    """Compare in one precision of one model. No round or batch size starts after ``seconds``."""
    deadline = time.perf_counter() + seconds
    some = pairs[: max(32, len(pairs) // 4)]
    scorer = PairScorer(model, device=device, precision=precision)
    last: dict[str, int] = {}

    def ours(pairs: list[Pair]) -> np.ndarray:
        result = scorer.run([a for a, _ in pairs], [b for _, b in pairs])
        last.update(real=result.stats.real_tokens, padded=result.stats.padded_tokens)
        return result.scores

    of_size = reference(model, device, precision)
    tried: dict[int, float] = {}
    for size in BATCH_SIZES:
        try:
            of_size(size)(some)  # warm-up
            tried[size] = timed(of_size(size), some, device)[0]
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
        if tried and time.perf_counter() > deadline - seconds / 2:
            break
    best = min(tried, key=tried.__getitem__)
    runs: dict[str, Run] = {f"CrossEncoder.predict, batches of {best}": of_size(best), "PairScorer": ours}
    for run in runs.values():
        run(pairs)  # warm-up: allocates memory for the longest pairs, compiles kernels for all sizes
    rows: dict[str, dict[str, Any]] = {n: {"seconds": [], "peak_bytes": 0} for n in runs}
    scores: dict[str, np.ndarray] = {}
    for round_ in range(rounds):
        for contestant, run in runs.items():
            taken, scores[contestant], peak = timed(run, pairs, device)
            rows[contestant]["seconds"].append(taken)
            rows[contestant]["peak_bytes"] = max(peak, rows[contestant]["peak_bytes"])
        if round_ and time.perf_counter() > deadline:
            break
    baseline = next(iter(rows.values()))["seconds"]
    first = next(iter(scores.values()))
    for contestant, row in rows.items():
        ratios = sorted(b / s for b, s in zip(baseline, row["seconds"], strict=True))
        row["pairs_per_second"] = len(pairs) / statistics.median(row["seconds"])
        row["tokens_per_second"] = row["pairs_per_second"] * last["real"] / len(pairs)
        row["ratio"], row["ratio_range"] = statistics.median(ratios), [ratios[0], ratios[-1]]
        row["largest_difference"] = float(np.abs(scores[contestant] - first).max())
    return {
        "model": name,
        "precision": precision,
        "pairs": len(pairs),
        "tried_pairs": len(some),
        "tried_seconds": tried,
        "padding": last["padded"] / last["real"],
        "rows": rows,
    }


def markdown(report: dict[str, Any]) -> str:
    """The table of a report."""
    lines = [
        f"`{report['command']}`: {report['device']}, torch {report['torch']}, pairs of mixed lengths.",
        "",
        "| model | precision | | pairs/s | tokens/s | ratio (lowest to highest) | largest difference "
        "| peak MB |",
        "|---|---|---|---:|---:|---|---:|---:|",
    ]
    for part in report["parts"]:
        for name, row in part["rows"].items():
            low, high = row["ratio_range"]
            lines.append(
                f"| {part['model']}, {part['pairs']:,} pairs | {part['precision']} | {name} "
                f"| {row['pairs_per_second']:,.0f} | {row['tokens_per_second']:,.0f} "
                f"| {row['ratio']:.2f} ({low:.2f} to {high:.2f}) | {row['largest_difference']:.1e} "
                f"| {row['peak_bytes'] / 1e6:,.0f} |"
            )
    for part in report["parts"]:
        rates = ", ".join(f"{s}: {part['tried_pairs'] / t:,.0f}" for s, t in part["tried_seconds"].items())
        lines += [
            "",
            f"{part['model']}, {part['precision']}: pairs/s of CrossEncoder by batch size: {rates}.",
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure both checkpoints; save after each part."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    p.add_argument("--device", default="cuda")
    p.add_argument("--pairs", type=int, default=16_384, help="for the nano; the large model gets a quarter")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=120, help="approximate limit of the total time")
    p.add_argument("--dry", action="store_true", help="test run with tiny models and few pairs")
    p.add_argument("--save", metavar="STEM", help="writes STEM.json and STEM.md")
    own = p.parse_args()
    if own.device.startswith("cuda") and not torch.cuda.is_available():
        p.error(f"--device {own.device}: torch sees no CUDA device here; --device cpu --dry tries the steps")
    report: dict[str, Any] = {
        "command": " ".join(["python -m benchmarks.gpu", *sys.argv[1:]]),
        "device": torch.cuda.get_device_name(own.device) if own.device.startswith("cuda") else own.device,
        "torch": torch.__version__,
        "parts": [],
    }
    end = time.perf_counter() + own.seconds
    count = 64 if own.dry else own.pairs
    with tempfile.TemporaryDirectory(prefix="beam_sts-benchmark-") as name:
        large = modernbert(Path(name), DRY if own.dry else LARGE, own.device)
        nano = str(load_checkpoint("beam-sts-nano").path)
        models = {"beam-sts-nano": (nano, count), "ModernBERT-large's shape": (str(large), count // 4)}
        todo = [(model, precision) for model in models for precision in ("bf16", "fp32")]
        for index, (model, precision) in enumerate(todo):
            path, pairs = models[model]
            share = (end - time.perf_counter()) / (len(todo) - index)
            rounds = 1 if own.dry else own.rounds
            made = mixed(max(32, pairs), 0)
            report["parts"].append(compare(model, path, own.device, precision, made, rounds, share))
            if own.save:
                stem = Path(own.save)
                stem.parent.mkdir(parents=True, exist_ok=True)
                stem.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
                stem.with_suffix(".md").write_text(markdown(report), "utf-8")
            if own.device.startswith("cuda"):
                torch.cuda.empty_cache()
    print(markdown(report))


if __name__ == "__main__":
    main()
