"""Architectures, checkpoint rules and the embedded models. Imports no Beam."""
