"""Candidates of a corpus in Beam from any union of sources, with a report of each.

The pure counterpart is ``beam_sts.candidates.propose``. Nodes, which are what is compared, are named
``(side, id)``; side 1 is the rows to compare against.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam import pvalue

from beam_sts.candidates.beam_buckets import BucketCandidates, KeyTexts, MergeCandidates
from beam_sts.candidates.beam_nearest import DensePoints, LexicalCandidates, NearestCandidates, StaticVectors
from beam_sts.candidates.keys import exact_keys
from beam_sts.candidates.propose import Proposal, Search
from beam_sts.models.checkpoint import Checkpoint

Node = tuple[int, Any]


class ProposedCollections(NamedTuple):
    """``pairs``: ``((node, node), sources)``, distinct; ``reports``: a place and a dict of each source."""

    pairs: beam.PCollection
    reports: beam.PCollection


class ProposeCandidates(beam.PTransform):
    """A dict of collections of the nodes -> :class:`ProposedCollections`.

    ``texts`` are ``(node, text)``; ``blocks`` ``(key of the n-th blocking source, node)``; ``vectors``
    ``(node, packed vector)``; ``ids`` ``(id as text, node)`` and ``given`` ``(id as text, id as text)``. Only
    those that a source needs are used.

    Args:
        proposal: where from.
        model: whose token vectors ``neighbours`` go by.
        against: whether there are nodes of side 1; then pairs cross the sides, and lie within side 0 where
            ``proposal.within`` asks for it.
        blocks: of the nearest (``beam_sts.candidates.beam_nearest``).
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
        """Every source, then the union."""
        parts, reports = [], []
        searches = self._proposal.searches(against=self._against)
        for search in searches:
            if search.kind == "pairs":
                given = {"ids": nodes["ids"], "given": nodes["given"]} | "Given" >> GivenCandidates()
                made = ProposedCollections(given.pairs, given.report)
            else:
                made = self._one(search, nodes)
            parts.append(made.pairs)
            reports.append(made.reports)
        names = list(dict.fromkeys(search.kind for search in searches))
        pairs = tuple(parts) | "Union" >> MergeCandidates(names)
        placed = tuple(
            report | f"Place {at}" >> beam.Map(lambda found, at: (at, found), at)
            for at, report in enumerate(reports)
        )
        return ProposedCollections(pairs, placed | "Reports" >> beam.Flatten())

    def _one(self, search: Search, nodes: dict[str, beam.PCollection]) -> ProposedCollections:
        name, across = search.kind, search.across
        label = f"{name} {search.block}" if name == "block" else name
        label += " across" if across else ""

        def own(collection: beam.PCollection, what: str, at: int = 0) -> beam.PCollection:
            """Without the other side, where pairs lie within one."""
            if across or not self._against:
                return collection
            return collection | f"{label}: own {what}" >> beam.Filter(lambda one: one[at][0] == 0)

        proposal = self._proposal
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
            report = found.report
            if more := proposal.about(name):
                report = report | f"{label}: settings" >> beam.Map(lambda one, more: {**one, **more}, more)
            return ProposedCollections(found.pairs, report)
        if name == "lexical":
            nearest = LexicalCandidates(proposal.k, self._blocks, sided=across)
            pairs = own(nodes["texts"], "texts") | f"{label}: pairs" >> nearest
        else:
            if "vectors" in nodes:
                vectors = own(nodes["vectors"], "vectors")
            else:
                texts = own(nodes["texts"], "texts")
                vectors = texts | f"{label}: vectors" >> StaticVectors(self._model, **self._load)
            nearest = NearestCandidates(name, proposal.k, DensePoints(), self._blocks, sided=across)
            pairs = vectors | f"{label}: pairs" >> nearest
        report = (
            pairs
            | f"{label}: count" >> beam.combiners.Count.Globally()
            | f"{label}: report"
            >> beam.Map(lambda count, of, name: of.near_report(name, count), proposal, name)
        )
        return ProposedCollections(pairs, report)


class Given(NamedTuple):
    """``pairs``: ``((node, node), "pairs")``; ``report``: one dict of counts, as of ``given_pairs``."""

    pairs: beam.PCollection
    report: beam.PCollection


class GivenCandidates(beam.PTransform):
    """``ids`` ``(id as text, node)`` and ``given`` ``(id as text, id as text)`` -> :class:`Given`.

    The counterpart of ``given_pairs``: an unknown id, and a pair of one id, are counted and left out.
    """

    def expand(self, collections: dict[str, beam.PCollection]) -> Given:
        """Two shuffles: by the first id, then by the second."""
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
        distinct = pairs["pairs"] | "Distinct" >> beam.Distinct()
        counts = (
            distinct | "Found" >> beam.Map(lambda _: "pairs"),
            collections["given"] | "Rows" >> beam.Map(lambda _: "rows"),
            pairs["same"] | "Same" >> beam.Map(lambda _: "same"),
            first["unknown"] | "Unknown a" >> beam.Map(lambda _: "unknown"),
            second["unknown"] | "Unknown b" >> beam.Map(lambda _: "unknown"),
        )
        report = (
            counts
            | "Counts" >> beam.Flatten()
            | "Count" >> beam.combiners.Count.PerElement()
            | "All" >> beam.combiners.ToDict()
            | "Report" >> beam.Map(_given_report)
        )
        return Given(distinct | "Name" >> beam.Map(lambda pair: (pair, "pairs")), report)


def _given_report(counts: dict[str, int]) -> dict[str, Any]:
    return {"source": "pairs", **{name: counts.get(name, 0) for name in ("pairs", "rows", "unknown", "same")}}


class _KnownId(beam.DoFn):
    """What is paired with an id -> (it, the id's node); the others as ``unknown``."""

    def process(self, met: tuple[str, dict[str, Iterable[Any]]]) -> Iterator[Any]:
        _, found = met
        node = next(iter(found["node"]), None)
        for other in found["pair"]:
            yield pvalue.TaggedOutput("unknown", 1) if node is None else (other, node)


class _InOrder(beam.DoFn):
    """(node a, node b) -> the lower first; those of one node as ``same``."""

    def process(self, pair: tuple[Node, Node]) -> Iterator[Any]:
        a, b = pair
        yield pvalue.TaggedOutput("same", 1) if a == b else (min(a, b), max(a, b))
