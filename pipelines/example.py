"""``python -m pipelines.example`` is ``beam-sts example``."""

import sys

from beam_sts.cli.example import main

if __name__ == "__main__":
    sys.exit(main())
