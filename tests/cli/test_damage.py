"""Shards damaged after they were written: their run writes them again, every other reader refuses them."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.cli import dedup, describe, evaluate, explain, label, mine, score
from beam_sts.dedup import shards
from beam_sts.mining import shards as mining_shards
from tests.checkpoints import SENTENCES
from tests.cli.test_dedup import made_texts


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("damage") / "in.parquet"
    texts = [" ".join([SENTENCES[i % 7], str(i)]) if i % 10 else None for i in range(90)]
    pq.write_table(pa.table({"text_a": texts, "text_b": texts[::-1]}), path)
    return path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("damage") / "corpus.parquet"
    pq.write_table(pa.table({"text": [*made_texts(60), None]}), path)
    return path


@pytest.fixture(scope="module", autouse=True)
def small_shards():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(shards, "PAIRS_PER_SHARD", 40)
        patched.setattr(mining_shards, "PAIRS_PER_SHARD", 100)
        yield


def flags(source, output, model, *more):
    return [*map(str, ("--input", source, "--output", output, "--model", model, "--threads", 1)), *more]


def scoring(source, output, model, *more):
    return flags(source, output, model, "--rows_per_shard=10", "--threshold=0.4", *more)


def deduping(source, output, model, *more):
    return flags(source, output, model, "--text=text", "--rows_per_shard=30", *more)


def mining(source, output, model, *more):
    return flags(source, output, model, "--text=text", "--test_share=0.2", *more)


@pytest.fixture(scope="module")
def scored(source, tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("damage") / "scored"
    assert score.main(scoring(source, out, tiny)) == 0
    return out


@pytest.fixture(scope="module")
def deduped(corpus, tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("damage") / "deduped"
    assert dedup.main(deduping(corpus, out, tiny)) == 0
    return out


@pytest.fixture(scope="module")
def mined(corpus, tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("damage") / "mined"
    assert mine.main(mining(corpus, out, tiny)) == 0
    return out


def shards_of(out):
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("part-*.parquet"))}


def copy(out, tmp_path):
    return shutil.copytree(out, tmp_path / "out")


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 4] ^= 0x10
    path.write_bytes(raw)


def exchange(one, two):
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def summary(out):
    return json.loads((out / "summary.json").read_text())


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("workers", [(), ("--runner=DirectRunner",)])
def test_a_damaged_slice_is_scored_again_and_said(source, scored, tiny, tmp_path, capsys, finished, workers):
    out = copy(scored, tmp_path)
    records = out / "_run" / "records"
    cut(out / "scores" / "part-000000.parquet")
    (out / "scores" / "part-000001.parquet").write_bytes(b"")
    exchange(out / "scores" / "part-000002.parquet", out / "scores" / "part-000003.parquet")
    flip(out / "scores" / "part-000004.parquet")
    cut(out / "matches" / "part-000005.parquet")
    (out / "rejected" / "part-000006.parquet").unlink()
    cut(records / "part-000007.json")
    counts = records / "part-000008.json"
    counts.write_text(counts.read_text().replace('"rows_read": 10', '"rows_read": 11'))
    if not finished:
        (out / "summary.json").unlink()
    capsys.readouterr()
    assert score.main(scoring(source, out, tiny, *workers)) == 0
    assert shards_of(out) == shards_of(scored)
    assert summary(out)["shards_skipped"] == 0
    assert summary(out)["shards_damaged"] == 9
    assert "9 damaged shards, written again" in capsys.readouterr().out
    assert score.main(scoring(source, out, tiny, "--verify")) == 0
    assert summary(out)["shards_skipped"] == 9


def test_an_empty_shard_that_is_damaged_is_written_again(source, tiny, tmp_path):
    out = tmp_path / "out"
    pq.write_table(pq.read_table(source).drop_null(), tmp_path / "in.parquet")
    assert score.main(scoring(tmp_path / "in.parquet", out, tiny)) == 0
    before = shards_of(out)
    flip(out / "rejected" / "part-000000.parquet")
    assert score.main(scoring(tmp_path / "in.parquet", out, tiny)) == 0
    assert shards_of(out) == before


def test_pairs_that_changed_places_and_damaged_rows_are_made_again(corpus, deduped, tiny, tmp_path, capsys):
    out = copy(deduped, tmp_path)
    pairs = sorted((out / "pairs").iterdir())
    rows = [pq.read_metadata(path).num_rows for path in pairs]
    one, two = [number for number, count in enumerate(rows) if count == 40][:2]
    exchange(pairs[one], pairs[two])
    records = out / "_run" / "records"
    exchange(records / f"pairs-{one:06}.json", records / f"pairs-{two:06}.json")
    flip(out / "kept" / "part-000000.parquet")
    (out / "removed" / "part-000001.parquet").unlink()
    cut(records / "part-000002.json")
    (out / "pairs" / "part-000999.parquet").write_bytes(pairs[0].read_bytes())
    capsys.readouterr()
    assert dedup.main(deduping(corpus, out, tiny)) == 0
    assert shards_of(out) == shards_of(deduped)
    assert summary(out)["shards_damaged"] == 5
    assert "5 damaged shards, written again" in capsys.readouterr().out
    assert summary(out)["rows_removed"] == summary(deduped)["rows_removed"]


def test_a_finished_mining_run_makes_its_damaged_shards_again(corpus, mined, tiny, tmp_path, capsys):
    out = copy(mined, tmp_path)
    cut(next((out / "triplet" / "train").iterdir()))
    flip(sorted((out / "pair-score" / "train").iterdir())[1])
    capsys.readouterr()
    assert mine.main(mining(corpus, out, tiny)) == 0
    assert shards_of(out) == shards_of(mined)
    assert summary(out)["shards_damaged"] == 1
    assert "written again" in capsys.readouterr().out
    assert mine.main(mining(corpus, out, tiny, "--verify")) == 0
    assert "already finished" in capsys.readouterr().out


@pytest.mark.parametrize("workers", [(), ("--runner=DirectRunner",)])
def test_damaged_shards_of_an_evaluation_are_made_again(source, tiny, tmp_path, monkeypatch, capsys, workers):
    monkeypatch.setattr(evaluate, "ROWS_PER_SLICE", 10)
    out = tmp_path / "out"
    columns = ("--text_a=text_a", "--text_b=text_b")
    command = [f"--input={source}", f"--output={out}", f"--model={tiny}", "--threads=1", *columns, *workers]
    assert evaluate.main(command) == 0
    before, counts = shards_of(out), summary(out)
    records = out / "_run" / "records"
    cut(out / "scores" / "part-000000.parquet")
    flip(out / "scores" / "part-000001.parquet")
    exchange(out / "scores" / "part-000002.parquet", out / "scores" / "part-000003.parquet")
    (out / "rejected" / "part-000004.parquet").unlink()
    cut(records / "part-000005.json")
    entries = records / "part-000006.json"  # has the scores that the figures are computed from
    entries.write_text(entries.read_text().replace('"rows_read": 10', '"rows_read": 11'))
    exchange(records / "part-000007.json", records / "part-000008.json")
    capsys.readouterr()
    assert evaluate.main(command) == 0
    assert "9 damaged shards, written again" in "".join(capsys.readouterr())
    assert shards_of(out) == before
    differing = ("seconds", "pairs_per_second")
    assert {n: v for n, v in summary(out).items() if n not in differing} == {
        n: v for n, v in counts.items() if n not in differing
    }
    assert evaluate.main([*command, "--verify"]) == 0
    assert "written again" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("damage", [cut, flip, lambda path: path.unlink()])
def test_what_reads_a_damaged_run_names_the_file(corpus, deduped, tiny, tmp_path, capsys, damage):
    out = copy(deduped, tmp_path)
    kept, pairs = (out / folder / "part-000001.parquet" for folder in ("kept", "pairs"))
    damage(kept)
    damage(pairs)
    fresh = tmp_path / "fresh"
    run = ["--run", str(out)]
    for verb, options, path in (
        (dedup, deduping(corpus, fresh, tiny, f"--from_pairs={out}"), pairs),
        (dedup, deduping(corpus, fresh, tiny, f"--against={out / 'kept'}"), kept),
        (dedup, deduping(out / "kept", fresh, tiny, "--id=_id"), kept),
        (mine, mining(out / "kept", fresh, tiny), kept),
        (explain, [*run, "1"], None),
        (label, [*run, "--sheet", str(tmp_path / "sheet.csv")], pairs),
    ):
        capsys.readouterr()
        status = verb.main(options)
        said = capsys.readouterr().err
        assert status == 2, said
        assert str(path or out) in said
    assert not fresh.exists()
    assert not (tmp_path / "sheet.csv").exists()


def test_one_shard_alone_is_read_whatever_is_wrong_with_the_others(deduped, tiny, tmp_path):
    out = copy(deduped, tmp_path)
    (out / "kept" / "part-000001.parquet").unlink()
    whole = out / "kept" / "part-000000.parquet"
    assert dedup.main(deduping(whole, tmp_path / "fresh", tiny, "--id=_id")) == 0


@pytest.mark.parametrize("name", ["rensa", "torch", "beam_sts"])
def test_another_version_of_what_decides_is_refused_by_name(
    corpus, deduped, tiny, tmp_path, monkeypatch, capsys, name
):
    out = copy(deduped, tmp_path)
    real = describe.versions_of
    monkeypatch.setattr("beam_sts.cli.dedup_job.versions_of", lambda *names: {**real(*names), name: "0.0.1"})
    assert dedup.main(deduping(corpus, out, tiny)) == 2
    said = capsys.readouterr().err
    assert f': {name} was "' in said
    assert 'is "0.0.1"' in said
    assert "Install those to continue it" in said


def test_a_bit_of_the_input_that_changed_with_its_time_set_back_is_noticed(source, tiny, tmp_path, capsys):
    import os

    path = tmp_path / "in.parquet"
    shutil.copy(source, path)
    before = path.stat()
    assert score.main(scoring(path, tmp_path / "out", tiny)) == 0
    raw = bytearray(path.read_bytes())
    raw[200] ^= 1
    path.write_bytes(raw)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert score.main(scoring(path, tmp_path / "out", tiny)) == 2
    assert "in.parquet has other contents" in capsys.readouterr().err


def test_a_cut_fingerprint_is_said_and_overwritten_on_demand(source, scored, tiny, tmp_path, capsys):
    out = copy(scored, tmp_path)
    cut(out / "_run" / "run.json")
    assert score.main(scoring(source, out, tiny)) == 2
    assert "run.json is damaged" in capsys.readouterr().err
    assert score.main(scoring(source, out, tiny, "--overwrite")) == 0
    assert shards_of(out) == shards_of(scored)
