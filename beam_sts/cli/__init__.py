"""The command lines: ``beam-sts VERB``, also ``python -m pipelines.VERB``."""

import logging

# Beam logs this at its import, before any command could set a level, about a dependency nobody here needs.
logging.getLogger().addFilter(lambda record: not record.getMessage().startswith(("apitools not", "crcmod")))
