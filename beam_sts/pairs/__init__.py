"""Scoring the pairs of files and of PCollections: the Beam side of ``beam_sts.scoring``."""
