"""Score text pairs with cross-encoders in Apache Beam.

Importing the package registers BERT-hash with transformers, now or when transformers is imported later, so
that ``CrossEncoder`` can load its checkpoints. Public names are imported on first use.
"""

import itertools
import os
import sys


def _is_command() -> bool:
    """Whether this is the command; ``argv[0]`` is ``-m`` until Python has found the module to run."""
    started = os.path.basename(sys.argv[0]) if sys.argv else ""  # noqa: PTH119  pathlib takes longer to import
    ours = ("-m", "beam_sts") in itertools.pairwise(sys.orig_argv)
    return started.startswith("beam-sts") or (started == "-m" and ours)


if _is_command():
    # The other imports are slow (Beam takes seconds), so signal handlers are installed before them.
    from beam_sts import interrupts

    interrupts.install()

    from beam_sts.cli import temporary

    temporary.check_temporary_folder()

from importlib import import_module  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402

from beam_sts.errors import UserError  # noqa: E402
from beam_sts.models.registration import register_with_transformers  # noqa: E402

if TYPE_CHECKING:
    from beam_sts.dedup.beam import DeduplicateTexts
    from beam_sts.dedup.library import deduplicate
    from beam_sts.dedup.result import Deduplication
    from beam_sts.mining.beam import MinePairs
    from beam_sts.mining.library import Mined, mine
    from beam_sts.pairs.beam import ScorePairs
    from beam_sts.pairs.beam_handler import CrossEncoderModelHandler
    from beam_sts.passages.beam import RemovePassages
    from beam_sts.passages.library import PassageRemoval, remove_passages
    from beam_sts.scoring.result import ScoreResult, ScoreStats
    from beam_sts.scoring.scorer import PairScorer
    from beam_sts.types import Rejected, ScoredPair, TextPair

__version__ = "0.1.0"
__all__ = [
    "CrossEncoderModelHandler",
    "DeduplicateTexts",
    "Deduplication",
    "MinePairs",
    "Mined",
    "PairScorer",
    "PassageRemoval",
    "Rejected",
    "RemovePassages",
    "ScorePairs",
    "ScoreResult",
    "ScoreStats",
    "ScoredPair",
    "TextPair",
    "UserError",
    "deduplicate",
    "mine",
    "remove_passages",
]
_PLACES = {
    "CrossEncoderModelHandler": "pairs.beam_handler",
    "DeduplicateTexts": "dedup.beam",
    "Deduplication": "dedup.result",
    "deduplicate": "dedup.library",
    "MinePairs": "mining.beam",
    "Mined": "mining.library",
    "mine": "mining.library",
    "PairScorer": "scoring.scorer",
    "PassageRemoval": "passages.library",
    "RemovePassages": "passages.beam",
    "remove_passages": "passages.library",
    "Rejected": "types",
    "ScorePairs": "pairs.beam",
    "ScoreResult": "scoring.scorer",
    "ScoreStats": "scoring.scorer",
    "ScoredPair": "types",
    "TextPair": "types",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        value = globals()[name] = getattr(import_module(f"beam_sts.{_PLACES[name]}"), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


register_with_transformers()
