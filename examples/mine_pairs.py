"""Mines training pairs from documents inside a Beam pipeline: sentences in, scored pairs of both splits out.

python examples/mine_pairs.py
"""

import apache_beam as beam

from beam_sts import MinePairs

DOCUMENTS = {
    "bridge": ["The old bridge was closed on Monday.", "Repairs take six weeks.", "Boats may pass below."],
    "garden": ["Tomatoes need six hours of sun.", "Water them in the morning.", "Cut the side shoots."],
    "news": ["The bridge was closed on Monday.", "Its repairs will take six weeks.", "No train runs."],
}
# (document, position in it, text); a plain text belongs to no document.
SENTENCES = [(name, place, text) for name, texts in DOCUMENTS.items() for place, text in enumerate(texts)]


def main() -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        mined = pipeline | beam.Create(SENTENCES) | MinePairs(test_share=0.3, random_shards=1)
        mined.pairs | "Show" >> beam.Map(
            lambda row: print(
                f"{row['split']:5} {row['score']:.3f} {row['origin']}: "
                f"{row['sentence1']!r} {row['sentence2']!r}"
            )
        )
        mined.rejected | "Why" >> beam.Map(lambda bad: print(f"rejected: {bad.reason}: {bad.element}"))


if __name__ == "__main__":
    main()
