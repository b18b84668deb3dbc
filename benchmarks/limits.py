"""Peaks of the machine, in the nano's matrix products and in tokenising, and where the scorer's time goes.

    python -m benchmarks.limits

A forward pass cannot be faster than its matrix products alone, and no scorer faster than its tokenizer. The
share of the scorer's time that goes into products with weights is what is left if all else cost nothing.
Between them: how fast the scorer is with torch's steps and with those of this installation.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from beam_sts.models.checkpoint import load_checkpoint
from beam_sts.scoring import hash_backend
from beam_sts.scoring.backends import available_cores
from beam_sts.scoring.hash_layers import multiplies_bfloat16
from beam_sts.scoring.hash_steps import TorchSteps
from beam_sts.scoring.kernels import CompiledSteps, fastest_steps
from beam_sts.scoring.scorer import PairScorer
from benchmarks.workloads import WORKLOADS, mixed

ROWS = 4096
# Of a layer: queries, keys and values; output; up; down. Inputs and outputs of each product.
WIDTHS = ((128, 384), (128, 128), (128, 512), (512, 128))
WEIGHTS, ATTENTION, ELSE = (
    "products with weights and GELU",
    "attention",
    "all else",
)
KINDS = {
    "mkldnn::_linear_pointwise.binary": WEIGHTS,
    "beam_sts::attend": ATTENTION,
    "beam_sts::first": ATTENTION,
    "mkldnn::_linear_pointwise": WEIGHTS,
    "aten::addmm": WEIGHTS,
    "aten::bmm": ATTENTION,
    "aten::_softmax": ATTENTION,
    "aten::_scaled_dot_product_flash_attention_for_cpu": ATTENTION,
}


def rate(work: Callable[[], object], amount: float, seconds: float = 1.0) -> float:
    """Amount a second, the best of some tries: the limit, not what is usual."""
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


class Watched(CompiledSteps):
    """The compiled steps, seen by torch's profiler."""

    def _run(self, name: str, *arguments: object) -> None:
        with record_function(f"beam_sts::{name}"):
            super()._run(name, *arguments)


def shares(workload: str, precision: str, pairs: int = 8192) -> dict[str, float]:
    """What part of the scorer's time each kind of work takes, on one thread."""
    texts_a, texts_b = zip(*WORKLOADS[workload](pairs, 0), strict=True)
    steps = fastest_steps()
    if isinstance(steps, CompiledSteps):
        steps.__class__ = Watched
    scorer = PairScorer(threads=1, precision=precision)
    scorer.run(texts_a, texts_b)
    threads = torch._C._profiler._ExperimentalConfig(profile_all_threads=True)
    with profile(activities=[ProfilerActivity.CPU], experimental_config=threads) as profiled:
        scorer.run(texts_a[:64], texts_b[:64])  # the profiler's own start
        seconds = scorer.run(texts_a, texts_b).seconds
    taken: Counter[str] = Counter()
    for event in profiled.key_averages():
        taken[KINDS.get(event.key, ELSE)] += event.self_cpu_time_total / 1e6
    taken[ELSE] += seconds - taken.total()
    return {kind: taken[kind] / seconds for kind in (WEIGHTS, ATTENTION, ELSE)}


def steps_rates(workload: str, precision: str, pairs: int = 8192, rounds: int = 5) -> tuple[float, float]:
    """Pairs a second with torch's steps and with those of this installation, on all cores, in turn."""
    texts_a, texts_b = zip(*WORKLOADS[workload](pairs, 0), strict=True)
    scorers = []
    for steps in (TorchSteps, fastest_steps):
        hash_backend.fastest_steps = steps
        scorers.append(PairScorer(precision=precision))
        scorers[-1].run(texts_a, texts_b)
    seconds = [[scorer.run(texts_a, texts_b).seconds for scorer in scorers] for _ in range(rounds)]
    torch_s, own = (pairs / statistics.median(taken) for taken in zip(*seconds, strict=True))
    return torch_s, own


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
    share = tokens * sum(map(len, some)) / sum(map(len, texts))
    one = rate(lambda: [tokenizer.encode(t, add_special_tokens=False) for t in some], share, 3)
    print(f"| the `tokenizers` library, tokens/s | {one:,.0f} | {every:,.0f} |\n")
    precisions = ("fp32", "bf16") if multiplies_bfloat16() else ("fp32",)
    kind = type(fastest_steps()).__name__
    print(f"| pairs/s, all cores | TorchSteps | {kind} | ratio |\n|---|---:|---:|---:|")
    for name, p in ((name, p) for p in precisions for name in ("short", "mining")):
        slow, fast = steps_rates(name, p)
        print(f"| {name}, {p} | {slow:,.0f} | {fast:,.0f} | {fast / slow:.2f} |")
    print()
    taken = {f"{name}, {p}": shares(name, p) for p in precisions for name in ("short", "mining")}
    print(f"| of the scorer's time, one thread | {' | '.join(taken)} |\n|---|{'---:|' * len(taken)}")
    for kind in (WEIGHTS, ATTENTION, ELSE):
        print(f"| {kind} | {' | '.join(f'{one[kind]:.0%}' for one in taken.values())} |")


if __name__ == "__main__":
    main()
