"""``pipelines.dedup --contains`` and ``--unit``, with both drivers."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.cli import dedup
from tests import engines
from tests.passages.test_index import page_with, sentence

ROOT = Path(__file__).parents[2]
RUNNERS = pytest.mark.parametrize("runner", [(), ("--runner", "FnApiRunner")], ids=["one machine", "Beam"])
FOOTERS = [f"p{number:02}" for number in range(0, 40, 5)]
FOOTER = "Click here to subscribe to our weekly letter."


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Pages, some with a test item, and mails with a footer and quoted replies."""
    folder = tmp_path_factory.mktemp("passages")
    rng = random.Random(0)
    items = [sentence(rng, rng.randint(8, 20)) for _ in range(12)]
    pages = []
    for number in range(40):
        text = page_with(items[number % 12], rng, 3)[0] if number % 4 == 0 else sentence(rng, 60)
        if number % 5 == 0:
            text += f"\n{FOOTER}"
        pages.append(text)
    pages[7] = f"> {pages[6]}\nI agree."
    pages[9] = FOOTER.upper()
    pages[11] = None
    table = pa.table({"id": [f"p{i:02}" for i in range(40)], "text": pages, "stars": range(40)})
    pq.write_table(table.slice(0, 25), folder / "a.parquet")
    pq.write_table(table.slice(25), folder / "b.parquet")
    pq.write_table(pa.table({"id": [f"q{i}" for i in range(12)], "question": items}), folder / "test.pq")
    return folder


def run(corpus, output, *more):
    args = ["--input", str(corpus / "*.parquet"), "--output", str(output), "--text", "text", "--id", "id"]
    status = dedup.main([*args, "--rows_per_shard", "10", *more])
    if status:
        return status
    summary = json.loads((output / "summary.json").read_text())
    assert summary["rows_kept"] + summary["rows_removed"] + summary["rows_rejected"] == summary["rows_read"]
    for name in ("kept", "removed", "rejected"):
        assert len(read(output, name)) == summary[f"rows_{name}"]
    assert len(read(output, "passages")) == summary["passages"]
    return summary


def read(output, folder):
    return pq.read_table(output / folder).to_pylist()


def texts_of(corpus):
    return {
        row["id"]: row["text"]
        for name in ("a.parquet", "b.parquet")
        for row in pq.read_table(corpus / name).to_pylist()
    }


@RUNNERS
def test_test_items_are_found_in_pages_and_their_rows_removed(corpus, tmp_path, runner):
    more = ["--contains", "--against", str(corpus / "test.pq"), "--against_text", "question", *runner]
    summary = run(corpus, tmp_path / "out", *more)
    assert [row["id"] for row in read(tmp_path / "out", "removed")] == [f"p{i:02}" for i in range(0, 40, 4)]
    assert summary["rows_with_passages"] == summary["passages"] == 10
    texts = texts_of(corpus)
    items = {row["id"]: row["question"] for row in pq.read_table(corpus / "test.pq").to_pylist()}
    for row in read(tmp_path / "out", "passages"):
        assert row["survivor"] == f"q{int(row['id'][1:]) % 12}"
        assert texts[row["id"]][row["start"] : row["end"]] == row["passage"]
        assert items[row["survivor"]][row["survivor_start"] : row["survivor_end"]] == row["passage"]
        assert (row["score"], row["rule"], row["survivor_in"]) == (1.0, "contains", "against")
    assert summary["rejected_reasons"] == {"null in column 'text'": 1}
    assert read(tmp_path / "out", "removed")[0].keys() == {"id", "text", "stars"}


@RUNNERS
def test_rows_inside_longer_rows_go(corpus, tmp_path, runner):
    run(corpus, tmp_path / "out", "--contains", *runner)
    texts = texts_of(corpus)
    passages = read(tmp_path / "out", "passages")
    assert [row["id"] for row in read(tmp_path / "out", "removed")] == [row["id"] for row in passages]
    # p06 is quoted in p07; p09 is the footer of the longest page that has it.
    found = {row["id"]: row["survivor"] for row in passages}
    assert found == {"p06": "p07", "p09": max(FOOTERS, key=lambda name: (len(texts[name]), name < "p99"))}
    for row in passages:
        assert texts[row["id"]][row["start"] : row["end"]] == row["passage"]
        there = texts[row["survivor"]][row["survivor_start"] : row["survivor_end"]]
        assert there.casefold() == row["passage"].casefold()
        assert (row["rule"], row["source"], row["survivor_in"]) == ("contains", "document", "input")
    run(corpus, tmp_path / "only", "--contains", "--remove", "nothing", *runner)
    assert read(tmp_path / "only", "passages") == passages
    assert read(tmp_path / "only", "removed") == []


@RUNNERS
def test_passages_alone_are_cut_out_or_nothing_is_removed(corpus, tmp_path, runner):
    more = ["--contains", "--against", str(corpus / "test.pq"), "--against_text", "question", *runner]
    run(corpus, tmp_path / "cut", *more, "--remove", "passage")
    run(corpus, tmp_path / "only", *more, "--remove", "nothing")
    texts, passages = texts_of(corpus), read(tmp_path / "cut", "passages")
    assert passages == read(tmp_path / "only", "passages")
    assert {row["id"]: row["text"] for row in read(tmp_path / "only", "kept")} == {
        name: text for name, text in texts.items() if text is not None
    }
    cut = {row["id"]: row["text"] for row in read(tmp_path / "cut", "kept")}
    assert len(cut) == 39
    for row in passages:
        assert row["passage"] not in cut[row["id"]]
        assert len(cut[row["id"]]) >= len(texts[row["id"]]) - len(row["passage"]) - 1


@RUNNERS
def test_repeated_lines_go_and_the_first_stays(corpus, tmp_path, runner):
    summary = run(corpus, tmp_path / "out", "--unit", "line", *runner)
    kept = {row["id"]: row["text"] for row in read(tmp_path / "out", "kept")}
    assert FOOTER in kept["p00"]
    assert sum(FOOTER in text for text in kept.values()) == 1
    assert kept["p07"] == "I agree."
    assert [row["id"] for row in read(tmp_path / "out", "removed")] == ["p09"]  # nothing remains of it
    quoted = next(row for row in read(tmp_path / "out", "passages") if row["id"] == "p07")
    assert (quoted["survivor"], quoted["start"], quoted["survivor_start"]) == ("p06", 0, 0)
    assert (quoted["rule"], quoted["survivor_in"], quoted["source"]) == ("identical", "input", "line")
    assert summary["rows_changed"] == 14  # seven repeated test items are included
    assert summary["most_found"]["p00"] == 8 + 3


@RUNNERS
def test_lines_of_another_input_go(corpus, tmp_path, runner):
    pq.write_table(pa.table({"id": ["x"], "text": [f"{FOOTER}\nand more of this"]}), tmp_path / "other.pq")
    more = ["--unit", "line", "--against", str(tmp_path / "other.pq"), *runner]
    run(corpus, tmp_path / "out", *more)
    found = read(tmp_path / "out", "passages")
    assert {row["id"] for row in found} == {"p00", "p05", "p09", "p10", "p15", "p20", "p25", "p30", "p35"}
    assert {(row["survivor"], row["survivor_in"]) for row in found} == {("x", "against")}
    run(corpus, tmp_path / "within", *more, "--within")
    assert "p07" in {row["id"] for row in read(tmp_path / "within", "passages")}


@pytest.mark.parametrize(
    "more",
    [
        ("--unit", "line"),
        ("--unit", "sentence", "--remove", "row", "--repeats", "3"),
        ("--unit", "line", "--against", "test.pq", "--against_text", "question", "--within"),
        ("--contains", "--against", "test.pq", "--against_text", "question", "--unit", "line"),
        ("--contains",),
        ("--contains", "--unit", "line", "--remove", "passage"),
    ],
)
def test_both_drivers_write_the_same_bytes(corpus, tmp_path, more):
    more = [str(corpus / word) if word == "test.pq" else word for word in more]
    run(corpus, tmp_path / "one", *more)
    run(corpus, tmp_path / "two", *more, "--runner", "FnApiRunner")
    for folder in ("kept", "removed", "passages", "rejected"):
        shards = sorted(path.name for path in (tmp_path / "one" / folder).iterdir())
        assert shards == sorted(path.name for path in (tmp_path / "two" / folder).iterdir())
        for name in shards:
            one, two = ((tmp_path / way / folder / name).read_bytes() for way in ("one", "two"))
            assert one == two, (folder, name)


@pytest.mark.slow
@pytest.mark.parametrize("more", [("--unit", "line"), ("--contains",)])
def test_prism_gives_the_same_rows(corpus, tmp_path, more):
    prism = engines.go_program(engines.PRISM)  # skips, with the reason, where it cannot be built
    run(corpus, tmp_path / "one", *more)
    places = [f"--prism_location={prism}", "--environment_type=LOOPBACK"]
    run(corpus, tmp_path / "two", *more, "--runner=PrismRunner", *places)
    assert read(tmp_path / "one", "passages") == read(tmp_path / "two", "passages")
    assert read(tmp_path / "one", "kept") == read(tmp_path / "two", "kept")


@RUNNERS
@pytest.mark.parametrize(
    "more",
    [
        ("--unit", "line"),
        ("--contains", "--against", "test.pq", "--against_text", "question"),
        ("--contains",),
    ],
)
def test_a_run_that_was_cut_short_writes_what_is_missing(corpus, tmp_path, runner, more):
    more = [*(str(corpus / word) if word == "test.pq" else word for word in more), *runner]
    run(corpus, tmp_path / "whole", *more)
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    (tmp_path / "cut" / "summary.json").unlink()
    shards = sorted((tmp_path / "cut" / "kept").iterdir())
    shards[1].unlink()
    shards[2].write_bytes(b"damaged")
    before = {path: path.stat().st_mtime_ns for path in (shards[0], *shards[3:])}
    summary = run(corpus, tmp_path / "cut", *more)
    assert summary["passages"] > 0
    for folder in ("kept", "removed", "passages", "rejected"):
        for path in (tmp_path / "whole" / folder).iterdir():
            assert (tmp_path / "cut" / folder / path.name).read_bytes() == path.read_bytes()
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


@pytest.mark.parametrize("more", [("--unit", "line"), ("--contains", "--against", "test.pq")])
def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(corpus, tmp_path, more):
    pages = [row for _ in range(40) for row in texts_of(corpus).values()]
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"text": pages}), tmp_path / "in" / "pages.parquet")
    items = pq.read_table(corpus / "test.pq").rename_columns(["id", "text"]).drop_columns("id")
    pq.write_table(items, tmp_path / "test.pq")
    words = [str(tmp_path / word) if word == "test.pq" else word for word in more]
    args = ["--input", str(tmp_path / "in"), "--text", "text", "--rows_per_shard", "5", *words]
    out = tmp_path / "out"
    command = [sys.executable, "-m", "pipelines.dedup", *args, "--output", str(out), "--quiet"]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until:
        if (out / "kept").is_dir() and len(list((out / "kept").glob("part-*"))) > 20:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.005)
    process.wait()
    there = {path: path.stat().st_mtime_ns for path in (out / "kept").glob("part-*")}
    assert there
    broken = sorted(there)[3]
    broken.write_bytes(b"cut")
    assert dedup.main([*args, "--output", str(out)]) == 0
    assert dedup.main([*args, "--output", str(tmp_path / "whole")]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["shards_reused"] >= len(there) - 1
    assert summary["shards_damaged"] >= 1
    for folder in ("kept", "removed", "passages"):
        assert read(out, folder) == read(tmp_path / "whole", folder)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--contains", "--within"), "--within: needs --unit and --against"),
        (("--remove", "row"), "--remove row: needs --contains or --unit"),
        (("--unit", "word"), "--unit 'word': is not one of document, paragraph"),
        (("--unit", "line", "--from_pairs", "x"), "--from_pairs: is about pairs of whole rows"),
        (("--unit", "line", "--threshold", "0.8"), "--threshold: is about pairs of whole rows"),
        (("--unit", "line", "--candidates", "exact"), "--candidates: is about pairs of whole rows"),
        (("--unit", "line", "--within"), "--within: needs --unit and --against"),
        (("--unit", "line", "--unit_words", "0"), "--unit_words 0: must be at least 1"),
        (("--contains", "--against", "test.pq"), "--against_text text:"),
        (
            ("--contains", "--contained", "2", "--against", "test.pq"),
            "--contained 2.0: must be between 0 and 1",
        ),
    ],
)
def test_mistakes_are_told_before_anything_is_written(corpus, tmp_path, capsys, more, message):
    more = [str(corpus / word) if word == "test.pq" else word for word in more]
    try:
        status = run(corpus, tmp_path / "out", *more)
    except SystemExit as stopped:
        status = stopped.code
    assert status == 2
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "out").exists()
