"""Candidates of a corpus in Beam, from any union of sources, with a report of each source.

The pure counterpart is ``beam_sts.candidates.propose``. A distinct text is named ``(side, id)``.
Side 0 is the input; side 1 holds the rows to compare against.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import apache_beam as beam

from beam_sts.candidates.beam_buckets import BucketCandidates, KeysAsSets, KeyTexts
from beam_sts.candidates.beam_given import GivenCandidates
from beam_sts.candidates.beam_nearest import LexicalCandidates, StaticVectors
from beam_sts.candidates.beam_neighbours import NeighbourCandidates
from beam_sts.candidates.beam_union import UnionPairs
from beam_sts.candidates.propose import Proposal, Search
from beam_sts.models.checkpoint import Checkpoint


class Tally(NamedTuple):
    """The number of distinct pairs, and a report of each search."""

    pairs: int
    reports: list[dict[str, Any]]


class ProposedCollections(NamedTuple):
    """``pairs``: pieces of distinct ``((name, name), sources)``. ``tally``: one :class:`Tally` of them."""

    pairs: beam.PCollection
    tally: beam.PCollection


class ProposeCandidates(beam.PTransform):
    """A dict of collections about the texts -> :class:`ProposedCollections`.

    The collections are ``texts`` of ``(name, text)``, ``blocks`` of ``(key of the n-th blocking source,
    name)``, ``vectors`` of ``(name, packed vector)``, ``ids`` of ``(id as text, name)`` and ``given`` of
    ``(id as text, id as text)``. Only those that a source needs are used.

    Args:
        proposal: the sources and their settings.
        model: the model whose token vectors ``neighbours`` uses.
        against: whether there are texts of side 1. If so, pairs cross the sides, and with ``proposal.within``
            also join texts of side 0.
        blocks: the number of blocks in the search for neighbours (``beam_sts.candidates.beam_nearest``).
        shards: the number of shards of buckets (``beam_sts.candidates.beam_buckets``).
        load: arguments of ``load_checkpoint``.
    """

    def __init__(
        self,
        proposal: Proposal,
        model: str | Checkpoint,
        *,
        against: bool = False,
        blocks: int = 1,
        shards: int = 1,
        load: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._proposal, self._model, self._load = proposal, model, load or {}
        self._blocks, self._shards = blocks, shards
        self._against = against

    def expand(self, about: dict[str, beam.PCollection]) -> ProposedCollections:
        """Run every search, then merge the pairs: one shuffle per search by buckets, one for all pairs."""
        parts, reports = dict[str, beam.PCollection](), []
        searches = self._proposal.searches(against=self._against)
        for at, search in enumerate(searches):
            pairs, report = self._one(search, about)
            parts[str(at)] = pairs | f"Bit {at}" >> beam.Map(lambda found, bit: (found[0], bit), 1 << at)
            if report is not None:
                reports.append(report | f"Place {at}" >> beam.Map(lambda found, at: (at, found), at))
        union = parts | "Distinct" >> UnionPairs([search.kind for search in searches])
        counted = union.counts | "Count" >> beam.Map(lambda found: (-1, found))
        tally = (
            (counted, *reports)
            | "Counts" >> beam.Flatten()
            | "Tally" >> beam.CombineGlobally(_TallyFn(self._proposal, searches))
        )
        return ProposedCollections(union.pairs, tally)

    def _one(self, search: Search, about: dict[str, beam.PCollection]) -> tuple[Any, Any]:
        """Returns the pairs with their source, and their reports or None."""
        name, across = search.kind, search.across
        label = f"{name} {search.block}" if name == "block" else name
        label += " across" if across else ""

        def own(collection: beam.PCollection, what: str, at: int = 0) -> beam.PCollection:
            """Drop the texts of side 1 in a search within side 0."""
            if across or not self._against:
                return collection
            return collection | f"{label}: own {what}" >> beam.Filter(lambda one: one[at][0] == 0)

        proposal = self._proposal
        if name == "pairs":
            given = {"ids": about["ids"], "given": about["given"]} | "Given" >> GivenCandidates()
            return given.pairs, given.counts
        if search.by_keys:
            if name == "block":
                of_it = own(about["blocks"], "keys", 1) | f"{label}: of it" >> beam.FlatMap(
                    lambda one, block: [(one[0][1], one[1])] if one[0][0] == block else [], search.block
                )
                keyed = of_it | f"{label}: keys" >> KeysAsSets()
            else:
                keyed = own(about["texts"], "texts") | f"{label}: keys" >> KeyTexts(proposal.keys_by(name))
            if across:
                keyed = keyed | f"{label}: sides" >> beam.MapTuple(
                    lambda keys, names: (keys, [(name[0], name) for name in names])
                )
            bucketed = BucketCandidates(name, proposal.cap, self._shards, sided=across)
            found = keyed | f"{label}: pairs" >> bucketed
            return found.pairs, found.reports
        if name == "lexical":
            nearest = LexicalCandidates(proposal.k, self._blocks, sided=across)
            return own(about["texts"], "texts") | f"{label}: pairs" >> nearest, None
        if "vectors" in about:
            vectors = own(about["vectors"], "vectors")
        else:
            vectors = own(about["texts"], "texts") | f"{label}: vectors" >> StaticVectors(
                self._model, **self._load
            )
        near = vectors | f"{label}: pairs" >> NeighbourCandidates(proposal.k, sided=across)
        return near.pairs, near.report


class _TallyFn(beam.CombineFn):
    """``(-1, pairs by their bits)`` and ``(search, part of its report)`` -> :class:`Tally`."""

    def __init__(self, proposal: Proposal, searches: list[Search]) -> None:
        self._proposal, self._searches = proposal, searches

    def create_accumulator(self) -> tuple[Counter[int], dict[int, Any]]:
        return Counter(), {}

    def add_input(self, made: Any, one: tuple[int, Any]) -> Any:
        counts, reports = made
        at, found = one
        if at < 0:
            counts.update(found)
        else:
            reports[at] = reports[at] + found if at in reports else found
        return made

    def merge_accumulators(self, several: Iterable[Any]) -> Any:
        total = self.create_accumulator()
        for counts, reports in several:
            total[0].update(counts)
            for one in reports.items():
                self.add_input(total, one)
        return total

    def extract_output(self, made: Any) -> Tally:
        counts, found = made
        reports = []
        for at, search in enumerate(self._searches):
            pairs = sum(count for bits, count in counts.items() if bits >> at & 1)
            reports.append(self._proposal.report(search.kind, pairs, found.get(at)))
        return Tally(counts.total(), reports)
