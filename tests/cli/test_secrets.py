"""No secret is in a message, a log or a file, for any form of URL, verb, option and library error."""

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_sts import CrossEncoderModelHandler, DeduplicateTexts, MinePairs, ScorePairs, secrets
from beam_sts.cli import dedup, evaluate, explain, label, main, mine, score, train
from beam_sts.errors import UserError
from beam_sts.io.storage import hide_secrets, refuse_secrets
from tests.checkpoints import SENTENCES

ROOT = Path(__file__).parents[2]
PLANTED = "Pl4nted/cr+et"
SHAPES = [
    "s3://AKIAEXAMPLE:{}@bucket/a.parquet",
    "S3://KEY:{}@bucket",
    "s3:/KEY:{}@bucket/a.parquet",
    "s3a://{}:secret@bucket/a",
    "https://{}@host/a.parquet",
    "HTTPS://user:{}@host:8080/a.parquet",
    "http://127.0.0.1:9/a.parquet?api_key={}",
    "https://host/a?API%5FKEY={}",
    "https://host/a?page=2&password={}",
    "https://host/a?sas={}",
    "https://host/a?whatever={}",
    "https://host/a?redirect=https%3A%2F%2Fu%3A{}%40h",
    "https://host/a%3Fapi_key={}",
    "https://host/a#access_token={}",
    "https://host/a;token={}",
    "https://host/{}@place/a",
    "https://host.example/x?sig={}&sv=1",
    "ftp://u:{}@host/f",
    "ftp://u:p@{}@host/f",
    "sftp://u:{}@host/f",
    "http://u:{}@[::1]:80/f",
    "abfs://c@account.dfs.core.windows.net/x?sv=1&sig={}",
    "az://c:{}@account/x",
    "simplecache::https://u:{}@host/f.parquet",
    "filecache::s3://k:{}@b/x",
    "zip://inner.csv::https://host/a.zip?token={}",
    "hf://datasets/x/y@main/f?token={}",
    "gs://bucket/f?X-Goog-Signature={}",
]


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    monkeypatch.setattr(secrets, "_known", set())
    monkeypatch.setattr(fsspec.config, "conf", {})


_LETTERS = st.text("abcXYZ019/+=:@._~-!$()*,", min_size=6, max_size=40)


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=40, deadline=None)
@given(secret=_LETTERS)
def test_a_url_with_a_secret_is_refused_and_never_shown(shape, secret):
    secrets._known.clear()
    secret = f"Q{secret}Q"
    url = shape.format(secret)
    if shape in ("https://{}@host/a.parquet", "https://host/{}@place/a") and "/" in secret:
        # Without a colon it cannot be distinguished from a path with an @ whose first part is a host.
        url = shape.format(secret.replace("/", "").replace(".", ""))
        secret = secret.replace("/", "").replace(".", "")
    said = hide_secrets(f"GET {url} failed: 403")
    assert secret not in said, said
    with pytest.raises(UserError) as told:
        refuse_secrets(url)
    assert secret not in str(told.value)
    assert secret not in hide_secrets(f"what of {secret}?")


@pytest.mark.parametrize(
    "transform",
    [
        lambda url: ScorePairs(model=url),
        lambda url: MinePairs(model=url),
        lambda url: DeduplicateTexts(text="text", id="id", model=url),
        lambda url: DeduplicateTexts(text="text", id="id", cascade_model=url),
        lambda url: CrossEncoderModelHandler(url),
    ],
)
def test_a_transform_refuses_it_before_a_job_carries_it(transform):
    with pytest.raises(UserError, match=re.escape("https://***")) as told:
        transform(f"https://{PLANTED.replace('/', '')}@127.0.0.1:9/model")
    assert "Pl4nted" not in str(told.value)


@pytest.mark.parametrize(
    "url",
    [
        *("memory://a@b/c:d@e", "hf://datasets/owner/name@main/data.parquet", "https://host/a?page=2"),
        *(
            "s3://bucket/part-?.parquet",
            "s3://bucket/year=202?/month=1/*.parquet",
            "gs://b/user@example.com/x",
        ),
        *("https://host.org/@user/pkg@1.2/f.csv", "http://localhost:9000/b/f.csv", "http://[::1]:9000/b/f"),
        *("abfs://box@account.dfs.core.windows.net/x", "sftp://me@host/data.csv", "C:/data/a@b.csv"),
        *("zip://a.csv::s3://bucket/a.zip", "data/x;y=1@z?a=b.csv", "https://h.org/f?download=true&ref=main"),
        "github://owner:repo@main/f.csv",
    ],
)
def test_an_ordinary_path_is_neither_refused_nor_changed(url):
    refuse_secrets(url)
    assert hide_secrets(url) == url


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("InvalidAccessKeyId: AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        ("401: token ghp_16C7e42F292c6912E7710c838347Ae178B4a", "16C7e42F292c6912E7710c838347Ae178B4a"),
        ("Invalid user token hf_abcdefghijKLMNOPqrst", "abcdefghijKLMNOPqrst"),
        ("key sk-proj-abcdefghij0123456789", "abcdefghij0123456789"),
        ("{'Authorization': 'Bearer abc.def-ghi_jkl'}", "abc.def-ghi_jkl"),
        ("Authorization: Basic dXNlcjpodW50ZXIy", "dXNlcjpodW50ZXIy"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "c2lnbmF0dXJl"),
        ("AccountName=a;AccountKey=bm90aGluZw==;EndpointSuffix=x", "bm90aGluZw"),
        ('{"aws_secret_access_key": "wJalrXUtnFEMI/K7"}', "wJalrXUtnFEMI/K7"),
        ("client_secret='wJalrXUtnFEMI'", "wJalrXUtnFEMI"),
        ("GET /b/k?X-Amz-Signature=fe5f80f77d5fa3beca", "fe5f80f77d5fa3beca"),
    ],
)
def test_what_libraries_echo_is_hidden(text, secret):
    assert secret not in hide_secrets(text)


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens=512 and special token: [CLS]",
        "a run of 3 tokens; tokenizer.json: missing",
        "--keep 'highest:score * 2': Binder Error",
        "/data/hf_cache/sk-learn/x.csv: cannot be read",
        "s3://bucket: no file matches, zip://a.csv: is an archive",
        'settings.text_a was null, is "question"',
    ],
)
def test_an_ordinary_message_stays_as_it_is(text):
    assert hide_secrets(text) == text


def test_a_secret_of_the_environment_is_hidden(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PLANTED)
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false-friend")
    assert hide_secrets(f"no {PLANTED} here, false-friend") == "no *** here, false-friend"


OUT = ["--output", "{out}"]
CALLS = [
    (score.main, ["--input", "{url}", *OUT]),
    (score.main, ["--input={url}", *OUT, "--log_format", "json"]),
    (score.main, ["--input", "{file}", "--output", "{url}"]),
    (score.main, ["--input", "{file}", *OUT, "--model", "{url}"]),
    (score.main, ["--input", "{file}", *OUT, "--temp_location", "{url}"]),
    (score.main, ["--input", "{file}", *OUT, "--threshold", "{url}"]),
    (score.main, ["--inptu", "{url}", *OUT]),
    (score.main, ["--inptu={url}", *OUT]),
    (score.main, ["{url}", "--input", "{file}", *OUT]),
    (score.main, ["--input", "{file}", *OUT, "--storage_options", "{url}"]),
    (dedup.main, ["--input", "{file}", *OUT, "--text", "text_a", "--against", "{url}"]),
    (dedup.main, ["--input", "{file}", *OUT, "--text", "text_a", "--from_pairs", "{url}"]),
    (dedup.main, ["--input", "{file}", *OUT, "--text", "text_a", "--candidates", "exact,pairs:{url}"]),
    (dedup.main, ["--input", "{file}", *OUT, "--text", "text_a", "--cascade_model", "{url}"]),
    (mine.main, ["--input", "{url}", *OUT, "--text", "text_a"]),
    (mine.main, ["--input", "{file}", *OUT, "--text", "text_a", "--embedding_model", "{url}"]),
    (evaluate.main, ["--input", "{url}"]),
    (evaluate.main, ["--input", "{file}", "--report", "{url}"]),
    (explain.main, ["--run", "{url}", "id"]),
    (label.main, ["--run", "{url}", "--sheet", "{out}"]),
    (label.main, ["--run", "{file}", "--read", "{url}"]),
    (train.main, ["all", "--stsb", "{url}{{split}}", "--work_dir", "{out}"]),
    (train.main, ["all", "--stsb", "{{split}}", "--work_dir", "{out}", "--gold", "x", "{url}"]),
    (main.main, ["{url}"]),
]


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.table({"text_a": SENTENCES[:7], "text_b": SENTENCES[6::-1]}), path)
    return path


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_no_verb_and_no_option_shows_one_nor_writes_it_down(number, pairs, tmp_path, capfd):
    command, arguments = CALLS[number]
    for shape in SHAPES:
        url = shape.format(PLANTED)
        given_ = [a.format(url=url, file=pairs, out=tmp_path / "out") for a in arguments]
        try:
            status = command(given_)
        except SystemExit as stopped:
            status = stopped.code
        said = capfd.readouterr()
        assert status == 2, (url, said)
        assert PLANTED not in said.out + said.err
        assert "cr+et" not in said.out + said.err
        if "--log_format" in given_:
            json.loads(said.err)
    assert {path.name for path in tmp_path.rglob("*")} == {"pairs.parquet"}


class Telling(fsspec.AbstractFileSystem):
    """A store whose errors include its options, as those of some libraries do."""

    protocol = "telling"
    cachable = False

    def __init__(self, **options):
        super().__init__(**options)
        self.told = options

    def ls(self, path, detail=True, **options):
        logging.getLogger("a.library").error("connecting with %s", self.told)
        print(f"odd options {self.told}", file=sys.stderr)
        raise ConnectionError(f"403 for {self.told} at https://u:{self.told['password']}@host/?sig=x")

    info = ls


@pytest.mark.parametrize("debug", ["", "1"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_errors_logs_warnings_and_tracebacks_of_a_store_hide_its_options(
    form, debug, tmp_path, capfd, monkeypatch
):
    fsspec.register_implementation("telling", Telling, clobber=True)
    monkeypatch.setenv("BEAM_STS_DEBUG", debug)
    options = {"telling": {"password": PLANTED, "headers": {"X-Odd": "0ddPlanted"}, "pin": 48151623}}
    (tmp_path / "options.json").write_text(json.dumps(options))
    handler = logging.StreamHandler()
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    for given_ in (json.dumps(options), str(tmp_path / "options.json")):
        flags = ["--input", "telling://a/*.parquet", "--output", str(tmp_path / "out")]
        assert score.main([*flags, "--storage_options", given_, "--log_format", form]) in (1, 2)
        said = capfd.readouterr().err
        assert "connecting with" in said
        assert "odd options" in said
        for planted in (PLANTED, "0ddPlanted", "48151623"):
            assert planted not in said
        if form == "json":
            assert all(json.loads(line)["event"] for line in said.splitlines())


def test_a_whole_run_writes_no_secret_of_its_options(pairs, tmp_path, tiny, capfd):
    options = json.dumps(
        {"file": {"secret": PLANTED}, "s3": {"key": "AKIAPLANTED", "secret": "0therPlanted"}}
    )
    out = tmp_path / "out"
    flags = ["--input", str(pairs), "--output", str(out), "--model", str(tiny), "--storage_options", options]
    assert score.main(flags) == 0
    said = capfd.readouterr()
    written = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    for planted in (PLANTED, "AKIAPLANTED", "0therPlanted"):
        assert planted not in said.out + said.err
        assert planted.encode() not in written


@pytest.mark.slow
def test_a_real_command_hides_it_too():
    """``pytest -m slow tests/cli/test_secrets.py``: 10 s."""
    for url in ("s3://AKIAEXAMPLE:se/cr+et@bucket/a.parquet", "https://127.0.0.1:9/f.parquet?api_key=cr+et"):
        done = subprocess.run(
            [sys.executable, "-m", "pipelines.score", "--input", url, "--output", "out"],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "BEAM_STS_DEBUG": "1"},
        )
        assert done.returncode == 2
        assert "cr+et" not in done.stdout + done.stderr
