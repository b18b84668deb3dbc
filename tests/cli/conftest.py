"""Fixtures of the runs on several engines: their inputs, and the outputs that they are compared with."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import engines
from tests.cli.test_dedup import made_texts


@pytest.fixture(scope="session")
def engine_corpus(tmp_path_factory):
    """Texts with near-copies, equal ones, a blank one and a null."""
    path = tmp_path_factory.mktemp("engines") / "corpus.parquet"
    texts = [*made_texts(60), " ", None]
    ids = [f"r{i:04}" for i in range(len(texts))]
    doc = [f"d{i // 3}" for i in range(len(texts))]
    pq.write_table(pa.table({"id": ids, "text": texts, "doc": doc}), path)
    return path


@pytest.fixture(scope="session")
def deduplicated(engine_corpus, tmp_path_factory):
    """The output of ``pipelines.dedup`` by DirectRunner in memory."""
    output = tmp_path_factory.mktemp("engines") / "out"
    engines.deduplicate(engine_corpus, output, "--runner=DirectRunner")
    found = engines.summary(output)
    assert found["rows_removed"] > 40
    assert found["rows_rejected"] == 1
    engines.record("DirectRunner, in memory", "--runner=DirectRunner", "dedup", "the reference")
    return output


@pytest.fixture(scope="session")
def mined(engine_corpus, tmp_path_factory):
    """The output of ``pipelines.mine`` by DirectRunner in memory."""
    output = tmp_path_factory.mktemp("engines") / "out"
    engines.mine_pairs(engine_corpus, output, "--runner=DirectRunner")
    assert engines.summary(output)["pairs"] > 200
    engines.record("DirectRunner, in memory", "--runner=DirectRunner", "mine", "the reference")
    return output
