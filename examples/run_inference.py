"""The model inside Beam's RunInference, with a key that assigns each score to its pair.

python examples/run_inference.py
"""

import apache_beam as beam
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference

from beam_sts import CrossEncoderModelHandler, TextPair

PAIRS = [
    ("same", TextPair("A boy kicks a ball.", "A ball is kicked by a boy.")),
    ("near", TextPair("The flat has three bedrooms.", "The flat has two bedrooms.")),
    ("far", TextPair("The soup needs salt.", "Satellites measure the sea.")),
]


def main() -> None:
    handler = KeyedModelHandler(CrossEncoderModelHandler())
    with beam.Pipeline("FnApiRunner") as pipeline:
        (
            pipeline
            | beam.Create(PAIRS)
            | RunInference(handler)
            | beam.MapTuple(lambda key, result: print(f"{key:5} {result.inference:.3f}"))
        )


if __name__ == "__main__":
    main()
