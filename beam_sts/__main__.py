"""``python -m beam_sts VERB`` does the same as ``beam-sts VERB``."""

import sys

from beam_sts.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
