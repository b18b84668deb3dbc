"""Moved to ``beam_sts.mining.beam``."""

from beam_sts.moved import moved

__getattr__ = moved(__name__, "beam_sts.mining.beam")
