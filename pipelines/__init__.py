"""Thin command lines: options and wiring only."""
