"""The transforms of this package for Beam YAML; ``beam_sts/transforms/providers.yaml`` names them."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.typehints.row_type import RowTypeConstraint

from beam_sts.checks import check_names, name
from beam_sts.dedup.beam import DeduplicateTexts as _DeduplicateTexts
from beam_sts.dedup.beam_texts import RENAME
from beam_sts.dedup.verify import THRESHOLD
from beam_sts.errors import UserError
from beam_sts.pairs.beam import REASON_COLUMN
from beam_sts.pairs.beam import ScorePairs as _ScorePairs
from beam_sts.pairs.beam_elements import check_schema_fields, row_fields
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
        self._errors = _error_output(error_handling)
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
        """Scored rows; with ``error_handling`` also the rejected rows, each with its ``reject_reason``."""
        scored, rejected = rows | self._score
        return _outputs({"good": scored}, rejected, rows.element_type, self._errors)


class DeduplicateTexts(beam.PTransform):
    """Removes near-duplicates; outputs ``kept``, and ``removed``: each with the row that stays for it.

    Args:
        text: field of the texts.
        id: field of distinct ids.
        threshold: least score of a duplicate.
        keep: first, longest, shortest, central or highest:FIELD.
        model: embedded model, folder, fsspec URL or Hugging Face id.
        symmetric: mean of both orders.
        error_handling: where rows go that cannot be compared; without it such a row fails the pipeline.
    """

    def __init__(
        self,
        text: str = "text",
        id: str = "id",
        threshold: float = THRESHOLD,
        keep: str = "first",
        model: str = "beam-sts-nano",
        symmetric: bool = False,
        error_handling: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._errors = _error_output(error_handling)
        self._deduplicate = _DeduplicateTexts(
            model, id=id, text=text, threshold=threshold, keep=keep, symmetric=symmetric
        )

    def expand(self, rows: beam.PCollection) -> Any:
        """Kept and removed rows; with ``error_handling`` also the rejected ones."""
        found = rows | self._deduplicate
        return _outputs(
            {"kept": found.kept, "removed": found.removed}, found.rejected, rows.element_type, self._errors
        )


def _error_output(error_handling: Any) -> str | None:
    """The name of the output of rejected rows.

    Raises:
        UserError: it is not said, or something else is.
    """
    if error_handling is None:
        return None
    if not isinstance(error_handling, dict) or not error_handling.get("output"):
        raise UserError(
            f"error_handling {error_handling!r}: must name an output, such as {{output: rejected}}."
        )
    check_names("error_handling", error_handling, ["output"])
    name("error_handling output", error_handling["output"])
    return str(error_handling["output"])


def _outputs(
    outputs: dict[str, beam.PCollection], rejected: beam.PCollection, kind: Any, errors: str | None
) -> dict[str, beam.PCollection]:
    if errors is None:
        _ = rejected | "Fail" >> beam.Map(_fail)
        return outputs
    if errors in outputs:
        raise UserError(f"error_handling output {errors!r}: is the name of another output. Give another.")
    check_schema_fields(kind, (), [REASON_COLUMN], RENAME)
    fields = [*row_fields(kind), (REASON_COLUMN, str)]
    set_aside = rejected | "Errors" >> beam.Map(
        lambda bad: beam.Row(**bad.element._asdict(), **{REASON_COLUMN: bad.reason})
    ).with_output_types(RowTypeConstraint.from_fields(fields))
    return {**outputs, errors: set_aside}


def _fail(rejected: Rejected) -> None:
    raise ValueError(
        f"{rejected.reason}: {str(rejected.element)[:200]}. Give the transform error_handling with an output "
        "to set such rows aside."
    )
