"""A Cloud Storage server on this machine, for tests: real requests of the real client, no account."""

import contextlib
import json
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

from scripts.cluster import free_ports
from tests import engines

SERVER = "github.com/fsouza/fake-gcs-server@v1.56.1"


class Bucket:
    """Its only bucket, called bucket, over JSON and HTTP."""

    def __init__(self, url):
        self.url = url

    def names(self):
        with urllib.request.urlopen(f"{self.url}/storage/v1/b/bucket/o", timeout=10) as answer:
            return [item["name"] for item in json.load(answer).get("items", [])]

    def get(self, name):
        place = f"{self.url}/storage/v1/b/bucket/o/{urllib.parse.quote(name, safe='')}?alt=media"
        with urllib.request.urlopen(place, timeout=60) as answer:
            return answer.read()

    def put(self, name, content):
        place = f"{self.url}/upload/storage/v1/b/bucket/o?uploadType=media&name={urllib.parse.quote(name)}"
        urllib.request.urlopen(urllib.request.Request(place, content, method="POST"), timeout=60).close()

    def one(self, ending):
        (name,) = [name for name in self.names() if name.endswith(ending)]
        return self.get(name)


@contextlib.contextmanager
def serving(folder, monkeypatch):
    """Start the server, and let clients in this process and its children use it."""
    # Set before the import, because gcsfs otherwise asks Google, not the emulator, for the kind of a bucket.
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    pytest.importorskip("gcsfs", reason="the extra gcs")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    (port,) = free_ports(1)
    command = [engines.go_program(SERVER), "-scheme=http", "-host=127.0.0.1", f"-port={port}"]
    url = f"http://127.0.0.1:{port}"
    with (folder / "store.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "-backend=memory", f"-external-url={url}"], stdout=log, stderr=log
        )
    # Google's client and gcsfs both read it.
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
    bucket = urllib.request.Request(
        f"{url}/storage/v1/b", b'{"name": "bucket"}', {"Content-Type": "application/json"}
    )
    deadline = time.monotonic() + 30
    try:
        while True:
            try:
                urllib.request.urlopen(bucket, timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < deadline, (folder / "store.log").read_text()
                time.sleep(0.1)
        yield Bucket(url)
    finally:
        server.kill()
        server.wait()
