"""The job service of Dataflow on this machine, for tests: the real client's requests, and a run of the job.

It answers in the form of the REST API v1b3. A job that is created runs at once, in this process, from the
pipeline that the client has staged.
"""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.runners.portability.fn_api_runner import FnApiRunner


def run_here(pipeline):
    """Run a staged pipeline in this process, without its workers' image."""
    for environment in pipeline.components.environments.values():
        environment.urn, environment.payload = python_urns.EMBEDDED_PYTHON, b""
        del environment.dependencies[:]
    FnApiRunner().run_via_runner_api(pipeline, PipelineOptions([])).wait_until_finish()


@contextlib.contextmanager
def serving(store):
    """Serve on localhost; ``store`` is the bucket into which jobs are staged.

    Yields the address for ``--dataflow_endpoint``, and a list of the jobs that were created.
    """
    jobs = []

    class Service(BaseHTTPRequestHandler):
        def do_POST(self):
            job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            run_here(api.Pipeline.FromString(store.one("/pipeline.pb")))
            jobs.append(job)
            self._answer({"id": f"job-{len(jobs)}", "name": job["name"]})

        def do_GET(self):
            if self.path.partition("?")[0].endswith("/messages"):
                self._answer({})
            else:
                self._answer({"id": f"job-{len(jobs)}", "currentState": "JOB_STATE_DONE"})

        def _answer(self, content):
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{server.server_port}", jobs
    finally:
        server.shutdown()
        server.server_close()
