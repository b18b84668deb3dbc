"""Moved to ``beam_sts.candidates.beam_buckets``."""

from beam_sts.moved import moved

__getattr__ = moved(
    __name__,
    "beam_sts.candidates.beam_buckets",
    "beam_sts.candidates.beam_join",
    "beam_sts.candidates.beam_union",
)
