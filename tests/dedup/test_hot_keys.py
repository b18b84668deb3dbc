"""One text 200,000 times, and 200,000 texts of one bucket: the rows of the local driver, in bounded memory.

Fifteen minutes on two idle cores:

    python -m pytest -m slow tests/dedup/test_hot_keys.py
"""

import contextlib
import re
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import engines

pytestmark = pytest.mark.slow

ROWS = 200_000
TEXT = "The quick brown fox jumps over the lazy dog while the town sleeps in the rain and the wind. " * 3
# 200,000 texts make 600,000 pairs by this cap; by the default one 5,200,000, more than --max_pairs.
BUCKET = ("--candidates=exact,block:key", "--bucket_cap=4")
LOCAL, BEAM = (), ("--runner=FnApiRunner",)
PRISM = ("--runner=PrismRunner", "--environment_type=LOOPBACK")
LIMIT_MIB = {LOCAL: 1500, BEAM: 3000, PRISM: 3000}
"""Of each process."""


@pytest.fixture
def source(tmp_path, request):
    texts = [TEXT] * ROWS if request.param == "text" else [f"item {i * 7919 % 1000003}" for i in range(ROWS)]
    path = tmp_path / "hot.parquet"
    table = {"id": range(ROWS), "text": texts, "key": ["x"] * ROWS, "doc": [str(i) for i in range(ROWS)]}
    pq.write_table(pa.table(table), path)
    return path


def peak_mib(verb, source, output, *options):
    """Run a command in its own process; gives the most memory that it or one that it started held, in MiB."""
    places = engines.places(source, output, "beam-sts-pico")
    process, peak = engines.start(verb, *places, "--text=text", "--threads=1", "--quiet", *options), 0
    while process.poll() is None:
        with contextlib.suppress(OSError):
            started = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            for pid in (process.pid, *started):
                found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
                peak = max(peak, int(found[1]) // 1024 if found else 0)
        time.sleep(0.2)
    engines.finish(process)
    return peak


@pytest.mark.parametrize(("source", "options"), [("text", ()), ("bucket", BUCKET)], indirect=["source"])
def test_dedup_of_a_hot_key(source, options, tmp_path):
    for way in (LOCAL, BEAM):
        output = tmp_path / ("beam" if way else "local")
        assert peak_mib("dedup", source, output, "--id=id", *options, *way) < LIMIT_MIB[way]
    engines.assert_same_rows(tmp_path / "beam", tmp_path / "local", ("kept", "removed", "clusters"))
    assert engines.summary(tmp_path / "local")["rows_read"] == ROWS


@pytest.mark.parametrize("source", ["text"], indirect=True)
def test_dedup_of_a_hot_text_by_prism(source, tmp_path):
    prism = f"--prism_location={engines.go_program(engines.PRISM)}"
    assert peak_mib("dedup", source, tmp_path / "prism", "--id=id", *PRISM, prism) < LIMIT_MIB[PRISM]
    assert engines.summary(tmp_path / "prism")["rows_removed"] == ROWS - 1


@pytest.mark.parametrize("source", ["text"], indirect=True)
def test_mining_of_a_hot_text(source, tmp_path):
    for way in (LOCAL, BEAM):
        output = tmp_path / ("beam" if way else "local")
        assert peak_mib("mine", source, output, "--doc_id=doc", *way) < LIMIT_MIB[way]
    engines.check_mined(tmp_path / "beam", tmp_path / "local")
