"""A worker process of ``multi_processing``: Beam's, but what it logs goes to the launcher alone."""

import logging
import sys

if __name__ == "__main__":
    # Beam warns while it is imported; a root logger without a handler would write to standard error for good.
    logging.getLogger().addHandler(logging.NullHandler())
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)
