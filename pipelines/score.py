"""``python -m pipelines.score`` is ``beam-sts score``."""

import sys

from beam_sts.cli.score import main

if __name__ == "__main__":
    sys.exit(main())
