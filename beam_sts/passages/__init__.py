"""Passages: items of one input found inside the rows of another, and lines or sentences that are repeated.

An item is known by its words: two of them next to each other (``index.py``) say where in a page an item may
be, an alignment of words in order (``align.py``) says whether it is, and from where to where. Repeated units
(``units.py``) have the same words. A page is looked at on its own, so the drivers only bring slices.
"""
