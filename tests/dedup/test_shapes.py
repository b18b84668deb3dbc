"""One cluster each: a chain and a star of 100,000 texts, and 200,000 long texts.

They give the rows of the local driver, in bounded memory.

python -m pytest -m slow -s tests/dedup/test_shapes.py
"""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import engines
from tests.dedup.test_hot_keys import checked_peaks

pytestmark = pytest.mark.slow

TEXTS = 100_000
OPTIONS = ("--id=id", "--threshold=0.6", "--guard=none", "--max_lost=none", "--boilerplate=counted")
RULE = {
    "chain": ("--rule=blend",),
    "star": ("--rule=model",),
    "long": ("--rule=blend", "--model_share=0"),  # by the overlap alone, since the model would take an hour
}
LONG = "The quick brown fox jumps over the lazy dog while the town sleeps in the rain and the wind. " * 7


@pytest.fixture(params=RULE)
def shape(request, tmp_path):
    """Texts of ten words, and given pairs: each text with the next (chain), or the first with all (star).

    The long texts are a star too.
    """
    count = 2 * TEXTS if request.param == "long" else TEXTS
    words = [f"w{number * 7919 % 1000003:x}" for number in range(count + 10)]
    first = [0] * (count - 1)
    if request.param == "chain":
        texts = [" ".join(words[number : number + 10]) for number in range(count)]
        first = list(range(count - 1))
    elif request.param == "star":
        texts = [f"A man in the street reads the book {word}." for word in words[:count]]
    else:
        texts = [f"{LONG} {word}" for word in words[:count]]
    source, pairs = tmp_path / f"{request.param}.parquet", tmp_path / "pairs.parquet"
    pq.write_table(pa.table({"id": range(count), "text": texts}), source, row_group_size=20_000)
    pq.write_table(pa.table({"id_a": first, "id_b": range(1, count)}), pairs)
    return source, (*OPTIONS, f"--candidates=pairs:{pairs}", "--languages=ignored", *RULE[request.param])


@pytest.mark.parametrize("runner", ["FnApiRunner", "PrismRunner", "FlinkRunner"])
def test_dedup_of_a_large_cluster(runner, shape, tmp_path):
    source, options = shape
    checked_peaks(None, "dedup", source, tmp_path / "local", *options)
    checked_peaks(runner, "dedup", source, tmp_path / "out", *options)
    engines.assert_same_rows(tmp_path / "out", tmp_path / "local", ("kept", "removed", "clusters"))
    assert max(map(int, engines.summary(tmp_path / "local")["cluster_sizes"])) > 0.9 * TEXTS
