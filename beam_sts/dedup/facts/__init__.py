"""The fact guard: two texts that say different things are no duplicates, however alike they look.

Facts are numbers, dates, times, units, money, versions, codes, addresses, negations, quantities and bounds,
opposites, names, and who does what to whom. A text is read once (``read_facts``), pairs of texts are compared
by what was read (``compare``). Pure functions over tables: no model, no Beam.

``known.txt`` (words that five sentences or more of openly licensed corpora hold) is made by
``benchmarks/fact_tables.py``; ``exclusive.txt`` is written by hand.
"""
