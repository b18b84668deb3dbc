"""The commands: ``beam-sts VERB``, or ``python -m pipelines.VERB``."""

import logging

# Beam logs this at import, before a command can set a level. It is about dependencies that are not needed
# here.
logging.getLogger().addFilter(lambda record: not record.getMessage().startswith(("apitools not", "crcmod")))
