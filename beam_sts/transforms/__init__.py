"""Beam YAML transforms, and the former places of the Beam transforms."""
