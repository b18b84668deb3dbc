"""dedup, mine and score compared with short reference implementations, on random corpora and options.

It takes seconds by default. With more than twenty minutes, and smaller examples of differences, it runs by

    BEAM_STS_FUZZ_SECONDS=1500 python -m pytest -m slow tests/test_reference.py
"""

import json
import os
import pickle
import re
import shutil
import tempfile
import time
from collections import Counter
from itertools import combinations, pairwise
from pathlib import Path
from types import SimpleNamespace

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

from beam_sts import DeduplicateTexts, MinePairs, ScorePairs
from beam_sts.candidates.keys import MinHash, exact_keys, normalise
from beam_sts.cli import dedup, score
from tests import reference_dedup
from tests.cli.test_runners import options_of

SECONDS = float(os.environ.get("BEAM_STS_FUZZ_SECONDS", "120"))
GAP = 2e-5  # least difference between scores, because their last bits depend on the batch
RUNNERS = {
    "FnApiRunner": None,
    "embedded job service": "PortableRunner, LOOPBACK",
    "Prism": "PrismRunner",
}
WORDS = re.findall(r"\w+", "river stone green table walks slowly under bright light over seven old wooden")


@st.composite
def texts(draw):
    """A few base texts in several versions: equal, with the same normal form, with another word, blank."""
    base = draw(st.integers(0, 3))
    words = [WORDS[(base * 4 + i * (base + 2)) % len(WORDS)] for i in range(9)]
    for _ in range(draw(st.integers(0, 2))):
        words[draw(st.integers(0, 8))] = draw(st.sampled_from(WORDS))
    text = " ".join(words)
    return draw(st.sampled_from([text, text, text, text.upper(), f" {text}", f"{text}!", "", " ", None]))


@st.composite
def corpora(draw, side=0):
    rows = draw(
        st.lists(st.tuples(texts(), st.none() | st.integers(0, 3), st.sampled_from("pq")), max_size=9)
    )
    ids = draw(st.permutations([f"r{i}" for i in range(len(rows))]))
    return [
        {"id": ident, "text": text, "stars": stars, "land": land, "side": side}
        for ident, (text, stars, land) in zip(ids, rows, strict=True)
    ]


@st.composite
def jobs(draw, runners=("FnApiRunner",)):
    """Rows, rows to compare against, and options."""
    rows, against = draw(corpora()), draw(st.none() | corpora(1))
    sources = (
        ["exact", "minhash", "block:land"]
        if against is not None
        else ["exact", "minhash", "block:land", "pairs"]
    )
    chosen = draw(st.lists(st.sampled_from(sources), unique=True, min_size=1))
    names = [row["id"] for row in rows] + ["unknown"]
    asked = st.lists(st.tuples(st.sampled_from(names), st.sampled_from(names)), max_size=8)
    named, quantile = draw(asked), draw(st.floats(0, 1))
    if against is None and draw(st.booleans()):  # rows of one cluster, few pairs of which are candidates
        words = WORDS[:9]
        rows = [
            {
                "id": f"r{at}",
                "text": " ".join([*words[:at], "seven", *words[at + 1 :]]),
                "land": "p",
                "side": 0,
            }
            | {"stars": draw(st.integers(0, 3))}
            for at in draw(st.permutations(range(draw(st.integers(4, 8)))))
        ]
        named = [*pairwise(row["id"] for row in rows), *named[:1]]
        chosen, quantile = ["pairs", *(name for name in chosen if name == "exact")], quantile * 0.75
    return SimpleNamespace(
        rows=rows,
        others=against or [],
        against=against is not None,
        within=draw(st.booleans()) and against is not None,
        one_to_one=draw(st.booleans()) and against is not None,
        average=draw(st.booleans()) and against is None,
        sources=chosen,
        given=named,
        keep=draw(st.sampled_from(["first", "longest", "shortest", "central", "highest:stars"])),
        quantile=quantile,
        empty=draw(st.sampled_from(["keep", "score", "reject"])),
        runner=draw(st.sampled_from(runners)),
    )


MINHASH = MinHash(0.7, 0.95)
REACHED: Counter[str] = Counter()
"""How often the references ran, used the chain guard, and were compared with each runner."""


def expected(job, scorer, *, by_id):
    """The reference's result of a job, and the chosen threshold, which is between two scores."""
    rows = [row for row in (*job.rows, *job.others) if row["text"] is not None]
    if job.empty == "reject":
        rows = [row for row in rows if row["text"].strip()]
    plain = {"exact", "minhash"} & set(job.sources)
    o = SimpleNamespace(**vars(job), merge=bool(plain), compare_blank=job.empty == "score")
    o.central = job.keep == "central"
    distinct = sorted({row["text"] for row in rows})
    pairs = list(combinations(distinct, 2))
    values = dict(zip(pairs, scorer.score(pairs).tolist(), strict=True)) if pairs else {}
    found = sorted(values.values())
    assume(all(b - a > GAP for a, b in pairwise(found)))
    at = int(job.quantile * len(found))
    around = [0.0, *found, 1.0][at : at + 2]
    threshold = (
        0.382 * around[0] + 0.618 * around[1]
    )  # not the middle, which may be the mean of a cluster's scores
    assume(not found or min(abs(value - threshold) for value in found) > GAP)

    places = {(row["side"], row["id"]): place for place, row in enumerate(rows)}
    worth = {
        "longest": lambda row: -len(" ".join(row["text"].split())),
        "shortest": lambda row: len(" ".join(row["text"].split())),
        "highest:stars": lambda row: (row["stars"] is None, -(row["stars"] or 0)),
    }.get(job.keep, lambda row: 0)

    def order(row):
        first = places[row["side"], row["id"]] if job.keep == "first" and not by_id else 0
        return (row["side"], 0 if row["side"] else worth(row), 0 if row["side"] else first, row["id"])

    keys = {}
    for name, of in (("exact", exact_keys), ("minhash", MINHASH.keys)):
        found_keys = of(pa.array(distinct, pa.large_string()))
        keys[name] = {text: set() for text in distinct}
        for text, one in zip(found_keys.text.tolist(), found_keys.key.tolist(), strict=True):
            keys[name][distinct[text]].add(tuple(one))
    asked = {frozenset(pair) for pair in job.given}

    def candidates(one, other):
        tests = {
            "exact": lambda: keys["exact"][one[0]["text"]] & keys["exact"][other[0]["text"]],
            "minhash": lambda: keys["minhash"][one[0]["text"]] & keys["minhash"][other[0]["text"]],
            "block:land": lambda: {row["land"] for row in one} & {row["land"] for row in other},
            "pairs": lambda: any(frozenset((a["id"], b["id"])) in asked for a in one for b in other),
        }
        return [name.partition(":")[0] for name in job.sources if tests[name]()]

    fate, name, scores = reference_dedup.deduplicate(
        rows, order, candidates, lambda a, b: values[a, b], threshold, o
    )
    REACHED["jobs"] += 1
    REACHED["with the guard"] += any(why and why[1] == "guard" for why in fate.values())
    REACHED["with a chain that is cut"] += any(
        (a in fate and b in fate and fate[a] is None and fate[b] is None and name[0, a] == name[0, b])
        for a, b in combinations(fate, 2)
    )
    if o.central:
        assume(all(b - a > GAP or b == a for a, b in zip(o.strengths, o.strengths[1:], strict=False)))
    return threshold, fate, name, scores


def on_one_machine(job, threshold, model, folder):
    """The command's kept rows, receipts, clusters and count of rejected rows."""
    schema = pa.schema(
        [("id", pa.string()), ("text", pa.string()), ("stars", pa.int64()), ("land", pa.string())]
    )
    write = lambda rows, path: pq.write_table(  # noqa: E731
        pa.Table.from_pylist([{n: row[n] for n in schema.names} for row in rows], schema), path
    )
    write(job.rows, folder / "in.parquet")
    args = ["--input", str(folder / "in.parquet"), "--output", str(folder / "out"), "--text", "text"]
    args += ["--id", "id", "--threads", "1", "--quiet", "--model", str(model), "--rule", "model"]
    args += ["--guard", "none", "--boilerplate", "counted", "--languages", "ignored"]
    args += ["--max_lost", "none", "--form", "none"]
    args += [
        "--threshold",
        repr(threshold),
        "--keep",
        job.keep,
        "--empty",
        job.empty,
        "--rows_per_shard",
        "4",
    ]
    given = pa.table({"id_a": [a for a, _ in job.given], "id_b": [b for _, b in job.given]}, schema=GIVEN)
    pq.write_table(given, folder / "given.parquet")
    sources = [f"pairs:{folder / 'given.parquet'}" if name == "pairs" else name for name in job.sources]
    args += ["--candidates", ",".join(sources)]
    if job.average:
        args += ["--linkage", "average"]
    if job.against:
        write(job.others, folder / "old.parquet")
        args += ["--against", str(folder / "old.parquet")]
    args += ["--within"] * job.within + ["--one_to_one"] * job.one_to_one
    assert dedup.main(args) == 0
    read = lambda name: pq.read_table(folder / "out" / name).to_pylist()  # noqa: E731
    summary = json.loads((folder / "out" / "summary.json").read_text())
    assert summary["rows_read"] == len(job.rows)
    scored = {frozenset((p["id_a"], p["id_b"])) for p in read("pairs") if p["source"] not in ("guard",)}
    clusters = {row["id"]: row["cluster"] for row in read("clusters")}
    return {row["id"] for row in read("kept")}, read("removed"), clusters, summary["rows_rejected"], scored


GIVEN = pa.schema([("id_a", pa.string()), ("id_b", pa.string())])


def by_beam(job, threshold, model, folder):
    """The same for the transform, by the job's runner."""
    elements = [{name: value for name, value in row.items() if name != "side"} for row in job.rows]
    options = PipelineOptions(options_of(RUNNERS[job.runner])) if RUNNERS[job.runner] else None
    REACHED[job.runner] += 1
    with beam.Pipeline(None if options else FnApiRunner(), options=options) as pipeline:
        inputs = {"rows": pipeline | "rows" >> beam.Create(elements)}
        if job.against:
            inputs["against"] = pipeline | "against" >> beam.Create(job.others)
        if "pairs" in job.sources:
            inputs["given"] = pipeline | "given" >> beam.Create(job.given)
        done = inputs | DeduplicateTexts(
            str(model),
            threads=1,
            threshold=threshold,
            keep=job.keep,
            candidates=job.sources,
            within=job.within,
            linkage="average" if job.average else "single",
            one_to_one=job.one_to_one,
            empty=job.empty,
            rule="model",
            thresholds=(),
            guard="none",
            boilerplate="counted",
            languages="ignored",
            max_lost=None,
            form="none",
        )
        for name in ("kept", "removed", "rejected", "clusters", "pairs"):
            values = getattr(done, name) | f"List {name}" >> beam.combiners.ToList()
            _ = values | f"Write {name}" >> beam.Map(_write, str(folder / name))
    found = {
        name: pickle.loads((folder / name).read_bytes())
        for name in ("kept", "removed", "clusters", "rejected")
    }
    kept = {row["id"] for row in found["kept"]}
    clusters = {ident: ident for ident in kept} | dict(found["clusters"])
    return kept, found["removed"], clusters, len(found["rejected"]), None


def _write(values, path):
    Path(path).write_bytes(pickle.dumps(values))


def compare(job, run, scorer, model, *, by_id):
    threshold, fate, name, scores = expected(job, scorer, by_id=by_id)
    folder = Path(tempfile.mkdtemp())
    try:
        kept, removed, clusters, rejected, scored = run(job, threshold, model, folder)
    finally:
        shutil.rmtree(folder)
    note(f"threshold {threshold}, expected {fate}")
    receipts = {
        row["id"]: ((int(row.get("survivor_in") == "against"), row["survivor"]), row["source"], row["rule"])
        for row in removed
    }
    assert receipts == {ident: why for ident, why in fate.items() if why is not None}
    assert kept == {ident for ident, why in fate.items() if why is None}
    assert rejected == len(job.rows) - len(fate)
    assert {ident: (0, of) for ident, of in clusters.items() if ident in fate} == {
        ident: name[0, ident] for ident in fate
    }
    if scored is not None and not job.against:
        assert len(scored) >= len(scores)


def profile(examples):
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    return settings(
        max_examples=examples, suppress_health_check=[*checks, HealthCheck.function_scoped_fixture]
    )


def dedup_on_one_machine(job, scorer, tiny):
    compare(job, on_one_machine, scorer, tiny, by_id=False)


def dedup_by_a_runner(job, scorer, tiny):
    compare(job, by_beam, scorer, tiny, by_id=True)


def scores_come_in_order_and_counts_add_up(elements, empty, scorer, tiny):
    folder = Path(tempfile.mkdtemp())
    good = {
        at: pair
        for at, pair in enumerate(elements)
        if None not in pair and (empty == "score" or all(text.strip() for text in pair))
    }
    expected = dict(zip(good, scorer.score(list(good.values())).tolist(), strict=True)) if good else {}
    rows = [{"id": at, "text_a": a, "text_b": b} for at, (a, b) in enumerate(elements)]
    schema = pa.schema([("id", pa.int64()), ("text_a", pa.string()), ("text_b", pa.string())])
    table = pa.Table.from_pylist(rows, schema)
    pq.write_table(table, folder / "in.parquet")
    args = ["--input", str(folder / "in.parquet"), "--output", str(folder / "out"), "--empty", empty]
    assert (
        score.main([*args, "--model", str(tiny), "--threads", "1", "--rows_per_shard", "5", "--quiet"]) == 0
    )
    read = {name: pq.read_table(folder / "out" / name) for name in ("scores", "rejected")}
    assert read["scores"]["id"].to_pylist() == sorted(good)
    assert read["rejected"]["row"].to_pylist() == sorted(set(range(len(rows))) - set(good))
    summary = json.loads((folder / "out" / "summary.json").read_text())
    counts = [summary[f"rows_{name}"] for name in ("read", "scored", "rejected")]
    assert counts == [len(rows), len(good), len(rows) - len(good)]
    with beam.Pipeline(FnApiRunner()) as pipeline:
        for name, some in (("rows", rows), ("tables", [table.slice(at, 5) for at in range(0, len(rows), 5)])):
            found = (
                pipeline
                | name >> beam.Create(some)
                | f"score {name}" >> ScorePairs(str(tiny), threads=1, empty=empty, tables=name == "tables")
            )
            for output, values in found._asdict().items():
                listed = values | f"{output} {name}" >> beam.combiners.ToList()
                _ = listed | f"write {output} {name}" >> beam.Map(_write, str(folder / f"{name} {output}"))
    for name in ("rows", "tables"):
        scored, rejected = (
            pickle.loads((folder / f"{name} {out}").read_bytes()) for out in ("scored", "rejected")
        )
        if name == "tables":
            scored, rejected = (
                [row for part in some for row in part.to_pylist()] for some in (scored, rejected)
            )
            assert [row["id"] for row in rejected] == sorted(row["id"] for row in rejected)
        else:
            rejected = [bad.element for bad in rejected]
        assert {row["id"]: row["score"] for row in scored} == pytest.approx(expected, abs=GAP)
        assert sorted(row["id"] for row in rejected) == read["rejected"]["row"].to_pylist()
    shutil.rmtree(folder)


@st.composite
def corpora_to_mine(draw):
    """Texts with a document, or none, and a position in it; distinct except for their form."""
    return [
        (draw(st.sampled_from([None, "d", "e"])), place, text)
        for place, text in enumerate(draw(st.lists(texts(), max_size=10)))
    ]


def pairs_that_are_mined(placed, lexical, random_, share, seed, scorer, tiny):
    """Candidates of each split: adjacent texts of a document, and at most the wanted number of others."""
    folder = Path(tempfile.mkdtemp())
    with beam.Pipeline(FnApiRunner()) as pipeline:
        mined = (
            pipeline
            | beam.Create(placed)
            | MinePairs(
                str(tiny),
                threads=1,
                neighbours=0,
                lexical=lexical,
                random=random_,
                test_share=share,
                seed=seed,
            )
        )
        for name, values in mined._asdict().items():
            listed = values | f"List {name}" >> beam.combiners.ToList()
            _ = listed | f"Write {name}" >> beam.Map(_write, str(folder / name))
    pairs, rejected = (pickle.loads((folder / name).read_bytes()) for name in ("pairs", "rejected"))
    shutil.rmtree(folder)
    good = [(d, p, text) for d, p, text in placed if text is not None and text.strip()]
    assert Counter(bad.element for bad in rejected) == Counter(set(placed) - set(good))
    form = lambda text: normalise(pa.array([text]))[0].as_py()  # noqa: E731
    split, first = {}, {}
    for row in pairs:
        for text in (row["sentence1"], row["sentence2"]):
            assert split.setdefault(form(text), row["split"]) == row["split"]
            assert first.setdefault(form(text), text) == text
    assert set(first.values()) <= {text for *_, text in good}
    assert {row["split"] for row in pairs} <= (
        {"test"} if share == 1 else {"train"} if share == 0 else {"train", "test"}
    )
    ends = [frozenset((form(row["sentence1"]), form(row["sentence2"]))) for row in pairs]
    assert len(set(ends)) == len(ends)
    assert all(len(pair) == 2 for pair in ends)
    follow = set()
    for document in ("d", "e"):
        forms = [form(text) for d, _, text in good if d == document]
        follow |= {frozenset(two) for two in pairwise(forms) if len(set(two)) == 2}
    adjacent = {pair for pair, row in zip(ends, pairs, strict=True) if "adjacent" in row["origin"]}
    assert adjacent == follow if share in (0, 1) else adjacent <= follow
    distinct = len({form(text) for *_, text in good})
    for name, each in (("lexical", lexical), ("random", random_)):
        assert sum(name in row["origin"] for row in pairs) <= each * distinct
    if share in (0, 1) and distinct > 1:
        most = distinct * (distinct - 1) // 2
        steps = sum(max(0, distinct - step) for step in range(1, random_ + 1))
        assert sum("random" in row["origin"] for row in pairs) == min(most, steps)
    values = scorer.score([(row["sentence1"], row["sentence2"]) for row in pairs]) if pairs else []
    assert [row["score"] for row in pairs] == pytest.approx(list(values), abs=GAP)


OFTEN = ["FnApiRunner"] * 7 + [name for name in RUNNERS if name != "Prism" or shutil.which("go")]
CHECKS = {  # strategies, default count of examples, share of a long run
    dedup_on_one_machine: ({"job": jobs()}, 6, 0.5),
    dedup_by_a_runner: ({"job": jobs()}, 2, 0.3),
    scores_come_in_order_and_counts_add_up: (
        {
            "elements": st.lists(st.tuples(texts(), texts()), max_size=12),
            "empty": st.sampled_from(["score", "reject"]),
        },
        2,
        0.1,
    ),
    pairs_that_are_mined: (
        {
            "placed": corpora_to_mine(),
            "lexical": st.integers(0, 2),
            "random_": st.integers(0, 2),
            "share": st.sampled_from([0.0, 0.4, 1.0]),
            "seed": st.integers(-3, 3),
        },
        2,
        0.1,
    ),
}


@pytest.mark.parametrize("check", CHECKS)
def test_as_the_reference(check, scorer, tiny):
    strategies, examples, _ = CHECKS[check]
    profile(examples)(given(**strategies)(check))(scorer=scorer, tiny=tiny)


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS)
def test_as_the_reference_for_longer(check, scorer, tiny):
    """Run with new examples until the check's share of the time is over."""
    strategies, _, share = CHECKS[check]
    if check is dedup_by_a_runner:
        strategies = {"job": jobs(OFTEN)}
    until, rounds = time.time() + share * SECONDS, 0
    while time.time() < until:
        profile(10)(given(**strategies)(check))(scorer=scorer, tiny=tiny)
        rounds += 1
    print(f"{check.__name__}: {rounds} rounds of 10 examples; in all {dict(REACHED)}")
