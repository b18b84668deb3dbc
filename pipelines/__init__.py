"""Thin command lines: options and wiring only."""

import logging

# Beam logs this at its import, before any command could set a level, about a dependency nobody here needs.
logging.getLogger().addFilter(lambda record: not record.getMessage().startswith(("apitools not", "crcmod")))
