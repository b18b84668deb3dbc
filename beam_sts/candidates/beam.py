"""Candidates of a corpus in Beam, from any union of sources, with a report of each source.

The pure counterpart is ``beam_sts.candidates.propose``. A node is a text to compare, named ``(side, id)``.
Side 0 is the input; side 1 holds the rows to compare against.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam import pvalue

from beam_sts.candidates.beam_buckets import (
    BucketCandidates,
    KeyTexts,
    MergeBits,
    joined_names,
)
from beam_sts.candidates.beam_nearest import LexicalCandidates, StaticVectors
from beam_sts.candidates.beam_neighbours import NeighbourCandidates
from beam_sts.candidates.buckets import BucketReport
from beam_sts.candidates.keys import exact_keys
from beam_sts.candidates.propose import Proposal, Search
from beam_sts.models.checkpoint import Checkpoint

Node = tuple[int, Any]


class Tally(NamedTuple):
    """The number of distinct pairs, and a report of each search."""

    pairs: int
    reports: list[dict[str, Any]]


class ProposedCollections(NamedTuple):
    """``pairs``: distinct ``((node, node), sources)``. ``tally``: their :class:`Tally`, one element."""

    pairs: beam.PCollection
    tally: beam.PCollection


class ProposeCandidates(beam.PTransform):
    """A dict of collections about the nodes -> :class:`ProposedCollections`.

    The collections are ``texts`` of ``(node, text)``, ``blocks`` of ``(key of the n-th blocking source,
    node)``, ``vectors`` of ``(node, packed vector)``, ``ids`` of ``(id as text, node)`` and ``given`` of
    ``(id as text, id as text)``. Only those that a source needs are used.

    Args:
        proposal: the sources and their settings.
        model: the model whose token vectors ``neighbours`` uses.
        against: whether there are nodes of side 1. If so, pairs cross the sides, and with ``proposal.within``
            also join nodes of side 0.
        blocks: the number of blocks in the search for neighbours (``beam_sts.candidates.beam_nearest``).
        load: arguments of ``load_checkpoint``.
    """

    def __init__(
        self,
        proposal: Proposal,
        model: str | Checkpoint,
        *,
        against: bool = False,
        blocks: int = 1,
        load: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._proposal, self._model, self._load = proposal, model, load or {}
        self._blocks = blocks
        self._against = against

    def expand(self, nodes: dict[str, beam.PCollection]) -> ProposedCollections:
        """Run every search, then merge the pairs: one shuffle per search by buckets, one for all pairs."""
        parts, reports = [], []
        searches = self._proposal.searches(against=self._against)
        for at, search in enumerate(searches):
            pairs, report = self._one(search, nodes)
            parts.append(pairs | f"Bit {at}" >> beam.Map(lambda found, bit: (found[0], bit), 1 << at))
            if report is not None:
                reports.append(report | f"Place {at}" >> beam.Map(lambda found, at: (at, found), at))
        merged = tuple(parts) | "Union" >> beam.Flatten() | "Distinct" >> MergeBits()
        counted = merged | "Count" >> beam.Map(lambda found: (-1, found[1]))
        tally = (
            (counted, *reports)
            | "Counts" >> beam.Flatten()
            | "Tally" >> beam.CombineGlobally(_TallyFn(self._proposal, searches))
        )
        names = [search.kind for search in searches]
        pairs = merged | "Name" >> beam.Map(
            lambda found, names: (found[0], joined_names(found[1], names)), names
        )
        return ProposedCollections(pairs, tally)

    def _one(self, search: Search, nodes: dict[str, beam.PCollection]) -> tuple[Any, Any]:
        """Returns the pairs with their source, and their reports or None."""
        name, across = search.kind, search.across
        label = f"{name} {search.block}" if name == "block" else name
        label += " across" if across else ""

        def own(collection: beam.PCollection, what: str, at: int = 0) -> beam.PCollection:
            """Drop the nodes of side 1 in a search within side 0."""
            if across or not self._against:
                return collection
            return collection | f"{label}: own {what}" >> beam.Filter(lambda one: one[at][0] == 0)

        proposal = self._proposal
        if name == "pairs":
            given = {"ids": nodes["ids"], "given": nodes["given"]} | "Given" >> GivenCandidates()
            return given.pairs, given.counts
        if name in ("exact", "minhash", "block"):
            if name == "block":
                keyed = own(nodes["blocks"], "keys", 1) | f"{label}: of it" >> beam.Filter(
                    lambda one, block: one[0][0] == block, search.block
                )
            else:
                keys = partial(exact_keys if name == "exact" else proposal.minhash.keys, form=proposal.form)
                keyed = own(nodes["texts"], "texts") | f"{label}: keys" >> KeyTexts(keys)
            if across:
                keyed = keyed | f"{label}: sides" >> beam.MapTuple(lambda key, node: (key, (node[0], node)))
            found = keyed | f"{label}: pairs" >> BucketCandidates(name, proposal.cap, sided=across)
            return found.pairs, found.reports
        if name == "lexical":
            nearest = LexicalCandidates(proposal.k, self._blocks, sided=across)
            return own(nodes["texts"], "texts") | f"{label}: pairs" >> nearest, None
        if "vectors" in nodes:
            vectors = own(nodes["vectors"], "vectors")
        else:
            texts = own(nodes["texts"], "texts")
            vectors = texts | f"{label}: vectors" >> StaticVectors(self._model, **self._load)
        near = vectors | f"{label}: pairs" >> NeighbourCandidates(proposal.k, sided=across)
        return near.pairs, near.report


class _TallyFn(beam.CombineFn):
    """``(-1, bits of a pair's searches)`` and ``(search, whole or partial report)`` -> :class:`Tally`."""

    def __init__(self, proposal: Proposal, searches: list[Search]) -> None:
        self._proposal, self._searches = proposal, searches

    def create_accumulator(self) -> tuple[Counter[int], dict[int, Any]]:
        return Counter(), {}

    def add_input(self, made: Any, one: tuple[int, Any]) -> Any:
        counts, reports = made
        at, found = one
        if at < 0:
            counts[found] += 1
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
            kind, pairs = search.kind, sum(count for bits, count in counts.items() if bits >> at & 1)
            if kind == "pairs":
                given = found.get(at, {})
                more = {name: given.get(name, 0) for name in ("rows", "unknown", "same")}
                reports.append({"source": kind, "pairs": pairs, **more})
            elif kind in ("exact", "minhash", "block"):
                report = replace(found.get(at, BucketReport("")), source=kind, pairs=pairs)
                reports.append({**asdict(report), **self._proposal.about(kind, report.keys)})
            else:
                reports.append(self._proposal.near_report(kind, pairs, found.get(at, {})))
        return Tally(counts.total(), reports)


class Given(NamedTuple):
    """``pairs``: ``((node, node), "pairs")``. ``counts``: partial counts of ``given_pairs``, to add up."""

    pairs: beam.PCollection
    counts: beam.PCollection


class GivenCandidates(beam.PTransform):
    """``ids`` ``(id as text, node)`` and ``given`` ``(id as text, id as text)`` -> :class:`Given`.

    The counterpart of ``given_pairs``: pairs with an unknown id and pairs of equal ids are counted and left
    out.
    """

    def expand(self, collections: dict[str, beam.PCollection]) -> Given:
        """Join in two shuffles, by the first id and then by the second."""
        ids = collections["ids"]
        first = (
            {"node": ids, "pair": collections["given"]}
            | "First" >> beam.CoGroupByKey()
            | "Node a" >> beam.ParDo(_KnownId()).with_outputs("unknown", main="known")
        )
        second = (
            {"node": ids, "pair": first["known"]}
            | "Second" >> beam.CoGroupByKey()
            | "Node b" >> beam.ParDo(_KnownId()).with_outputs("unknown", main="known")
        )
        pairs = second["known"] | "Order" >> beam.ParDo(_InOrder()).with_outputs("same", main="pairs")
        counts = (
            collections["given"] | "Rows" >> beam.Map(lambda _: Counter(rows=1)),
            pairs["same"] | "Same" >> beam.Map(lambda _: Counter(same=1)),
            first["unknown"] | "Unknown a" >> beam.Map(lambda _: Counter(unknown=1)),
            second["unknown"] | "Unknown b" >> beam.Map(lambda _: Counter(unknown=1)),
        )
        return Given(
            pairs["pairs"] | "Name" >> beam.Map(lambda pair: (pair, "pairs")),
            counts | "Counts" >> beam.Flatten(),
        )


class _KnownId(beam.DoFn):
    """(id, its node and partners) -> (partner, node) for each partner; ``unknown`` if the id has no node."""

    def process(self, met: tuple[str, dict[str, Iterable[Any]]]) -> Iterator[Any]:
        _, found = met
        node = next(iter(found["node"]), None)
        for other in found["pair"]:
            yield pvalue.TaggedOutput("unknown", 1) if node is None else (other, node)


class _InOrder(beam.DoFn):
    """(node a, node b) -> the pair in ascending order; ``same`` if both are one node."""

    def process(self, pair: tuple[Node, Node]) -> Iterator[Any]:
        a, b = pair
        yield pvalue.TaggedOutput("same", 1) if a == b else (min(a, b), max(a, b))
