"""Pairs of texts to scores, without Beam: tokenise, plan micro-batches, run a backend, restore the order."""
