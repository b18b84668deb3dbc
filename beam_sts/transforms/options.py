"""The settings of each verb and what they may be: for its command, its transform and its Beam YAML."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from beam_sts import checks
from beam_sts.candidates.keys import MinHash
from beam_sts.candidates.propose import check_sources
from beam_sts.candidates.source import EMPTY
from beam_sts.checks import Rule, every, flag, interval, name, one_of, optional, share, whole
from beam_sts.dedup.keep import check_keep
from beam_sts.dedup.rule import LINKAGES
from beam_sts.errors import UserError
from beam_sts.examples import MOST_EXAMPLES
from beam_sts.models.checkpoint import Checkpoint
from beam_sts.scoring.backends import BACKENDS, PRECISIONS
from beam_sts.scoring.long_text import LONG_TEXT
from beam_sts.scoring.scorer import PairScorer
from beam_sts.scoring.settings import check_device

SCORER_ARGS = frozenset(inspect.signature(PairScorer).parameters) - {"model"}
"""What ``PairScorer`` takes besides the model."""


def _model(what: str, value: Any) -> None:
    if not isinstance(value, str | Path | Checkpoint) or not str(value):
        raise UserError(f"{what} {value!r}: must be a model's name, folder or URL.")


def _minhash(what: str, value: Any) -> None:
    if not isinstance(value, MinHash):
        raise UserError(f"{what} {value!r}: must be a MinHash, such as MinHash(similarity=0.7).")


_SCORING: dict[str, Rule] = {
    "model": _model,
    "symmetric": flag,
    "raw_logits": flag,
    "precision": one_of(*PRECISIONS),
    "backend": one_of(*BACKENDS),
    "device": check_device,
    "threads": optional(whole(1)),
    "macro_batch": whole(1),
    "token_budget": optional(whole(1)),
    "long_text": one_of(*LONG_TEXT),
    "allow_pickle": flag,
    "trust_remote_code": flag,
    "rows_per_shard": whole(1),
    "report_examples": whole(0, MOST_EXAMPLES),
}

DEDUP: dict[str, Rule] = {
    **_SCORING,
    "id": optional(name),
    "text": name,
    "threshold": share,
    "keep": check_keep,
    "linkage": one_of(*LINKAGES),
    "one_to_one": flag,
    "empty": one_of(*EMPTY),
    "candidates": check_sources,
    "neighbours": whole(1),
    "minhash": optional(_minhash),
    "minhash_similarity": share,
    "minhash_recall": share,
    "cap": whole(2),
    "bucket_cap": whole(2),
    "rounds": whole(1),
    "component_rounds": whole(1),
    "vector": optional(name),
    "blocks": whole(1),
    "within": flag,
    "blend": flag,
    "model_share": share,
    "cascade_model": optional(_model),
    "cascade_band": optional(interval),
    "compare_blank": flag,
    "max_pairs": optional(whole(1)),
    "thresholds": every(share),
}


def check_arguments(
    transform: type,
    rules: Mapping[str, Rule],
    given: Mapping[str, Any],
    more: Mapping[str, Any] | None = None,
    known: Collection[str] = (),
) -> None:
    """See that a transform's arguments are what they may be.

    Args:
        transform: whose they are.
        rules: of its settings.
        given: its own arguments, perhaps among other names, as ``locals()`` has them.
        more: those that it hands on.
        known: names that it may hand on.

    Raises:
        UserError: naming the first that is wrong, and what may be.
    """
    found = inspect.signature(transform).parameters.values()
    own = [one.name for one in found if one.kind is not one.VAR_KEYWORD]
    checks.check_names(transform.__name__, more or {}, sorted({*own, *known}))
    checks.check(rules, {name: given[name] for name in own} | dict(more or {}))
