"""The engine that runs BERT-hash classifiers on the CPU: a whole micro-batch in one call of native code.

It needs only NumPy and ``ctypes``. ``docs/engine.md`` describes how it works.
"""

from beam_sts.scoring.engine.backend import Engine
from beam_sts.scoring.engine.shape import Shape

__all__ = ["Engine", "Shape"]
