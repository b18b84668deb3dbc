"""The report of ``pipelines.mine``."""

from __future__ import annotations

from beam_sts.report.page import Note, Page, Section
from beam_sts.report.pieces import Step, duration, facts, fold, funnel, table, titled
from beam_sts.report.shared import Examples, Summary, every_tenth, foot, made_of, rejections, score_bars
from beam_sts.report.work import laps, lengths, pace

_ORIGINS = 5
"""Sources, or unions of them, shown at once: those of the most pairs."""


def mine_page(summary: Summary, examples: Examples, card: str = "") -> Page:
    """The page of a run of ``pipelines.mine``.

    Args:
        summary: what ``summary.json`` holds.
        examples: pairs to show, by tenth of the score (``tenth-0`` to ``tenth-9``); none is fine.
        card: the model card, Markdown; shown as it is.
    """
    rows = summary["rows_written"]
    return Page(
        title=f"Mined pairs of {summary['input']['pattern']}",
        verdict=f"{summary['pairs']:,} pairs of {summary['texts']:,} texts were proposed and scored.",
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
    """What needs a look, the worst first."""
    found = []
    if summary["rows_rejected"]:
        found.append(Note(f"{summary['rows_rejected']:,} rows were rejected.", "rows"))
    failed = sum(summary["pairs_failed"].values())
    if failed:
        found.append(Note(f"{failed:,} pairs could not be scored.", "rows"))
    empty = [
        f"{subset}/{split}"
        for subset, counts in summary["rows_written"].items()
        for split, count in counts.items()
        if not count
    ]
    if empty:
        found.append(
            Note(
                f"Without a row: {', '.join(empty)}. Lower --positive, raise --neighbours or --test_share, "
                "or give more texts.",
                "sets",
            )
        )
    return found


def _rows(summary: Summary, examples: Examples) -> Section:
    texts = {
        "rows read": summary["rows_read"],
        "rows rejected": summary["rows_rejected"],
        "distinct texts, of the wanted length": summary["texts"],
    }
    origins = [
        Step(f"by {origin}".replace("+", " + ")[:60], count, "soft")
        for origin, count in sorted(summary["pairs_by_origin"].items(), key=lambda item: -item[1])
    ]
    # On one scale: each bar is a share of all pairs.
    shown = [Step("pairs", summary["pairs"], "good", "each scored once"), *origins[:_ORIGINS]]
    body = facts(texts) + funnel(shown)
    if origins[_ORIGINS:]:
        body += fold("By several sources", funnel([shown[0], *origins[_ORIGINS:]]))
    return Section(
        "rows",
        "Did it work?",
        body + rejections(summary, examples),
        shows="rows, the distinct texts in them, and the pairs that were proposed, by what proposed them.",
        read="a pair that several propose has all their names, joined, and is scored once.",
        act="correct rejected rows at their source; for more pairs raise --neighbours or --lexical.",
    )


def _scores(summary: Summary, examples: Examples) -> Section:
    body = score_bars(summary["score_histogram"], None, "pairs") + every_tenth(examples)
    return Section(
        "scores",
        "What did it find?",
        body,
        shows="how many pairs have which score, and one pair from each tenth of the scale. Words that "
        "only one of the two texts has are marked.",
        read="training wants pairs all over the scale; pair-score-sampled evens it out as far as the "
        "pairs allow.",
        act="where the top is nearly empty add --lexical, where the bottom is add --random.",
    )


def _sets(summary: Summary) -> Section:
    rows = [
        (subset, *(counts.get(split, 0) for split in ("train", "test")))
        for subset, counts in summary["rows_written"].items()
    ]
    body = table(("training set", "train", "test"), rows, label="Rows of the training sets")
    body += facts(
        {
            "texts in train": summary["texts_by_split"]["train"],
            "texts in test": summary["texts_by_split"]["test"],
            "adjacent pairs dropped, in both splits": summary["pairs_straddling"],
        }
    )
    return Section(
        "sets",
        "What was written?",
        body,
        shows="the rows of each training set.",
        read="no text is in both splits.",
        act="where triplets are few, lower --positive or raise --negative.",
    )


def _time(summary: Summary) -> Section:
    return Section(
        "time",
        "What did it cost?",
        pace(summary["timeline"]) + titled("Where the time went", laps(summary["seconds"])),
        shows="pairs scored per second, and where the time went.",
        read="scoring grows with the pairs; a fall of the curve is a batch of longer texts.",
        act="fewer neighbours or --precision bf16 make scoring faster.",
    )
