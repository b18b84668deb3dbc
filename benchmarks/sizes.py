"""Parameters, speed and memory of the embedded models, beside a cross-encoder of the shape of MiniLM-L6.

    python -m benchmarks.sizes [--pairs 4096] [--rounds 3] [--precision fp32]

The contestants are those of ``benchmarks.score``. All score the same pairs in turn, round after round; a
ratio is taken within a round. The table has the medians. The cross-encoder has random weights, which do not
change its speed, and the tokenizer of the nano, so that it reads the same tokens.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path

from beam_sts.models.registry import EMBEDDED, count_parameters, embedded_models
from benchmarks.score import REFERENCE, Process
from benchmarks.workloads import short

PEER = "cross-encoder of the shape of all-MiniLM-L6-v2"


def write_peer(folder: Path) -> None:
    """A checkpoint with six layers of 384 dimensions and 30,522 pieces."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536, num_labels=1
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(EMBEDDED / "beam-sts-nano" / name, folder / name)


def main() -> None:
    """Command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--pairs", type=int, default=4096)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--precision", default="fp32", help="of the embedded models")
    own = p.parse_args()
    with tempfile.TemporaryDirectory(prefix="beam_sts-") as name, ExitStack() as stack:
        work = Path(name)
        folders = {**{model: EMBEDDED / model for model in embedded_models()}, PEER: work / "peer"}
        write_peer(folders[PEER])
        pairs = work / "pairs.json"
        pairs.write_text(json.dumps(short(own.pairs)), "utf-8")
        started = {
            model: stack.enter_context(
                closing(
                    Process(
                        REFERENCE if model == PEER else f"PairScorer {own.precision} auto", str(folder), work
                    )
                )
            )
            for model, folder in folders.items()
        }
        rounds = [
            {model: process.score(pairs, 0, own.pairs)[1] for model, process in started.items()}
            for _ in range(own.rounds + 1)
        ][1:]  # the first round is a warm-up
        parameters = {model: count_parameters(folder) for model, folder in folders.items()}
    print("| model | parameters | pairs/s | beside the last row (lowest to highest) | memory, MB |")
    print("|---|---:|---:|---|---:|")
    for model, count in parameters.items():
        speed = own.pairs / statistics.median(one[model]["seconds"] for one in rounds)
        ratios = [one[PEER]["seconds"] / one[model]["seconds"] for one in rounds]
        print(
            f"| {model} | {count:,} | {speed:,.0f} | {statistics.median(ratios):.1f} "
            f"({min(ratios):.1f} to {max(ratios):.1f}) | {rounds[-1][model]['peak'] / 2**20:,.0f} |"
        )


if __name__ == "__main__":
    main()
