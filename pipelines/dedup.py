"""``python -m pipelines.dedup`` is ``beam-sts dedup``."""

import sys

from beam_sts.cli.dedup import main

if __name__ == "__main__":
    sys.exit(main())
