"""The command line of dedup."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts import PairScorer
from beam_sts.cli import dedup, explain
from beam_sts.dedup.overlap import Overlap
from beam_sts.dedup.verify import MODEL_SHARE

ROOT = Path(__file__).parents[2]
WORDS = [
    "river",
    "stone",
    "green",
    "table",
    "walks",
    "slowly",
    "under",
    "bright",
    "morning",
    "light",
    "over",
    "seven",
    "old",
    "wooden",
    "bridges",
]


def made_texts(groups=12, seed=0):
    """Groups of a text and up to two copies with one other word, then unrelated texts."""
    rng = random.Random(seed)
    texts = []
    for group in range(groups):
        words = [*rng.choices(WORDS, k=14), f"tale{group}", f"place{group * 7}"]
        texts.append(" ".join(words))
        for _ in range(group % 3):
            texts.append(" ".join([*words[:5], rng.choice(WORDS), *words[6:]]))
    return texts


@pytest.fixture
def corpus(tmp_path):
    texts = made_texts()
    table = pa.table(
        {"id": [f"r{i:03}" for i in range(len(texts))], "text": texts, "stars": range(len(texts))}
    )
    pq.write_table(table, tmp_path / "in.parquet")
    return tmp_path / "in.parquet"


def run(source, output, *more, model="beam-sts-nano"):
    args = ["--input", str(source), "--output", str(output), "--text", "text", "--threads", "1"]
    status = dedup.main([*args, "--model", str(model), *more])
    summary = json.loads((Path(output) / "summary.json").read_text()) if status == 0 else None
    if summary:
        parts = sum(summary[f"rows_{name}"] for name in ("kept", "removed", "rejected"))
        assert parts == summary["rows_read"]
        for name in ("kept", "removed", "rejected"):
            assert read(output, name).num_rows == summary[f"rows_{name}"]
        assert read(output, "clusters").num_rows == summary["rows_kept"] + summary["rows_removed"]
    return status, summary


def read(output, name):
    return pq.read_table(Path(output) / name)


def error(capsys):
    return capsys.readouterr().err


@pytest.mark.parametrize(("options", "share"), [((), MODEL_SHARE), (("--rule", "model"), 1.0)])
def test_every_removed_row_has_a_receipt_that_holds(corpus, tmp_path, capsys, options, share):
    status, summary = run(corpus, tmp_path / "out", "--id", "id", "--threshold", "0.8", *options)
    assert status == 0
    texts = dict(zip(*(pq.read_table(corpus)[n].to_pylist() for n in ("id", "text")), strict=True))
    kept, removed, pairs = (read(tmp_path / "out", n).to_pylist() for n in ("kept", "removed", "pairs"))
    assert {row["id"] for row in kept}.isdisjoint(row["id"] for row in removed)
    assert [row["id"] for row in kept] == sorted(row["id"] for row in kept)  # input order
    assert 0 < len(removed) <= 12  # the copies with a word changed
    by_pair = {frozenset((p["id_a"], p["id_b"])): p for p in pairs}
    scorer = PairScorer()
    overlap = Overlap.learn(pa.array(sorted(set(texts.values()))))
    for row in removed:
        assert row["survivor"] in {k["id"] for k in kept}
        edge = by_pair[frozenset((row["id"], row["survivor"]))]
        assert row["score"] == edge["score"] >= 0.8
        assert (row["source"], row["rule"]) == (edge["source"], edge["rule"])
        first, second = sorted((texts[row["id"]], texts[row["survivor"]]))
        model = 1.0 if first == second else scorer.score([(first, second)])[0]
        expected = share * model + (1 - share) * overlap.scores(pa.array([first]), pa.array([second]))[0]
        if share < 1:  # a difference between short texts counts less
            expected = 1 - (1 - expected) * min(max(len(min(first, second, key=len)) / 120, 0.5), 1)
        # Scores are rounded to 1e-5 for decisions.
        assert row["score"] == pytest.approx(1.0 if first == second else expected, abs=5e-6 + 3e-6)
        assert row["threshold"] == 0.8
        assert row["model"] == summary["model"]["sha256"]
    printed = capsys.readouterr().out
    assert "one machine" in printed
    assert "found at similarity" in printed
    assert not list((tmp_path / "out" / "_run").glob("work*"))


def test_shuffled_input_gives_the_same_clusters_pairs_and_receipts(corpus, tmp_path):
    table = pq.read_table(corpus)
    order = list(range(len(table)))
    random.Random(3).shuffle(order)
    pq.write_table(table.take(order), tmp_path / "shuffled.parquet", row_group_size=5)
    policy = ("--id", "id", "--threshold", "0.8", "--keep", "longest")
    run(corpus, tmp_path / "one", *policy)
    run(tmp_path / "shuffled.parquet", tmp_path / "two", *policy, "--rows_per_shard", "4")
    for name in ("kept", "removed", "clusters", "pairs"):
        one, two = (read(tmp_path / out, name).to_pylist() for out in ("one", "two"))
        for row in (*one, *two):
            row.pop("score", None)  # its last bits depend on the batch
            if name == "pairs":  # the order within a pair is that of the input
                row["id_a"], row["id_b"] = sorted((row["id_a"], row["id_b"]))
        assert sorted(map(str, one)) == sorted(map(str, two))


@pytest.mark.parametrize(
    ("policy", "best"),
    [
        ("first", min),
        ("longest", lambda ids: min(ids, key=lambda i: (-len(TEXTS[i]), i))),
        ("shortest", lambda ids: min(ids, key=lambda i: (len(TEXTS[i]), i))),
        ("highest:stars", max),
        ("highest:-stars * 2", min),
    ],
)
def test_the_keep_policy_decides_which_row_stays(corpus, tmp_path, policy, best):
    run(corpus, tmp_path / "out", "--id", "id", "--threshold", "0.8", "--keep", policy)
    clusters = {}
    for row in read(tmp_path / "out", "clusters").to_pylist():
        clusters.setdefault(row["cluster"], []).append(row["id"])
    kept = set(read(tmp_path / "out", "kept")["id"].to_pylist())
    assert any(len(ids) > 1 for ids in clusters.values())
    for ids in clusters.values():
        assert best(ids) in kept
        assert min(ids) in clusters


TEXTS = {f"r{i:03}": text for i, text in enumerate(made_texts())}


def test_against_another_input_removes_only_what_it_holds(tmp_path, corpus):
    old = pa.table({"id": ["a", "b"], "text": [TEXTS["r000"], "nothing like the others at all here"]})
    new = pa.table(
        {
            "id": ["a", "x", "y", "z"],
            "text": [TEXTS["r000"], TEXTS["r001"], TEXTS["r002"], TEXTS["r002"]],
        }
    )
    pq.write_table(old, tmp_path / "old.parquet")
    pq.write_table(new, tmp_path / "new.parquet")
    options = ("--id", "id", "--against", str(tmp_path / "old.parquet"), "--threshold", "0.5")
    options += ("--keep", "first", "--guard", "none", "--max_lost", "none")
    run(tmp_path / "new.parquet", tmp_path / "out", *options)
    removed = read(tmp_path / "out", "removed").to_pylist()
    assert [(r["id"], r["survivor"], r["survivor_in"]) for r in removed] == [("a", "a", "against")]
    assert removed[0]["rule"] == "identical"
    # x, y and z are similar to each other, which only --within compares.
    _, summary = run(tmp_path / "new.parquet", tmp_path / "both", *options, "--within")
    removed = read(tmp_path / "both", "removed").to_pylist()
    assert [(r["id"], r["survivor"], r["survivor_in"]) for r in removed] == [
        ("a", "a", "against"),
        ("y", "x", "input"),
        ("z", "x", "input"),
    ]
    assert summary["rows_against"] == 2


def test_equal_texts_of_the_other_input_are_no_pairs(tmp_path, tiny):
    for name, texts in (("new", ["a blue shoe", "two green hats"]), ("old", ["a red lamp", "a red lamp"])):
        pq.write_table(pa.table({"id": [1, 2], "text": texts}), tmp_path / f"{name}.parquet")
    options = ["--id", "id", "--against", str(tmp_path / "old.parquet")]
    run(tmp_path / "new.parquet", tmp_path / "out", *options, model=tiny)
    assert read(tmp_path / "out", "pairs").num_rows == 0
    again = [*options, "--from_pairs", str(tmp_path / "out")]
    _, summary = run(tmp_path / "new.parquet", tmp_path / "again", *again, model=tiny)
    assert summary["rows_removed"] == 0


def test_another_threshold_from_the_pairs_of_an_earlier_run_scores_nothing(corpus, tmp_path, capsys):
    _, first = run(corpus, tmp_path / "out", "--id", "id", "--threshold", "0.8")
    _, fresh = run(corpus, tmp_path / "fresh", "--id", "id", "--threshold", "0.99")
    again = ("--id", "id", "--from_pairs", str(tmp_path / "out"), "--threshold", "0.99")
    _, second = run(corpus, tmp_path / "again", *again)
    assert second["pairs_scored"] == 0
    assert first["rows_removed"] > second["rows_removed"] == fresh["rows_removed"]
    assert read(tmp_path / "again", "removed") == read(tmp_path / "fresh", "removed")
    at = {row["threshold"]: row["removed"] for row in first["thresholds"]}
    assert at[0.8] == first["rows_removed"]
    assert at[0.99] == second["rows_removed"]
    same = ("--id", "id", "--from_pairs", str(tmp_path / "again"), "--threshold", "0.8")
    _, third = run(corpus, tmp_path / "third", *same)
    assert third["rows_removed"] == first["rows_removed"]
    status, _ = run(corpus, tmp_path / "no", "--from_pairs", str(tmp_path / "out"))
    assert status == 2
    assert "was made with --id id, not None" in error(capsys)


def test_a_cascade_scores_again_what_lies_in_the_band(corpus, tmp_path):
    more = ("--cascade_model", "beam-sts-pico", "--cascade_band", "0.5,1.0", "--threshold", "0.8")
    _, summary = run(corpus, tmp_path / "out", "--id", "id", *more)
    rules = read(tmp_path / "out", "pairs")["rule"].to_pylist()
    assert summary["verify"]["cascaded"] == rules.count("cascade") > 0
    assert "+" in read(tmp_path / "out", "removed")["model"][0].as_py()


def test_a_second_run_scores_nothing_and_gives_the_same(corpus, tmp_path):
    _, first = run(corpus, tmp_path / "out", "--threshold", "0.8", "--rows_per_shard", "7")
    before = {p: p.read_bytes() for p in (tmp_path / "out").rglob("part-*")}
    for path in sorted((tmp_path / "out" / "kept").iterdir())[1:]:
        path.unlink()  # as after a kill before these rows were written
    _, second = run(corpus, tmp_path / "out", "--threshold", "0.8", "--rows_per_shard", "7")
    assert second["pairs_scored"] == 0
    assert second["pairs_reused"] == first["pairs_scored"] > 0
    assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("part-*")} == before
    assert read(tmp_path / "out", "kept")["_id"].to_pylist()[0] == 0


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_scores(tmp_path, tiny):
    texts = made_texts(400)
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet")
    options = ["--input", str(tmp_path / "in.parquet"), "--text", "text", "--model", str(tiny)]
    options += ["--candidates", "exact,minhash,lexical", "--neighbours", "20", "--threads", "1"]
    code = (
        "import beam_sts.dedup.shards as s; s.CHARACTERS_PER_SHARD = 40_000; "
        "from beam_sts.cli import dedup; import sys; sys.exit(dedup.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, *options, "--output", str(tmp_path / "out")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 400
    while len(list((tmp_path / "out").glob("pairs/part-*"))) < 3 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out" / "summary.json").exists()
    done = subprocess.run(command, cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=True)
    assert "existing scores reused" in done.stdout
    fresh = [*command[:-1], str(tmp_path / "fresh")]
    subprocess.run(fresh, cwd=ROOT, capture_output=True, check=True)
    for name in ("kept", "removed", "pairs", "clusters"):
        assert read(tmp_path / "out", name) == read(tmp_path / "fresh", name)
    ends = pq.read_table(tmp_path / "fresh" / "pairs" / "part-000001.parquet", columns=["id_a", "id_b"])
    sizes = [sum(len(texts[at]) for at in ends[name].to_pylist()) for name in ends.column_names]
    assert 39_000 < sum(sizes) <= 40_000


def test_records_are_blended_and_clustered_by_average_linkage(tmp_path, capsys):
    texts = [
        "Sony Turntable - PSLX350H belt drive",
        "sony ps-lx350h turntable belt-drive system",
        "Sony Turntable - PSLX250 belt drive",
        "Bose speaker 161 white",
        "bose 161wh bookshelf speaker, white",
    ]
    pq.write_table(pa.table({"id": list("abcde"), "text": texts}), tmp_path / "in.parquet")
    options = ["--id", "id", "--candidates", "lexical", "--neighbours", "4", "--threshold", "0.3"]
    records = [*options, "--rule", "blend", "--linkage", "average"]
    _, summary = run(tmp_path / "in.parquet", tmp_path / "out", *records)
    pairs = {(p["id_a"], p["id_b"]): p for p in read(tmp_path / "out", "pairs").to_pylist()}
    assert {pair["rule"] for pair in pairs.values()} == {"blend"}
    model = float(PairScorer("beam-sts-nano").score([(texts[0], texts[1])])[0])
    overlap = (pairs["a", "b"]["score"] - MODEL_SHARE * model) / (1 - MODEL_SHARE)
    assert 0 < overlap <= 1
    assert summary["settings"]["linkage"] == "average"
    # Another threshold from the same pairs gives the result of a run with that threshold.
    for threshold in ("0.5", "0.7"):
        again = [*records[:-6], "--threshold", threshold, "--rule", "blend", "--linkage", "average"]
        run(tmp_path / "in.parquet", tmp_path / f"new{threshold}", *again)
        run(
            tmp_path / "in.parquet",
            tmp_path / f"from{threshold}",
            *again,
            "--from_pairs",
            str(tmp_path / "out"),
        )
        for name in ("kept", "clusters"):
            assert read(tmp_path / f"new{threshold}", name) == read(tmp_path / f"from{threshold}", name)
    for wrong in (["--one_to_one"], [*records, "--against", str(tmp_path / "in.parquet")]):
        assert run(tmp_path / "in.parquet", tmp_path / "no", *wrong)[0] == 2
    assert "--linkage average: groups the rows of one input" in error(capsys)


# Long enough that the overlap passes the threshold, although the model sees the changed fact.
FUND = (
    "The fund lost 3 million euros last year because of bad loans to builders, and its board will report on "
    "the causes of the loss to all of its members in the autumn."
)
FACTS = [FUND, FUND.replace("million", "billion"), FUND + " ", FUND.replace("bad", "the bad"), "Prices fell."]


@pytest.mark.parametrize("runner", [(), ("--runner", "FnApiRunner")], ids=["one machine", "Beam"])
def test_a_changed_fact_keeps_both_rows_and_says_so(tmp_path, capsys, runner):
    pq.write_table(pa.table({"id": range(len(FACTS)), "text": FACTS}), tmp_path / "in.parquet")
    out = tmp_path / "out"
    runner = ("--keep", "first", *runner)
    _, summary = run(tmp_path / "in.parquet", out, "--id", "id", *runner)
    assert read(out, "kept")["id"].to_pylist() == [0, 1, 4]
    found = {(row["id_a"], row["id_b"]): row for row in read(out, "pairs").to_pylist()}
    assert found[0, 1]["differs"] == "number: 3 million | 3 billion"
    assert found[0, 1]["score"] is None  # no decision depends on it
    assert found[0, 1]["bound"] >= 0.9
    assert found[0, 2]["differs"] is None
    assert summary["pairs_guarded"] == sum(row["differs"] is not None for row in found.values()) > 0
    assert "kept: 3 million against 3 billion" in (out / "report.html").read_text()
    capsys.readouterr()
    assert explain.main(["--run", str(out), "1"]) == 0
    assert "kept: 3 million against 3 billion" in capsys.readouterr().out
    run(tmp_path / "in.parquet", tmp_path / "none", "--id", "id", "--guard", "none", *runner)
    assert read(tmp_path / "none", "kept")["id"].to_pylist() == [0, 4]
    again = ("--id", "id", "--from_pairs", str(tmp_path / "none"), *runner)
    status, _ = run(tmp_path / "in.parquet", tmp_path / "no", *again)  # short texts are scored differently
    assert status == 2
    assert "was scored with --guard none" in error(capsys)
    numbers = ("--guard", "numbers", *runner)
    run(tmp_path / "in.parquet", tmp_path / "fresh", "--id", "id", *numbers)
    run(tmp_path / "in.parquet", tmp_path / "again", *again, *numbers)  # numbers are compared now
    assert read(tmp_path / "again", "kept")["id"].to_pylist() == [0, 1, 4]
    assert read(tmp_path / "again", "removed") == read(tmp_path / "fresh", "removed")


HINDI = (
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e, "
    "\u0906\u091c \u092c\u093e\u0930\u093f\u0936 \u0939\u0948"
)
FORMS = [
    "The committee met on Monday to look at the plans for the new bridge.",
    "<p>The <b>committee</b> met on Monday&nbsp;to look at the plans for the new bridge.</p>",
    "\uff34he committee met\u200b on Monday to look at the plans  for the new bridge.",
    HINDI,
    HINDI.replace(",", "\u200b,  "),
    '<a href="http://a.org/1">The minutes of the meeting</a>',
    '<a href="http://a.org/2">The minutes of the meeting</a>',
]


@pytest.mark.parametrize("runner", [(), ("--runner", "FnApiRunner")], ids=["one machine", "Beam"])
def test_form_does_not_count_and_the_kept_row_is_as_it_was(tmp_path, runner):
    pq.write_table(pa.table({"id": range(len(FORMS)), "text": FORMS}), tmp_path / "in.parquet")
    out = tmp_path / "out"
    _, summary = run(tmp_path / "in.parquet", out, "--id", "id", "--keep", "highest:id", *runner)
    kept = read(out, "kept")
    assert kept["id"].to_pylist() == [2, 4, 5, 6]
    assert kept["text"].to_pylist() == [FORMS[at] for at in (2, 4, 5, 6)]
    receipts = read(out, "removed").to_pylist()
    assert {(row["score"], row["rule"], row["lost"]) for row in receipts} == {(1.0, "form", 0)}
    assert summary["verify"]["scored"] == 0
    run(tmp_path / "in.parquet", tmp_path / "none", "--id", "id", "--form", "none", *runner)
    assert "form" not in read(tmp_path / "none", "pairs")["rule"].to_pylist()


MARKED = [
    f'<div class="{kind}"><p style="margin: 0; colour: {kind}">'
    + text.replace(" ", f"<span id={kind}> </span>")
    + "</p></div>"
    for kind in ("article-body", "sidebar-entry")
    for text in ("Rain fell all night.", "Tomatoes need sun.", "The ferry is late.")
]


@pytest.mark.parametrize("source", ["lexical", "neighbours"])
@pytest.mark.parametrize("runner", [(), ("--runner", "FnApiRunner")], ids=["one machine", "Beam"])
def test_markup_does_not_hide_the_nearest_text(tmp_path, runner, source):
    pq.write_table(pa.table({"id": range(len(MARKED)), "text": MARKED}), tmp_path / "in.parquet")
    options = ("--id", "id", "--keep", "first", "--candidates", source, "--neighbours", "1", *runner)
    run(tmp_path / "in.parquet", tmp_path / "out", *options)
    removed = read(tmp_path / "out", "removed").to_pylist()
    assert [(row["id"], row["survivor"], row["rule"]) for row in removed] == [
        (3, 0, "form"),
        (4, 1, "form"),
        (5, 2, "form"),
    ]
    run(tmp_path / "in.parquet", tmp_path / "none", *options, "--form", "none")
    assert not len(read(tmp_path / "none", "removed"))


def test_pairs_that_cannot_reach_the_threshold_are_not_scored_and_change_nothing(corpus, tmp_path):
    options = ("--id", "id", "--threshold", "0.85", "--candidates", "exact,minhash,lexical")
    _, some = run(corpus, tmp_path / "some", *options)
    _, every = run(corpus, tmp_path / "every", *options, "--score_all")
    for name in ("kept", "removed", "clusters"):
        assert read(tmp_path / "some", name) == read(tmp_path / "every", name)
    assert every["pairs_bounded"] == 0 < some["pairs_bounded"] < some["pairs"]
    without = some["pairs_bounded"] + some["pairs_guarded"] + some["pairs_parted"]
    assert some["verify"]["scored"] == every["verify"]["scored"] - without
    pairs = [
        {(row["id_a"], row["id_b"]): row for row in read(tmp_path / out, "pairs").to_pylist()}
        for out in ("some", "every")
    ]
    for ends, row in pairs[0].items():
        other = pairs[1][ends]
        assert (row["score"] is None) == (row["rule"] in ("bound", "barred")) == (row["bound"] is not None)
        assert (row["rule"] == "bound") == (row["bound"] is not None and row["bound"] < 0.85)
        if row["score"] is None:
            assert other["score"] <= row["bound"]
        else:
            assert row["score"] == pytest.approx(other["score"], abs=1e-5)
    assert [row["threshold"] for row in some["thresholds"]] == [0.85, 0.9, 0.95, 0.99]
    assert every["thresholds"][0]["threshold"] == 0.5
    assert every["thresholds"][-4:] == some["thresholds"]
    lower = ("--from_pairs", str(tmp_path / "some"), *options[:3], "0.6", *options[4:])
    _, completed = run(corpus, tmp_path / "lower", *lower)
    assert completed["pairs_scored"] > 0
    run(corpus, tmp_path / "fresh", *options[:3], "0.6", *options[4:])
    for name in ("kept", "removed", "clusters"):
        one, two = (read(tmp_path / out, name) for out in ("lower", "fresh"))
        drop = ["score"] if name == "removed" else []  # its last digit depends on the batch
        assert one.drop_columns(drop) == two.drop_columns(drop)
    assert run(corpus, tmp_path / "no", *lower, "--model_share", "0.5")[0] == 2


LETTER = (
    "The committee looked at the plans for the new bridge over the river on {day} and found that it would "
    "cost {sum} euros, so the work begins in {month} and the old ferry runs until then."
)
MADE = {"day": "Monday", "sum": "3 million", "month": "March"}
BARRED = [
    LETTER.format(**MADE),
    LETTER.format(**{**MADE, "sum": "3 billion"}),
    LETTER.format(**{**MADE, "day": "Tuesday"}),
    LETTER.format(**MADE).replace("so the", "so that the"),
    LETTER.format(**MADE).replace("river", "rivr"),
    "Tomatoes need sun and water, and some wind between the leaves.",
    "Rain fell in the night, and the street was wet until noon.",
]


@pytest.mark.parametrize("runner", [(), ("--runner", "FnApiRunner")], ids=["one machine", "Beam"])
def test_pairs_that_differ_in_a_fact_are_not_scored_and_change_nothing(tmp_path, capsys, runner):
    pq.write_table(pa.table({"id": range(len(BARRED)), "text": BARRED}), tmp_path / "in.parquet")
    texts = tmp_path / "in.parquet"
    options = ("--id", "id", "--candidates", "exact,lexical", *runner)
    _, some = run(texts, tmp_path / "some", *options)
    _, every = run(texts, tmp_path / "every", *options, "--score_all")
    for name in ("kept", "removed", "clusters"):
        assert read(tmp_path / "some", name) == read(tmp_path / "every", name)
    assert len(read(tmp_path / "some", "removed"))
    rows = [row for row in read(tmp_path / "some", "pairs").to_pylist() if row["rule"] == "barred"]
    assert len(rows) == some["pairs_guarded"] + some["pairs_parted"] > 3
    assert all(row["score"] is None and row["bound"] >= 0.9 and row["differs"] for row in rows)
    scores = {
        (row["id_a"], row["id_b"]): row["score"] for row in read(tmp_path / "every", "pairs").to_pylist()
    }
    assert some["verify"]["scored"] == every["verify"]["scored"] - some["pairs_bounded"] - len(rows)
    capsys.readouterr()
    assert explain.main(["--run", str(tmp_path / "some"), "1"]) == 0
    told = capsys.readouterr().out
    for row in rows:
        if 1 in (row["id_a"], row["id_b"]):  # scored when it is shown
            ends = row["id_a"], row["id_b"]
            assert f"{scores[ends]:.4f}  {ends[0]} - {ends[1]}  lexical  kept: " in told
    assert "3 billion" in told
    assert "at most 0." in (tmp_path / "some" / "report.html").read_text()
    again = (*options, "--from_pairs", str(tmp_path / "some"))
    run(texts, tmp_path / "fresh", *options, "--max_lost", "none")
    run(texts, tmp_path / "reused", *again, "--max_lost", "none")
    for name in ("kept", "removed", "clusters"):
        assert read(tmp_path / "fresh", name) == read(tmp_path / "reused", name)
    run(texts, tmp_path / "all", *again, "--score_all")
    assert {
        (row["id_a"], row["id_b"]): row["score"] for row in read(tmp_path / "all", "pairs").to_pylist()
    } == pytest.approx(scores, abs=1e-5)


def test_a_guard_that_bars_less_scores_what_an_earlier_run_did_not(tmp_path):
    pq.write_table(pa.table({"id": range(len(BARRED)), "text": BARRED}), tmp_path / "in.parquet")
    texts, options = tmp_path / "in.parquet", ("--id", "id", "--candidates", "exact,lexical")
    _, first = run(texts, tmp_path / "first", *options, "--guard", "numbers")
    assert first["pairs_guarded"] > 0
    run(texts, tmp_path / "none", *options, "--guard", "none")
    _, again = run(
        texts, tmp_path / "again", *options, "--guard", "none", "--from_pairs", str(tmp_path / "first")
    )
    assert again["verify"]["scored"] >= first["pairs_guarded"]
    for name in ("kept", "removed", "clusters"):
        assert read(tmp_path / "none", name) == read(tmp_path / "again", name)


def test_a_device_that_is_not_there_is_told_before_the_work(corpus, tmp_path, capsys):
    assert run(corpus, tmp_path / "out", "--id", "id", "--device", "cuda")[0] == 2
    assert "no CUDA device" in error(capsys)
    assert not (tmp_path / "out").exists()


def test_one_to_one_removes_only_the_best_match(tmp_path):
    texts = ["blue shoe size 40", "blue shoe, size 40!"]
    others = ["a red lamp", "two green hats", "kitchen knife", "garden hose"]
    for name, rows in (("new", [*texts, *others[:2]]), ("old", [*texts[1:], *others[2:]])):
        ids = [f"{name}{i}" for i in range(len(rows))]
        pq.write_table(pa.table({"id": ids, "text": rows}), tmp_path / f"{name}.parquet")
    options = ["--id", "id", "--against", str(tmp_path / "old.parquet"), "--threshold", "0.5"]
    options += ["--candidates", "lexical"]
    run(tmp_path / "new.parquet", tmp_path / "all", *options)
    run(tmp_path / "new.parquet", tmp_path / "best", *options, "--one_to_one")
    assert read(tmp_path / "all", "removed")["id"].to_pylist() == ["new0", "new1"]
    assert read(tmp_path / "best", "removed")["id"].to_pylist() == ["new1"]


@pytest.mark.parametrize("found", ["exact", "minhash", "lexical", "neighbours", "block:lower(text)"])
@pytest.mark.parametrize("runner", [(), ("--runner", "FnApiRunner")], ids=["one machine", "Beam"])
def test_against_an_input_without_rows_removes_nothing(tmp_path, found, runner):
    pq.write_table(
        pa.table({"id": ["a", "b"], "text": ["The bridge is closed today."] * 2}), tmp_path / "in.parquet"
    )
    empty = pa.table({"id": pa.array([], pa.string()), "text": pa.array([], pa.string())})
    pq.write_table(empty, tmp_path / "old.parquet")
    options = ("--id", "id", "--against", str(tmp_path / "old.parquet"), "--candidates", found)
    run(tmp_path / "in.parquet", tmp_path / "out", *options, *runner)
    assert read(tmp_path / "out", "kept")["id"].to_pylist() == ["a", "b"]
