"""Corrupted files through the real command: each run ends soon, in one of two ways.

Either the run succeeds, and every row of the file is in the output or rejected, or the file is refused with
one message that names it. The files are generated from a seed. Forty run by default, all 240 by

    python -m pytest -m "slow or not slow" tests/cli/test_fuzz.py

The name of a failed test identifies its file: ``test_a_broken_file[jsonl-17]`` generates the same bytes
again.
"""

import bz2
import csv
import faulthandler
import gzip
import io
import json
import random
import re
import signal
import sys
import zipfile

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from beam_sts.cli import score
from tests.checkpoints import SENTENCES
from tests.nasty_texts import nasty_texts

NASTY = nasty_texts(200)
EACH = 48  # files of each of five kinds: 240 files
BY_DEFAULT = 8
SECONDS = 120  # of CPU; a run takes about 1 s, or 5 s with the largest files
LONGEST = 900  # seconds after which a run that uses no CPU hangs, whatever else the machine does


def good_rows(rng):
    """Rows with unusual but valid texts."""
    words = [*SENTENCES, "", " ", '"', ",", "a\nb", "\r", "=1+1", "é́", "\ufeff", "NULL", "NaN"]
    return [
        {
            "id": i,
            "sentence1": rng.choice([rng.choice(words), rng.choice(NASTY)]),
            "sentence2": f"{rng.choice(words)} {i}",
        }
        for i in range(rng.randint(1, 30))
    ]


def damaged(data, rng):
    """Bytes with a few faults: truncated, overwritten, repeated, inserted, swapped."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(data) + 1)
        wrong = rng.choice(
            (b"\0", b"\xff", b'"', b"\n", b"\r", b"\xed\xa0\x80", b"\xef\xbb\xbf", rng.randbytes(8))
        )
        kind = rng.randrange(5)
        if kind == 0:
            del data[at:]
        elif kind == 1:
            data[at : at + len(wrong)] = wrong
        elif kind == 2:
            data[at:at] = wrong * rng.choice((1, 3, 100))
        elif kind == 3:
            data[at:at] = data[at : at + rng.randint(1, 50)]
        else:
            del data[at : at + rng.randint(1, 50)]
    return bytes(data)


def parquet_bytes(rows, **options):
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, **options)
    return sink.getvalue()


def parquet(number, rng):
    rows = good_rows(rng)
    whole = parquet_bytes(
        rows, row_group_size=rng.choice((1, 7, 1000)), compression=rng.choice(("none", "zstd", "gzip"))
    )
    cases = [
        lambda: whole,
        lambda: whole[: len(whole) // 2],  # an interrupted upload
        lambda: b"PARE" + whole[4:-4] + b"PARE",  # the magic bytes of an encrypted file
        lambda: whole[:-8] + (2**31 - 1).to_bytes(4, "little") + b"PAR1",  # a footer larger than the file
        lambda: b"PAR1" + bytes(4) + b"PAR1",
        lambda: parquet_bytes([{"sentence1": "x" * 3_000_000, "sentence2": "y"}]),
        lambda: parquet_bytes(rows * 2000, row_group_size=2**30, compression="zstd")[:-100],
        lambda: whole + whole,
    ]
    return cases[number]() if number < len(cases) else damaged(whole, rng)


def jsonl(number, rng):
    rows = good_rows(rng)
    lines = [json.dumps(row, ensure_ascii=rng.random() < 0.5).encode() for row in rows]
    whole = rng.choice((b"\n", b"\r\n", b"\r", b"\n\n")).join(lines)
    one = lines[0]
    cases = [
        lambda: one + b"\n" + b"[" * 100_000 + b"]" * 100_000,  # deeper than any stack
        lambda: one + b"\n" + b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        lambda: one + b'\n{"sentence1": "\\ud800", "sentence2": "\\udfff"}\n{"sentence1": "\xed\xa0\x80"}',
        lambda: b"\xef\xbb\xbf" + one + b"\n\xef\xbb\xbf" + one,
        lambda: one + b"\0\n" + b"\0" * 5000 + b"\n" + one,
        lambda: b"\n".join(
            [one, b"1e999", b"NaN", b'{"id": NaN, "sentence1": "a", "sentence2": "b"}', b"null"]
        ),
        lambda: b"\n".join([one, b'{"id": 1%s, "sentence1": "a", "sentence2": "b"}' % (b"0" * 5000)]),
        lambda: b"\n".join([one, b'{"id": {}, "sentence1": {}, "sentence2": []}', b"{}"]),
        lambda: whole.decode(errors="replace").encode("utf-16"),
        lambda: b"\n".join(b'{"k%d": 1, "sentence1": "a", "sentence2": "b"}' % i for i in range(2000)),
        lambda: b'{"": 1, "sentence1": "a", "sentence2": "b"}\n{"a\\u0000b": 1, "sentence1": "a"}',
        lambda: b"{" * 10_000_000,
    ]
    return cases[number]() if number < len(cases) else damaged(whole, rng)


def csv_bytes(rows, **dialect):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), **dialect)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def delimited(number, rng):
    whole = csv_bytes(good_rows(rng), lineterminator=rng.choice(("\n", "\r\n", "\r")))
    head = b"sentence1,sentence2\n"
    cases = [
        lambda: head + b'"never closed,b\n' + b"a,b\n" * 200,
        lambda: head + b'a"b"c,"d""\n' + b'""",""""\n' * 20 + b"a,b\n",
        lambda: head + b'"a" b,c\n"a"x"b",c\na,b\n',
        lambda: head + b'"' * 100_001 + b"\na,b\n",
        lambda: head + b"," * 1_000_000 + b"\na,b\n",
        lambda: head + b"a\0,b\n\0\n" + b"a,b\r" + b"c,d\r\n" + b"e,f\n\r" + b"\n\n",
        lambda: b"\xef\xbb\xbf\xef\xbb\xbf" + head + b"a,b\n",
        lambda: b"\r\n\r\n" + head.replace(b"\n", b"\r\n") + b"\xff\xfe,b\r\na,\xed\xa0\x80\r\n",
        lambda: head.decode().encode("utf-16-le") + "a,b\n".encode("utf-16-le"),
        lambda: b'"sentence1\n,sentence2\na,b\n',
        lambda: b"sentence1;sentence2\na;b\n",
        lambda: b",".join(b"c%d" % i for i in range(3_000)) + b",sentence1,sentence2\n" + b"x\n" * 50,
    ]
    return cases[number]() if number < len(cases) else damaged(whole, rng)


def packed(number, rng):
    """Compressed lines: gzip, which is recognised by its file name extension."""
    plain = csv_bytes(good_rows(rng))
    whole = gzip.compress(plain)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.csv", b"\0" * 10_000_000)
    cases = [
        lambda: gzip.compress(b"sentence1,sentence2\na,b\n" + b"\n" * 2_000_000),
        lambda: gzip.compress(gzip.compress(gzip.compress(bytes(10_000_000)))),
        archive.getvalue,
        lambda: bz2.compress(plain),
        lambda: whole + gzip.compress(b"x,y,z\n" * 5),
        lambda: whole + b"trailing dirt",
        lambda: whole[:10],
        lambda: b"",
        lambda: plain,
        lambda: gzip.compress(b"sentence1,sentence2\n" + b"a" * 300_000_000),  # one line over the limit
    ]
    return cases[number]() if number < len(cases) else damaged(whole, rng)


def arrow(number, rng):
    sink = pa.BufferOutputStream()
    table = pa.Table.from_pylist(good_rows(rng))
    if rng.random() < 0.5:
        feather.write_feather(table, sink, compression=rng.choice(("uncompressed", "zstd")), chunksize=5)
    else:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=5)
    whole = sink.getvalue().to_pybytes()
    cases = [
        lambda: whole,
        lambda: whole[: len(whole) // 2],
        lambda: b"ARROW1",
        lambda: whole[8:],
        lambda: whole * 2,
    ]
    return cases[number]() if number < len(cases) else damaged(whole, rng)


KINDS = {
    "parquet": (parquet, "in.parquet"),
    "jsonl": (jsonl, "in.jsonl"),
    "csv": (delimited, "in.csv"),
    "gzip": (packed, "in.csv.gz"),
    "arrow": (arrow, "in.arrow"),
}


def cases():
    for kind in KINDS:
        for number in range(EACH):
            marks = [pytest.mark.slow] if number >= BY_DEFAULT else []
            yield pytest.param(kind, number, marks=marks, id=f"{kind}-{number}")


class Late(BaseException):
    """Not an Exception, which the command would report as a failure."""


@pytest.fixture
def limited():
    """Two alarms that end the test with a stack trace if the run takes too much CPU or hangs."""

    def late(*_):
        faulthandler.dump_traceback(sys.__stderr__)  # the captured stream is not a file
        raise Late(f"not done after {SECONDS} s of CPU or {LONGEST} s")

    timers = {signal.SIGPROF: (signal.ITIMER_PROF, SECONDS), signal.SIGALRM: (signal.ITIMER_REAL, LONGEST)}
    before = {number: signal.signal(number, late) for number in timers}
    for timer, seconds in timers.values():
        signal.setitimer(timer, seconds)
    yield
    for number, (timer, _) in timers.items():
        signal.setitimer(timer, 0)
        signal.signal(number, before[number])


@pytest.mark.parametrize(("kind", "number"), list(cases()))
def test_a_broken_file(kind, number, tmp_path, tiny, capsys, limited):
    make, name = KINDS[kind]
    (tmp_path / "in").mkdir()
    # There is a good file too, of which nothing may be lost.
    good = [{"id": i, "sentence1": f"good {i}", "sentence2": SENTENCES[i % 5]} for i in range(10)]
    (tmp_path / "in" / f"a_{name}").write_bytes(make(number, random.Random(f"{kind} {number}")))
    (tmp_path / "in" / "b_good.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in good))
    flags = ["--input", tmp_path / "in", "--output", tmp_path / "out", "--model", tiny, "--threads", "1"]
    status = score.main([*map(str, flags), "--output_format", "jsonl"])
    said = capsys.readouterr()
    assert "Traceback" not in said.err + said.out
    if status:
        assert status in (1, 2)
        assert f"a_{name}" in said.err or re.search(r"column|--text_a", said.err), said.err
        assert len(said.err.splitlines()) <= 6
        assert len(said.err) < 2500
        assert not (tmp_path / "out" / "summary.json").exists()
        return
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["rows_scored"] + summary["rows_rejected"] == summary["rows_read"]
    scored, rejected = (
        [json.loads(line) for file in sorted((tmp_path / "out" / folder).iterdir()) for line in file.open()]
        for folder in ("scores", "rejected")
    )
    assert (len(scored), len(rejected)) == (summary["rows_scored"], summary["rows_rejected"])
    assert all(row["reason"] for row in rejected)
    kept = [row["sentence1"] for row in scored]
    assert kept[-10:] == [row["sentence1"] for row in good]
    assert all(0 <= row["score"] <= 1 for row in scored)
    print(f"{kind} {number}: {len(scored)} scored, {len(rejected)} rejected", file=sys.stderr)
