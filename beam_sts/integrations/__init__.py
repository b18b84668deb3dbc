"""Adapters for evaluation harnesses, one module for each. Each is imported only by its user."""
