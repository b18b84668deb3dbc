"""``python -m pipelines.explain`` is ``beam-sts explain``."""

import sys

from beam_sts.cli.explain import main

if __name__ == "__main__":
    sys.exit(main())
