"""Parameters, speed and memory of the embedded models, beside a cross-encoder of the shape of MiniLM-L6.

    python -m benchmarks.sizes [--pairs 4096] [--rounds 3] [--precision fp32]

Each contestant is a separate process. All score the same pairs in turn, round after round; a ratio is taken
within a round. The table has the medians. The cross-encoder has random weights, which do not change its
speed, and the tokenizer of the nano, so that it reads the same tokens. sentence-transformers runs it with its
default batch size.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from beam_sts import PairScorer
from beam_sts.models.registry import EMBEDDED, count_parameters, embedded_models
from benchmarks.workloads import WORKLOADS

PEER = "cross-encoder of the shape of all-MiniLM-L6-v2"
_WARM_UP = 256  # pairs


def write_peer(folder: Path) -> None:
    """A checkpoint with six layers of 384 dimensions and 30,522 pieces."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536, num_labels=1
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(EMBEDDED / "beam-sts-nano" / name, folder / name)


def measured(source: str, precision: str, pairs: int) -> dict[str, float]:
    """Pairs per second, and the peak memory of this process in MB."""
    made = list(WORKLOADS["short"](pairs, 0))
    if source in embedded_models():
        score: Any = PairScorer(source, precision=precision).score
    else:
        from sentence_transformers import CrossEncoder

        model = CrossEncoder(source, device="cpu")

        def score(some: list[tuple[str, str]]) -> Any:
            return model.predict(some, show_progress_bar=False)

    score(made[:_WARM_UP])
    started = time.perf_counter()
    score(made)
    seconds = time.perf_counter() - started
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    return {"speed": pairs / seconds, "memory": peak / 1024}


def main() -> None:
    """Command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--pairs", type=int, default=4096)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--precision", default="fp32", help="of the embedded models")
    p.add_argument("--run", metavar="MODEL", help=argparse.SUPPRESS)
    own = p.parse_args()
    if own.run:
        print(json.dumps(measured(own.run, own.precision, own.pairs)))
        return
    with tempfile.TemporaryDirectory(prefix="beam_sts-") as folder:
        write_peer(Path(folder))
        sources = {**{name: name for name in embedded_models()}, PEER: folder}
        rounds = [{name: _apart(source, own) for name, source in sources.items()} for _ in range(own.rounds)]
        parameters = {
            name: count_parameters(EMBEDDED / name if name != PEER else Path(folder)) for name in sources
        }
    print(
        "| model | parameters | pairs/s | beside the cross-encoder (lowest to highest) | memory, MB |\n"
        "|---|---:|---:|---|---:|"
    )
    for name in sources:
        speed, memory = (statistics.median(one[name][key] for one in rounds) for key in ("speed", "memory"))
        ratios = [one[name]["speed"] / one[PEER]["speed"] for one in rounds]
        print(
            f"| {name} | {parameters[name]:,} | {speed:,.0f} | {statistics.median(ratios):.1f} "
            f"({min(ratios):.1f} to {max(ratios):.1f}) | {memory:,.0f} |"
        )


def _apart(source: str, own: argparse.Namespace) -> dict[str, float]:
    """The measurement of one contestant in a separate process."""
    command = [sys.executable, "-m", "benchmarks.sizes", "--run", source]
    command += [f"--pairs={own.pairs}", f"--precision={own.precision}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
