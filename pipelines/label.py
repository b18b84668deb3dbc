"""``python -m pipelines.label`` is ``beam-sts label``."""

import sys

from beam_sts.cli.label import main

if __name__ == "__main__":
    sys.exit(main())
