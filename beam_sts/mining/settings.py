"""The settings of mining: of the command, :func:`beam_sts.mine`, ``MinePairs`` and its Beam YAML."""

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
_TEST_ROWS = 100  # rows of a small input in its test split

COLUMNS = ("sentence1", "sentence2", "origin", "split")
"""The columns of ``MinePairs``' rows, besides the score."""


@dataclass(frozen=True, kw_only=True)
class ProposalSettings(Settings):
    """How many pairs to propose from each origin, and how to split the texts."""

    neighbours: int = setting(5, "nearest texts to pair with each text, by vectors", whole(0), metavar="K")
    lexical: int = setting(2, "texts with shared rare shingles to pair with each text", whole(0), metavar="K")
    random: int = setting(1, "random texts to pair with each text", whole(0), metavar="K")
    test_share: float | None = setting(
        None,
        "share of the documents, or of the texts without one, in the test split (default: 0.03; 100 texts of "
        "a small input, at most a fifth of it)",
        optional(share),
        metavar="X",
    )
    seed: int = setting(0, "seed of the split, of samples and of orders", whole(-(1 << 63), (1 << 63) - 1))

    @property
    def share_of_test(self) -> float:
        """Share of the documents, or of the texts without one, in the test split."""
        return TEST_SHARE if self.test_share is None else self.test_share


@dataclass(frozen=True, kw_only=True)
class MineSettings(ProposalSettings, ScorerSettings):
    """What counts as a text, how pairs are proposed and scored, and which rows each training set holds."""

    text: str = setting(
        "text",
        "text column, a.b for a field of a struct; several columns, joined by commas; or an SQL expression",
        name,
        metavar="COL",
    )
    anchor_column_name: str | None = setting(
        None,
        "query column of --queries, in the form of --text (default: anchor)",
        optional(name),
        metavar="COL",
    )
    positive_column_name: str | None = setting(
        None,
        "column of --queries with the positive of each (default: positives are chosen by score)",
        optional(name),
        metavar="COL",
    )
    doc_id: str | None = setting(
        None,
        "column of document ids; the rows of a document are in reading order",
        optional(name),
        metavar="COL",
    )
    sentences: str | None = setting(
        None, "split texts into sentences, in this language (ISO 639-1 code)", optional(name), metavar="LANG"
    )
    shortest: int = setting(1, "lowest number of characters of a text", whole(1), metavar="N")
    longest: int = setting(10_000, "highest number of characters of a text", whole(1), metavar="N")
    embedding: str | None = setting(
        None, "column of vectors for the nearest neighbours", optional(name), metavar="COL"
    )
    embedding_model: str | None = setting(
        None,
        "sentence-transformers model for the nearest neighbours (default: token vectors of --model)",
        optional(name),
        metavar="M",
    )
    symmetric: bool = setting(
        False, "score both orders of the texts and take the mean, at twice the cost", flag
    )
    sampled_rows: int | None = setting(
        None,
        "rows in the train split of pair-score-sampled (default: half of the pairs)",
        optional(whole(1)),
        metavar="N",
    )
    hard_gap: float = setting(
        0.4, "pair-score-hard: lowest difference between score and word overlap", share, metavar="X"
    )
    guard: str | None = setting(
        None,
        "pairs that differ in a fact are hard negatives, not positives: facts, numbers (numbers, codes and "
        "addresses only) or none (default: facts; none with --positive_column_name)",
        optional(one_of(*GUARDS)),
        choices=GUARDS,
    )
    positive: float = setting(0.8, "lowest score of a positive", share, metavar="X")
    positive_share: float | None = setting(
        None,
        "share of the train split's pairs, the best-scoring ones, that are positives; instead of --positive",
        optional(share),
        metavar="X",
    )
    negative: float = setting(0.3, "highest score of an easy negative", share, metavar="X")
    absolute_margin: float = setting(
        0.2, "lowest difference between the scores of the positive and a negative", share, metavar="X"
    )
    relative_margin: float = setting(
        0.0, "the same difference as a share of the positive's score", share, metavar="X"
    )
    num_negatives: int = setting(
        10, "highest number of negatives per anchor; one triplet each", whole(1), metavar="N"
    )
    range_min: int = setting(
        0,
        "triplet-hard: number of best negatives to skip, after the other rules",
        whole(0),
        metavar="N",
    )
    range_max: int | None = setting(
        None,
        "triplet-hard: number of best-scoring partners after the positive to consider",
        optional(whole(1)),
        metavar="N",
    )
    min_score: float | None = setting(
        None, "triplet-hard: lowest score of a negative", optional(share), metavar="X"
    )
    max_score: float | None = setting(
        None, "triplet-hard: highest score of a negative", optional(share), metavar="X"
    )
    sampling_strategy: str = setting(
        "top", "triplet-hard: take the best-scoring negatives, or random ones", choices=("top", "random")
    )
    output_format: str = setting(
        "triplet",
        "rows of triplet and triplet-hard: triplet (one negative), n-tuple (all negatives; n-tuple-scores: "
        "and the scores), labeled-pair (a text and its label) or labeled-list (all texts and labels)",
        choices=FORMATS,
    )
    output_scores: bool = setting(
        False, "triplet and triplet-hard: add the scores; in labeled forms, instead of the labels", flag
    )
    report_examples: int = setting(
        5, "rows of each kind that the report shows; 0 for none", whole(0, MOST_EXAMPLES), metavar="N"
    )

    def check_together(self, label: Callable[[str], str]) -> None:
        """See ``Settings``."""
        if self.longest < self.shortest:
            raise UserError(
                f"{label('longest')} {self.longest}: is below {label('shortest')} {self.shortest}."
            )
        if self.range_max is not None and self.range_max <= self.range_min:
            raise UserError(
                f"{label('range_max')} {self.range_max}: must be above {label('range_min')} {self.range_min}."
            )
        if self.embedding and self.embedding_model:
            raise UserError(f"{label('embedding')} and {label('embedding_model')}: give one of them.")
        if not (self.neighbours or self.lexical or self.random or self.doc_id or self.sentences):
            raise UserError(
                f"no pairs would be proposed: set {label('neighbours')}, {label('lexical')}, "
                f"{label('random')} or {label('doc_id')}."
            )
        if self.positive_column_name is not None and self.anchor_column_name == self.positive_column_name:
            raise UserError(
                f"{label('positive_column_name')} {self.positive_column_name}: is the query column too. Give "
                "another column."
            )
        if self.across and (self.doc_id or self.sentences):
            raise UserError(
                f"{label('doc_id' if self.doc_id else 'sentences')}: cannot be combined with queries, whose "
                "partners are whole rows of the corpus."
            )

    def for_rows(self, rows: int) -> MineSettings:
        """Returns the settings with the default test share for an input of this many rows."""
        if self.test_share is not None:
            return self
        return replace(self, test_share=min(0.2, max(TEST_SHARE, _TEST_ROWS / max(rows, 1))))

    @property
    def across(self) -> bool:
        """Whether queries are mined against a corpus."""
        return self.anchor_column_name is not None

    @property
    def given(self) -> bool:
        """Whether the input gives the positives."""
        return self.positive_column_name is not None

    @property
    def compared(self) -> str:
        """The facts to compare: a value of ``guard``."""
        return self.guard or ("none" if self.given else "facts")

    @property
    def form(self) -> Form:
        """The form of the triplet sets."""
        return Form.of(self.output_format, self.output_scores, self.num_negatives)

    @property
    def rule(self) -> TripletRule:
        """The rule for positives and negatives."""
        return TripletRule(**{field.name: getattr(self, field.name) for field in fields(TripletRule)})

    @property
    def vectors(self) -> str:
        """Vectors of the neighbour search: ``column``, ``static`` (token vectors) or the name of a model."""
        return "column" if self.embedding else self.embedding_model or "static"

    def rows_to_sample(self, split: str, pairs: int) -> int:
        """Returns the number of rows of ``pair-score-sampled`` for a split with this many pairs."""
        return pairs // 2 if self.sampled_rows is None or split == "test" else self.sampled_rows


@dataclass(frozen=True, kw_only=True)
class MinePairsSettings(ProposalSettings, RowSettings):
    """The arguments of ``MinePairs``: mining settings for a PCollection, and those of ``ScorePairs``."""

    blocks: int = setting(
        1,
        "blocks of the search by lexical; about one per 16,000 texts",
        whole(1),
        option=None,
    )
    random_shards: int = setting(
        1,
        "shards for random pairs: a worker holds the hashes of one, and pairs them within it",
        whole(1),
        option=None,
    )

    def check_together(self, label: Callable[[str], str]) -> None:
        """See ``Settings``."""
        if self.score_column in COLUMNS:
            raise UserError(
                f"{label('score_column')} {self.score_column!r}: is reserved for a column of the pairs: "
                f"{', '.join(COLUMNS)}."
            )

    @property
    def vectors(self) -> str:
        """See ``MineSettings``; always token vectors."""
        return "static"
