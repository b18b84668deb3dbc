"""Rows of every kind, in every format and compression, compared with a simple implementation.

The longer search, and through the command: python -m pytest -m slow tests/io/test_reading_fuzz.py

BEAM_STS_EXAMPLES says how many inputs the longer search tries (5,000). Every input that fails is kept in
BEAM_STS_FAULTS, by default beam_sts_faults/ below the folder for temporary files; the message names it.
"""

import contextlib
import hashlib
import json
import os
import tempfile
import traceback
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from beam_sts.cli import score
from beam_sts.io.encode import encode
from beam_sts.io.reading import plan_input, read_slices
from beam_sts.io.rejected import rejected_schema, rejected_table
from beam_sts.io.slices import ReadOptions
from beam_sts.scoring.columns import check_rows, choose_columns, text_schema
from tests.io.samples import ENDINGS, LINES, PACK, write

TEXTS = ("sentence1", "sentence2")
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
odd = st.sampled_from(
    ["", " ", '"', ",", ";", "a\nb", "\r\n", "\t", "007", "NA", "null", "é", "\ufeff", "{}"]
)


class Row(NamedTuple):
    """A row of an input: its texts (None for null) and another value, or an invalid line as bytes."""

    texts: "tuple[str | None, str | None] | bytes"
    extra: Any = None


def rows_of(ending):
    """Rows that a format can represent."""
    texts = text | odd
    if "jsonl" in ending:
        extras = st.none() | st.integers(-(2**65), 2**65) | st.floats(allow_nan=False) | text | st.lists(text)
        bad = [b"{", b"5", b"[1]", b'{"sentence1": 5}', b'"x"', b'{"sentence1": "\xff"}', b"[" * 300]
        good = st.builds(Row, st.tuples(texts | st.none(), texts | st.none()), extras)
    elif ending in LINES:
        bad = [b"alone", b"a,b,c,d,e".replace(b",", delimiter(ending)), b"\xff" + 2 * delimiter(ending)]
        good = st.builds(Row, st.tuples(texts, texts), texts)
    else:
        return st.lists(st.builds(Row, st.tuples(texts | st.none(), texts | st.none()), st.integers(0, 9)))
    return st.lists(good | st.sampled_from([Row(line) for line in bad]), max_size=25)


def delimiter(ending):
    return b"\t" if "tsv" in ending else b","


def write_rows(path, ending, rows):
    """The rows as a file, with a good first row, so that there are columns."""
    if ending not in LINES:
        columns = {
            name: pa.array([row.texts[at] for row in rows], pa.string()) for at, name in enumerate(TEXTS)
        }
        write(path, pa.table({**columns, "extra": pa.array([row.extra for row in rows], pa.int64())}))
        return
    lines = [] if "jsonl" in ending else [delimiter(ending).join(map(str.encode, [*TEXTS, "extra"]))]
    for row in rows:
        if isinstance(row.texts, bytes):
            lines.append(row.texts)
        elif "jsonl" in ending:
            lines.append(
                json.dumps({**dict(zip(TEXTS, row.texts, strict=True)), "extra": row.extra}).encode()
            )
        else:
            fields = ['"' + field.replace('"', '""') + '"' for field in (*row.texts, row.extra)]
            lines.append(delimiter(ending).join(map(str.encode, fields)))
    path.write_bytes(PACK[ending.removeprefix("." + ending.split(".")[1])](b"\n".join(lines)))


def expected(rows, empty):
    """Row numbers and texts of the rows that can be scored, and the row numbers of the others."""
    good, bad = [], []
    for number, row in enumerate(rows):
        wrong = isinstance(row.texts, bytes) or None in row.texts
        blank = not wrong and empty == "reject" and not all(map(str.strip, row.texts))
        if wrong or blank:
            bad.append(number)
        else:
            good.append((number, row))
    return good, bad


@st.composite
def inputs(draw):
    ending = draw(st.sampled_from(ENDINGS))
    first = Row(("first", "row"), 1 if ending not in LINES or "jsonl" in ending else "1")
    rows = [first, *draw(rows_of(ending))]
    form = draw(st.sampled_from(["parquet", "jsonl", "csv"]))
    return ending, rows, draw(st.integers(1, 9)), draw(st.sampled_from(["score", "reject"])), form


def check_read(folder, case):
    ending, rows, per_slice, empty, form = case
    path = folder / f"in{ending}"
    write_rows(path, ending, rows)
    options = ReadOptions(raw=form == "jsonl")
    plan = plan_input(str(path), per_slice, options)
    schema = text_schema(plan.schema, choose_columns(plan.schema, None, None))
    good, bad, lines = [], [], []
    for unit in plan.units:
        for part in read_slices(unit, schema, TEXTS, options):
            checked = check_rows(part.table, TEXTS, empty=empty)
            rejected = rejected_table(part, checked.bad.tolist(), checked.reasons, rejected_schema(schema))
            scored = part.table.take(pa.array(checked.good))
            good += [part.rows[at] for at in checked.good.tolist()]
            bad += rejected["row"].to_pylist()
            lines += scored.select(TEXTS).to_pylist()
            extras = [json.loads(line) for line in encode(scored, "jsonl").splitlines()]
            for number, extra in zip(good[len(good) - len(extras) :], extras, strict=True):
                if form == "jsonl" or ending not in LINES:
                    assert extra["extra"] == rows[number].extra
            encode(rejected, form)
    scorable, unscorable = expected(rows, empty)
    assert good == [number for number, _ in scorable]
    assert bad == unscorable
    assert [tuple(line.values()) for line in lines] == [row.texts for _, row in scorable]


def check_run(folder, case, model):
    """The same through the command."""
    ending, rows, per_slice, empty, form = case
    path, output = folder / f"in{ending}", folder / "out"
    write_rows(path, ending, rows)
    flags = ["--input", path, "--output", output, "--model", model, "--threads", 1, "--overwrite", "--quiet"]
    flags += [
        "--rows_per_shard",
        per_slice,
        "--empty",
        empty,
        "--output_format",
        form,
        "--report_examples",
        0,
    ]
    assert score.main(list(map(str, flags))) == 0
    scorable, unscorable = expected(rows, empty)
    summary = json.loads((output / "summary.json").read_text())
    counts = [summary[f"rows_{name}"] for name in ("read", "scored", "rejected")]
    assert counts == [len(rows), len(scorable), len(unscorable)]
    for name, count in (("scores", len(scorable)), ("rejected", len(unscorable))):
        if not count:  # a file of JSON Lines without rows has no columns
            continue
        plan = plan_input(str(output / name), 1000, ReadOptions(","))
        parts = [part for unit in plan.units for part in read_slices(unit, plan.schema, (), ReadOptions(","))]
        found = [row for part in parts for row in part.table.to_pylist()]
        assert len(found) == count
        if name == "scores":
            assert [tuple(row[at] for at in TEXTS) for row in found] == [row.texts for _, row in scorable]
            assert all(0 <= float(row["score"]) <= 1 for row in found)
        else:
            assert [int(row["row"]) for row in found] == unscorable


def searched(examples, **more):
    checks = list(HealthCheck)
    return settings(max_examples=examples, deadline=None, suppress_health_check=checks, **more)


@contextlib.contextmanager
def kept(case):
    """Keep an input that fails, with the error, since a fault may not come back."""
    try:
        yield
    except Exception as error:
        place = Path(os.environ.get("BEAM_STS_FAULTS", Path(tempfile.gettempdir()) / "beam_sts_faults"))
        folder = place / hashlib.sha256(repr(case).encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        write_rows(folder / f"in{case[0]}", *case[:2])
        (folder / "error.txt").write_text(f"{case!r}\n\n{traceback.format_exc()}", encoding="utf-8")
        raise AssertionError(f"{type(error).__name__}: {error}; the input is kept in {folder}") from error


def test_an_input_that_fails_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("BEAM_STS_FAULTS", str(tmp_path))
    case = (".jsonl", [Row(("a", "\n"), 1)], 1, "score", "csv")
    with pytest.raises(AssertionError, match="the input is kept in"), kept(case):
        raise ValueError("the fault")
    (folder,) = tmp_path.iterdir()
    assert json.loads((folder / "in.jsonl").read_text()) == {"sentence1": "a", "sentence2": "\n", "extra": 1}
    told = (folder / "error.txt").read_text()
    assert repr(case) in told
    assert "ValueError: the fault" in told


@searched(150)
@given(case=inputs())
@pytest.mark.long
def test_any_rows_are_scored_or_rejected_in_order_and_unchanged(tmp_path, case):
    with kept(case):
        check_read(tmp_path, case)


@searched(4, phases=[Phase.generate])  # a run takes a second: the slow test shrinks
@given(case=inputs())
@pytest.mark.long
def test_any_rows_through_the_command(tmp_path, tiny, case):
    with kept(case):
        check_run(tmp_path, case, tiny)


@pytest.mark.slow
@searched(int(os.environ.get("BEAM_STS_EXAMPLES", "5000")))
@given(case=inputs())
def test_five_thousand_inputs(tmp_path, case):
    with kept(case):
        check_read(tmp_path, case)


@pytest.mark.slow
@searched(300)
@given(case=inputs())
def test_three_hundred_inputs_through_the_command(tmp_path, tiny, case):
    with kept(case):
        check_run(tmp_path, case, tiny)
