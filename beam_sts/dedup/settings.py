"""The settings of a deduplication, for the command, the transform, Beam YAML and Python."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beam_sts.candidates.buckets import CAP
from beam_sts.candidates.keys import MinHash, parse_shingle
from beam_sts.candidates.propose import Proposal, check_sources, split_sources
from beam_sts.candidates.source import EMPTY
from beam_sts.checks import every, flag, interval, name, optional, share, whole
from beam_sts.dedup.facts.compare import GUARDS
from beam_sts.dedup.keep import KeepPolicy, check_keep
from beam_sts.dedup.learnt import Learning
from beam_sts.dedup.profiles import PROFILES
from beam_sts.dedup.rule import LINKAGES, TABLE, Policy
from beam_sts.dedup.verdicts import FORMS, MAX_LOST, MaxLost, check_max_lost, read_max_lost
from beam_sts.dedup.verify import MODEL_SHARE, THRESHOLD, Scoring
from beam_sts.dedup.wanted import check_rows_wanted, read_rows_wanted
from beam_sts.errors import UserError
from beam_sts.examples import MOST_EXAMPLES
from beam_sts.io.names import PREFIX
from beam_sts.io.slices import ReadOptions
from beam_sts.models.checkpoint import Checkpoint
from beam_sts.pairs.settings import RowSettings
from beam_sts.scoring.settings import ScorerSettings, check_model
from beam_sts.settings import like, setting

MAX_PAIRS = 5_000_000
BLEND = ("model", "blend")
BOILERPLATE = ("ignored", "counted")
LANGUAGES = ("detected", "ignored")


def _read_band(text: str) -> Any:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:  # the rule of the setting reports it
        return text


def _check_minhash(what: str, value: Any) -> None:
    if not isinstance(value, MinHash):
        raise UserError(f"{what} {value!r}: must be a MinHash, such as MinHash(similarity=0.7).")


def _check_shingle(what: str, value: Any) -> None:
    try:
        parse_shingle(value)
    except UserError as error:
        raise UserError(f"{what} {value!r}: must be charN or wordN, such as char4 or word1.") from error


def _check_sources(what: str, value: Any) -> None:
    check_sources(what, value, ("block:EXPRESSION", "pairs:FILE"))


@dataclass(frozen=True, kw_only=True)
class DedupSettings(ScorerSettings):
    """The settings: what a duplicate is, which row stays, and how candidates are found and scored."""

    profile: str = setting(
        "default",
        "settings for a kind of text: records (products, citations, in one table), matches (of two tables, "
        "each without duplicates), logs (lines, one of each event stays); settings that are given override "
        "it",
        choices=tuple(PROFILES),
    )
    long_text: str = like(ScorerSettings, "long_text", "windows")
    threshold: float = setting(THRESHOLD, "lowest score of a duplicate", share, metavar="T")
    keep_rows: float | None = setting(
        None,
        "fewest rows to keep, as a number or as a fraction such as 0.8: the lowest threshold, from the given "
        "one on, that keeps them is used",
        optional(check_rows_wanted),
        metavar="N",
        read=read_rows_wanted,
    )
    keep: str = setting(
        "longest",
        "which row of a cluster stays: first, longest, shortest, central (most similar to the others), or "
        "highest:X, with X a column or an SQL expression over the columns; ties are resolved by id",
        check_keep,
        metavar="POLICY",
    )
    linkage: str = setting(
        "single",
        "clusters: single (connected components), or average: merged while the mean score of all their pairs "
        "reaches the threshold; pairs that are not candidates count as 0",
        choices=LINKAGES,
    )
    guard: str = setting(
        "facts",
        "texts that differ in a fact are not duplicates: numbers, dates, units, names, negations, "
        "who does what to whom, ... (facts), only numbers, codes and addresses (numbers), or none",
        choices=GUARDS,
    )
    max_lost: MaxLost = setting(
        MAX_LOST,
        "how much of a removed text its representative may lack: most characters, and largest fraction of "
        "the text; none: no limit",
        check_max_lost,
        metavar="CHARS,SHARE",
        read=read_max_lost,
    )
    form: str = setting(
        "plain",
        "plain: differences in markup, entities, compatibility characters, kinds of quotation marks and "
        "dashes, and white space do not count; none: texts are compared as they are",
        choices=FORMS,
    )
    boilerplate: str = setting(
        "ignored",
        "text that many texts share around different contents, such as a prompt, a footer or a template: "
        "ignored, or counted as similarity",
        choices=BOILERPLATE,
    )
    languages: str = setting(
        "detected",
        "languages of the texts: detected, so that a blend leaves out a model that does not know them; or "
        "ignored",
        choices=LANGUAGES,
    )
    one_to_one: bool = setting(
        False,
        "with --against: remove a row only if it and its survivor are each other's best match",
        flag,
    )
    empty: str = setting(
        "keep", "empty texts: keep all, score (duplicates of each other) or reject", choices=EMPTY
    )
    candidates: Sequence[str] = setting(
        ("exact", "minhash"),
        "exact, minhash, lexical, neighbours, block:EXPRESSION, pairs:FILE; any union",
        _check_sources,
        metavar="LIST",
        read=split_sources,
    )
    minhash_similarity: float = setting(0.7, "Jaccard similarity of the pairs to find", share, metavar="J")
    minhash_recall: float = setting(0.95, "fraction of such pairs that minhash finds", share, metavar="R")
    shingle: str = setting("char4", "unit of minhash: charN or wordN", _check_shingle, metavar="S")
    minhash: MinHash | None = setting(
        None,
        "a MinHash instead of minhash_similarity, minhash_recall and shingle",
        optional(_check_minhash),
        option=None,
    )
    neighbours: int = setting(
        10, "nearest texts to pair with each text, for lexical and neighbours", whole(1), metavar="K"
    )
    embedding: str | None = setting(
        None,
        "column of vectors for neighbours (default: the token vectors of --model)",
        optional(name),
        metavar="COL",
    )
    bucket_cap: int = setting(
        CAP,
        "largest bucket whose members are all paired; in a larger one each member is paired with N/2 others "
        "and the first, and the rest is counted",
        whole(2),
        metavar="N",
    )
    max_pairs: int | None = setting(
        MAX_PAIRS, "stop with an error if there are more candidates", optional(whole(1)), metavar="N"
    )
    within: bool = setting(False, "with --against: also compare the input with itself", flag)
    output_prefix: str = like(RowSettings, "output_prefix", PREFIX)
    symmetric: bool = setting(
        False, "score both orders of the texts and take the mean, at twice the cost", flag
    )
    rule: str = setting(
        "blend",
        "score of a pair: that of the model, or a blend: its mean with the overlap of the texts, in which "
        "rare parts count more",
        choices=BLEND,
    )
    model_share: float = setting(MODEL_SHARE, "weight of the model in a blend, 0 to 1", share, metavar="W")
    score_all: bool = setting(
        False, "score all candidates, even if they cannot reach the threshold, to see lower thresholds", flag
    )
    cascade_model: str | Path | Checkpoint | None = setting(
        None, "a better model for the pairs near the threshold", optional(check_model), metavar="M"
    )
    cascade_band: Sequence[float] | None = setting(
        None,
        "scores that it scores again (default: threshold -0.1, +0.05)",
        optional(interval),
        metavar="LO,HI",
        read=_read_band,
    )
    report_examples: int = setting(
        5, "rows of each kind that the report shows; 0 for none", whole(0, MOST_EXAMPLES), metavar="N"
    )

    def check_together(self, label: Callable[[str], str]) -> None:
        """Check settings that need others."""
        _ = self.minhash_settings
        if self.embedding and "neighbours" not in self.candidates:
            raise UserError(
                f"{label('embedding')} {self.embedding!r}: needs neighbours among the {label('candidates')}."
            )
        if self.cascade_band and not self.cascade_model:
            raise UserError(f"{label('cascade_band')}: needs {label('cascade_model')}.")

    def check_inputs(self, label: Callable[[str], str], *, against: bool) -> None:
        """Check that the settings and the inputs match.

        Args:
            label: maps a setting to its name in messages.
            against: whether there is another input to compare against.

        Raises:
            UserError: a setting needs or excludes another input. The message names it.
        """
        if self.within and not against:
            raise UserError(
                f"{label('within')}: needs {label('against')}. Without it, the input is compared with itself "
                "anyway."
            )
        if self.one_to_one and not against:
            raise UserError(f"{label('one_to_one')}: needs {label('against')}, since it matches two inputs.")
        if self.linkage == "average" and against:
            raise UserError(
                f"{label('linkage')} average: groups the rows of one input. Leave out {label('against')}."
            )
        if against and any(source.partition(":")[0] == "pairs" for source in self.candidates):
            raise UserError(
                f"{label('candidates')} pairs: ids of two inputs may be equal, so leave out "
                f"{label('against')}."
            )

    @property
    def minhash_settings(self) -> MinHash:
        """The settings of MinHash."""
        return self.minhash or MinHash(self.minhash_similarity, self.minhash_recall, self.shingle)

    def proposal(self, read: ReadOptions | None = None) -> Proposal:
        """The sources of candidates. ``read`` says how to read files of pairs."""
        return Proposal(
            tuple(self.candidates),
            self.minhash_settings,
            self.bucket_cap,
            self.neighbours,
            self.within,
            read or ReadOptions(),
            self.form == "plain",
        )

    @property
    def policy(self) -> Policy:
        """The rule for duplicates and for the row that stays."""
        return Policy(self.threshold, KeepPolicy(self.keep), self.linkage, self.one_to_one)

    @property
    def least(self) -> float:
        """The lowest threshold for which results are needed."""
        return min(self.threshold, *TABLE) if self.score_all else self.threshold

    def cuts(self, threshold: float, table: Sequence[float] = TABLE) -> list[float]:
        """The thresholds to count at: those of a table for which pairs were compared, and that of the run."""
        return sorted({*(cut for cut in table if cut >= self.least), threshold})

    @property
    def blend(self) -> bool:
        """Whether the overlap of the texts is part of the score."""
        return self.rule == "blend"

    @property
    def learning(self) -> Learning:
        """What to learn from the texts before they are compared."""
        return Learning(self.boilerplate == "ignored", self.languages == "detected", self.form == "plain")

    @property
    def band(self) -> tuple[float, float]:
        """The scores that the better model scores again."""
        if self.cascade_band is None:
            return self.threshold - 0.1, self.threshold + 0.05
        low, high = self.cascade_band
        return low, high

    def scoring(
        self, model: str | Path | Checkpoint | None = None, cascade: str | Path | Checkpoint | None = None
    ) -> Scoring:
        """How pairs are scored. ``model`` and ``cascade`` are the loaded models, if they are loaded."""
        model, cascade = model or self.model, cascade or self.cascade_model
        return Scoring(
            str(model) if isinstance(model, Path) else model,
            self.symmetric,
            str(cascade) if isinstance(cascade, Path) else cascade,
            self.band,
            self.threshold,
            self.scorer_args,
            self.model_share,
            self.guard,
            self.max_lost,
            self.least,
            self.score_all or self.linkage == "average",
            self.form,
        )


@dataclass(frozen=True, kw_only=True)
class BeamDedupSettings(DedupSettings):
    """The settings of ``DeduplicateTexts``, whose elements have fields and no order."""

    id: str = setting("id", "field of distinct ids: all integers, all texts or all bytes", name)
    text: str = setting("text", "field of the texts; several, joined by commas", name)
    candidates: Sequence[str] = like(DedupSettings, "candidates", ("exact", "minhash"), rule=check_sources)
    max_pairs: int | None = like(DedupSettings, "max_pairs", None)
    report_examples: int = like(DedupSettings, "report_examples", 0)
    component_rounds: int = setting(
        0,
        "with --runner: rounds of the search for clusters before one worker completes it, for more than 4 "
        "million texts in clusters (default: as many as the number of rows may need)",
        whole(0),
        metavar="N",
    )
    blocks: int = setting(
        1, "blocks of the search by lexical; about one per 16,000 texts", whole(1), option=None
    )
    row_shards: int = setting(
        1 << 12,
        "shards of rows and of buckets, which a worker has in memory one by one; about one per 2,000 rows",
        whole(1),
        option=None,
    )
    thresholds: Sequence[float] = setting(
        TABLE,
        "thresholds whose effect the report shows, besides the threshold of the run; those below it need "
        "score_all; none saves a shuffle of the pairs",
        every(share),
        option=None,
    )

    def shown_cuts(self, threshold: float) -> list[float]:
        """The thresholds to count at, and that of the run; none if ``thresholds`` has none."""
        return self.cuts(threshold, self.thresholds) if self.thresholds else []


_RENAMED: dict[str, Callable[[Any], tuple[str, Any]]] = {
    "cap": lambda value: ("bucket_cap", value),
    "rounds": lambda value: ("component_rounds", value),
    "vector": lambda value: ("embedding", value),
    "blend": lambda value: ("rule", BLEND[value] if isinstance(value, bool) else value),
    "compare_blank": lambda value: ("empty", EMPTY[value] if isinstance(value, bool) else value),
}


def with_new_names(given: Mapping[str, Any]) -> dict[str, Any]:
    """Rename old arguments of ``DeduplicateTexts`` to the names of the command's options.

    The old names work for one more release, with a deprecation warning.

    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as found:
    ...     warnings.simplefilter("always")
    ...     with_new_names({"cap": 4, "blend": False, "keep": "first"})
    {'bucket_cap': 4, 'rule': 'model', 'keep': 'first'}
    >>> str(found[0].message)
    'DeduplicateTexts: cap is bucket_cap now; the next release removes the old name.'
    """
    named = {}
    for old, value in given.items():
        new, value = _RENAMED[old](value) if old in _RENAMED else (old, value)
        if new != old:
            warnings.warn(
                f"DeduplicateTexts: {old} is {new} now; the next release removes the old name.",
                DeprecationWarning,
                stacklevel=3,
            )
        named[new] = value
    return named
