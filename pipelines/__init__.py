"""The commands of ``beam_sts.cli`` as ``python -m pipelines.VERB``; ``beam_sts`` never imports this."""

import sys

if sys.argv and sys.argv[0] == "-m":  # so Python shows it while it looks for the module
    sys.argv[0] = "beam-sts"
    import beam_sts  # noqa: F401  learns from the name that a command starts
