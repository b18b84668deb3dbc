"""The report of ``pipelines.mine``."""

from __future__ import annotations

from beam_sts.plurals import plural, were
from beam_sts.report.page import Note, Page, Section
from beam_sts.report.pieces import Step, duration, facts, fold, funnel, table, titled
from beam_sts.report.shared import Examples, Summary, every_tenth, foot, made_of, rejections, score_bars
from beam_sts.report.work import laps, lengths, pace

_ORIGINS = 5
"""How many sources, or unions of sources, are shown at once, those with the most pairs first."""


def mine_page(summary: Summary, examples: Examples, card: str = "") -> Page:
    """The page of a run of ``pipelines.mine``.

    Args:
        summary: the content of ``summary.json``.
        examples: pairs to show, by tenth of the score (``tenth-0`` to ``tenth-9``); may be empty.
        card: the model card in Markdown, shown as plain text.
    """
    rows = summary["rows_written"]
    title, of = f"Mined pairs of {summary['input']['pattern']}", f"{plural(summary['texts'], 'text')}"
    if summary["queries"]:
        title = f"Mined pairs of {summary['queries_input']['pattern']} and {summary['input']['pattern']}"
        texts = summary["texts"] - summary["queries"]
        of = f"{plural(summary['queries'], 'query', 'queries')} and {plural(texts, 'text')}"
    return Page(
        title=title,
        verdict=f"Proposed and scored: {plural(summary['pairs'], 'pair')} of {of}.",
        figures=[
            ("rows read", f"{summary['rows_read']:,}", ""),
            ("texts", f"{summary['texts']:,}", "distinct"),
            ("pairs", f"{summary['pairs']:,}", ""),
            ("triplets", f"{sum(rows['triplet'].values()):,}", "train and test"),
            ("time", duration(sum(summary["seconds"].values())), ""),
        ],
        notes=notes(summary),
        sections=[
            _rows(summary, examples),
            _scores(summary, examples),
            _sets(summary),
            lengths(summary["tokens"], summary["model"]["max_length"], examples),
            _time(summary),
            made_of(summary, card),
        ],
        foot=foot(summary),
    )


def notes(summary: Summary) -> list[Note]:
    """Points that need attention, the most important first."""
    found = []
    if summary["rows_rejected"]:
        found.append(Note(f"{were(summary['rows_rejected'], 'row')} rejected.", "rows"))
    if warning := summary["languages"]["warning"]:
        found.append(Note(warning, "rows"))
    failed = sum(summary["pairs_failed"].values())
    if failed:
        found.append(Note(f"{plural(failed, 'pair')} could not be scored.", "rows"))
    empty = [
        f"{subset}/{split}"
        for subset, counts in summary["rows_written"].items()
        for split, count in counts.items()
        if not count
    ]
    if empty:
        found.append(
            Note(
                f"Empty training sets: {', '.join(empty)}. Lower --positive, raise --neighbours or "
                "--test_share, or use more texts." + _of_guard(summary["pairs_differing"]),
                "sets",
            )
        )
    return found


def _of_guard(differing: int) -> str:
    """How many pairs the guard keeps from being positives, as the end of a note."""
    if not differing:
        return ""
    return f" {plural(differing, 'pair')} with the score of a positive differ in a fact (--guard)."


def _rows(summary: Summary, examples: Examples) -> Section:
    texts = {
        "rows read": summary["rows_read"],
        "rows rejected": summary["rows_rejected"],
        "distinct texts, of the wanted length": summary["texts"],
        "languages": summary["languages"]["said"],
        **{
            f"search for neighbours, {split}": report["settings"]
            for split, report in summary.get("neighbours", {}).items()
        },
    }
    origins = [
        Step(f"by {origin}".replace("+", " + ")[:60], count, "soft")
        for origin, count in sorted(summary["pairs_by_origin"].items(), key=lambda item: -item[1])
    ]
    # All bars have one scale: the share of all pairs.
    shown = [Step("pairs", summary["pairs"], "good", "each scored once"), *origins[:_ORIGINS]]
    body = facts(texts) + funnel(shown)
    if origins[_ORIGINS:]:
        body += fold("By several sources", funnel([shown[0], *origins[_ORIGINS:]]))
    return Section(
        "rows",
        "Did it work?",
        body + rejections(summary, examples),
        shows="rows, their distinct texts, and the proposed pairs by source.",
        read="a pair that several sources propose counts under their joined names, and is scored once.",
        act="correct rejected rows at their source; for more pairs raise --neighbours or --lexical.",
    )


def _scores(summary: Summary, examples: Examples) -> Section:
    body = score_bars(summary["score_histogram"], None, "pairs") + every_tenth(examples)
    return Section(
        "scores",
        "What did it find?",
        body,
        shows="how many pairs have each score, and one pair from each tenth of the scale. Words that "
        "only one of the two texts has are marked.",
        read="training needs pairs of all scores. pair-score-sampled balances them as far as the pairs "
        "allow.",
        act="if there are few high scores, add --lexical; if there are few low ones, add --random.",
    )


def _sets(summary: Summary) -> Section:
    rows = [
        (subset, *(counts.get(split, 0) for split in ("train", "test")))
        for subset, counts in summary["rows_written"].items()
    ]
    body = table(("training set", "train", "test"), rows, label="Rows of the training sets")
    kind = "queries" if summary["queries"] else "texts"
    of_splits = {f"{kind} in {split}": count for split, count in summary["texts_by_split"].items()}
    if summary["pairs_straddling"]:
        of_splits["adjacent pairs dropped, with a text in each split"] = summary["pairs_straddling"]
    body += facts(of_splits)
    return Section(
        "sets",
        "What was written?",
        body,
        shows="the rows of each training set.",
        read=f"no {'query' if summary['queries'] else 'text'} is in both splits.",
        act="if there are few triplets, lower --positive or raise --negative.",
    )


def _time(summary: Summary) -> Section:
    return Section(
        "time",
        "What did it cost?",
        pace(summary["timeline"]) + titled("Time by step", laps(summary["seconds"])),
        shows="pairs scored per second, and the time by step.",
        read="scoring time grows with the pairs. A drop of the curve is a batch of longer texts.",
        act="fewer neighbours or --precision bf16 make scoring faster.",
    )
