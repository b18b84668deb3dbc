"""The settings of mining: for the command, :func:`beam_sts.mine`, ``MinePairs`` and its Beam YAML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from beam_sts.checks import flag, name, one_of, optional, share, whole
from beam_sts.errors import UserError
from beam_sts.examples import MOST_EXAMPLES
from beam_sts.mining.different import GUARDS
from beam_sts.mining.forms import CHOICES as FORMATS
from beam_sts.mining.forms import Form
from beam_sts.mining.triplets import (
    TripletRule,
)
from beam_sts.pairs.settings import RowSettings
from beam_sts.scoring.settings import ScorerSettings
from beam_sts.settings import Settings, setting

TEST_SHARE = 0.03
_TEST_ROWS = 100  # of a small input that are its test split

COLUMNS = ("sentence1", "sentence2", "origin", "split")
"""Of the rows of ``MinePairs``, besides the score."""


@dataclass(frozen=True, kw_only=True)
class ProposalSettings(Settings):
    """What proposes pairs, and which split they are of."""

    neighbours: int = setting(5, "nearest texts of each by vectors", whole(0), metavar="K")
    lexical: int = setting(2, "texts of each that share rare shingles", whole(0), metavar="K")
    random: int = setting(1, "random texts of each", whole(0), metavar="K")
    test_share: float | None = setting(
        None,
        "of documents, or texts without one, that are the test split (default: 0.03; of an input of few rows "
        "100 of them, at most a fifth)",
        optional(share),
        metavar="X",
    )
    seed: int = setting(0, "of split, draws and orders", whole(-(1 << 63), (1 << 63) - 1))

    @property
    def share_of_test(self) -> float:
        """Of documents, or texts without one."""
        return TEST_SHARE if self.test_share is None else self.test_share


@dataclass(frozen=True, kw_only=True)
class MineSettings(ProposalSettings, ScorerSettings):
    """What becomes a text, what proposes pairs, how they are scored, what goes into which training set."""

    text: str = setting(
        "text",
        "column of the texts, a.b in a struct; several, joined by commas; or an SQL expression",
        name,
        metavar="COL",
    )
    anchor_column_name: str | None = setting(
        None,
        "of --queries: column of the queries, as --text has it (default: anchor)",
        optional(name),
        metavar="COL",
    )
    positive_column_name: str | None = setting(
        None,
        "of --queries: column of the texts that answer them (default: positives are found by their scores)",
        optional(name),
        metavar="COL",
    )
    doc_id: str | None = setting(
        None, "column of document ids; rows of one are in their order", optional(name), metavar="COL"
    )
    sentences: str | None = setting(
        None, "split texts into sentences of this language, such as en", optional(name), metavar="LANG"
    )
    shortest: int = setting(1, "least characters of a text", whole(1), metavar="N")
    longest: int = setting(10_000, "most characters of a text", whole(1), metavar="N")
    embedding: str | None = setting(
        None, "column of vectors to find neighbours by", optional(name), metavar="COL"
    )
    embedding_model: str | None = setting(
        None,
        "sentence-transformers model to find neighbours by (default: --model's token vectors)",
        optional(name),
        metavar="M",
    )
    symmetric: bool = setting(False, "mean of both orders, at twice the work", flag)
    sampled_rows: int | None = setting(
        None,
        "of pair-score-sampled's train split (default: half of its pairs)",
        optional(whole(1)),
        metavar="N",
    )
    hard_gap: float = setting(
        0.4, "pair-score-hard: least gap between score and word overlap", share, metavar="X"
    )
    guard: str | None = setting(
        None,
        "pairs that differ in a fact are hard negatives, not positives: facts, numbers (numbers, codes and "
        "addresses alone) or none (default: facts; none with --positive_column_name)",
        optional(one_of(*GUARDS)),
        choices=GUARDS,
    )
    positive: float = setting(0.8, "least score of a positive", share, metavar="X")
    positive_share: float | None = setting(
        None,
        "share of the train split's pairs that are positives, the best-scoring ones, in place of --positive",
        optional(share),
        metavar="X",
    )
    negative: float = setting(0.3, "most score of an easy negative", share, metavar="X")
    absolute_margin: float = setting(
        0.2, "by which a negative scores less than the positive", share, metavar="X"
    )
    relative_margin: float = setting(0.0, "the same as a share of the positive's score", share, metavar="X")
    num_negatives: int = setting(10, "most negatives of an anchor, a triplet each", whole(1), metavar="N")
    range_min: int = setting(
        0,
        "triplet-hard: the best N of the negatives that the other rules leave are skipped",
        whole(0),
        metavar="N",
    )
    range_max: int | None = setting(
        None,
        "triplet-hard: only so many best-scoring partners besides the positive are looked at",
        optional(whole(1)),
        metavar="N",
    )
    min_score: float | None = setting(
        None, "triplet-hard: least score of a negative", optional(share), metavar="X"
    )
    max_score: float | None = setting(
        None, "triplet-hard: most score of a negative", optional(share), metavar="X"
    )
    sampling_strategy: str = setting(
        "top", "triplet-hard: the best-scoring negatives, or random ones", choices=("top", "random")
    )
    output_format: str = setting(
        "triplet",
        "columns of triplet and triplet-hard: a negative a row, n-tuple (all in one row, with n-tuple-scores "
        "and the scores), labeled-pair (a text and its label a row) or labeled-list (all texts in one row)",
        choices=FORMATS,
    )
    output_scores: bool = setting(
        False, "triplet and triplet-hard: with the scores, of labeled forms in place of the labels", flag
    )
    report_examples: int = setting(
        5, "rows of a kind that the report shows, 0 for none", whole(0, MOST_EXAMPLES), metavar="N"
    )

    def check_together(self, said: Callable[[str], str]) -> None:
        """See the base class."""
        if self.longest < self.shortest:
            raise UserError(f"{said('longest')} {self.longest}: is below {said('shortest')} {self.shortest}.")
        if self.range_max is not None and self.range_max <= self.range_min:
            raise UserError(
                f"{said('range_max')} {self.range_max}: must be above {said('range_min')} {self.range_min}."
            )
        if self.embedding and self.embedding_model:
            raise UserError(f"{said('embedding')} and {said('embedding_model')}: give one of them.")
        if not (self.neighbours or self.lexical or self.random or self.doc_id or self.sentences):
            raise UserError(
                f"nothing proposes pairs: give {said('neighbours')}, {said('lexical')}, {said('random')} or "
                f"{said('doc_id')}."
            )
        if self.positive_column_name is not None and self.anchor_column_name == self.positive_column_name:
            raise UserError(
                f"{said('positive_column_name')} {self.positive_column_name}: is the column of the queries."
            )
        if self.across and (self.doc_id or self.sentences):
            raise UserError(
                f"{said('doc_id' if self.doc_id else 'sentences')}: does not go with queries, whose partners "
                "are whole rows of the corpus."
            )

    def for_rows(self, rows: int) -> MineSettings:
        """The settings with the share of the test split that an input of so many rows has by default."""
        if self.test_share is not None:
            return self
        return replace(self, test_share=min(0.2, max(TEST_SHARE, _TEST_ROWS / max(rows, 1))))

    @property
    def across(self) -> bool:
        """Whether queries are mined against a corpus."""
        return self.anchor_column_name is not None

    @property
    def given(self) -> bool:
        """Whether the input says which texts are positives."""
        return self.positive_column_name is not None

    @property
    def compared(self) -> str:
        """Which facts are compared: a value of ``guard``."""
        return self.guard or ("none" if self.given else "facts")

    @property
    def form(self) -> Form:
        """Of the sets of triplets."""
        return Form.of(self.output_format, self.output_scores, self.num_negatives)

    @property
    def rule(self) -> TripletRule:
        """What is a positive and what a negative."""
        return TripletRule(**{field.name: getattr(self, field.name) for field in fields(TripletRule)})

    @property
    def vectors(self) -> str:
        """What neighbours go by: ``column``, a sentence-transformers model, or ``static``, token vectors."""
        return "column" if self.embedding else self.embedding_model or "static"

    def rows_to_sample(self, split: str, pairs: int) -> int:
        """How many rows ``pair-score-sampled`` gets of a split's pairs."""
        return pairs // 2 if self.sampled_rows is None or split == "test" else self.sampled_rows


@dataclass(frozen=True, kw_only=True)
class MinePairsSettings(ProposalSettings, RowSettings):
    """The arguments of ``MinePairs``: of mining what a PCollection of texts takes, and of ``ScorePairs``."""

    blocks: int = setting(
        1,
        "of the comparison for the nearest (beam_sts.candidates.beam_nearest): about a 16,000th of the texts",
        whole(1),
        option=None,
    )
    random_shards: int = setting(
        1, "a worker holds the hashes of a shard; a random pair lies within one", whole(1), option=None
    )

    def check_together(self, said: Callable[[str], str]) -> None:
        """See the base class."""
        if self.score_column in COLUMNS:
            raise UserError(
                f"{said('score_column')} {self.score_column!r}: is a name of the pairs' own: "
                f"{', '.join(COLUMNS)}."
            )

    @property
    def vectors(self) -> str:
        """See ``MineSettings``: token vectors."""
        return "static"
