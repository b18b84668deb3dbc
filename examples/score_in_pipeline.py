"""Adds a score inside your pipeline: dicts in, the same dicts with a score out.

python examples/score_in_pipeline.py
"""

import json
from pathlib import Path

import apache_beam as beam

from beam_sts import ScorePairs

PAIRS = Path(__file__).with_name("pairs.jsonl")


def main() -> None:
    # FnApiRunner runs in this process. To run on a cluster, name its runner instead.
    with beam.Pipeline("FnApiRunner") as pipeline:
        pairs = (
            pipeline
            | beam.Create([str(PAIRS)])
            | beam.FlatMap(lambda path: Path(path).read_text(encoding="utf-8").splitlines())
            | beam.Map(json.loads)
        )
        # The columns sentence1 and sentence2 are found by name; text_a= and text_b= select others.
        scored, rejected = pairs | ScorePairs()

        alike = scored | beam.Filter(lambda row: row["score"] >= 0.8)
        alike | beam.Map(lambda row: print(f"{row['score']:.3f}  {row['sentence1']!r}  {row['sentence2']!r}"))
        rejected | "Why" >> beam.Map(lambda bad: print(f"rejected: {bad.reason}: {bad.element}"))


if __name__ == "__main__":
    main()
