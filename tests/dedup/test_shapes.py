"""A chain and a star of 100,000 texts, one cluster each: the rows of the local driver, in bounded memory.

python -m pytest -m slow -s tests/dedup/test_shapes.py
"""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import engines
from tests.dedup.test_hot_keys import LIMIT_MIB, checked_peaks

pytestmark = pytest.mark.slow

TEXTS = 100_000
OPTIONS = ("--id=id", "--threshold=0.6", "--guard=none", "--max_lost=none", "--boilerplate=counted")
RULE = {"chain": "--rule=blend", "star": "--rule=model"}


@pytest.fixture(params=RULE)
def shape(request, tmp_path):
    """Texts of ten words, and given pairs: each text with the next (chain), or the first with all (star)."""
    words = [f"w{number * 7919 % 1000003:x}" for number in range(TEXTS + 10)]
    if request.param == "chain":
        texts = [" ".join(words[number : number + 10]) for number in range(TEXTS)]
        first = range(TEXTS - 1)
    else:
        texts = [f"A man in the street reads the book {word}." for word in words[:TEXTS]]
        first = [0] * (TEXTS - 1)
    source, pairs = tmp_path / f"{request.param}.parquet", tmp_path / "pairs.parquet"
    pq.write_table(pa.table({"id": range(TEXTS), "text": texts}), source, row_group_size=20_000)
    pq.write_table(pa.table({"id_a": first, "id_b": range(1, TEXTS)}), pairs)
    return source, (*OPTIONS, f"--candidates=pairs:{pairs}", "--languages=ignored", RULE[request.param])


@pytest.mark.parametrize("runner", ["FnApiRunner", "PrismRunner", "FlinkRunner"])
def test_dedup_of_a_large_cluster(runner, shape, tmp_path, monkeypatch):
    monkeypatch.setitem(LIMIT_MIB, "PrismRunner", 4000)  # Prism holds the output of every step
    source, options = shape
    checked_peaks(None, "dedup", source, tmp_path / "local", *options)
    checked_peaks(runner, "dedup", source, tmp_path / "out", *options)
    engines.assert_same_rows(tmp_path / "out", tmp_path / "local", ("kept", "removed", "clusters"))
    assert max(map(int, engines.summary(tmp_path / "local")["cluster_sizes"])) > 0.9 * TEXTS
