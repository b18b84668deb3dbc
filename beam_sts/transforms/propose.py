"""Moved to ``beam_sts.candidates.beam``."""

from beam_sts.moved import moved

__getattr__ = moved(__name__, "beam_sts.candidates.beam", "beam_sts.candidates.beam_given")
