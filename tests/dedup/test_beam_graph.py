"""The number of shuffles of a job. A shuffle is a barrier, and moves its elements between machines."""

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts import DeduplicateTexts
from beam_sts.cli import dedup

TEXTS = ["A cat sat on the mat.", "a cat  sat on the mat.", "Rain fell.", "A man reads a book."]
GROUP_BY_KEY = "beam:transform:group_by_key:v1"


def shuffles(pipeline):
    steps = pipeline.to_runner_api().components.transforms.values()
    return sum(step.spec.urn == GROUP_BY_KEY for step in steps)


@pytest.fixture
def jobs(monkeypatch):
    """The shuffles of each job that runs."""
    counts, run = [], beam.Pipeline.run

    def counted(self, *args, **more):
        counts.append(shuffles(self))
        return run(self, *args, **more)

    monkeypatch.setattr(beam.Pipeline, "run", counted)
    return counts


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ((), 19),
        (("--candidates=exact",), 18),
        (("--score_all", "--threshold=0.8"), 19),
        (("--rule=model",), 18),
        (("--against=in.parquet",), 21),
        (("--component_rounds=1",), 23),
    ],
)
def test_shuffles_of_a_command(options, wanted, jobs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table({"id": range(4), "text": TEXTS}), "in.parquet")
    args = ["--input=in.parquet", "--output=out", "--text=text", "--id=id", "--model=beam-sts-pico"]
    assert dedup.main([*args, "--threads=1", "--quiet", "--runner=FnApiRunner", *options]) == 0
    assert jobs == [wanted]


def test_shuffles_of_a_transform():
    pipeline = beam.Pipeline("FnApiRunner")
    _ = pipeline | beam.Create([{"id": 1, "text": "a"}], reshuffle=False) | DeduplicateTexts()
    assert shuffles(pipeline) == 16
