"""The steps of a deduplication on one machine: candidates, scores, decisions. Each gets all as one part.

The command calls them with files and an output folder, ``beam_sts.deduplicate`` with a table in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from beam_sts.candidates.propose import Proposal, propose
from beam_sts.dedup.decide import GUARD, CorpusDecision, Edges
from beam_sts.dedup.learnt import Learning, Learnt, learn
from beam_sts.dedup.rows import Corpus
from beam_sts.dedup.rule import Policy, texts_removed
from beam_sts.dedup.shards import PartVerifier, edges_of
from beam_sts.dedup.verify import check_pair_count
from beam_sts.dedup.wanted import ThresholdSearch, most_removed
from beam_sts.models.checkpoint import Checkpoint

OnStep = Callable[[int, str], None]
"""Called with the number of newly processed units, and with what they are from."""


class Watch(Protocol):
    """Receives the progress of a run."""

    def stage(self, unit: str, total: int) -> AbstractContextManager[OnStep]:
        """Start a stage with a number of units. It ends with the context."""
        ...


class NoWatch:
    """Ignores the progress."""

    @contextmanager
    def stage(self, unit: str, total: int) -> Iterator[OnStep]:
        """Show nothing."""
        yield lambda count, at: None


@dataclass(frozen=True)
class Plan:
    """The settings of a run that do not depend on its corpus: the sources of candidates and the rule.

    ``most`` is the most candidates that are allowed. ``learning`` says what to learn from the texts first.
    """

    proposal: Proposal
    policy: Policy
    checkpoint: Checkpoint
    most: int | None = None
    learning: Learning = field(default_factory=Learning)


def learn_first(plan: Plan, corpus: Corpus) -> tuple[Corpus, Learnt]:
    """Learn from the texts before they are compared. Also returns the corpus with its own texts."""
    learnt = learn(plan.learning, corpus.texts, corpus.hashes, plan.checkpoint.languages)
    if learnt.boilerplate or plan.proposal.needs_form:
        corpus = corpus.with_own(learnt)
    return corpus, learnt


def score_candidates(
    plan: Plan, corpus: Corpus, scores: PartVerifier, watch: Watch
) -> tuple[Edges, list[dict[str, Any]]]:
    """Propose the candidates of a corpus and score them. Also returns a report of each source.

    Raises:
        UserError: there are too many candidates, or a source cannot be used.
    """
    with watch.stage("sources", len(plan.proposal.sources)) as step:
        proposed = propose(plan.proposal, corpus.to_pair, plan.checkpoint, partial(step, 1))
    if plan.most is not None:
        check_pair_count(len(proposed.a), plan.most)
    with watch.stage("pairs", len(proposed.a)) as step:

        def done(pairs: int) -> None:
            step(pairs, "")
            corpus.release()

        scored = scores.score(proposed.a, proposed.b, proposed.source, done)
    return edges_of(proposed, scored), proposed.reports


def decide_corpus(plan: Plan, corpus: Corpus, edges: Edges, scores: PartVerifier | None) -> CorpusDecision:
    """Decide about a corpus. ``scores`` computes missing scores for direct verification; None to skip it."""
    return corpus.decide(plan.policy, edges, None if scores is None else partial(scores.score, source=GUARD))


def decide_for_rows(
    plan: Plan, corpus: Corpus, decided: CorpusDecision, wanted: float
) -> tuple[Plan, CorpusDecision]:
    """Raise the threshold of a plan until the required rows stay, and decide again by the existing scores.

    Args:
        plan: the settings of the run.
        corpus: the rows.
        decided: the decisions at the plan's threshold.
        wanted: the required number of rows, or a fraction of those that were compared.
    """
    made, start = decided.made, plan.policy.threshold
    most = most_removed(wanted, corpus.rows.own, int((~made.rule.fixed).sum()))
    search = ThresholdSearch.over(start)
    while asked := search.asked:

        def enough(number: int, asked: list[float] = asked) -> bool:
            return texts_removed(made.rule, made.edges.pairs, asked[number]) <= most

        search = search.narrowed(enough)
    if search.found == start:
        return plan, decided
    plan = replace(plan, policy=replace(plan.policy, threshold=search.found))
    return plan, decide_corpus(plan, corpus, made.edges, None)
