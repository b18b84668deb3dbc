"""Smaller messages from Beam's Python workers, so that a runner's process needs less memory for them.

A worker sends what it gives in messages of 10 MB. The Java side of Flink and Spark queues up to a hundred for
each bundle (seen in 2.70.0), so a task that is slower than its worker would need a gigabyte of heap. With
messages of 1 MB it is a hundred megabytes. Beam has no option for that. Importing this module in a worker
before a bundle starts is enough; modules whose steps give much do so.
"""

from __future__ import annotations

import logging

from apache_beam.runners.worker import data_plane

MESSAGE, QUEUED = 1 << 20, 1 << 24
"""Bytes of a message, and bytes that wait in a worker to be sent or read."""


def make_messages_small() -> None:
    """Set the sizes in this process, if this version of Beam has them."""
    stream = data_plane.SizeBasedBufferingClosableOutputStream.__init__
    defaults = stream.__defaults__ or ()
    known = 10 << 20
    if getattr(data_plane, "_DEFAULT_SIZE_FLUSH_THRESHOLD", None) != known or known not in defaults:
        logging.getLogger(__name__).debug("this version of Beam has other buffers; they are left as they are")
        return
    data_plane._DEFAULT_SIZE_FLUSH_THRESHOLD = MESSAGE
    data_plane._DEFAULT_SEND_QUEUE_MAX_BYTES = QUEUED
    stream.__defaults__ = tuple(MESSAGE if value == known else value for value in defaults)


make_messages_small()
