"""Architectures, checkpoints and the embedded models. It does not import Beam."""
