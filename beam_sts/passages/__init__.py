"""Passages: items of one input that occur inside rows of another, and repeated lines or sentences.

Pairs of neighbouring words (``index.py``) locate where an item may occur in a page. An alignment of words
(``align.py``) decides whether it does, and from where to where. Repeated units (``units.py``) have equal
words. Each page is processed independently, so the drivers only supply slices.
"""
