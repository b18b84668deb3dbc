"""Score text pairs with cross-encoders in Apache Beam.

Importing the package registers BERT-hash with transformers, so that ``CrossEncoder`` loads its checkpoints
too. What needs Beam is imported at its first use.
"""

from typing import TYPE_CHECKING, Any

from beam_sts.errors import UserError
from beam_sts.models import configs as _configs  # noqa: F401  registers with the Auto classes
from beam_sts.scoring.scorer import PairScorer, ScoreResult, ScoreStats
from beam_sts.types import Rejected, ScoredPair, TextPair

if TYPE_CHECKING:
    from beam_sts.transforms.dedup import DeduplicateTexts
    from beam_sts.transforms.handler import CrossEncoderModelHandler
    from beam_sts.transforms.mine import MinePairs
    from beam_sts.transforms.score import ScorePairs

__version__ = "0.1.0"
__all__ = [
    "CrossEncoderModelHandler",
    "DeduplicateTexts",
    "MinePairs",
    "PairScorer",
    "Rejected",
    "ScorePairs",
    "ScoreResult",
    "ScoreStats",
    "ScoredPair",
    "TextPair",
    "UserError",
]
_NEEDS_BEAM = {
    "CrossEncoderModelHandler": "beam_sts.transforms.handler",
    "DeduplicateTexts": "beam_sts.transforms.dedup",
    "MinePairs": "beam_sts.transforms.mine",
    "ScorePairs": "beam_sts.transforms.score",
}


def __getattr__(name: str) -> Any:
    if name in _NEEDS_BEAM:
        from importlib import import_module

        return getattr(import_module(_NEEDS_BEAM[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
