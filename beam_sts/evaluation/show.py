"""The answers that a result shows: the largest losses, disagreements, and a sheet to label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.evaluation.comparison import TIE, Comparison, pair
from beam_sts.evaluation.entries import Entries, EntryTexts, texts_of_entries
from beam_sts.evaluation.label import sample_evenly
from beam_sts.evaluation.settings import EvaluationSettings
from beam_sts.examples import Example, choose_rows, shorten, shorten_pair
from beam_sts.io.reading import InputPlan

_COMPARISONS_SHOWN, _REFERENCES_SHOWN = 10, 3
_LONGEST = 2_000  # characters of a text in a sheet


def lost_most(
    entries: Entries,
    comparisons: Sequence[Comparison],
    each: int,
    plan: InputPlan,
    settings: EvaluationSettings,
) -> list[dict[str, Any]]:
    """The questions with the largest losses against the baseline, with the texts of both groups.

    Of several answers to a question, the group's worst and the baseline's best are shown.

    Args:
        entries: the entries of the whole input.
        comparisons: the comparisons of its groups; of more than 10, those with the largest losses are used.
        each: how many questions for each group.
        plan: the input.
        settings: the settings of the evaluation.
    """
    found = []
    known = [one for one in comparisons if one.difference is not None]
    for one in sorted(known, key=lambda one: one.difference or 0)[:_COMPARISONS_SHOWN]:
        numbers = entries.names.index(one.group), entries.names.index(one.baseline)
        both = pair(entries.score, entries.group, entries.question, *numbers)
        worst = np.argsort(both.difference, kind="stable")[:each]
        for at in worst[both.difference[worst] < -TIE].tolist():
            of_question = entries.question == both.question[at]
            mine, theirs = (np.flatnonzero(of_question & (entries.group == number)) for number in numbers)
            chosen = (
                int(mine[np.argmin(entries.score[mine])]),
                int(theirs[np.argmax(entries.score[theirs])]),
            )
            found.append((one, float(both.difference[at]), chosen))
    texts = texts_of_entries(plan, settings, entries, [entry for *_, chosen in found for entry in chosen])
    return [
        {
            "group": one.group,
            "baseline": one.baseline,
            "question": texts[mine].question or _place(texts[mine]),
            "difference": difference,
            "score": float(entries.score[mine]),
            "baseline_score": float(entries.score[theirs]),
            "answer": texts[mine].answer,
            "baseline_answer": texts[theirs].answer,
            "references": texts[mine].references,
            "where": _place(texts[mine]),
            "baseline_where": _place(texts[theirs]),
        }
        for one, difference, (mine, theirs) in found
    ]


def answer_examples(
    entries: Entries, each: int, plan: InputPlan, settings: EvaluationSettings, *, logits: bool
) -> dict[str, list[Example]]:
    """Answers to show: with marks, the largest disagreements of model and people; else low to high scores.

    Args:
        entries: the entries of the whole input.
        each: how many answers of each kind.
        plan: the input.
        settings: the settings of the evaluation.
        logits: whether the scores are logits.
    """
    if not each:
        return {}
    if settings.gold:
        above = disagreement(entries)
        order = np.argsort(above, kind="stable")
        lower, higher = order[above[order] < 0], order[above[order] > 0]
        chosen = {"lower": lower[:each].tolist(), "higher": higher[::-1][:each].tolist()}
    else:
        scores = entries.score.astype(np.float32)
        chosen = choose_rows(scores, {}, threshold=None, each=each, logits=logits)
        chosen["lowest"] = np.argsort(entries.score, kind="stable")[:each].tolist()
    texts = texts_of_entries(plan, settings, entries, [entry for rows in chosen.values() for entry in rows])
    grouped = bool(settings.group) or settings.wide
    return {
        kind: [
            {
                "where": f"{_place(texts[entry])}"
                + (f"; {shorten(entries.names[entries.group[entry]])}" if grouped else "")
                + (f"; marked {entries.gold[entry]:g}" if settings.gold else ""),
                **_sides(texts[entry]),
                "score": float(entries.score[entry]),
            }
            for entry in rows
        ]
        for kind, rows in chosen.items()
    }


def disagreement(entries: Entries) -> NDArray[np.float64]:
    """The residual of each score from the least-squares line over the marks."""
    slope, intercept = np.polyfit(entries.gold, entries.score, 1)
    above: NDArray[np.float64] = entries.score - (slope * entries.gold + intercept)
    return above


def label_sheet(
    entries: Entries, count: int, plan: InputPlan, settings: EvaluationSettings, *, seed: int = 0
) -> pa.Table:
    """A sheet of answers for people to mark in the column ``label``.

    With marks, it has those on which the model and people disagree most, for a second opinion; without, a
    sample spread evenly over the scores. The completed sheet is an input for ``--score label``.

    Args:
        entries: the entries of the whole input.
        count: how many rows.
        plan: the input.
        settings: the settings of the evaluation.
        seed: seed of the sample and the order.
    """
    if settings.gold:
        order = np.argsort(-np.abs(disagreement(entries)), kind="stable")[:count]
        rows = np.random.default_rng(seed).permutation(order)
    else:
        rows = sample_evenly(entries.score, count, seed)
    texts = texts_of_entries(plan, settings, entries, rows.tolist())
    shown = [texts[row] for row in rows.tolist()]
    columns: dict[str, Any] = {
        "label": pa.nulls(len(rows), pa.string()),
        "answer": [_cut(one.answer) for one in shown],
        "reference": [_cut(joined_references(one.references)) for one in shown],
        "score": entries.score[rows],
    }
    if settings.gold:
        columns["mark"] = entries.gold[rows]
    if settings.group or settings.wide:
        columns["group"] = [entries.names[number] for number in entries.group[rows]]
    if settings.by:
        columns["question"] = [one.question for one in shown]
    return pa.table({**columns, "where": [_place(one) for one in shown]})


def joined_references(references: Sequence[str]) -> str:
    """Join the references of a row to one text.

    >>> joined_references(["a", "b", "c", "d", "e"])
    'a | b | c | and 2 more'
    """
    shown, more = references[:_REFERENCES_SHOWN], len(references) - _REFERENCES_SHOWN
    return " | ".join([*shown, *([f"and {more} more"] if more > 0 else [])])


def _sides(texts: EntryTexts) -> dict[str, str | None]:
    return dict(
        zip(
            ("text_a", "text_b"), shorten_pair(texts.answer, joined_references(texts.references)), strict=True
        )
    )


def _place(texts: EntryTexts) -> str:
    return f"{texts.file}, row {texts.row:,}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ... ({len(text):,} characters)"
