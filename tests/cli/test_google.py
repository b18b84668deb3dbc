"""Google Cloud Storage served by fake-gcs-server on this machine: the same bytes as on a disk, one writer.

    pip install -e '.[test,gcs]' && python -m pytest -m slow tests/cli/test_google.py

Needs Go: the server is built from its module.
"""

import io

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.cli import dedup, score
from tests import engines, google
from tests.checkpoints import SENTENCES

pytestmark = pytest.mark.slow

OPTIONS = '--storage_options={"gs": {"token": "anon"}}'


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    monkeypatch.setattr(fsspec.config, "conf", {})
    with google.serving(tmp_path, monkeypatch) as served:
        yield served


def _same(bucket, folder):
    """The shards of a local output folder equal those of the bucket's out/ to the byte."""
    for name, content in engines.shards(folder).items():
        found = bucket.get(f"out/{name}")
        if name.startswith("rejected"):  # it also names its file, which has another path
            found, content = (pq.read_table(io.BytesIO(data)).drop(["file"]) for data in (found, content))
        assert found == content, name


def test_scores_the_same_bytes_as_on_a_disk_and_keeps_a_second_writer_out(bucket, tmp_path, tiny, capfd):
    texts = [f"{SENTENCES[i % 7]} {i}" if i % 13 else None for i in range(200)]
    pq.write_table(pa.table({"text_a": texts, "text_b": texts[::-1]}), tmp_path / "in.parquet")
    more = ["--model", str(tiny), "--threads", "1", "--rows_per_shard", "40", "--threshold", "0.5"]
    assert (
        score.main(["--input", str(tmp_path / "in.parquet"), "--output", str(tmp_path / "out"), *more]) == 0
    )
    bucket.put("in/pairs.parquet", (tmp_path / "in.parquet").read_bytes())
    there = ["--input", "gs://bucket/in/*.parquet", "--output", "gs://bucket/out", OPTIONS, *more]
    assert score.main(there) == 0
    _same(bucket, tmp_path / "out")
    assert "out/_run/lock" not in bucket.names()
    engines.check_one_writer("gs://bucket/out", there, capfd)


def test_deduplicates_from_bucket_to_bucket(bucket, tmp_path, tiny):
    rows = {"id": list(range(60)), "text": [f"{SENTENCES[i % 5]} {i % 20}" for i in range(60)]}
    pq.write_table(pa.table(rows), tmp_path / "in.parquet")
    more = ["--text=text", "--id=id", "--model", str(tiny), "--threads=1", "--threshold=0.6"]
    assert (
        dedup.main(["--input", str(tmp_path / "in.parquet"), "--output", str(tmp_path / "out"), *more]) == 0
    )
    bucket.put("in/texts.parquet", (tmp_path / "in.parquet").read_bytes())
    assert dedup.main(["--input=gs://bucket/in/*.parquet", "--output=gs://bucket/out", OPTIONS, *more]) == 0
    removed = {name: data for name, data in engines.shards(tmp_path / "out").items() if "removed" in name}
    assert removed
    _same(bucket, tmp_path / "out")
