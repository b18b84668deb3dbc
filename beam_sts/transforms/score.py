"""Moved to ``beam_sts.pairs.beam``."""

from beam_sts.moved import moved

__getattr__ = moved(__name__, "beam_sts.pairs.beam")
