"""Corpora: candidate pairs, clusters, mined pairs. Pure functions on arrays; a text's number is its row."""
