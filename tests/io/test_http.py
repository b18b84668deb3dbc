"""Files of a web server as input: read in parts, with an identity, and never written to."""

import functools
import re
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.cli import score
from beam_sts.io.files import identify
from tests.checkpoints import SENTENCES

pytest.importorskip("aiohttp")


class WholeFiles(SimpleHTTPRequestHandler):
    """A server without range requests, as ``python -m http.server``."""

    def log_message(self, *_):
        pass


class Parts(WholeFiles):
    """A server that answers range requests, as most do."""

    def do_GET(self):
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not found:
            super().do_GET()
            return
        content = Path(self.translate_path(self.path)).read_bytes()
        first, last = int(found[1]), min(int(found[2]), len(content) - 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        self.wfile.write(content[first : last + 1])


@pytest.fixture
def served(tmp_path):
    """A function that serves a folder with one file of pairs in each format, and returns its URL."""
    folder = tmp_path / "served"
    folder.mkdir()
    pairs = pa.table({"text1": SENTENCES, "text2": SENTENCES[::-1]})
    pq.write_table(pairs, folder / "pairs.parquet")
    lines = [f'{{"text1": "{a}", "text2": "{b}"}}\n' for a, b in zip(SENTENCES, SENTENCES[::-1], strict=True)]
    (folder / "pairs.jsonl").write_text("".join(lines))
    servers = []

    def serve(handler):
        server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=folder))
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("name", ["pairs.parquet", "pairs.jsonl"])
def test_a_file_of_a_web_server_is_scored_as_a_local_file(tmp_path, served, name):
    url = served(Parts)
    score.main(["--input", f"{url}/{name}", "--output", str(tmp_path / "web")])
    here = str(tmp_path / "served" / name)
    score.main(["--input", here, "--output", str(tmp_path / "disk")])
    web, disk = (pq.read_table(tmp_path / folder / "scores") for folder in ("web", "disk"))
    assert web.num_rows == len(SENTENCES)
    assert web.equals(disk)


def test_the_identity_of_a_served_file_changes_with_the_file(tmp_path, served):
    url = f"{served(Parts)}/pairs.jsonl"
    before = identify(url)
    assert before.identity
    subprocess.run(["touch", "-d", "2001-01-01", tmp_path / "served" / "pairs.jsonl"], check=True)
    assert identify(url) != before


def test_a_server_that_sends_whole_files_only_is_refused_before_the_work(tmp_path, served, capsys):
    assert (
        score.main(["--input", f"{served(WholeFiles)}/pairs.jsonl", "--output", str(tmp_path / "out")]) == 2
    )
    assert "pairs.jsonl: the server does not send parts of a file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_output_on_a_web_server_is_refused(tmp_path, served, capsys):
    url = served(Parts)
    assert score.main(["--input", str(tmp_path / "served" / "pairs.jsonl"), "--output", f"{url}/out"]) == 2
    assert f"--output {url}/out: this kind of store has no conditional writes" in capsys.readouterr().err


def test_the_error_without_the_package_names_the_extra():
    code = (
        "import sys; sys.modules['aiohttp'] = None\n"
        "from beam_sts.io.files import file_system\n"
        "file_system('https://host/a.csv')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'beam_sts[http]'" in done.stderr
