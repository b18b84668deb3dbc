"""From a name to a folder: Hub ids from the cache, URLs copied once, and hints for missing models."""

import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import pytest

from beam_sts import PairScorer, UserError
from beam_sts.models.checkpoint import load_checkpoint
from beam_sts.models.source import locate

PAIRS = [("a man", "a guitar"), ("the fox", "the dog")]
COMMITS = {"main": "a" * 40, "v1.0": "b" * 40}


@pytest.fixture
def hub(tiny, tmp_path, monkeypatch):
    """A Hugging Face cache after a download: one repository, two revisions, no network."""
    repo = tmp_path / "hub" / "models--someone--tiny-sts"
    for name, commit in COMMITS.items():
        (repo / "refs").mkdir(parents=True, exist_ok=True)
        (repo / "refs" / name).write_text(commit)
        shutil.copytree(tiny, repo / "snapshots" / commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return repo


def test_a_hub_id_is_found_in_the_cache_without_a_network(hub, tiny):
    scorer = PairScorer("someone/tiny-sts")
    assert scorer.checkpoint == hub / "snapshots" / COMMITS["main"]
    assert scorer.score(PAIRS).tobytes() == PairScorer(tiny).score(PAIRS).tobytes()


@pytest.mark.parametrize("revision", ["v1.0", COMMITS["v1.0"]])
def test_a_revision_after_an_at_sign_is_followed(hub, revision):
    assert load_checkpoint(f"someone/tiny-sts@{revision}").path == hub / "snapshots" / COMMITS["v1.0"]


def test_a_revision_that_is_not_cached_names_the_ways_out(hub):
    with pytest.raises(UserError, match=r"cannot be downloaded.*local folder.*HF_HOME"):
        load_checkpoint("someone/tiny-sts@v2.0")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ModernCE-base-sts", "dleemiller/ModernCE-base-sts"),
        ("stsb-roberta-larg", "cross-encoder/stsb-roberta-large"),
        ("dleemiler/NeoCE-sts", "dleemiller/NeoCE-sts"),
        ("beam-sts-nanoo", "beam-sts-nano"),
    ],
)
def test_a_name_that_is_nearly_known_gets_a_hint(hub, name, meant):
    with pytest.raises(UserError, match=f"[dD]id you mean '{meant}'"):
        locate(name)


def test_a_name_that_is_near_nothing_gets_no_hint(hub):
    with pytest.raises(UserError) as caught:
        locate("qwertyuiop")
    assert "did you mean" not in str(caught.value)


@pytest.fixture
def memory(tiny, tmp_path, monkeypatch):
    """The checkpoint on a remote file system, and a separate cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "home"))
    fs = fsspec.filesystem("memory")
    fs.put(f"{tiny}/", "/models/tiny/", recursive=True)
    yield fs
    fs.rm("/models", recursive=True)


def test_a_url_is_copied_once(memory, tmp_path, tiny):
    first = locate("memory://models/tiny")
    assert sorted(f.name for f in first.iterdir()) == sorted(f.name for f in tiny.iterdir())
    before = (first / "model.safetensors").stat().st_mtime_ns
    assert locate("memory://models/tiny") == first
    assert (first / "model.safetensors").stat().st_mtime_ns == before
    assert [folder.name for folder in first.parent.iterdir()] == [first.name]  # no temporary folder remains


def test_a_file_that_changed_over_there_is_copied_again(memory):
    first = locate("memory://models/tiny")
    memory.pipe("/models/tiny/config.json", (first / "config.json").read_bytes() + b"\n")
    assert locate("memory://models/tiny") != first


def test_a_copy_that_breaks_off_leaves_nothing(memory, tmp_path, monkeypatch):
    def broken(self, source, target, **kwargs):
        raise OSError("connection lost")

    monkeypatch.setattr(type(memory), "get_file", broken)
    with pytest.raises(UserError, match="connection lost"):
        locate("memory://models/tiny")
    assert list((tmp_path / "home" / "beam_sts").iterdir()) == []


def test_a_pickle_and_python_code_stay_where_they_are_unless_asked_for(memory):
    memory.pipe("/models/tiny/pytorch_model.bin", b"x")
    memory.pipe("/models/tiny/modeling.py", b"x")
    assert not any(f.suffix in {".bin", ".py"} for f in locate("memory://models/tiny").iterdir())
    both = locate("memory://models/tiny", allow_pickle=True, trust_remote_code=True)
    assert {"pytorch_model.bin", "modeling.py"} <= {f.name for f in both.iterdir()}


@pytest.mark.parametrize("name", ["n" * 300, "a\0b", "", " ", "~nobody-of-this-name/x"])
def test_a_name_that_no_file_system_takes_is_an_error_of_the_user(name):
    with pytest.raises(UserError, match=r"^model "):
        locate(name)


def test_a_file_url_is_the_folder_itself(tiny):
    assert locate(f"file://{tiny}") == tiny


@pytest.mark.parametrize("url", ["memory://nothing/here", "nosuchprotocol://a/b"])
def test_a_url_with_nothing_behind_it_is_named(url):
    with pytest.raises(UserError, match=url):
        locate(url)


@pytest.fixture
def no_cache(tmp_path, monkeypatch):
    """A cache that even root cannot write, because its parent is a file."""
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "file" / "hf"))
    return tmp_path / "file" / "hf"


def test_a_cache_that_cannot_be_written_is_named_for_a_url(memory, no_cache):
    with pytest.raises(
        UserError, match=rf"{no_cache}/beam_sts, cannot be written: Not a directory\. .*HF_HOME"
    ):
        locate("memory://models/tiny")


def test_a_cache_that_cannot_be_written_is_named_for_an_export(tiny, no_cache):
    with pytest.raises(UserError, match=rf"{no_cache}/beam_sts/onnx, cannot be written.*HF_HOME"):
        PairScorer(tiny, backend="onnx").score([("a", "b")])


def test_a_cache_that_cannot_be_written_is_named_for_a_hub_id(tiny, tmp_path):
    (tmp_path / "file").write_text("")
    files = {path.name: path.read_bytes() for path in tiny.iterdir()}
    told = {"id": "someone/tiny", "sha": "a" * 40, "siblings": [{"rfilename": name} for name in files]}

    tree = [{"type": "file", "path": name, "oid": "b" * 40, "size": len(files[name])} for name in files]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            _, found, name = self.path.partition(f"/resolve/{'a' * 40}/")
            listed = tree if "/tree/" in self.path else told
            body = files[name] if found else json.dumps(listed).encode()
            self.send_response(200)
            headers = {"Content-Length": len(body), "ETag": f'"{name}"', "X-Repo-Commit": "a" * 40}
            for header, value in headers.items():
                self.send_header(header, str(value))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for cache, status in ((tmp_path / "file" / "hf", 1), (tmp_path / "hf", 0)):
            told_by = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(cache)}
            code = "from beam_sts.models.source import locate; print(locate('someone/tiny'))"
            command = [sys.executable, "-c", code]
            environment = {**os.environ, **told_by, "HF_HUB_OFFLINE": "0"}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == status, done.stderr
            assert ("cannot be written: Not a directory" in done.stderr) == bool(status), done.stderr
        server.shutdown()
