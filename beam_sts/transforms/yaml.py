"""The transforms of this package for Beam YAML; ``beam_sts/transforms/providers.yaml`` lists them."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam import typehints
from apache_beam.typehints.row_type import RowTypeConstraint

from beam_sts.checks import check_names, name, optional
from beam_sts.dedup.beam import DeduplicateTexts as _DeduplicateTexts
from beam_sts.dedup.settings import BeamDedupSettings
from beam_sts.errors import UserError
from beam_sts.mining.beam import CORPUS, QUERIES
from beam_sts.mining.beam import MinePairs as _MinePairs
from beam_sts.mining.settings import MinePairsSettings
from beam_sts.pairs.beam import REASON_COLUMN
from beam_sts.pairs.beam import ScorePairs as _ScorePairs
from beam_sts.pairs.beam_elements import check_schema_fields, with_field_types, with_fields
from beam_sts.pairs.settings import ScorePairsSettings
from beam_sts.passages.beam import RemovePassages as _RemovePassages
from beam_sts.passages.settings import RemovePassagesSettings
from beam_sts.settings import takes
from beam_sts.types import Rejected


@takes(ScorePairsSettings, but=("tables",))
class ScorePairs(beam.PTransform):
    """Adds a similarity to each row.

    Args:
        error_handling: the output for rows that cannot be scored, as in Beam's built-in transforms. Without
            it, such a row fails the pipeline, so that no row is lost.
        **settings: see ``beam_sts.ScorePairs``.
    """

    def __init__(self, error_handling: dict[str, Any] | None = None, **settings: Any) -> None:
        super().__init__()
        self._errors = _error_output(error_handling)
        self._score = _ScorePairs(**settings)

    def expand(self, rows: beam.PCollection) -> Any:
        """Build the steps. Outputs scored rows, and with ``error_handling`` rows with a ``reject_reason``."""
        scored, rejected = rows | self._score
        return _outputs({"good": scored}, rejected, rows.element_type, self._errors)


@takes(BeamDedupSettings, but=("minhash",))
class DeduplicateTexts(beam.PTransform):
    """Removes near-duplicates. Outputs ``kept`` and ``removed``; a removed row refers to the row kept for it.

    Args:
        error_handling: the output for rows that cannot be compared. Without it, such a row fails the
            pipeline.
        **settings: see ``beam_sts.DeduplicateTexts``.
    """

    def __init__(self, error_handling: dict[str, Any] | None = None, **settings: Any) -> None:
        super().__init__()
        self._errors = _error_output(error_handling)
        self._deduplicate = _DeduplicateTexts(**settings)

    def expand(self, rows: Any) -> Any:
        """Build the steps. Outputs kept and removed rows, and with ``error_handling`` the rejected ones.

        The input is one collection, or several by name: ``rows``, ``against`` and ``given``.
        """
        found = rows | self._deduplicate
        kind = (rows["rows"] if isinstance(rows, dict) else rows).element_type
        return _outputs({"kept": found.kept, "removed": found.removed}, found.rejected, kind, self._errors)


@takes(RemovePassagesSettings, but=("report_examples",))
class RemovePassages(beam.PTransform):
    """Removes repeated passages, or rows that contain them. Outputs ``kept``, ``removed`` and ``passages``.

    Args:
        error_handling: the output for rows without a text. Without it, such a row fails the pipeline.
        **settings: see ``beam_sts.RemovePassages``.
    """

    def __init__(self, error_handling: dict[str, Any] | None = None, **settings: Any) -> None:
        super().__init__()
        self._errors = _error_output(error_handling)
        self._remove = _RemovePassages(**settings)

    def expand(self, rows: Any) -> Any:
        """Build the steps. Outputs kept rows, removed rows, passages, and rejected rows (``error_handling``).

        The input is one collection, or several by name: ``rows`` and ``against``.
        """
        found = rows | self._remove
        kind = (rows["rows"] if isinstance(rows, dict) else rows).element_type
        outputs = {"kept": found.kept, "removed": found.removed, "passages": found.passages}
        return _outputs(outputs, found.rejected, kind, self._errors)


@takes(MinePairsSettings)
class MinePairs(beam.PTransform):
    """Mines scored training pairs: rows of ``sentence1``, ``sentence2``, score, ``origin`` and ``split``.

    The input is one collection of texts, or two by name: ``queries`` and the ``corpus`` that their partners
    are in, which may be left out if queries have positives.

    Args:
        text: text field, of the corpus if there are queries.
        anchor_column_name: field of the queries (default: anchor).
        positive_column_name: field of the queries with the positive of each.
        document: field of document ids, integers or texts; texts that follow each other in a document are
            paired.
        place: field of the text's position in its document, a number.
        error_handling: the output for texts that cannot be used. Without it, such a row fails the pipeline.
        **settings: see ``beam_sts.MinePairs``.
    """

    def __init__(
        self,
        text: str = "text",
        document: str | None = None,
        place: str | None = None,
        anchor_column_name: str | None = None,
        positive_column_name: str | None = None,
        error_handling: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        self._errors = _error_output(error_handling)
        if self._errors == "pairs":
            raise UserError(
                "error_handling output 'pairs': is already the name of another output. Give another name."
            )
        name("text", text)
        optional(name)("document", document)
        optional(name)("place", place)
        if place is not None and document is None:
            raise UserError(f"place {place!r}: needs document.")
        optional(name)("anchor_column_name", anchor_column_name)
        optional(name)("positive_column_name", positive_column_name)
        self._fields = {"text": text, "document": document, "place": place}
        self._of_queries = {
            "anchor_column_name": anchor_column_name,
            "positive_column_name": positive_column_name,
        }
        self._mine = _MinePairs(**settings)
        self._score_column = settings.get("score_column", "score")

    def expand(self, rows: Any) -> Any:
        """Build the steps. Outputs mined pairs, and with ``error_handling`` the texts that cannot be used."""
        texts: Any = self._asked(rows) if isinstance(rows, dict) else self._texts(rows)
        mined = texts | self._mine
        if self._errors is None:
            _ = mined.rejected | "Fail" >> beam.Map(_fail)
        kinds = [("sentence1", str), ("sentence2", str), (self._score_column, float)]
        kind = RowTypeConstraint.from_fields([*kinds, ("origin", str), ("split", str)])
        pairs = mined.pairs | "Rows" >> beam.Map(lambda row: beam.Row(**row)).with_output_types(kind)
        if self._errors is None:
            return {"pairs": pairs}
        bad = RowTypeConstraint.from_fields([("text", typehints.Optional[str]), (REASON_COLUMN, str)])
        texts = mined.rejected | "Errors" >> beam.Map(_rejected_text).with_output_types(bad)
        return {"pairs": pairs, self._errors: texts}

    def _texts(self, rows: beam.PCollection) -> beam.PCollection:
        given = [name for name, field in self._of_queries.items() if field is not None]
        if given:
            raise UserError(f"{given[0]}: needs the inputs queries and corpus.")
        check_schema_fields(rows.element_type, self._fields.items())
        return rows | "Texts" >> beam.Map(_placed, **self._fields)

    def _asked(self, rows: dict[str, beam.PCollection]) -> dict[str, beam.PCollection]:
        """The texts of the queries, with their positives, and of the corpus."""
        check_names("MinePairs", rows, (QUERIES, CORPUS))
        if self._fields["document"] is not None:
            raise UserError(
                "document: cannot be combined with queries, whose partners are whole rows of the corpus."
            )
        asked, positive = (
            self._of_queries["anchor_column_name"] or "anchor",
            self._of_queries["positive_column_name"],
        )
        if CORPUS not in rows and positive is None:
            raise UserError("queries: needs corpus, or positive_column_name if the positives are the corpus.")
        found = dict(rows)
        if QUERIES in rows:
            fields = [("anchor_column_name", asked), ("positive_column_name", positive)]
            check_schema_fields(rows[QUERIES].element_type, fields)
            found[QUERIES] = rows[QUERIES] | "Queries" >> beam.Map(_query, asked, positive)
        if CORPUS in rows:
            text = self._fields["text"]
            check_schema_fields(rows[CORPUS].element_type, [("text", text)])
            found[CORPUS] = rows[CORPUS] | "Texts" >> beam.Map(_placed, text, None, None)
        return found


def _query(row: Any, query: str, positive: str | None) -> Any:
    fields = row._asdict()
    return fields[query] if positive is None else (fields[query], fields[positive])


def _placed(row: Any, text: str, document: str | None, place: str | None) -> Any:
    fields = row._asdict()
    if document is None:
        return fields[text]
    return fields[document], 0 if place is None else fields[place], fields[text]


def _rejected_text(rejected: Rejected) -> beam.Row:
    element = rejected.element
    if isinstance(element, dict):  # a pair that cannot be scored
        element = element["sentence1"]
    if isinstance(element, tuple):  # (document, place, text) or (query, positive)
        element = element[2 if len(element) == 3 else 0]
    return beam.Row(text=element if isinstance(element, str) else None, **{REASON_COLUMN: rejected.reason})


def _error_output(error_handling: Any) -> str | None:
    """Returns the name of the output for rejected rows.

    Raises:
        UserError: it is missing, or there are other keys.
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
        raise UserError(
            f"error_handling output {errors!r}: is already the name of another output. Give another name."
        )
    set_aside = rejected | "Errors" >> beam.Map(
        lambda bad: with_fields(bad.element, {REASON_COLUMN: bad.reason})
    ).with_output_types(with_field_types(kind, [(REASON_COLUMN, str)]))
    return {**outputs, errors: set_aside}


def _fail(rejected: Rejected) -> None:
    raise ValueError(
        f"{rejected.reason}: {str(rejected.element)[:200]}. Give the transform error_handling with an output "
        "to collect such rows."
    )
