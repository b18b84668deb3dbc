"""How well a model separates matches from non-matches on data sets that are unknown to it.

    python -m benchmarks.unseen_sets --dedup shared/data/dedup --model beam-sts-nano

The sets were not used for training or tuning. Non-matches are as many random pairs of the same set, and,
harder, the non-matching pairs with the most common words. The area under the ROC curve is the probability
that a match scores above a non-match; 0.5 is chance.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from beam_sts import PairScorer

Pair = tuple[str, str]


def roc_area(matches: np.ndarray, others: np.ndarray) -> float:
    """The probability that a match scores above another pair; ties count half."""
    order = np.sort(others)
    below = np.searchsorted(order, matches, "left") + np.searchsorted(order, matches, "right")
    return float(below.mean() / (2 * len(others)))


def overlap(first: str, second: str) -> float:
    """Jaccard similarity of words: the baseline for a model."""
    a, b = set(first.lower().split()), set(second.lower().split())
    return len(a & b) / max(1, len(a | b))


MatchSet = tuple[list[Pair], list[str], list[str], set[frozenset[str]]]


def read_sets(folder: Path) -> dict[str, MatchSet]:
    """For each set its matching pairs, the texts of both sides, and all matches as sets of texts."""
    sets = {}
    for dataset, name in (("D2_abt_buy", "Abt-Buy"), ("D4_dblp_acm", "DBLP-ACM")):
        rows = pq.read_table(folder / "records" / "matches.parquet").to_pylist()
        matches = [
            (row["text_a"], row["text_b"]) for row in rows if row["dataset"] == dataset and row["label"]
        ]
        if matches:
            sides = list(map(list, zip(*matches, strict=True)))
            sets[name] = (matches, sides[0], sides[1], {frozenset(pair) for pair in matches})
    texts = {
        row["id"]: row["text"] for row in pq.read_table(folder / "cora" / "cora_docs.parquet").to_pylist()
    }
    pairs = pq.read_table(folder / "cora" / "cora_pairs.parquet").to_pylist()
    cora = [(texts[row["id_a"]], texts[row["id_b"]]) for row in pairs if row["label"]]
    sets["Cora"] = (cora, list(texts.values()), list(texts.values()), {frozenset(pair) for pair in cora})
    news = pq.read_table(folder / "news" / "truth_1000.parquet").to_pylist()
    articles = [row["text"] for row in pq.read_table(folder / "news" / "articles_1000.parquet").to_pylist()]
    near = [(row["text_a"], row["text_b"]) for row in news if row["label"]]
    sets["News (whole articles)"] = (near, articles, articles, {frozenset(pair) for pair in near})
    return sets


def non_matches(
    left: list[str], right: list[str], known: set[frozenset[str]], count: int, seed: int
) -> tuple[list[Pair], list[Pair]]:
    """Random pairs, and random left texts with the non-matching right text that shares the rarest words."""
    rng = random.Random(seed)
    easy: list[Pair] = []
    while len(easy) < count:
        pair = rng.choice(left), rng.choice(right)
        if pair[0] != pair[1] and frozenset(pair) not in known:
            easy.append(pair)
    frequency = Counter(word for text in right for word in set(text.lower().split()))
    holders: dict[str, list[str]] = {}
    for text in dict.fromkeys(right):
        for word in set(text.lower().split()):
            if frequency[word] <= 50:
                holders.setdefault(word, []).append(text)
    hard: list[Pair] = []
    for text in rng.sample(left, min(count, len(left))):
        near = {other for word in set(text.lower().split()) for other in holders.get(word, ())}
        near = {other for other in near if other != text and frozenset((text, other)) not in known}
        if near:
            hard.append((text, max(sorted(near), key=lambda other: overlap(text, other))))
    return easy, hard


def main() -> None:
    """Score every set and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dedup", type=Path, required=True, help="folder with news, cora and records")
    parser.add_argument("--model", default="beam-sts-nano")
    parser.add_argument(
        "--pairs", type=int, default=1000, help="limit of the matches and non-matches of each set"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    scorer = PairScorer(options.model, threads=options.threads)
    report = {}
    for name, (matches, left, right, known) in read_sets(options.dedup).items():
        asked = random.Random(options.seed).sample(matches, min(options.pairs, len(matches)))
        count = max(len(asked), min(options.pairs, 200))
        easy, hard = non_matches(left, right, known, count, options.seed)
        scores = {
            kind: scorer.score(pairs) for kind, pairs in (("match", asked), ("random", easy), ("hard", hard))
        }
        words = {
            kind: np.array([overlap(*pair) for pair in pairs])
            for kind, pairs in (("match", asked), ("hard", hard))
        }
        report[name] = {
            "matches": len(asked),
            "area_random": round(roc_area(scores["match"], scores["random"]), 4),
            "area_hard": round(roc_area(scores["match"], scores["hard"]), 4),
            "area_hard_word_overlap": round(roc_area(words["match"], words["hard"]), 4),
            "median_match": round(float(np.median(scores["match"])), 3),
            "median_random": round(float(np.median(scores["random"])), 3),
        }
    print(json.dumps({"model": options.model, "sets": report}, indent=1))


if __name__ == "__main__":
    main()
