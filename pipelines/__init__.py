"""Thin command lines: options and wiring only."""

import os
import sys

# As a command, ``python -m pipelines.VERB`` or ``beam-sts``: Python shows -m while it looks for the module.
if sys.argv and (sys.argv[0] == "-m" or "beam-sts" in os.path.basename(sys.argv[0])):  # noqa: PTH119
    from pipelines import interrupts

    interrupts.install()

import logging

# Beam logs this at its import, before any command could set a level, about a dependency nobody here needs.
logging.getLogger().addFilter(lambda record: not record.getMessage().startswith(("apitools not", "crcmod")))
