"""``python -m pipelines.main`` is ``beam-sts``."""

import sys

from beam_sts.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
