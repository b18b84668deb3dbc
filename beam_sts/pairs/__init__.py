"""Scores the pairs in files and PCollections: the Beam side of ``beam_sts.scoring``."""
