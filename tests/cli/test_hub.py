"""A data set of the Hugging Face Hub as input: the real client with a server on this machine.

The server answers the few requests of the Hub's API that reading needs: repository, paths, tree, files.
"""

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import engines
from tests.checkpoints import SENTENCES

COMMIT = "c" * 40
TOKEN = "hf_a_token_of_the_tests"


class Hub:
    """A server with one private data set, ``someone/pairs``."""

    def __init__(self, files):
        hub = self
        self.seen = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status, body=b"", **headers):
                body = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Length": len(body), "X-Repo-Commit": COMMIT, **headers}.items():
                    self.send_header(name.replace("_", "-"), str(value))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def serve(self):
                sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = self.path.partition("?")[0]
                hub.seen.append((self.command, self.path))
                if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    return self.answer(
                        401, {"error": "Invalid username or password."}, X_Error_Code="RepoNotFound"
                    )
                if re.fullmatch(r"/api/datasets/someone/pairs(/revision/\w+)?", path):
                    return self.answer(200, {"id": "someone/pairs", "sha": COMMIT, "siblings": []})
                if path.startswith("/api/datasets/someone/pairs/paths-info/"):
                    wanted = re.findall(r"data/[\w.-]+|data\b", sent.decode().replace("%2F", "/"))
                    return self.answer(200, [entry for entry in entries if entry["path"] in wanted])
                if path.startswith("/api/datasets/someone/pairs/tree/"):
                    return self.answer(200, entries)
                found = re.fullmatch(r"/datasets/someone/pairs/resolve/\w+/(.+)", path.replace("%2F", "/"))
                if found and found[1] in files:
                    return self.file(files[found[1]])
                return self.answer(404, {"error": "not there"}, X_Error_Code="EntryNotFound")

            def file(self, data):
                ranges = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
                etag = f'"{hashlib.sha1(data).hexdigest()}"'
                if not ranges:
                    return self.answer(200, data, ETag=etag, Accept_Ranges="bytes")
                first, last = int(ranges[1]), min(int(ranges[2] or len(data) - 1), len(data) - 1)
                shown = f"bytes {first}-{last}/{len(data)}"
                return self.answer(206, data[first : last + 1], ETag=etag, Content_Range=shown)

            do_GET = do_HEAD = do_POST = serve  # noqa: N815

            def log_message(self, *args):
                pass

        entries = [{"type": "directory", "path": "data", "oid": "d" * 40, "size": 0}] + [
            {"type": "file", "path": name, "oid": hashlib.sha1(data).hexdigest(), "size": len(data)}
            for name, data in files.items()
        ]
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def table():
    texts = [f"{SENTENCES[i % 7]} {i}" for i in range(100)]
    return pa.table({"id": range(100), "sentence1": texts, "sentence2": texts[::-1]})


@pytest.fixture
def hub(table):
    files = {}
    for number in range(2):
        sink = pa.BufferOutputStream()
        pq.write_table(table[50 * number : 50 * number + 50], sink)
        files[f"data/train-{number:05d}-of-00002.parquet"] = sink.getvalue().to_pybytes()
    hub = Hub(files)
    yield hub
    hub.http.shutdown()


def _score(tmp_path, model, hub, pattern, *more, **environment):
    (tmp_path / "options.json").write_text(json.dumps({"hf": {"endpoint": hub.url, "token": TOKEN}}))
    flags = ("--input", pattern, "--output", tmp_path / "out", "--model", model, "--threads", 1)
    environment = {
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path / "hf"),
        "HF_ENDPOINT": hub.url,
        **environment,
    }
    return engines.start("score", *flags, *more, env=environment)


def test_a_data_set_of_the_hub_is_read_by_its_path(hub, table, tmp_path, tiny):
    options = f"--storage_options={tmp_path / 'options.json'}"
    pattern = "hf://datasets/someone/pairs/data/train-*.parquet"
    said = engines.finish(_score(tmp_path, tiny, hub, pattern, options), timeout=300)
    found = pq.read_table(tmp_path / "out" / "scores")
    assert found.drop(["score"]).to_pylist() == table.to_pylist()
    assert any("/resolve/" in path for _, path in hub.seen)
    run = json.loads((tmp_path / "out" / "_run" / "run.json").read_text())
    assert [file["path"] for file in run["input"]] == [
        f"hf://datasets/someone/pairs/data/train-{number:05d}-of-00002.parquet" for number in range(2)
    ]
    assert all(len(file["identity"]) == 40 for file in run["input"])  # the Hub's hash of the file
    for text in (said, *(path.read_text(errors="replace") for path in (tmp_path / "out").rglob("*.*"))):
        assert TOKEN not in text
    # A run with the same files is the same run.
    assert "2 of 2 shards existed" in engines.finish(
        _score(tmp_path, tiny, hub, pattern, options), timeout=300
    )


@pytest.mark.parametrize(
    ("pattern", "environment", "message"),
    [
        ("hf://datasets/someone/pairs/data/no-*.parquet", {}, "no file matches"),
        ("hf://datasets/someone/other/data/*.parquet", {}, "someone/other"),
        ("hf://datasets/someone/pairs/data/*.parquet", {"HF_HUB_OFFLINE": "1"}, "offline"),
    ],
)
def test_what_is_not_to_be_had_is_one_screen(hub, tmp_path, tiny, pattern, environment, message):
    options = f"--storage_options={tmp_path / 'options.json'}"
    process = _score(tmp_path, tiny, hub, pattern, options, **environment)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 2, error
    assert message in error
    assert "Traceback" not in error
    assert len(error) < 1500
    assert TOKEN not in error
