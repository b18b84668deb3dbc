"""Compares answers of several systems with reference answers: each system's mean score and its interval.

python examples/evaluate_answers.py
"""

from beam_sts import PairScorer
from beam_sts.evaluation import group_means

ROWS = [
    ("short", "Paris is the capital of France.", "The capital of France is Paris."),
    ("short", "Water boils at 100 degrees Celsius.", "At sea level water boils at 100 degrees Celsius."),
    ("short", "Einstein wrote it.", "The theory of relativity was published by Albert Einstein."),
    ("wrong", "Lyon is a city in France.", "The capital of France is Paris."),
    ("wrong", "Water freezes at zero.", "At sea level water boils at 100 degrees Celsius."),
    ("wrong", "I do not know.", "The theory of relativity was published by Albert Einstein."),
]


def main() -> None:
    scores = PairScorer().score([(answer, reference) for _, answer, reference in ROWS])
    for group in group_means(scores, [system for system, _, _ in ROWS]):
        interval = f"{group.low:.3f} to {group.high:.3f}"
        print(f"{group.group:6} {group.count} answers  mean {group.mean:.3f}  ({interval})")


if __name__ == "__main__":
    main()
