"""Removes near-duplicates inside an ETL pipeline: the kept rows, and a receipt for each removed row.

python examples/dedup_in_etl.py
"""

import apache_beam as beam

from beam_sts import DeduplicateTexts

ARTICLES = [
    {"url": "a/1", "body": "The old bridge over the river was closed on Monday for repairs.", "source": "a"},
    {"url": "b/7", "body": "The old bridge over the river was closed on Monday, for repairs.", "source": "b"},
    {"url": "b/8", "body": "Tomatoes need six hours of sun a day.", "source": "b"},
    {"url": "c/2", "body": "Tomatoes need six hours of sun a day.", "source": "c"},
    {"url": "c/3", "body": None, "source": "c"},
]


def main() -> None:
    # FnApiRunner runs in this process. To run on a cluster, name its runner instead.
    with beam.Pipeline("FnApiRunner") as pipeline:
        articles = pipeline | beam.Create(ARTICLES)
        result = articles | DeduplicateTexts(id="url", text="body", threshold=0.9)
        result.kept | "Keep" >> beam.Map(lambda row: print(f"kept     {row['url']}"))
        result.removed | "Remove" >> beam.Map(
            lambda row: print(f"removed  {row['url']} for {row['survivor']}, score {row['score']:.3f}")
        )
        result.rejected | "Why" >> beam.Map(lambda bad: print(f"rejected {bad.element['url']}: {bad.reason}"))


if __name__ == "__main__":
    main()
