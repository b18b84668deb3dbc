"""Real engines for tests: their programs, runs of pipelines, and the table of what ran."""

import concurrent.futures
import contextlib
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
import pytest

from beam_sts.cli import dedup, mine, score
from beam_sts.errors import UserError
from beam_sts.io.claim import lock
from beam_sts.io.output import OutputFolder

ROOT = Path(__file__).parents[1]
HOME = Path(os.environ.get("BEAM_STS_ENGINES", Path.home() / ".cache" / "beam_sts"))
"""The folder of downloaded and built engines, which is kept between test runs."""

PRISM = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{beam.version.__version__}"

_TABLE = ROOT / "docs" / "tested_runners.md"


def need(*programs):
    """Skip the calling test when a program is not installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")


@functools.cache
def go_program(package):
    """The path of a Go program, which is built once from the module proxy.

    Args:
        package: the package for ``go install``, with its version.
    """
    need("go")
    name = package.partition("@")[0].rpartition("/")[2]
    folder = HOME / "go" / re.sub(r"\W+", "_", package)
    if not (folder / name).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "GOBIN": str(folder)}
        subprocess.run(["go", "install", package], env=environment, check=True, timeout=900)
    return folder / name


def start(module, *args, **options):
    """Start a pipeline in a separate process, as a user does."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", **options.pop("env", {})}
    command = [sys.executable, "-m", f"pipelines.{module}", *map(str, args)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finish(process, timeout=600):
    """Wait for a pipeline, check that it succeeded, and return its output on both streams."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"not done after {timeout} s\n{out[-2000:]}\n{err[-4000:]}")
    assert process.returncode == 0, f"{out[-2000:]}\n{err[-4000:]}"
    return out + err


def wait_until(true, timeout=300):
    """Wait until a condition holds."""
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, f"waited {timeout} s"
        time.sleep(0.02)


@contextlib.contextmanager
def beside(action):
    """Run an action in a thread during the block; if it fails, the test fails."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        done = pool.submit(action)
        try:
            yield
        finally:  # a failed action is the cause of the block's failure, so it is reported first
            done.result(timeout=60)


def connected(pid):
    """Whether a worker is connected to its engine: it has connections for control, data, state and logs."""
    held = set()
    for file in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            held.add(str(file.readlink()))
    lines = [line for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    rows = [line.split() for line in lines]
    return sum(row[3] == "01" and f"socket:[{row[9]}]" in held for row in rows) >= 2


def shards(output):
    """Every shard of a local output folder, by name."""
    return {
        str(path.relative_to(output)): path.read_bytes()
        for folder in ("scores", "matches", "kept", "removed", "rejected")
        for path in sorted((output / folder).glob("*"))
    }


def summary(output):
    """The summary without the parts that differ between runs."""
    differing = ("seconds", "pairs_per_second", "shards_skipped", "started", "timeline")
    loaded = json.loads((output / "summary.json").read_text())
    return {key: value for key, value in loaded.items() if key not in differing}


def places(source, output, model):
    """Options of input, output and model."""
    return ["--input", str(source), "--output", str(output), "--model", str(model)]


def deduplicate(source, output, *options, status=0):
    """Run ``pipelines.dedup`` in this process, with the settings that all compared runs have."""
    settings = ("--rows_per_shard=30", "--threshold=0.8", "--threads=1", "--text=text", "--id=id")
    assert dedup.main([*places(source, output, "beam-sts-pico"), *settings, *options]) == status


def mine_pairs(source, output, *options, status=0):
    """Run ``pipelines.mine`` in this process, with the settings that all compared runs have."""
    settings = ("--text=text", "--doc_id=doc", "--test_share=0.3", "--threads=1")
    assert mine.main([*places(source, output, "beam-sts-pico"), *settings, *options]) == status


def check_mined(output, reference):
    """Check for the same bytes in every training set, and the same counts."""
    found, wanted = (
        {str(p.relative_to(o)): p.read_bytes() for p in sorted(o.rglob("*.parquet"))}
        for o in (output, reference)
    )
    assert found == wanted
    assert summary(output) | {"path": ""} == summary(reference) | {"path": ""}
    assert not list(output.rglob(".*"))


def check_deduplicated(output, reference):
    """Check for the same rows, receipts, pairs, clusters and counts."""
    assert_same_rows(output, reference, ("kept", "removed", "pairs", "clusters", "rejected"))
    check_summary_and_report(output, reference)
    assert not list(output.rglob(".*"))


VERBS = {
    "dedup": (deduplicate, "deduplicated", check_deduplicated, "same rows"),
    "mine": (mine_pairs, "mined", check_mined, "same bytes"),
}
"""For each command: the function that runs it, the fixture of its reference output, and the comparison."""


def check_summary_and_report(one, two):
    """Check for equality, except for timings and effects of batches: padding and last bits of scores."""
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (one, two)]
    bins = []
    for summary in summaries:
        for name in ("seconds", "path", "timeline", "peak_memory_mib"):
            summary.pop(name)
        summary["verify"].pop("padded_tokens")
        counts = summary.pop("score_histogram")
        bins.append(sorted(int(at) for at, count in counts.items() for _ in range(count)))
    np.testing.assert_allclose(bins[0], bins[1], atol=1)
    quantiles = [summary.pop("score_quantiles") for summary in summaries]
    assert quantiles[0] == pytest.approx(quantiles[1], abs=0.0011)
    assert summaries[0] == summaries[1]
    sections = [shown_sections(folder / "report.html") for folder in (one, two)]
    assert sections[0] == sections[1]


def shown_sections(path):
    """The texts of a page's sections by anchor, without timings."""
    html = path.read_text()
    found = dict(re.findall(r'<section[^>]* id="([\w-]+)"[^>]*>(.*?)</section>', html, flags=re.DOTALL))
    assert {"rows", "removed", "threshold", "clusters", "candidates", "time", "made-of"} <= set(found)
    found["threshold"] = found["threshold"].partition("Scores of the compared pairs")[0] + "".join(
        re.findall('<ul class="pairs".*?</ul>', found["threshold"], flags=re.DOTALL)
    )
    timed = ("time", "tokens")
    return {anchor: body for anchor, body in found.items() if anchor not in timed}


def assert_same_rows(output, reference, folders):
    """Check for equal sets of rows in the folders of two outputs; scores to 2e-6, since batches differ."""
    for folder in folders:
        found, wanted = (_sorted_rows(root / folder) for root in (output, reference))
        assert found.drop_columns(_scores(found)).equals(wanted.drop_columns(_scores(wanted))), folder
        for name in _scores(wanted):
            np.testing.assert_allclose(found[name], wanted[name], rtol=0, atol=2e-6, err_msg=folder)


def _sorted_rows(folder):
    table = pq.read_table(folder)
    keys = [name for name in table.column_names if name not in _scores(table)]
    return table.sort_by([(name, "ascending") for name in keys])


def _scores(table):
    return [name for name in table.column_names if name == "score"]


def record(runner, options, pipeline, result):
    """Record a run in the table of docs/tested_runners.md, if BEAM_STS_RECORD is set."""
    if not os.environ.get("BEAM_STS_RECORD"):
        return
    text = _TABLE.read_text()
    head, begin, rest = text.partition("|---|---|---|---|\n")
    assert begin, f"{_TABLE} has no table"
    rows, blank, tail = rest.partition("\n\n")
    kept = [row for row in rows.splitlines() if not row.startswith(f"| {runner} | {pipeline} |")]
    kept.append(f"| {runner} | {pipeline} | `{options}` | {result} |")
    _TABLE.write_text(head + begin + "\n".join(sorted(kept, key=_place_in_table)) + blank + tail)


def _place_in_table(row):
    runner, pipeline, _, result = row.strip("| ").split(" | ")
    return ("score", "dedup", "mine").index(pipeline), result != "the reference", runner


def check_one_writer(output, command, capfd):
    """Check that a second run on a store's output folder is refused, and that a takeover ends the first."""
    with lock(OutputFolder.at(output)) as first:
        assert score.main(command) == 2
        refusal = capfd.readouterr().err
        assert f"process {os.getpid()} on" in refusal
        assert "--takeover" in refusal
        assert score.main([*command, "--takeover"]) == 0
        with pytest.raises(UserError, match="has taken this run over"):
            first.write_text("report.html", "late")
