"""Neighbours by cells in whole runs: the same on one machine and by a runner, the recall in the summary."""

from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.candidates import beam_neighbours, neighbours
from beam_sts.candidates.cells import CellRule
from tests import engines

RULE = partial(CellRule, exact=60, width=3.0, joined=2, queries=60, crowded=1.5)
"""Cuts small inputs into cells too."""


@pytest.fixture
def source(tmp_path, monkeypatch):
    for module in (neighbours, beam_neighbours):
        monkeypatch.setattr(module, "CellRule", RULE)
    rng = np.random.default_rng(3)
    words = [f"{colour} {animal}" for colour in ("red", "old", "big") for animal in ("cat", "dog", "mouse")]
    texts = [" ".join(rng.choice(words, 5)) for _ in range(160)]
    texts += [" ".join(rng.permutation([*"abcdefgh"])) for _ in range(60)]
    ids = pa.array([f"r{i * 7919 % 997:03}" for i in range(len(texts))])
    pq.write_table(pa.table({"id": ids, "text": texts, "doc": ids}), tmp_path / "in.parquet")
    return tmp_path / "in.parquet"


def check(report):
    assert report["cells"] > 5
    assert report["cells_split"] > 0
    assert report["queries"] > 10
    assert f"{report['recall']:.3f}, estimated from {report['queries']} texts; " in report["settings"]


def test_dedup_by_cells_is_the_same_by_a_runner(source, tmp_path):
    options = ("--candidates=neighbours", "--neighbours=2", "--max_pairs=5000")
    engines.deduplicate(source, tmp_path / "one", *options)
    engines.deduplicate(source, tmp_path / "two", *options, "--runner=FnApiRunner")
    engines.check_deduplicated(tmp_path / "two", tmp_path / "one")
    check(engines.summary(tmp_path / "one")["candidates"][0])
    assert "estimated from" in (tmp_path / "one" / "report.html").read_text()


def test_mining_by_cells_is_the_same_by_a_runner(source, tmp_path, capsys):
    options = ("--neighbours=2", "--lexical=0", "--random=0", "--test_share=0.45")
    engines.mine_pairs(source, tmp_path / "one", *options)
    assert "estimated from" in "".join(capsys.readouterr())
    engines.mine_pairs(source, tmp_path / "two", *options, "--runner=FnApiRunner")
    engines.check_mined(tmp_path / "two", tmp_path / "one")
    searches = engines.summary(tmp_path / "one")["neighbours"]
    assert searches.keys() == {"train", "test"}
    check(searches["train"])
    assert "estimated from" in (tmp_path / "one" / "report.html").read_text()
