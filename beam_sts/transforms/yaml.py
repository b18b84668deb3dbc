"""The transforms of this package for Beam YAML; ``beam_sts/transforms/providers.yaml`` names them."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.typehints.row_type import RowTypeConstraint

from beam_sts.transforms.score import ScorePairs as _ScorePairs
from beam_sts.types import Rejected


class ScorePairs(beam.PTransform):
    """Adds a similarity to each row.

    Args:
        model: embedded model, folder, fsspec URL or Hugging Face id.
        text_a: field of the first text; found when it has a known name such as sentence1.
        text_b: field of the second text.
        score_column: name of the score.
        symmetric: give the mean of both orders.
        empty: score or reject pairs with an empty text.
        precision: fp32 or bf16.
        long_text: truncate, error or windows.
        error_handling: where rows go that cannot be scored, as for Beam's own transforms; without it such
            a row fails the pipeline, so that none is lost.
    """

    def __init__(
        self,
        model: str = "beam-sts-nano",
        text_a: str | None = None,
        text_b: str | None = None,
        score_column: str = "score",
        symmetric: bool = False,
        empty: str = "score",
        precision: str = "fp32",
        long_text: str = "truncate",
        error_handling: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._errors = error_handling
        self._score = _ScorePairs(
            model,
            text_a=text_a,
            text_b=text_b,
            score_column=score_column,
            symmetric=symmetric,
            empty=empty,
            precision=precision,
            long_text=long_text,
        )

    def expand(self, rows: beam.PCollection) -> Any:
        """Scored rows; with ``error_handling`` also the rejected ones, as rows of element and msg."""
        scored, rejected = rows | self._score
        if not self._errors:
            _ = rejected | "Fail" >> beam.Map(_fail)
            return scored
        errors = rejected | "Errors" >> beam.Map(
            lambda bad: beam.Row(element=bad.element, msg=bad.reason)
        ).with_output_types(RowTypeConstraint.from_fields([("element", rows.element_type), ("msg", str)]))
        return {"good": scored, self._errors["output"]: errors}


def _fail(rejected: Rejected) -> None:
    raise ValueError(
        f"{rejected.reason}: {str(rejected.element)[:200]}. Give ScorePairs error_handling with an output "
        "to set such rows aside."
    )
