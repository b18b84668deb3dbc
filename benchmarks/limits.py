"""The machine's peak rates for the nano's matrix products and for tokenising, and the scorer's time by part.

    python -m benchmarks.limits

A forward pass cannot be faster than its matrix products, and a scorer cannot be faster than its tokenizer.
The peaks of the products are those of torch.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import torch

from beam_sts.models.checkpoint import load_checkpoint
from beam_sts.scoring.backends import available_cores
from beam_sts.scoring.scorer import PairScorer
from benchmarks.workloads import WORKLOADS, mixed

ROWS = 4096
# Inputs and outputs of each product of a layer: queries, keys and values; output; up; down.
WIDTHS = ((128, 384), (128, 128), (128, 512), (512, 128))


def rate(work: Callable[[], object], amount: float, seconds: float = 1.0) -> float:
    """Amount per second, the best of several tries, since this is an upper limit."""
    work()
    best = 0.0
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        started = time.perf_counter()
        work()
        best = max(best, amount / (time.perf_counter() - started))
    return best


def products(dtype: torch.dtype, threads: int) -> float:
    """GFLOP/s of a layer's products, one after another."""
    torch.set_num_threads(threads)
    inputs = {width: torch.randn(ROWS, width, dtype=dtype) for width in (128, 512)}
    weights = [torch.randn(out, width, dtype=dtype) for width, out in WIDTHS]

    def work() -> None:
        with torch.inference_mode():
            for weight in weights:
                torch.nn.functional.linear(inputs[weight.shape[1]], weight)

    flops = sum(2 * ROWS * width * out for width, out in WIDTHS)
    return rate(work, flops / 1e9)


def share(workload: str, precision: str, pairs: int = 8192) -> float:
    """The engine's share of the scorer's time, on one thread; the rest is texts, tokens and plans."""
    texts_a, texts_b = zip(*WORKLOADS[workload](pairs, 0), strict=True)
    scorer = PairScorer(threads=1, precision=precision)
    backend = scorer._backend
    taken = 0.0

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            nonlocal taken
            started = time.perf_counter()
            result = function(*arguments)
            taken += time.perf_counter() - started
            return result

        return run

    scorer.run(texts_a, texts_b)
    backend.share, backend.logits = timed(backend.share), timed(backend.logits)  # type: ignore[method-assign]
    return taken / scorer.run(texts_a, texts_b).seconds


def main() -> None:
    """Measure and print."""
    argparse.ArgumentParser(prog="python -m benchmarks.limits", description=__doc__).parse_args()
    cores = available_cores()
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    checkpoint = load_checkpoint("beam-sts-nano")
    layers = checkpoint.config.num_hidden_layers
    flops = layers * sum(2 * width * out for width, out in WIDTHS)
    tokenizer = checkpoint.tokenizer.backend
    texts = [text for pair in mixed(4096) for text in pair]
    tokens = sum(len(e.ids) for e in tokenizer.encode_batch_fast(texts, add_special_tokens=False))
    print(f"{cores} cores, torch {torch.__version__}; {flops / 1e6:.2f} MFLOP of products a token\n")
    print("| limit | 1 thread | all cores |\n|---|---:|---:|")
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        one, all_ = products(dtype, 1), products(dtype, cores)
        print(f"| products {name}, GFLOP/s | {one:,.0f} | {all_:,.0f} |")
        print(f"| so tokens/s at most, {name} | {one * 1e9 / flops:,.0f} | {all_ * 1e9 / flops:,.0f} |")
    every = rate(lambda: tokenizer.encode_batch_fast(texts, add_special_tokens=False), tokens, 3)
    some = texts[: len(texts) // 8]
    of_some = tokens * sum(map(len, some)) / sum(map(len, texts))
    one = rate(lambda: [tokenizer.encode(t, add_special_tokens=False) for t in some], of_some, 3)
    print(f"| the `tokenizers` library, tokens/s | {one:,.0f} | {every:,.0f} |\n")
    print("| the engine's part of the scorer's time, one thread | fp32 | bf16 |\n|---|---:|---:|")
    for name in ("short", "mining"):
        print(f"| {name} | {share(name, 'fp32'):.0%} | {share(name, 'bf16'):.0%} |")


if __name__ == "__main__":
    main()
