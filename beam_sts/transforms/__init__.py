"""Beam: the model handler and the transforms around it."""
