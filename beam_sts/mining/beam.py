"""MinePairs: mines scored training pairs from a collection of texts, on any runner."""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam import pvalue
from apache_beam.metrics import Metrics

from beam_sts.candidates.form import plain_form
from beam_sts.candidates.keys import hash128, normalise
from beam_sts.checks import check_names
from beam_sts.errors import UserError
from beam_sts.io.blank import is_blank
from beam_sts.mining.beam_across import ProposeAcross
from beam_sts.mining.beam_propose import ProposePairs
from beam_sts.mining.beam_split import TextOccurrence, pack_unit_names
from beam_sts.mining.core import GIVEN, SPLITS, pack_names, sided_names
from beam_sts.mining.settings import MinePairsSettings
from beam_sts.mining.split import in_test, split_key, unit_names
from beam_sts.models.checkpoint import DEFAULT_MODEL
from beam_sts.pairs.beam import ScorePairs
from beam_sts.pairs.beam_elements import text_fault
from beam_sts.pairs.beam_handler import METRICS_NAMESPACE
from beam_sts.settings import made, takes
from beam_sts.types import Rejected, plain

_REJECTED = "rejected"
_FORMS = ("_plain1", "_plain2")
"""The fields with the texts in plain form, which are scored."""
QUERIES, CORPUS = "queries", "corpus"
"""The inputs of ``MinePairs`` if queries are mined against a corpus."""


class MinedRows(NamedTuple):
    """``pairs``: dicts with sentence1, sentence2, score, origin, split. ``rejected``: ``Rejected`` rows."""

    pairs: beam.PCollection
    rejected: beam.PCollection


@takes(MinePairsSettings)
class MinePairs(beam.PTransform):
    """Texts, or tuples of ``(document, place, text)`` -> :class:`MinedRows`.

    Texts are scored in plain form (``beam_sts.candidates.form``), and written as they are.

    Texts with the same normal form count as one text: the one with the smallest document and place. Pairs are
    proposed within each split: the nearest neighbours by the model's token vectors, pairs that share rare
    shingles, texts that follow each other in a document, and random pairs. No text is in both splits.

    To mine queries against a corpus, apply the transform to a dict of ``queries`` and ``corpus``. Queries are
    texts, or tuples ``(query, positive)``: such pairs have the origin ``given``, and the positives join the
    corpus, which may be left out then. The first text of each pair is a query, the second one is of the
    corpus. No query is in both splits; the corpus is for both.

    Args:
        model: see ``PairScorer``.
        **settings: see ``MinePairsSettings``.

    >>> texts = ["A cat sat on the mat.", "A cat sat on a mat.", "Stocks fell sharply."]
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     mined = pipeline | beam.Create(texts) | MinePairs(neighbours=1, test_share=0)
    ...     alike = mined.pairs | beam.Filter(lambda row: row["score"] > 0.6)
    ...     _ = alike | beam.Map(lambda row: print(row["split"], "neighbours" in row["origin"]))
    train True
    """

    def __init__(self, model: str = DEFAULT_MODEL, **settings: Any) -> None:
        super().__init__()
        self._settings = made(MinePairsSettings, "MinePairs", {"model": model, **settings})

    def expand(self, texts: Any) -> MinedRows:
        """Build the steps: name each text by its hash, propose pairs, score them."""
        settings = self._settings
        of_split = settings.share_of_test, settings.seed
        cuts = settings, settings.random_shards, settings.blocks
        if isinstance(texts, dict):
            check_names("MinePairs", texts, (QUERIES, CORPUS))
            if QUERIES not in texts:
                raise UserError(
                    "MinePairs: none of the inputs is named 'queries'. Give the queries this name."
                )
            read = texts[QUERIES] | "Place queries" >> beam.ParDo(_PlaceQuery(*of_split)).with_outputs(
                _REJECTED, GIVEN, main="placed"
            )
            placed, rejected = [read["placed"]], [read[_REJECTED]]
            if CORPUS in texts:
                more = texts[CORPUS] | "Place" >> beam.ParDo(_PlaceInCorpus()).with_outputs(
                    _REJECTED, main="placed"
                )
                placed, rejected = [*placed, more["placed"]], [*rejected, more[_REJECTED]]
            every = {"placed": tuple(placed) | "Both" >> beam.Flatten(), GIVEN: read[GIVEN]}
            proposed = every | "Propose" >> ProposeAcross(*cuts)
        else:
            read = texts | "Place" >> beam.ParDo(_ReadText()).with_outputs(_REJECTED, main="placed")
            rejected = [read[_REJECTED]]
            proposed = read["placed"] | "Propose" >> ProposePairs(*cuts)
        score = ScorePairs(settings.model, text_a=_FORMS[0], text_b=_FORMS[1], **settings.row_args)
        scored, failed = proposed.pairs | "Row" >> beam.Map(_row) | "Score" >> score
        scored |= "As given" >> beam.Map(_as_given, settings.score_column)
        failed |= "Failed" >> beam.Map(lambda one: one._replace(element=_as_given(one.element)))
        return MinedRows(scored, (*rejected, failed) | "Rejected" >> beam.Flatten())


class _ReadText(beam.DoFn):
    """A text, or (document, place, text) -> a :class:`TextOccurrence`, or a rejected element."""

    def process(self, element: Any) -> Iterator[Any]:
        """See ``beam.DoFn``."""
        document, place, text = (
            element if isinstance(element, tuple) and len(element) == 3 else (None, 0, element)
        )
        document, place = plain(document), plain(place)
        if fault := _fault(text) or _misplaced(document, place):
            yield _rejected(element, fault)
            return
        text = str(text)
        normal = _normal_form(text)
        owner = normal if document is None else f"document\0{document}"
        document = None if document is None else owner
        unit = pack_unit_names(unit_names([split_key(normal) if document is None else owner]))[0]
        yield TextOccurrence(pack_names(hash128([normal]))[0], (owner, place), document, unit, text)


class _PlaceInCorpus(beam.DoFn):
    """A text of a corpus -> a :class:`TextOccurrence`, or a rejected element."""

    def process(self, text: Any) -> Iterator[Any]:
        """See ``beam.DoFn``."""
        if fault := _fault(text):
            yield _rejected(text, fault)
        else:
            yield _placed(str(text), corpus=True)


class _PlaceQuery(beam.DoFn):
    """A query, or (query, positive) -> a :class:`TextOccurrence` each and names, or a rejected element."""

    def __init__(self, test_share: float, seed: int) -> None:
        self._test_share = test_share
        self._seed = seed

    def process(self, element: Any) -> Iterator[Any]:
        """See ``beam.DoFn``."""
        given = isinstance(element, tuple) and len(element) == 2
        texts: tuple[Any, ...] = element if given else (element,)
        if fault := next(filter(None, map(_fault, texts)), None):
            yield _rejected(element, fault)
            return
        query = _placed(str(texts[0]), corpus=False)
        unit = unit_names([split_key(_normal_form(query.text))])
        query = query._replace(test=bool(in_test(unit, self._test_share, self._seed)[0]))
        yield query
        if given:
            positive = _placed(str(texts[1]), corpus=True, after=True)
            yield positive
            yield pvalue.TaggedOutput(GIVEN, (query.name, positive.name))


def _placed(text: str, *, corpus: bool, after: bool = False) -> TextOccurrence:
    """Place a text of the corpus, before or after the positives of queries; or a query."""
    normal = _normal_form(text)
    name = pack_names(sided_names(hash128([normal]), corpus=corpus))[0]
    return TextOccurrence(name, (normal, int(after)), None, b"", text)


def _normal_form(text: str) -> str:
    return str(normalise(pa.array([text], pa.large_string()))[0].as_py())


def _rejected(element: Any, fault: str) -> pvalue.TaggedOutput:
    Metrics.counter(METRICS_NAMESPACE, "rejected").inc()
    return pvalue.TaggedOutput(_REJECTED, Rejected(element, fault))


def _fault(text: Any) -> str | None:
    fault = text_fault(text)
    if fault:
        return fault.rstrip(",")
    return "empty text" if is_blank(text) else None


def _misplaced(document: Any, place: Any) -> str | None:
    """Why a document or a place in it is invalid, or None."""
    if not isinstance(document, int | str | bytes | None):
        return f"the document is {type(document).__name__}; give an integer or a text"
    if isinstance(document, str) and (fault := text_fault(document)):
        return f"{fault} in the document's name"
    if isinstance(place, bool) or not isinstance(place, numbers.Real):
        return f"the place is {type(place).__name__}; give a number"
    return None


def _row(pair: tuple[Any, ...]) -> dict[str, Any]:
    _, _, (test, text_a), (_, text_b), origin = pair
    forms = dict(zip(_FORMS, map(plain_form, (text_a, text_b)), strict=True))
    return {"sentence1": text_a, "sentence2": text_b, "origin": origin, "split": SPLITS[int(test)], **forms}


def _as_given(row: dict[str, Any], score: str | None = None) -> dict[str, Any]:
    """A row without the plain forms. Texts of equal form score 1."""
    row = dict(row)
    first, second = (row.pop(name) for name in _FORMS)
    return {**row, score: 1.0} if score is not None and first == second else row
