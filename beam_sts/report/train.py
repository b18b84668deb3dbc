"""The report of ``pipelines.train``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from beam_sts.plurals import plural
from beam_sts.report.page import Note, Page, Section
from beam_sts.report.pieces import UNIT_TICKS, Bar, area, bars, compact, duration, table, titled
from beam_sts.report.shared import Summary, made_of
from beam_sts.report.work import laps

_LARGE_ERROR = 0.1  # of the calibration, in units of the score
_TOY = 10_000  # sentence pairs; fewer do not train a useful model


def train_page(summary: Summary, card: str = "") -> Page:
    """The page of a finished training.

    Args:
        summary: ``stages`` (the record of each, by name), ``results`` (of the stage evaluate), ``model``,
            ``input``, ``settings``, ``versions`` and ``fingerprint``.
        card: the model card in Markdown, shown as plain text.
    """
    sets, model = _sets(summary), summary["model"]
    figures = [
        (name, f"{found['pearson']:.4f}", f"Pearson of {plural(found['pairs'], 'pair')}")
        for name, found in sets.items()
    ]
    figures += [
        ("parameters", f"{model['parameters']:,}", ""),
        ("time", duration(sum(noted["seconds"] for noted in summary["stages"].values())), "all stages"),
    ]
    name, best = next(iter(sets.items()))
    return Page(
        title=f"Trained {model['name']}",
        verdict=_toy(summary)
        or f"The model agrees with people at {best['pearson']:.3f} (Pearson) on {name}.",
        figures=figures,
        notes=notes(summary),
        sections=[
            _quality(sets),
            _calibration(sets),
            _probes(summary["results"]),
            _learning(summary["stages"]),
            _time(summary["stages"]),
            made_of(summary, card),
        ],
        foot=f"Written by beam_sts {summary['versions']['beam_sts']}. This page loads nothing and "
        "runs no script. It shows only figures, no text of the training data.",
    )


def notes(summary: Summary) -> list[Note]:
    """Points that need attention, the most important first."""
    found = [Note(_toy(summary), "learning")] if _toy(summary) else []
    for name, result in _sets(summary).items():
        if result["calibration_error"] > _LARGE_ERROR:
            error = result["calibration_error"]
            found.append(
                Note(
                    f"On {name}, scores differ from the gold scores by {error:.2f} on average.", "calibration"
                )
            )
    lowest = summary["results"]["probes"]["identical"]["lowest"]
    if lowest < 0.9:
        found.append(Note(f"A text scores as low as {lowest:.3f} with itself.", "probes"))
    for kind, accuracy in summary["results"]["probes"]["ranking"].items():
        if accuracy < 0.8:
            found.append(Note(f"Probe “{kind}”: only {accuracy:.0%} right.", "probes"))
    return found


def _toy(summary: Summary) -> str:
    """The note on a training with too little data, such as ``--smoke``; empty for others."""
    pairs = int(summary["settings"].get("pairs", _TOY))
    if pairs >= _TOY:
        return ""
    return f"A toy run on {plural(pairs, 'sentence pair')}: it shows only that the stages work."


def _sets(summary: Summary) -> dict[str, Mapping[str, Any]]:
    return {
        name: result
        for name, result in summary["results"].items()
        if isinstance(result, Mapping) and "pearson" in result
    }


def _quality(sets: Mapping[str, Mapping[str, Any]]) -> Section:
    return Section(
        "quality",
        "How good is the model?",
        table(
            ("set", "pairs", "Pearson", "Spearman", "calibration error", "order swap"),
            [
                (
                    name,
                    result["pairs"],
                    f"{result['pearson']:.4f}",
                    f"{result['spearman']:.4f}",
                    f"{result['calibration_error']:.3f}",
                    f"{result['order_swap']:.1e}",
                )
                for name, result in sets.items()
            ],
            label="Agreement with gold scores by set",
        ),
        shows="on each set of held-out pairs, how well scores agree with gold scores, how far they "
        "differ, and how much the order of the two texts matters.",
        read="choices are made on dev sets, so only the figures of test are unbiased.",
        act="compare the figures of test with the published models (beam-sts models), and do not "
        "choose by them.",
    )


def _calibration(sets: Mapping[str, Mapping[str, Any]]) -> Section:
    body = Markup("")
    for name, result in sets.items():
        rows = result["reliability"]
        chart = bars(
            [
                Bar(
                    row["from"],
                    row["to"],
                    row["gold"],
                    f"scores of {row['from']:.1f} to {row['to']:.1f}: {plural(row['pairs'], 'pair')}, "
                    "mean gold "
                    f"score {row['gold']:.3f}",
                    "good" if abs(row["gold"] - row["score"]) <= _LARGE_ERROR else "warn",
                )
                for row in rows
            ],
            label=f"{name}: mean gold score by tenth of the score: "
            + "; ".join(f"{row['score']:.2f} is {row['gold']:.2f}" for row in rows),
            unit="mean gold score",
            axis="score",
            ticks=UNIT_TICKS,
        )
        body += titled(name, chart)
    return Section(
        "calibration",
        "Is a score calibrated?",
        body,
        shows="the mean gold score of the pairs in each tenth of the score; brown bars differ by "
        f"more than {_LARGE_ERROR:g}.",
        read="in a perfect calibration each bar is as high as its score.",
        act="where bars differ, choose thresholds by labelled pairs, not by the value of the score.",
    )


def _probes(results: Mapping[str, Any]) -> Section:
    probes = results["probes"]
    body = table(
        ("what changes", "ranked right"),
        [(kind, f"{accuracy:.3f}") for kind, accuracy in probes["ranking"].items()],
        label="Probe accuracy by kind",
    )
    body += table(
        ("texts", "score"),
        [
            ("identical, mean", f"{probes['identical']['mean']:.3f}"),
            ("identical, lowest", f"{probes['identical']['lowest']:.3f}"),
            ("unrelated, median", f"{probes['unrelated']['median']:.3f}"),
            ("unrelated, 95th percentile", f"{probes['unrelated']['95%']:.3f}"),
        ],
        label="Scores of identical and unrelated texts",
    )
    length: Sequence[Mapping[str, float]] = results.get("length", [])
    if length:
        rows = [
            (int(row["sentences"]), f"{row['share']:.0%}", f"{row['score']:.3f}", f"{row['spread']:.3f}")
            for row in length
        ]
        head = ("sentences", "edited", "mean score", "spread by position")
        body += titled("Long documents", table(head, rows, label="Scores of documents against edited copies"))
    return Section(
        "probes",
        "What does the model miss?",
        body,
        shows="the share of facts whose paraphrase scores above a near-copy with another fact, by "
        "kind of change; and the scores of equal, unrelated and long texts.",
        read="0.5 is chance. Scores of documents should fall with the share of edits, wherever they are.",
        act="do not use this model to filter what a weak probe tests.",
    )


def _learning(stages: Mapping[str, Mapping[str, Any]]) -> Section:
    body = Markup("")
    for name, noted in stages.items():
        losses = noted.get("losses") or []
        if not losses:
            continue
        seen = losses[-1][0]
        curve = area(
            [loss for _, loss in losses],
            label=f"Loss of {name} over {plural(seen, 'pair')}: "
            f"from {losses[0][1]:.3f} to {losses[-1][1]:.3f}.",
            unit="loss, binary cross-entropy",
            axis="pairs seen",
            ticks=[(quarter / 4, compact(seen * quarter / 4)) for quarter in range(5)],
        )
        body += titled(name, curve)
    return Section(
        "learning",
        "Did the model learn?",
        body or Markup("<p>{}</p>").format("No stage recorded its losses."),
        shows="the mean loss over each part of a stage.",
        read="with soft targets no model reaches a loss of 0: look at the slope, not at the height.",
        act="if a curve still falls at its end, train longer (--pretrain_epochs).",
    )


def _time(stages: Mapping[str, Mapping[str, Any]]) -> Section:
    return Section(
        "time",
        "What did it cost?",
        laps({name: noted["seconds"] for name, noted in stages.items()}),
        shows="how long each stage took when it ran.",
        read="a stage that was finished before did not run again.",
        act="trainings of other sizes or seeds share the stages before pretrain.",
    )
