"""``python -m pipelines.models`` is ``beam-sts models``."""

import sys

from beam_sts.cli.models import main

if __name__ == "__main__":
    sys.exit(main())
