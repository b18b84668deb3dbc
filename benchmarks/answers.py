"""How well scores separate right from wrong answers: the rule ``answer``, the model alone, and two peers.

    python -m benchmarks.answers
    python -m benchmarks.answers --constants    # other constants of the rule, on the dev part

Each figure is an AUC: how often a right answer of a set scores above a wrong one. The sets are generated from
openly licensed texts (``benchmarks.answer_sets``); the rule's constants were chosen on ``--part dev``.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.feature_extraction.text import TfidfVectorizer

from beam_sts import PairScorer
from beam_sts.evaluation import answers as rule_of_answers
from beam_sts.evaluation.answers import compare_words
from benchmarks.answer_sets import LONG, SENTENCES, SETS, Answer, answers, words

Scores = NDArray[np.float64]
RESAMPLES = 300
CONSTANTS = {
    "TRUST": (1, 2, 4, 6, 8),
    "OVERLAP": (0.0, 0.15, 0.3, 0.5, 0.7),
    "CUT": (0.3, 0.5, 0.7, 0.9),
    "RARE": (1.0, 2.0, 3.0, 4.0),
}
"""Values of constants of ``beam_sts.evaluation.answers``; ``--constants`` varies one at a time."""
METHODS = ("rule answer", "model alone", "trigram tf-idf", "token F1")


def tf_idf(said: Sequence[str], meant: Sequence[str]) -> Scores:
    """Cosine of character trigrams, weighted by the texts of the set."""
    vectors = TfidfVectorizer(analyzer="char", ngram_range=(3, 3)).fit([*said, *meant])
    shared = vectors.transform(said).multiply(vectors.transform(meant)).sum(axis=1)
    return np.asarray(shared, np.float64).ravel()


def token_f1(said: str, meant: str) -> float:
    """F1 of words as in SQuAD: lower case, without punctuation and articles."""
    one, two = (Counter(_squad(text)) for text in (said, meant))
    shared = (one & two).total()
    return 2 * shared / (one.total() + two.total()) if shared else 0.0


def _squad(text: str) -> list[str]:
    return re.sub(r"\b(a|an|the)\b", " ", re.sub(r"[!-/:-@[-`{-~]", "", text.lower())).split()


def auc(scores: Scores, right: NDArray[np.bool_]) -> float:
    """How often a right answer scores above a wrong one; ties count half."""
    ranks, good = stats.rankdata(scores), int(right.sum())
    return float((ranks[right].sum() - good * (good + 1) / 2) / (good * (len(right) - good)))


def spread(first: Scores, second: Scores, right: NDArray[np.bool_]) -> float:
    """Standard error of the difference of two AUCs on the same answers, by bootstrap."""
    rng = np.random.default_rng(0)
    drawn = (rng.integers(0, len(right), len(right)) for _ in range(RESAMPLES))
    return float(np.std([auc(first[at], right[at]) - auc(second[at], right[at]) for at in drawn]))


def constants(scorer: PairScorer) -> None:
    """Print the mean AUC over the sets of the dev part for other values of each constant."""
    made = {name: answers(name, "dev") for name in SETS}
    whole = {name: scorer.run(*_columns(of)).scores for name, of in made.items()}
    print(f"| constant | value | mean AUC | most lost by a set |\n|---|{'---:|' * 3}")

    def measured() -> Scores:
        found = []
        for name, of in made.items():
            reading = compare_words(*_columns(of))
            scores = reading.blend(whole[name], scorer.run(reading.passages, reading.references).scores)
            found.append(auc(np.asarray(scores, np.float64), np.array([each.right for each in of])))
        return np.array(found)

    chosen = measured()
    for name, values in CONSTANTS.items():
        kept = getattr(rule_of_answers, name)
        for value in values:
            setattr(rule_of_answers, name, value)
            found = chosen if value == kept else measured()
            change = f"{(found - chosen).min():+.3f}" if value != kept else "chosen"
            print(f"| {name} | {value:g} | {found.mean():.4f} | {change} |", flush=True)
        setattr(rule_of_answers, name, kept)


def _columns(of: Sequence[Answer]) -> tuple[list[str], list[str]]:
    return [each.answer for each in of], [each.reference for each in of]


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.answers", description=__doc__)
    p.add_argument("--part", choices=("dev", "test"), default="test")
    p.add_argument("--constants", action="store_true", help="of the rule: try others, on the dev part")
    p.add_argument("--model", default="beam-sts-nano")
    args = p.parse_args()
    if not SENTENCES.exists():
        sys.exit(f"skipped: the sets are made from {SENTENCES}, which is not here")
    scorer = PairScorer(args.model)
    if args.constants:
        constants(scorer)
        return
    print(f"{args.model}, {args.part} part\n")
    print(f"| set | answers | {' | '.join(METHODS)} | rule - best other |\n|---|{'---:|' * 6}")
    long: list[tuple[str, list[float]]] = []
    every: list[tuple[list[Scores], NDArray[np.bool_]]] = []
    taken = 0.0
    for name in SETS:
        made = answers(name, args.part)
        said, meant = _columns(made)
        right = np.array([each.right for each in made])
        whole = scorer.run(said, meant).scores
        started = time.process_time()
        reading = compare_words(said, meant)
        taken += time.process_time() - started
        rule = reading.blend(whole, scorer.run(reading.passages, reading.references).scores)
        f1 = np.array([token_f1(*each) for each in zip(said, meant, strict=True)])
        scores = [np.asarray(each, np.float64) for each in (rule, whole, tf_idf(said, meant), f1)]
        print(_row(name, scores, right), flush=True)
        every.append((scores, right))
        of_length = np.array([words(text) in LONG for text in said])
        groups = [of_length & right, of_length & ~right]
        long.append(
            (name, [float(s[g].mean()) for g in groups for s in scores[:2]] if groups[0].any() else [])
        )
    parts, rights = zip(*every, strict=True)
    print(_row("all", [np.concatenate(each) for each in zip(*parts, strict=True)], np.concatenate(rights)))
    print(f"\nreading: {taken / sum(map(len, rights)) * 1e6:.0f} µs of CPU per pair besides the model\n")
    print("| answers of 16 to 40 words, mean score | right: rule | model | wrong: rule | model |")
    print(f"|---|{'---:|' * 4}")
    for name, means in long:
        print(f"| {name} | {' | '.join(f'{mean:.2f}' for mean in means)} |")


def _row(name: str, scores: Sequence[Scores], right: NDArray[np.bool_]) -> str:
    found = [auc(each, right) for each in scores]
    best = 1 + int(np.argmax(found[1:]))
    difference = f"{found[0] - found[best]:+.3f} ± {spread(scores[0], scores[best], right):.3f}"
    return f"| {name} | {len(right):,} | {' | '.join(f'{each:.3f}' for each in found)} | {difference} |"


if __name__ == "__main__":
    main()
