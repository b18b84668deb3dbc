"""Candidate pairs of a corpus from any union of sources, with a report of each."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.arrays import IntArray
from beam_sts.candidates.buckets import CAP, bucket_pairs, union_pairs
from beam_sts.candidates.given import given_pairs
from beam_sts.candidates.keys import Keys, MinHash, exact_keys
from beam_sts.candidates.neighbours import Neighbours, lexical_neighbours, neighbours
from beam_sts.candidates.vectors import static_embedding
from beam_sts.errors import UserError
from beam_sts.io.slices import ReadOptions
from beam_sts.models.checkpoint import Checkpoint

_PLAIN = ("exact", "minhash", "lexical", "neighbours")


@dataclass(frozen=True)
class Proposal:
    """Where candidates come from.

    ``sources`` are ``exact``, ``minhash``, ``lexical``, ``neighbours``, ``block:EXPRESSION`` and
    ``pairs:PATTERN``; ``cap`` is of a bucket, ``k`` the neighbours of each text; ``within`` also compares the
    input with itself when there is another one to compare it against; ``read`` says how to read the files of
    pairs. ``form``: ``exact`` and ``minhash`` look at the texts in plain form.
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
    def by_text(self) -> bool:
        """Whether equal texts are candidates of each other whatever else their rows hold."""
        return any(source in _PLAIN for source in self.sources)


def split_sources(text: str) -> tuple[str, ...]:
    """The sources of ``--candidates``: parted by commas outside of brackets and quotes.

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
    """See that sources of candidates are known, each named once, and at least one.

    Args:
        what: what messages call them.
        sources: their names.
        others: those besides the plain ones, with the names of their values.

    Raises:
        UserError: naming the first that is wrong, and the nearest.

    >>> check_sources("candidates", ("exact", "exact"))
    Traceback (most recent call last):
    beam_sts.errors.UserError: candidates 'exact': is there twice.
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
            raise UserError(f"{what} {source!r}: is there twice.")


@dataclass(frozen=True)
class Texts:
    """What candidates are proposed among: n distinct texts, those of the input itself first.

    ``side`` is 0 or 1 for each text, ``blank`` those that are compared with nothing, both of shape (n,).
    ``against``: there is another input. ``ids`` are of all rows and ``of_row`` their texts' numbers;
    ``blocks`` the keys of each blocking expression, by text; ``vectors`` gives an embedding of each text,
    where the inputs bring some.
    """

    texts: pa.LargeStringArray
    side: NDArray[np.int8]
    blank: NDArray[np.bool_]
    against: bool
    ids: pa.ChunkedArray
    of_row: IntArray
    blocks: list[Keys]
    vectors: Callable[[], NDArray[np.float32]] | None = None


@dataclass(frozen=True)
class Proposed:
    """Distinct pairs of texts a < b in ascending order, their sources, and a report of each source."""

    a: IntArray
    b: IntArray
    source: pa.DictionaryArray
    reports: list[dict[str, Any]]


def propose(
    proposal: Proposal,
    among: Texts,
    checkpoint: Checkpoint,
    begin: Callable[[str], None] = lambda source: None,
) -> Proposed:
    """The candidates among texts.

    Args:
        proposal: where from.
        among: the texts.
        checkpoint: whose token table gives the vectors of ``neighbours``.
        begin: called with each source before it proposes.

    Raises:
        UserError: a package or a file that a source needs is missing.
    """
    texts, against = among.texts, among.against
    sides = [among.side if against else None]
    if against and proposal.within:
        sides.append(None)
    own = np.flatnonzero(among.side == 0)
    parts: list[tuple[IntArray, IntArray, str]] = []
    reports: list[dict[str, Any]] = []

    def bucketed(keys: Keys | Iterable[Keys], name: str, **more: Any) -> None:
        kept = keys if isinstance(keys, Keys) or len(sides) == 1 else list(keys)
        for side in sides:
            chosen = kept if side is not None or not against else _only(kept, len(own))
            a, b, report = bucket_pairs(chosen, proposal.cap, side)
            parts.append((a, b, name))
            reports.append({**asdict(report), "source": name, **more})

    def near(found: Neighbours, name: str) -> None:
        parts.append((found.a, found.b, name))
        reports.append({"source": name, "k": proposal.k, "pairs": len(found.a)})

    blocks = iter(among.blocks)
    for source in proposal.sources:
        begin(source)
        if source == "exact":
            bucketed(exact_keys(texts, form=proposal.form), source)
        elif source == "minhash":
            curve = {f"{at:.1f}": round(chance, 4) for at, chance in proposal.minhash.curve()}
            bucketed(
                proposal.minhash.bands_of(texts, form=proposal.form),
                source,
                settings=str(proposal.minhash),
                curve=curve,
            )
        elif source.startswith("block:"):
            bucketed(next(blocks), "block")
        elif source.startswith("pairs:"):
            if against:
                raise UserError(
                    "--candidates pairs:FILE: ids of two inputs may be equal; leave --against out."
                )
            given = given_pairs(source.partition(":")[2], among.ids, proposal.read)
            a, b = among.of_row[given.a], among.of_row[given.b]
            apart = a != b
            parts.append((np.minimum(a, b)[apart], np.maximum(a, b)[apart], "pairs"))
            reports.append({"source": "pairs", "pairs": len(given.a), **_counts(given)})
        else:
            for side in sides:
                every = side is not None or not against
                column = texts if every else texts.slice(0, len(own))
                if source == "lexical":
                    near(lexical_neighbours(column, proposal.k, side=side), source)
                elif among.vectors is not None:
                    vectors = among.vectors() if every else among.vectors()[: len(own)]
                    near(neighbours(vectors, proposal.k, side=side), source)
                else:
                    near(neighbours(static_embedding(column, checkpoint), proposal.k, side=side), source)
    a, b, labels = union_pairs(parts)
    good = ~(among.blank[a] | among.blank[b])
    return Proposed(a[good], b[good], labels.filter(pa.array(good)), reports)


def _only(keys: Keys | Iterable[Keys], count: int) -> Keys | list[Keys]:
    """The keys of the first ``count`` texts: those of the input itself come first."""
    if not isinstance(keys, Keys):
        return [_only(part, count) for part in keys]  # type: ignore[misc]
    own = keys.text < count
    return Keys(keys.text[own], keys.key[own], keys.source)


def _counts(given: Any) -> dict[str, int]:
    return {name: value for name, value in given._asdict().items() if isinstance(value, int)}
