"""The report of ``pipelines.dedup``."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from beam_sts.plurals import plural, were
from beam_sts.report.page import Note, Page, Section
from beam_sts.report.pieces import (
    Step,
    columns,
    compact,
    duration,
    facts,
    fold,
    funnel,
    pairs,
    percent,
    table,
    titled,
)
from beam_sts.report.shared import (
    NEAREST,
    Examples,
    Summary,
    foot,
    made_of,
    rows_section,
    score_bars,
    titled_pairs,
    unknown_words,
)
from beam_sts.report.work import laps, lengths, pace


def dedup_page(summary: Summary, examples: Examples, card: str = "") -> Page:
    """The page of a run of ``pipelines.dedup``.

    Args:
        summary: the content of ``summary.json``.
        examples: pairs to show, from ``beam_sts.dedup.show.examples``; may be empty.
        card: the model card in Markdown, shown as plain text.
    """
    read, kept, removed = (summary[f"rows_{kind}"] for kind in ("read", "kept", "removed"))
    seconds = sum(summary["seconds"].values())
    return Page(
        title=f"Deduplicated {summary['input']['pattern']}",
        verdict=f"{removed:,} of {plural(read, 'row')} {'was' if removed == 1 else 'were'} removed as "
        f"duplicates; {kept:,} {'is' if kept == 1 else 'are'} kept."
        if removed
        else f"No row was removed; {plural(kept, 'row is', 'rows are')} kept.",
        figures=[
            ("rows read", f"{read:,}", ""),
            ("kept", f"{kept:,}", percent(kept, read)),
            ("removed", f"{removed:,}", percent(removed, read)),
            ("clusters", f"{summary['clusters']:,}", "of two rows or more"),
            ("time", duration(seconds), f"{summary['peak_memory_mib']:,} MiB at most"),
        ],
        notes=notes(summary),
        sections=[
            _rows(summary, examples),
            _removed(summary, examples),
            _threshold(summary, examples),
            *([_guarded(summary, examples)] if summary["pairs_guarded"] or summary["pairs_parted"] else []),
            _clusters(summary, examples),
            _candidates(summary),
            _time(summary),
            made_of(summary, card),
        ],
        foot=foot(summary),
    )


def notes(summary: Summary) -> list[Note]:
    """Points that need attention, the most important first."""
    found = []
    read, removed = summary["rows_read"], summary["rows_removed"]
    if summary["rows_rejected"]:
        count = summary["rows_rejected"]
        found.append(Note(f"{were(count, 'row')} rejected ({percent(count, read)}).", "rows"))
    if summary["pairs_failed"]:
        found.append(
            Note(
                f"{plural(summary['pairs_failed'], 'pair')} could not be scored; the rows are kept.",
                "candidates",
            )
        )
    if summary["unverified"]:
        found.append(
            Note(
                f"{plural(summary['unverified'], 'row is', 'rows are')} kept although the cluster has "
                "removed rows: not compared with every survivor.",
                "clusters",
            )
        )
    if warning := (summary["languages"] or {}).get("warning"):
        found.append(Note(warning, "candidates"))
    largest = max(map(int, summary["cluster_sizes"]), default=1)
    if largest > 2 and largest > 0.01 * read:
        found.append(
            Note(
                f"One cluster has {largest:,} rows ({percent(largest, read)} of all): check that they "
                "are one text.",
                "clusters",
            )
        )
    if removed > 0.5 * read:
        found.append(Note(f"More than half of the rows ({percent(removed, read)}) were removed.", "removed"))
    hot = sum(report.get("hot", 0) for report in summary["candidates"])
    if hot:
        capped = sum(report.get("pairs_capped", 0) for report in summary["candidates"])
        found.append(
            Note(
                f"{were(hot, 'bucket')} larger than --bucket_cap: {were(capped, 'pair')} not compared.",
                "candidates",
            )
        )
    return found + unknown_words(summary["verify"].get("unknown", 0), summary["pairs_scored"], "time")


def _rows(summary: Summary, examples: Examples) -> Section:
    steps = [
        Step("read", summary["rows_read"], "soft"),
        Step("rejected", summary["rows_rejected"], "bad"),
        Step("identical", summary["identical_rows"], "soft", "rows whose text equals that of an earlier row"),
        Step("removed", summary["rows_removed"], "warn", "in removed/, each with its survivor"),
        Step("kept", summary["rows_kept"], "good"),
    ]
    return rows_section(
        funnel(steps),
        summary,
        examples,
        read="kept, removed and rejected rows add up to the rows read.",
        act="use kept/. Every removed row is in removed/, with its survivor, its score and the rule.",
    )


def _removed(summary: Summary, examples: Examples) -> Section:
    shown = examples.get("removed", ())
    body = (
        pairs(shown, label="The most doubtful removals", first=1)
        if shown
        else Markup("<p>{}</p>").format(
            "Every removed row has the same text as its survivor."
            if summary["rows_removed"] and summary["rows_removed"] == summary["identical_rows"]
            else "No removed row is shown."
        )
    )
    return Section(
        "removed",
        "Which removals are the most doubtful?",
        body,
        shows="the removed rows with the lowest scores, each below its survivor (ids: survivor | removed). "
        "Words that only one of the two has are marked.",
        read="every removed row scored at or above the threshold against its survivor. Similarity through "
        "a third row is never enough.",
        act="if these are not duplicates, raise the threshold. --from_pairs reuses the scores of this "
        "run, so it takes seconds.",
    )


def _threshold(summary: Summary, examples: Examples) -> Section:
    rows, threshold = summary["thresholds"], summary["threshold"]
    drawn = [
        (
            f"{row['threshold']:g}",
            row["removed"],
            f"threshold {row['threshold']}: {plural(row['removed'], 'row')} removed",
            "good" if row["threshold"] == threshold else "soft",
        )
        for row in rows
    ]
    label = "; ".join(f"at {row['threshold']} {plural(row['removed'], 'row')}" for row in rows)
    body = columns(drawn, label=f"Rows removed by threshold: {label}.", unit="rows removed", axis="threshold")
    numbers = table(
        ("threshold", "removed", "of all rows", "clusters", "largest"),
        [
            (
                f"{row['threshold']:g}" + (" (yours)" if row["threshold"] == threshold else ""),
                row["removed"],
                percent(row["removed"], summary["rows_read"]),
                row["clusters"],
                row["largest"],
            )
            for row in rows
        ],
        label="Removed rows by threshold",
    )
    body += fold("The numbers", numbers)
    histogram = score_bars(summary["score_histogram"], threshold, "pairs compared")
    body += fold("Scores of the compared pairs", histogram)
    body += titled_pairs(examples, NEAREST, first=1)
    return Section(
        "threshold",
        "Can the threshold be trusted?",
        body,
        shows="how many rows each threshold would remove, by the scores of this run, and the compared "
        "pairs nearest to your threshold.",
        read="a flat part around your threshold means that its exact value hardly matters. Lower "
        "thresholds are counted with --score_all. Their counts are lower bounds, because the chain "
        "guard would score more pairs.",
        act="label some fifty pairs near the threshold before you delete rows: beam-sts label writes the "
        "sheet.",
    )


def _guarded(summary: Summary, examples: Examples) -> Section:
    parted = summary["pairs_parted"]
    body = Markup("<p>{} {}{}</p>").format(
        f"{plural(summary['pairs_guarded'], 'pair that may', 'pairs that may')} reach the threshold "
        f"{'differs' if summary['pairs_guarded'] == 1 else 'differ'} in a fact.",
        f"In {plural(parted, 'other')} each row has more beyond the other than --max_lost allows. "
        if parted
        else "",
        "Both rows of such a pair are kept, unless one is removed in favour of a third.",
    )
    for kind, label in (("guarded", "Pairs that differ in a fact"), ("parted", "Pairs that would lose text")):
        if shown := examples.get(kind, ()):
            body += pairs(shown, label=label, first=1)
    return Section(
        "guarded",
        "Which similar pairs are kept?",
        body,
        shows="the pairs with the highest scores (or, since the model does not score them, the highest that "
        "they can reach) that differ in a fact, with the fact of each text; and the "
        "pairs that would lose the most text, with the number of characters that only each of them has.",
        read="numbers, dates, units, codes, addresses, negations, opposites, names, parts of a thing and "
        "order count; their form (1,000 or 1000) does not.",
        act="the columns differs, lost_a and lost_b of pairs/ list all of them. --guard numbers compares "
        "only numbers and addresses; --guard none compares no facts; --max_lost sets what may be lost.",
    )


def _clusters(summary: Summary, examples: Examples) -> Section:
    sizes = {int(size): count for size, count in summary["cluster_sizes"].items()}
    groups = [
        (low, high, sum(sizes.get(n, 0) for n in sizes if low <= n <= high)) for low, high in _bins(sizes)
    ]
    names = [f"{low:,}" if low == high else f"{low:,}-{high:,}" for low, high, _ in groups]
    body = columns(
        [
            (
                f"{low:,}" if low == high else f"{compact(low)}+",
                count,
                f"{name} rows: {plural(count, 'cluster')}",
                "good",
            )
            for name, (low, high, count) in zip(names, groups, strict=True)
        ],
        label="Clusters by size: "
        + "; ".join(
            f"{count:,} of {name} rows" for name, (_, _, count) in zip(names, groups, strict=True) if count
        ),
        unit="clusters",
        axis="rows in a cluster (1: no duplicate)",
    )
    described = [
        (
            str(entry["name"]),
            entry["rows"],
            f"{entry['lowest']:.3f}",
            entry["diameter"],
            entry["bridges_found"],
            "; ".join(" | ".join(map(str, bridge)) for bridge in entry["bridges"][:3]),
        )
        for entry in summary["largest_clusters"][:10]
    ]
    if described:
        head = ("first id", "rows", "lowest score", "diameter", "bridges", "bridges, by id")
        body += fold("The largest clusters", table(head, described, label="The largest clusters"))
    clusters = sorted(kind for kind in examples if kind.startswith("cluster-"))
    titles = {kind: f"A survivor of {plural(examples[kind][0]['rows'], 'other row')}" for kind in clusters}
    first, others = dict(list(titles.items())[:1]), dict(list(titles.items())[1:])
    body += titled_pairs(examples, first, first=1)
    if others:
        body += fold("More clusters", titled_pairs(examples, others, first=1))
    return Section(
        "clusters",
        "How large are the clusters?",
        body,
        shows="how many rows the clusters have, and the largest clusters, with their least similar members "
        "first.",
        read="a cluster with a diameter above 2 is a chain. Its ends may be dissimilar, and then both are "
        "kept. A bridge is a pair without which the cluster would be two: look there for a wrong "
        "pair.",
        act="if a large cluster is not one text (boilerplate, templates), raise the threshold, or remove "
        "the shared parts before the comparison.",
    )


def _bins(sizes: Mapping[int, int]) -> list[tuple[int, int]]:
    """Sizes 1, 2, 3, 4, then doubling.

    >>> _bins({1: 5, 9: 1})
    [(1, 1), (2, 2), (3, 3), (4, 4), (5, 8), (9, 16)]
    """
    largest, bins = max(sizes, default=0), [(1, 1), (2, 2), (3, 3), (4, 4)]
    while bins[-1][1] < largest:
        bins.append((bins[-1][1] + 1, 2 * bins[-1][1]))
    return [one for one in bins if one[0] <= max(largest, 2)]


def _texts(summary: Summary) -> Markup:
    """The languages and the boilerplate of the texts."""
    languages, boilerplate = summary["languages"], summary["boilerplate"]
    known = ", ".join(languages["known"]) if languages else ""
    about = facts(
        {
            "languages": languages["said"] if languages else "not detected (--languages ignored)",
            "the model knows": known or "not stated in its card",
            "runs of words that count as boilerplate": boilerplate["runs"],
        }
    )
    if shown := [(one["text"], one["texts"]) for one in boilerplate["shown"]]:
        about += table(("boilerplate", "texts in the sample"), shown, label="The most frequent boilerplate")
    return fold("The texts: languages and boilerplate", about)


def _candidates(summary: Summary) -> Section:
    steps = [
        *(
            Step(
                f"by {report['source']}".replace("+", " + ")[:60],
                report["pairs"],
                "soft",
                report.get("settings", ""),
            )
            for report in summary["candidates"]
        ),
        Step("candidates", summary["pairs"], "soft", "distinct pairs of texts"),
        Step("scored", summary["pairs_scored"], "soft", "by this run, including those of the chain guard"),
        Step("reused", summary["pairs_reused"], "soft", "scores of an earlier run"),
        Step(
            "out of reach",
            summary["pairs_bounded"],
            "soft",
            "too dissimilar to reach the threshold, whatever the model's score",
        ),
        Step(
            "other facts",
            summary["pairs_guarded"],
            "warn",
            "within reach of the threshold, but different in a fact: not scored by the model",
        ),
        Step("accepted", summary["pairs_accepted"], "good", f"score {summary['threshold']} or more"),
    ]
    verify = summary["verify"]
    counts = facts(
        {
            "texts compared": summary["texts_compared"],
            "scored for the chain guard": summary["pairs_guard"],
            "failed": summary["pairs_failed"],
            "sent to the second model": verify.get("cascaded", 0),
            "decisions it changed": verify.get("changed", 0),
        }
    )
    shown = [step for step in steps if step.count or step.name in ("candidates", "accepted")]
    body = funnel(shown) + fold("More counts", counts) + _texts(summary)
    return Section(
        "candidates",
        "What was compared?",
        body,
        shows="how many pairs each source proposed, and how many of them the model accepted.",
        read="sources propose pairs, and the model decides. If few pairs of a source are accepted, most "
        "of its time is wasted. If almost all are accepted, the source may miss others.",
        act="to find more duplicates, add sources (--candidates exact,minhash,neighbours) or lower "
        "--minhash_similarity. To save time, do the opposite.",
    )


def _time(summary: Summary) -> Section:
    body = titled("Time by step", laps(summary["seconds"]))
    body += facts({"peak memory": f"{summary['peak_memory_mib']:,} MiB", "path": summary["path"]})
    speed = pace(summary.get("timeline", {}))
    if speed:
        body += fold("Pairs per second", speed)
    if summary["verify"]["length_histogram"]:
        body += fold(
            "Tokens of the pairs", lengths(summary["verify"], summary["model"]["max_length"], {}).body
        )
    return Section(
        "time",
        "What did it cost?",
        body,
        shows="how the time of this run was spent.",
        read="scoring time grows with the pairs, reading and writing with the rows. Long texts come last "
        "within a shard of pairs, so the throughput is averaged over each shard.",
        act="if scoring takes most of the time, use fewer candidates or --precision bf16. Another "
        "threshold with --from_pairs needs no scoring.",
    )
