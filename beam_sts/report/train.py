"""The report of ``pipelines.train``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from beam_sts.report.page import Note, Page, Section
from beam_sts.report.pieces import UNIT_TICKS, Bar, area, bars, compact, duration, plural, table, titled
from beam_sts.report.shared import Summary, made_of
from beam_sts.report.work import laps

_LARGE_ERROR = 0.1  # of calibration
_TOY = 10_000  # sentence pairs; fewer train no model that is of use


def train_page(summary: Summary, card: str = "") -> Page:
    """The page of a finished training.

    Args:
        summary: ``stages`` (what each noted, by name), ``results`` (of the stage evaluate), ``model``,
            ``input``, ``settings``, ``versions`` and ``fingerprint``.
        card: the model card, Markdown; shown as it is.
    """
    sets, model = _sets(summary), summary["model"]
    figures = [
        (name, f"{found['pearson']:.4f}", f"Pearson of {found['pairs']:,} pairs")
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
        foot=f"Written by beam_sts {summary['versions']['beam_sts']}. This page loads nothing and runs no "
        "script; it shows figures only, no text of the training data.",
    )


def notes(summary: Summary) -> list[Note]:
    """What needs a look, the worst first."""
    found = [Note(_toy(summary), "learning")] if _toy(summary) else []
    for name, result in _sets(summary).items():
        if result["calibration_error"] > _LARGE_ERROR:
            error = result["calibration_error"]
            found.append(
                Note(f"On {name} scores are {error:.2f} off the gold scores on average.", "calibration")
            )
    lowest = summary["results"]["probes"]["identical"]["lowest"]
    if lowest < 0.9:
        found.append(Note(f"A text scores as low as {lowest:.3f} with itself.", "probes"))
    for kind, accuracy in summary["results"]["probes"]["ranking"].items():
        if accuracy < 0.8:
            found.append(Note(f"Probe “{kind}”: right in {accuracy:.0%} only.", "probes"))
    return found


def _toy(summary: Summary) -> str:
    """What to say of a training on hardly any data, as ``--smoke`` is; nothing of others."""
    pairs = int(summary["settings"].get("pairs", _TOY))
    if pairs >= _TOY:
        return ""
    return f"A toy run on {plural(pairs, 'sentence pair')}: it shows that the stages work, and no more."


def _sets(summary: Summary) -> dict[str, Mapping[str, Any]]:
    return {
        name: result
        for name, result in summary["results"].items()
        if isinstance(result, Mapping) and "pearson" in result
    }


def _quality(sets: Mapping[str, Mapping[str, Any]]) -> Section:
    return Section(
        "quality",
        "How good is it?",
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
        shows="how well scores agree with people's on each set of held-out pairs, how far they are off, "
        "and how much the order of the two texts matters.",
        read="choices are made on dev sets: test says what remains of their figures.",
        act="compare test with the published models of beam-sts models, and read it once only.",
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
                    f"scores of {row['from']:.1f} to {row['to']:.1f}: {row['pairs']:,} pairs, mean gold "
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
        "Does a score mean what it says?",
        body,
        shows="the mean gold score of the pairs in each tenth of the score; brown bars are more than "
        f"{_LARGE_ERROR:g} off.",
        read="bars that rise to the right like stairs, each as high as its place, are perfect.",
        act="where bars are off, choose thresholds by looking at pairs, not by the score's face value.",
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
            ("unrelated, 95% are below", f"{probes['unrelated']['95%']:.3f}"),
        ],
        label="Scores of identical and unrelated texts",
    )
    length: Sequence[Mapping[str, float]] = results.get("length", [])
    if length:
        rows = [
            (int(row["sentences"]), f"{row['share']:.0%}", f"{row['score']:.3f}", f"{row['spread']:.3f}")
            for row in length
        ]
        head = ("sentences", "edited", "mean score", "by place, apart")
        body += titled("Long documents", table(head, rows, label="Scores of documents against edited copies"))
    return Section(
        "probes",
        "What does it miss?",
        body,
        shows="the share of facts whose paraphrase scores above a near-copy with another fact, by what the "
        "other fact changes; and the scores of equal, unrelated and long texts.",
        read="0.5 is chance. Scores of documents should fall as more is edited, wherever the edit is.",
        act="do not filter by this model what a weak probe tests.",
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
            label=f"Loss of {name} over {seen:,} pairs: from {losses[0][1]:.3f} to {losses[-1][1]:.3f}.",
            unit="loss, binary cross-entropy",
            axis="pairs seen",
            ticks=[(quarter / 4, compact(seen * quarter / 4)) for quarter in range(5)],
        )
        body += titled(name, curve)
    return Section(
        "learning",
        "Did it learn?",
        body or Markup("<p>{}</p>").format("No stage noted its losses."),
        shows="the mean loss of each piece of a stage.",
        read="soft targets have a loss of their own that no model gets below: look at the slope, not the "
        "height.",
        act="where a curve still falls at its end, train longer (--pretrain_epochs).",
    )


def _time(stages: Mapping[str, Mapping[str, Any]]) -> Section:
    return Section(
        "time",
        "What did it cost?",
        laps({name: noted["seconds"] for name, noted in stages.items()}),
        shows="how long each stage took when it was run.",
        read="a stage that was finished before costs nothing now.",
        act="a size or seed of its own shares the stages before pretrain.",
    )
