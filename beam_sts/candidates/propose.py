"""Candidate pairs of a corpus from any union of sources, with a report of each source."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.arrays import IntArray
from beam_sts.candidates.buckets import CAP, BucketReport, bucket_pairs, union_pairs
from beam_sts.candidates.cells import search_report
from beam_sts.candidates.given import COUNTS, given_pairs
from beam_sts.candidates.keys import KeyFunction, Keys, MinHash, exact_keys
from beam_sts.candidates.neighbours import lexical_neighbours, neighbours
from beam_sts.candidates.vectors import static_embedding
from beam_sts.errors import UserError
from beam_sts.io.slices import ReadOptions
from beam_sts.models.checkpoint import Checkpoint

_PLAIN = ("exact", "minhash", "lexical", "neighbours")
_BY_KEYS = ("exact", "minhash", "block")
SearchCounts = BucketReport | dict[str, int]
"""The counts of a search: of buckets, of a search for neighbours, or of given pairs."""


class Search(NamedTuple):
    """One search for candidates.

    ``kind`` is the source without its value, ``at`` its index among the sources, ``block`` the number of its
    blocking expression. ``across``: pairs join the two inputs; otherwise they are within the input itself.
    """

    kind: str
    at: int
    block: int
    across: bool

    @property
    def by_keys(self) -> bool:
        """Whether texts with equal keys are candidates."""
        return self.kind in _BY_KEYS


@dataclass(frozen=True)
class Proposal:
    """The sources of candidates and their settings.

    ``sources`` are ``exact``, ``minhash``, ``lexical``, ``neighbours``, ``block:EXPRESSION`` and
    ``pairs:PATTERN``. ``cap`` is the size above which a bucket is hot. ``k`` is the number of neighbours of
    each text. ``within`` also compares the input with itself when it is compared against another. ``read``
    says how to read files of pairs. ``form``: sources use the plain form of texts.
    """

    sources: tuple[str, ...] = ("exact", "minhash")
    minhash: MinHash = field(default_factory=MinHash)
    cap: int = CAP
    k: int = 10
    within: bool = False
    read: ReadOptions = field(default_factory=ReadOptions)
    form: bool = False

    @property
    def blocks(self) -> list[str]:
        """The blocking expressions."""
        return [s.partition(":")[2] for s in self.sources if s.startswith("block:")]

    @property
    def pair_files(self) -> list[str]:
        """The patterns of files of pairs."""
        return [s.partition(":")[2] for s in self.sources if s.startswith("pairs:")]

    def searches(self, *, against: bool) -> list[Search]:
        """All searches in order: for each source across both inputs, and within the first if requested.

        >>> [tuple(one) for one in Proposal(("exact", "block:name"), within=True).searches(against=True)]
        [('exact', 0, 0, True), ('exact', 0, 0, False), ('block', 1, 0, True), ('block', 1, 0, False)]
        """
        passes = ([True, False] if self.within else [True]) if against else [False]
        found: list[Search] = []
        block = 0
        for at, source in enumerate(self.sources):
            kind = source.partition(":")[0]
            if kind == "pairs":  # one search for all files
                found += [Search(kind, at, block, False)] * (not any(one.kind == kind for one in found))
            else:
                found += [Search(kind, at, block, across) for across in passes]
            block += kind == "block"
        return found

    @property
    def needs_form(self) -> bool:
        """Whether a source needs texts in plain form. Sources by keys convert texts themselves."""
        return self.form and any(source in ("lexical", "neighbours") for source in self.sources)

    def keys_by(self, kind: str, folder: Path | None = None) -> KeyFunction:
        """The function that computes the keys of texts for a source: ``exact`` or ``minhash``.

        ``folder``: a local folder for what it need not keep in memory.
        """
        if kind == "exact":
            return partial(exact_keys, form=self.form)
        return partial(self.minhash.bands_of, form=self.form, folder=folder)

    def report(self, kind: str, pairs: int, found: SearchCounts | None) -> dict[str, Any]:
        """The report of a search.

        Args:
            kind: the source, without its value.
            pairs: the number of distinct pairs.
            found: the other counts of the search; None if there are none.
        """
        if kind == "pairs":
            given = found if isinstance(found, dict) else {}
            return {"source": kind, "pairs": pairs, **{name: given.get(name, 0) for name in COUNTS}}
        if kind in _BY_KEYS:
            buckets = found if isinstance(found, BucketReport) else BucketReport("")
            counts = asdict(replace(buckets, source=kind, pairs=pairs))
            if kind == "minhash" and buckets.keys > self.minhash.bands:  # from at least two texts
                curve = {f"{at:.1f}": round(chance, 4) for at, chance in self.minhash.curve()}
                counts |= {"settings": str(self.minhash), "curve": curve}
            return counts
        more = found if isinstance(found, dict) else {}
        return {"source": kind, "k": self.k, "pairs": pairs, **(search_report(more) if more else {})}

    @property
    def by_text(self) -> bool:
        """Whether equal texts are always candidates of each other, whatever other columns their rows have."""
        return any(source in _PLAIN for source in self.sources)


def split_sources(text: str) -> tuple[str, ...]:
    """Split the value of ``--candidates`` at commas outside brackets and quotes.

    >>> split_sources("exact,block:lower(left(name, 3)),minhash")
    ('exact', 'block:lower(left(name, 3))', 'minhash')
    """
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        depth += (letter in "([") - (letter in ")]") if not quote else 0
        if letter == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return tuple(part.strip() for part in parts)


def check_sources(what: str, sources: Any, others: Sequence[str] = ("block:FIELD", "pairs")) -> None:
    """Check that the sources of candidates are known and distinct, and that there is at least one.

    Args:
        what: the name of the setting in messages.
        sources: the sources.
        others: allowed sources besides the plain ones, with placeholders for their values.

    Raises:
        UserError: a source is wrong. The message names the first such source and the closest known one.

    >>> check_sources("candidates", ("exact", "exact"))
    Traceback (most recent call last):
    beam_sts.errors.UserError: candidates 'exact': is given twice.
    """
    known = [*_PLAIN, *others]
    if isinstance(sources, str) or not isinstance(sources, Sequence) or not sources:
        raise UserError(f"{what} {sources!r}: must be a list of one or more of {', '.join(known)}.")
    for at, source in enumerate(sources):
        kind, colon, value = str(source).partition(":")
        wanted = [one for one in known if one.partition(":")[0] == kind and (":" in one) == bool(colon)]
        if not wanted or (colon and not value.strip()):
            near = difflib.get_close_matches(str(source), known, n=1)
            raise UserError(
                f"{what} {source!r}: is not one of {', '.join(known)}"
                + (f"; did you mean {near[0]!r}?" if near else ".")
            )
        if source in sources[:at]:
            raise UserError(f"{what} {source!r}: is given twice.")


@dataclass(frozen=True)
class ComparedTexts:
    """The texts among which candidates are proposed: n distinct texts, those of the input itself first.

    ``side`` is 0 or 1 for each text, and ``blank`` marks texts that are not compared, both of shape (n,).
    ``against`` says whether there is another input. ``ids`` are the ids of all rows, and ``of_row`` the
    numbers of their texts. ``blocks`` has the keys of each blocking expression, by text. ``names`` returns
    the names that texts have in Beam, from their numbers. ``vectors`` returns the embedding of each text, if
    the input has embeddings. ``folder`` is a local folder for what need not be kept in memory.
    """

    texts: pa.LargeStringArray
    side: NDArray[np.int8]
    blank: NDArray[np.bool_]
    against: bool
    ids: pa.ChunkedArray
    of_row: IntArray
    blocks: list[Keys]
    names: Callable[[IntArray], list[Any]]
    vectors: Callable[[], NDArray[np.float32]] | None = None
    folder: Path | None = None


@dataclass(frozen=True)
class Proposed:
    """Distinct pairs of texts a < b in ascending order, their sources, and the reports of all searches."""

    a: IntArray
    b: IntArray
    source: pa.DictionaryArray
    reports: list[dict[str, Any]]


def propose(
    proposal: Proposal,
    among: ComparedTexts,
    checkpoint: Checkpoint,
    begin: Callable[[str], None] = lambda source: None,
) -> Proposed:
    """Find the candidates among texts.

    Args:
        proposal: the sources and their settings.
        among: the texts.
        checkpoint: its token vectors are used by ``neighbours``.
        begin: called with each source before its search.

    Raises:
        UserError: a package or a file that a source needs is missing.
    """
    parts: list[tuple[IntArray, IntArray, str]] = []
    reports: list[dict[str, Any]] = []
    for at, searches in groupby(proposal.searches(against=among.against), lambda search: search.at):
        begin(proposal.sources[at])
        of_source = list(searches)
        for search, (a, b, found) in zip(
            of_source, _found(proposal, of_source, among, checkpoint), strict=True
        ):
            parts.append((a, b, search.kind))
            reports.append(proposal.report(search.kind, len(a), found))
    a, b, labels = union_pairs(parts)
    good = ~(among.blank[a] | among.blank[b])
    return Proposed(a[good], b[good], labels.filter(pa.array(good)), reports)


def _found(
    proposal: Proposal, searches: list[Search], among: ComparedTexts, checkpoint: Checkpoint
) -> Iterator[tuple[IntArray, IntArray, SearchCounts]]:
    """The pairs of each search of one source, and what its report contains."""
    texts, count = among.texts, int((among.side == 0).sum())
    kind, _, block, _ = searches[0]
    if kind == "pairs":
        if among.against:
            raise UserError(
                "--candidates pairs:FILE: ids of two inputs may be equal, so leave out --against."
            )
        given = given_pairs(proposal.pair_files, among.ids, proposal.read, among.of_row)
        yield given.a, given.b, given.counts
        return
    if not searches[0].by_keys:
        for search in searches:
            stop = len(texts) if search.across or not among.against else count
            side = among.side if search.across else None
            own = texts.slice(0, stop)
            if kind == "lexical":
                near = lexical_neighbours(own, proposal.k, side=side)
            else:
                near = neighbours(
                    among.vectors()[:stop] if among.vectors else static_embedding(own, checkpoint),
                    proposal.k,
                    side=side,
                    names=among.names,
                )
            yield near.a, near.b, near.report
        return
    keys: Keys | Iterable[Keys]
    if kind == "block":
        keys = among.blocks[block]
        compared = ~among.blank[keys.text]
        keys = Keys(keys.text[compared], keys.key[compared], keys.source)
    else:
        keys = proposal.keys_by(kind, among.folder)(texts)
    if len(searches) > 1 and not isinstance(keys, Keys):
        keys = list(keys)
    for search in searches:
        chosen = keys if search.across or not among.against else _only(keys, count)
        yield bucket_pairs(chosen, proposal.cap, among.side if search.across else None)


def _only(keys: Keys | Iterable[Keys], count: int) -> Keys | list[Keys]:
    """The keys of the first ``count`` texts, which are those of the input itself."""
    if not isinstance(keys, Keys):
        return [_only(part, count) for part in keys]  # type: ignore[misc]
    own = keys.text < count
    return Keys(keys.text[own], keys.key[own], keys.source)
