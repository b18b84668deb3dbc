"""The pool of Python workers that the engines on one machine share."""

import os
import signal

import pytest
from apache_beam.portability.api import beam_fn_api_pb2, endpoints_pb2

from scripts.worker_pool import WorkerPool
from tests import engines


@pytest.fixture
def pool(tmp_path):
    """A pool of workers that wait, like a process that imports torch."""
    program = tmp_path / "worker"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    made = WorkerPool(use_process=True, container_executable=str(program))
    here = endpoints_pb2.ApiServiceDescriptor(url="localhost:1")
    request = beam_fn_api_pb2.StartWorkerRequest(worker_id="1-1", control_endpoint=here)
    assert not made.StartWorker(request, None).error
    return made


def test_a_killed_worker_is_started_again_a_few_times(pool):
    """Flink waits forever for a worker that was killed before it connected."""
    for _ in range(2):
        first = pool._worker_processes["1-1"]
        os.kill(first.pid, signal.SIGKILL)
        engines.wait_until(lambda first=first: pool._worker_processes["1-1"] is not first, timeout=30)
    last = pool._worker_processes["1-1"]
    os.kill(last.pid, signal.SIGKILL)
    assert last.wait() == -signal.SIGKILL
    assert pool._worker_processes["1-1"] is last
