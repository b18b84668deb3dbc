"""``python -m pipelines.evaluate`` is ``beam-sts evaluate``."""

import sys

from beam_sts.cli.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
