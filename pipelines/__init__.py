"""The commands of ``beam_sts.cli`` as ``python -m pipelines.VERB``. ``beam_sts`` never imports it."""

import sys

if sys.argv and sys.argv[0] == "-m":  # Python's value while it resolves -m
    sys.argv[0] = "beam-sts"
    import beam_sts  # noqa: F401  sees by sys.argv[0] that a command starts
