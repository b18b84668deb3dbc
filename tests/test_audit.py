"""The audit of .ci/run reports if it was impossible, and does not accept an empty answer as success."""

import importlib.util
import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_SCRIPT = ROOT / "scripts" / "audit.py"


@pytest.fixture
def audit():
    spec = importlib.util.spec_from_file_location("audit", _SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def service():
    """Answers every request with ``service.body``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.server.body)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (json.dumps({"vulnerabilities": [{"id": "PYSEC-1"}]}), True),
        (json.dumps({"vulnerabilities": []}), False),
        (json.dumps({"info": {}}), False),
        ("<html>sign in</html>", False),
        ("[]", False),
        ("", False),
    ],
)
def test_only_a_service_that_knows_a_vulnerability_is_asked(audit, service, body, asked):
    service.body = body.encode()
    assert (audit.reachable(f"http://127.0.0.1:{service.server_port}/") is None) == asked


def test_without_a_service_it_is_skipped_aloud(audit, service, monkeypatch, capsys):
    port = service.server_port
    service.shutdown()
    service.server_close()
    monkeypatch.setattr(audit, "CANARY", f"http://127.0.0.1:{port}/")
    monkeypatch.setattr(audit.reachable, "__defaults__", (f"http://127.0.0.1:{port}/",))
    monkeypatch.setattr(subprocess, "run", None)  # nothing is installed or audited
    assert audit.main() == 0
    assert "dependency audit skipped" in capsys.readouterr().out


def test_ci_runs_it():
    assert "scripts/audit.py" in (ROOT / ".ci" / "run").read_text()
