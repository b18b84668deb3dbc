"""The plan of a deduplication on one machine: candidates, scores, decisions; each stage gets all as one part.

The command line calls it with files and an output folder, ``beam_sts.deduplicate`` with a table in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from beam_sts.candidates.propose import Proposal, propose
from beam_sts.dedup.decide import GUARD, Edges
from beam_sts.dedup.learnt import Learning, Learnt, learn
from beam_sts.dedup.rows import Corpus, Settled
from beam_sts.dedup.rule import Policy
from beam_sts.dedup.shards import PairScores, edges_of
from beam_sts.dedup.verify import check_pairs
from beam_sts.models.checkpoint import Checkpoint

Step = Callable[[int, str], None]
"""Called with what more is done, and of what."""


class Watch(Protocol):
    """Is told how far a run is."""

    def stage(self, unit: str, total: int) -> AbstractContextManager[Step]:
        """A stage of so many units begins; it ends with the context."""
        ...


class NoWatch:
    """Looks away."""

    @contextmanager
    def stage(self, unit: str, total: int) -> Iterator[Step]:
        """Nothing is shown."""
        yield lambda count, at: None


@dataclass(frozen=True)
class Plan:
    """What a run does to a corpus, whatever it is: where candidates come from, and how they decide.

    ``most`` candidates may be there; ``learning`` is what is learnt of the texts first.
    """

    proposal: Proposal
    policy: Policy
    checkpoint: Checkpoint
    most: int | None = None
    learning: Learning = field(default_factory=Learning)


def look_first(plan: Plan, corpus: Corpus, folder: Path | None = None) -> tuple[Corpus, Learnt]:
    """What is learnt of the texts before they are judged, and the corpus with what candidates go by.

    Args:
        plan: of the run.
        corpus: whose texts are looked at.
        folder: on a local disk, for the texts without boilerplate; None: they are in memory.
    """
    learnt = learn(plan.learning, corpus.texts, corpus.hashes, plan.checkpoint.languages)
    return corpus.without_boilerplate(learnt, folder) if learnt.boilerplate else corpus, learnt


def score_candidates(
    plan: Plan, corpus: Corpus, scores: PairScores, watch: Watch
) -> tuple[Edges, list[dict[str, Any]]]:
    """The candidates of a corpus with their scores, and a report of each source.

    Raises:
        UserError: there are more candidates than may be, or a source cannot be used.
    """
    with watch.stage("sources", len(plan.proposal.sources)) as step:
        proposed = propose(plan.proposal, corpus.to_pair, plan.checkpoint, partial(step, 1))
    if plan.most is not None:
        check_pairs(len(proposed.a), plan.most)
    with watch.stage("pairs", len(proposed.a)) as step:

        def done(pairs: int) -> None:
            step(pairs, "")
            corpus.release()

        scored = scores.score(proposed.a, proposed.b, proposed.source, done)
    return edges_of(proposed, scored), proposed.reports


def settle(plan: Plan, corpus: Corpus, edges: Edges, scores: PairScores | None) -> Settled:
    """What becomes of a corpus; ``scores`` makes those that direct verification lacks, None: none does."""
    return corpus.settle(plan.policy, edges, None if scores is None else partial(scores.score, source=GUARD))
