"""Moved to ``beam_sts.candidates.buckets``."""

from beam_sts.moved import moved

__getattr__ = moved(__name__, "beam_sts.candidates.buckets")
