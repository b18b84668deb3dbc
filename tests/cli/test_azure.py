"""Azure blobs served by Azurite on this machine: the same bytes as on a disk, one writer, no secret.

    python -m pytest -m slow tests/cli/test_azure.py

Needs npm (Azurite is installed from its package, once) and adlfs.
"""

import contextlib
import io
import json
import socket
import subprocess
import time

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.cli import score
from tests import engines
from tests.checkpoints import SENTENCES

pytestmark = pytest.mark.slow

# Published by Microsoft for this emulator.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
PACKAGE = "azurite@3"


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """A separate server with an empty container ``bucket``."""
    pytest.importorskip("adlfs")
    engines.need("npm")
    home = engines.HOME / "azurite"
    program = home / "node_modules" / ".bin" / "azurite-blob"
    if not program.is_file():
        home.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--silent", PACKAGE], cwd=home, check=True, timeout=600)
    with socket.create_server(("127.0.0.1", 0)) as held:
        free = held.getsockname()[1]
    flags = ["--blobPort", str(free), "--location", str(tmp_path_factory.mktemp("azure"))]
    flags += ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    process = subprocess.Popen([program, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", free)):
            break
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield free
    process.kill()
    process.wait()


@pytest.fixture
def options(port, tmp_path, monkeypatch):
    """A file of the options; their effects on this process are undone."""
    monkeypatch.setattr(fsspec.config, "conf", {})
    where = f"http://127.0.0.1:{port}/devstoreaccount1"
    line = (
        f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={KEY};BlobEndpoint={where};"
    )
    file = tmp_path / "options.json"
    file.write_text(json.dumps({"abfs": {"connection_string": line}}))
    return f"--storage_options={file}"


def _fs(options):
    with open(options.partition("=")[2]) as file:  # noqa: PTH123
        fs = fsspec.filesystem("abfs", **json.load(file)["abfs"], skip_instance_cache=True)
    fs.invalidate_cache()
    return fs


def test_the_same_bytes_as_on_a_disk_one_writer_and_no_secret(options, tmp_path, tiny, capfd):
    texts = [f"{SENTENCES[i % 7]} {i}" if i % 13 else None for i in range(200)]
    pq.write_table(pa.table({"text_a": texts, "text_b": texts[::-1]}), tmp_path / "in.parquet")
    more = ["--model", str(tiny), "--threads", "1", "--rows_per_shard", "40", "--threshold", "0.5"]
    local = ["--input", str(tmp_path / "in.parquet"), "--output", str(tmp_path / "out"), *more]
    assert score.main(local) == 0
    fs = _fs(options)
    fs.mkdir("bucket")
    fs.pipe_file("bucket/in/pairs.parquet", (tmp_path / "in.parquet").read_bytes())
    there = ["--input", "abfs://bucket/in/*.parquet", "--output", "abfs://bucket/out", options, *more]
    assert score.main(there) == 0
    for name, content in engines.shards(tmp_path / "out").items():
        found = fs.cat_file(f"bucket/out/{name}")
        if name.startswith("rejected"):  # it also names its file, which has another path
            found, content = (pq.read_table(io.BytesIO(data)).drop(["file"]) for data in (found, content))
        assert found == content, name
    assert not fs.exists("bucket/out/_run/lock")
    engines.check_one_writer("abfs://bucket/out", there, capfd)
    said = "".join(capfd.readouterr())
    left = {path: _fs(options).cat_file(path) for path in _fs(options).find("bucket/out")}
    assert KEY not in said
    assert not [path for path, content in left.items() if KEY.encode() in content]
