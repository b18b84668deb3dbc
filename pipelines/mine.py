"""``python -m pipelines.mine`` is ``beam-sts mine``."""

import sys

from beam_sts.cli.mine import main

if __name__ == "__main__":
    sys.exit(main())
