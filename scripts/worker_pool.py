"""Python workers for the task managers of one machine: Beam's worker pool with three differences.

It listens on 127.0.0.1 only, and it stops no worker. Each task manager counts its workers from 1, so two of
them on one machine ask for workers of the same name; Beam's own (``worker_pool_main``) would stop the one
when the other's job is done (seen in Beam 2.77). A worker ends by itself when its task manager closes the
connection. A worker that a signal ends is started again: an engine waits forever for one that died before
it had connected.

    python scripts/worker_pool.py --port 50000
"""

from __future__ import annotations

import argparse
import threading
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
from apache_beam.utils.thread_pool_executor import shared_unbounded_instance

_TRIES = 3


class WorkerPool(BeamFnExternalWorkerPoolServicer):
    """Starts a worker process for each request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._starting = threading.Lock()

    def StartWorker(self, request: Any, context: Any) -> Any:  # noqa: N802, the name is the protocol's
        """Start a worker, and start it again if it is killed."""
        return self._start(request, context, tries=_TRIES)

    def _start(self, request: Any, context: Any, tries: int) -> Any:
        with self._starting:  # two engines' workers may have one name
            answer = super().StartWorker(request, context)
            process = self._worker_processes.get(request.worker_id)

        def watch() -> None:
            if process is not None and process.wait() < 0 and tries > 1:
                self._start(request, context, tries - 1)

        threading.Thread(target=watch, daemon=True).start()
        return answer

    def StopWorker(self, request: Any, context: Any) -> Any:  # noqa: N802, the name is the protocol's
        """Leave the worker alone."""
        return beam_fn_api_pb2.StopWorkerResponse()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--container_executable", metavar="BOOT", help="Beam's boot program, which installs what a job stages"
    )
    own = parser.parse_args()
    server = grpc.server(shared_unbounded_instance())
    pool = WorkerPool(use_process=True, container_executable=own.container_executable)
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    server.add_insecure_port(f"127.0.0.1:{own.port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
