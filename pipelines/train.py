"""``python -m pipelines.train`` is ``beam-sts train``."""

import sys

from beam_sts.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
