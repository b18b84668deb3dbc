"""An S3 server on this machine, with real requests and kills: the same output bytes as on a local disk.

    python -m pytest -m slow tests/cli/test_object_store.py

Needs Go (the server is built from its module) and s3fs. A small proxy between client and server delays,
truncates and refuses requests.
"""

import contextlib
import http.client
import io
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.cli import dedup, evaluate, explain, label, mine, score
from tests import engines
from tests.checkpoints import SENTENCES
from tests.cli.test_dedup import made_texts

pytestmark = pytest.mark.slow

SERVER = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
KEY, SECRET = "a-key-of-the-tests", "a-secret-of-the-tests"
FEW_TRIES = {"retries": {"mode": "standard", "max_attempts": 2}}
SETTINGS = ("--rows_per_shard=25", "--threshold=0.4", "--threads=1")


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as held:
        return held.getsockname()[1]


class Server:
    """A versitygw server over a folder; its objects remain after it stops."""

    def __init__(self, folder):
        self.program = engines.go_program(SERVER)
        self.port = _free_port()
        self.data, self.log = folder / "data", folder / "server.log"
        self.data.mkdir(parents=True)
        self.process = None

    def start(self):
        command = [self.program, "--port", f"127.0.0.1:{self.port}", "--access", KEY, "--secret", SECRET]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*command, "posix", self.data], stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def stop(self):
        self.process.kill()
        self.process.wait()


class Proxy:
    """A proxy that forwards requests, or disturbs them as ``trouble`` decides.

    ``trouble`` returns None, or "throttle" (503 SlowDown), "cut" (half of the answer's body) or "slow" (a
    delay).
    """

    def __init__(self, port):
        proxy = self
        self.trouble = lambda: None
        self.seen = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                what = proxy.trouble()
                proxy.seen.append(what)
                if what == "throttle":
                    refusal = b"<Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>"
                    self.send_response(503)
                    self.send_header("Content-Length", str(len(refusal)))
                    self.send_header("Content-Type", "application/xml")
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(refusal)
                    return
                if what == "slow":
                    time.sleep(0.5)
                server = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    server.putheader(name, value)
                server.endheaders(body)
                answer = server.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in (
                        "date",
                        "server",
                        "content-length",
                        "transfer-encoding",
                        "connection",
                    ):
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") or str(len(content))
                self.send_header("Content-Length", length)
                self.end_headers()
                if what == "cut" and len(content) > 1:
                    self.wfile.write(content[: len(content) // 2])
                    self.close_connection = True
                else:
                    self.wfile.write(content)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _pass  # noqa: N815

            def handle_one_request(self):
                with contextlib.suppress(ConnectionError, http.client.HTTPException):
                    return super().handle_one_request()
                self.close_connection = True

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def table():
    texts = [" ".join([SENTENCES[i % 7], str(i), *SENTENCES[:5]]) if i % 13 else None for i in range(1500)]
    return pa.table({"id": range(1500), "text_a": texts, "text_b": texts[::-1]})


@pytest.fixture(scope="module")
def store(tmp_path_factory, table):
    """A server with one bucket and the input in it."""
    pytest.importorskip("s3fs")
    server = Server(tmp_path_factory.mktemp("s3"))
    server.start()
    fs = _fs(server.port)
    fs.mkdir("bucket")
    with fs.open("bucket/in/pairs.parquet", "wb") as sink:
        pq.write_table(table, sink)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def reference(tmp_path_factory, table, full_size):
    """The output of the same input on a local disk."""
    folder = tmp_path_factory.mktemp("local")
    pq.write_table(table, folder / "pairs.parquet")
    flags = ("--input", folder / "pairs.parquet", "--output", folder / "out", "--model", full_size)
    assert score.main([*map(str, flags), *SETTINGS]) == 0
    return folder / "out"


def _fs(port):
    import s3fs

    return s3fs.S3FileSystem(**_options(port)["s3"], skip_instance_cache=True, use_listings_cache=False)


def _options(port, **more):
    return {"s3": {"key": KEY, "secret": SECRET, "endpoint_url": f"http://127.0.0.1:{port}", **more}}


@pytest.fixture
def flags(tmp_path, full_size):
    """Flags of a run on the store, by the port of the server or the proxy."""

    def make(port, output, **more):
        options = tmp_path / "storage.json"
        options.write_text(json.dumps(_options(port, **more)))
        where = ("--input", "s3://bucket/in/pairs.parquet", "--output", f"s3://bucket/{output}")
        return [*where, "--model", str(full_size), f"--storage_options={options}", *SETTINGS]

    return make


def _check(port, output, reference):
    """Check for the same shards; a rejected row also names its file, which has another path."""
    fs, folder = _fs(port), f"bucket/{output}"
    names = [path.removeprefix(f"{folder}/") for path in fs.find(folder) if "/part-" in path]
    wanted = engines.shards(reference)
    assert {name for name in names if not name.startswith("_run")} == set(wanted)
    for name, content in wanted.items():
        found = fs.cat_file(f"{folder}/{name}")
        if name.startswith("rejected"):
            found, content = (pq.read_table(io.BytesIO(data)).drop(["file"]) for data in (found, content))
        assert found == content, name


def _wait_for_shards(port, output, count):
    fs = _fs(port)
    engines.wait_until(lambda: len(fs.find(f"bucket/{output}/scores")) >= count)


def test_the_same_bytes_as_on_a_disk_and_no_secret_anywhere(store, reference, flags, capfd):
    assert score.main(flags(store.port, "plain")) == 0
    _check(store.port, "plain", reference)
    fs, said = _fs(store.port), "".join(capfd.readouterr())
    left = {path: fs.cat_file(path) for path in fs.find("bucket/plain")}
    assert "bucket/plain/_run/lock" not in left
    for secret in (KEY, SECRET):
        assert secret not in said
        assert not [path for path, content in left.items() if secret.encode() in content]
    engines.record("DirectRunner, in memory, on S3", "--storage_options FILE", "score", "same bytes")


def test_the_server_stops_and_starts_again(store, reference, flags):
    seen = []

    def restart():
        _wait_for_shards(store.port, "stopped", 5)
        store.stop()
        time.sleep(5)
        store.start()
        seen.extend(_fs(store.port).find("bucket/stopped/scores"))

    with engines.beside(restart):
        assert score.main(flags(store.port, "stopped")) == 0
    assert 5 <= len(seen) < 60
    _check(store.port, "stopped", reference)


def test_a_killed_run_goes_on_with_takeover(store, reference, flags, capsys):
    arguments = flags(store.port, "killed")
    with engines.start("score", *arguments) as process:
        _wait_for_shards(store.port, "killed", 5)
        assert score.main(arguments) == 2
        refusal = capsys.readouterr().err
        assert f"process {process.pid} on" in refusal
        assert "--takeover" in refusal
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert score.main(arguments) == 2
    assert score.main([*arguments, "--takeover"]) == 0
    _check(store.port, "killed", reference)
    assert json.loads(_fs(store.port).cat_file("bucket/killed/summary.json"))["shards_skipped"] >= 5
    assert score.main(arguments) == 0  # a normal end removes the lease


def test_a_run_that_was_taken_over_while_it_lives_stops_and_harms_nothing(store, reference, flags):
    """The first run is paused, as if by a lost network, and continues after the second has finished."""
    arguments = flags(store.port, "fenced")
    with engines.start("score", *arguments) as first:
        _wait_for_shards(store.port, "fenced", 5)
        first.send_signal(signal.SIGSTOP)
        assert score.main([*arguments, "--takeover"]) == 0
        _check(store.port, "fenced", reference)
        fs = _fs(store.port)
        names = [path for path in fs.find("bucket/fenced") if not path.endswith("/lock")]
        before = {path: fs.cat_file(path) for path in names}
        first.send_signal(signal.SIGCONT)
        _, error = first.communicate(timeout=120)
    assert first.returncode == 2, error
    assert "another run has taken this run over and is finished" in error
    assert {path: fs.cat_file(path) for path in names} == before
    assert not fs.exists("bucket/fenced/_run/lock")


def test_a_clock_that_is_days_off_neither_frees_nor_takes_a_lease(store, reference, flags):
    """Requests are signed with the time, so the clock of the store's client is shifted."""
    engines.need("faketime")
    arguments = flags(store.port, "skewed")
    with engines.start("score", *arguments) as first:
        _wait_for_shards(store.port, "skewed", 5)
        first.send_signal(signal.SIGSTOP)
        for shift in ("+10m", "-10m"):  # within the limit that S3 accepts for a signature
            command = ["faketime", "-m", "-f", shift, sys.executable, "-m", "pipelines.score", *arguments]
            environment = {**os.environ, "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
            second = subprocess.run(
                command, cwd=engines.ROOT, env=environment, capture_output=True, text=True, timeout=300
            )
            assert second.returncode == 2, second.stderr
            assert "is writing there, or was killed" in second.stderr
        first.send_signal(signal.SIGCONT)
        first.communicate(timeout=300)
    assert first.returncode == 0
    _check(store.port, "skewed", reference)


def test_every_verb_reads_and_writes_the_store_and_shows_no_secret(store, flags, tmp_path, full_size, capfd):
    options = next(flag for flag in flags(store.port, "none") if flag.startswith("--storage_options"))
    texts = made_texts()
    few = pa.table({"id": range(len(texts)), "text_a": texts, "text_b": texts[::-1]})
    with _fs(store.port).open("bucket/few/pairs.parquet", "wb") as sink:
        pq.write_table(few, sink)
    where = ["--input", "s3://bucket/few/pairs.parquet", options]
    run, model = "s3://bucket/deduped", ["--model", str(full_size)]
    assert dedup.main([*where, "--output", run, "--text", "text_a", "--id", "id", "--score_all", *model]) == 0
    assert explain.main(["--run", run, "5", options]) == 0
    assert label.main(["--run", run, "--sheet", "s3://bucket/sheet.csv", options]) == 0
    flags_of_mine = [
        "--output",
        "s3://bucket/mined",
        "--text",
        "text_a",
        "--neighbours",
        "1",
        "--lexical",
        "0",
    ]
    assert mine.main([*where, *flags_of_mine, *model]) == 0
    assert evaluate.main([*where, "--score", "id", "--json", "s3://bucket/metrics.json", *model]) == 0
    fs, said = _fs(store.port), "".join(capfd.readouterr())
    left = {path: fs.cat_file(path) for path in fs.find("bucket") if "/pairs.parquet" not in path}
    assert {"bucket/sheet.csv", "bucket/metrics.json", "bucket/deduped/summary.json"} <= set(left)
    assert not [path for path in left if path.endswith("/_run/lock") and "killed" not in path]
    for secret in (KEY, SECRET):
        assert secret not in said
        assert not [path for path, content in left.items() if secret.encode() in content]


def test_throttled_cut_and_slow_answers_are_tried_again(store, reference, flags):
    proxy, chance = Proxy(store.port), random.Random(3)
    proxy.trouble = lambda: chance.choices((None, "throttle", "cut", "slow"), (84, 8, 4, 4))[0]
    assert score.main(flags(proxy.port, "proxied")) == 0
    assert {"throttle", "cut", "slow"} <= set(proxy.seen)
    _check(store.port, "proxied", reference)


def test_a_store_that_keeps_failing_ends_the_run_with_the_reason(store, reference, flags, capsys):
    proxy = Proxy(store.port)

    def fail():
        _wait_for_shards(store.port, "refused", 5)
        proxy.trouble = lambda: "throttle"

    with engines.beside(fail):
        assert score.main(flags(proxy.port, "refused", config_kwargs=FEW_TRIES)) == 1
    error = capsys.readouterr().err
    # An answer to HEAD has no body with details.
    assert any(said in error for said in ("SlowDown", "Reduce your rate", "Service Unavailable"))
    assert "run the same command again" in error
    assert "Traceback" not in error
    assert SECRET not in error
    assert score.main([*flags(store.port, "refused"), "--takeover"]) == 0
    _check(store.port, "refused", reference)


def test_a_store_that_does_not_answer_or_refuses_the_key_is_one_screen(store, flags, capsys):
    assert score.main(flags(_free_port(), "nowhere", config_kwargs=FEW_TRIES)) in (1, 2)
    assert "127.0.0.1" in capsys.readouterr().err
    assert score.main(flags(store.port, "nowhere", secret="wrong", config_kwargs=FEW_TRIES)) in (1, 2)
    error = capsys.readouterr().err
    assert "wrong" not in error
    assert len(error.splitlines()) < 6, os.linesep.join(error.splitlines()[:20])
