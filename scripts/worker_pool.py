"""Python workers for the task managers of one machine: Beam's worker pool with three differences.

It listens on 127.0.0.1 only. It never stops a worker: each task manager numbers its workers from 1, so two
task managers on a machine request workers with the same name, and Beam's pool (``worker_pool_main``, Beam
2.77) would stop one worker when the job of the other ends. A worker ends when its task manager closes the
connection. A worker that a signal ends is started again, because an engine waits forever for a worker that
ended before it connected.

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

    def StartWorker(self, request: Any, context: Any) -> Any:  # noqa: N802, the protocol's name
        """Start a worker. Start it again if a signal ends it."""
        return self._start(request, context, tries=_TRIES)

    def _start(self, request: Any, context: Any, tries: int) -> Any:
        with self._starting:  # workers of two engines may have the same name
            answer = super().StartWorker(request, context)
            process = self._worker_processes.get(request.worker_id)

        def watch() -> None:
            if process is not None and process.wait() < 0 and tries > 1:
                self._start(request, context, tries - 1)

        threading.Thread(target=watch, daemon=True).start()
        return answer

    def StopWorker(self, request: Any, context: Any) -> Any:  # noqa: N802, the protocol's name
        """Do nothing: workers end with their connection."""
        return beam_fn_api_pb2.StopWorkerResponse()


def main() -> None:
    """Serve until a signal ends the process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--container_executable", metavar="BOOT", help="Beam's boot program, which installs a job's packages"
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
