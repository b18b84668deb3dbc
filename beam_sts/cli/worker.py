"""A worker process of ``multi_processing``: Beam's worker, which logs to the launcher only."""

import logging
import sys

if __name__ == "__main__":
    # Beam logs warnings at import. Without a handler, the root logger would then write to standard error for
    # good.
    logging.getLogger().addHandler(logging.NullHandler())
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)
