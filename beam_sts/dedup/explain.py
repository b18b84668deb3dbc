"""Explains why a row was kept or removed, from the output of a run in files or in memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from beam_sts.dedup.facts.difference import in_words
from beam_sts.dedup.verify import Verifier
from beam_sts.errors import UserError
from beam_sts.plurals import plural, were
from beam_sts.word_diff import PLAIN, Marks, word_diff

WORDS = 2_000
"""The most words of a text that are compared. The time grows with their square."""

_LISTED = 20
_TEXT_SHOWN = 2_000  # characters shown of a text without another one to compare


class FinishedRun(Protocol):
    """The output of a run."""

    @property
    def id_column(self) -> str:
        """The column of ids in ``kept`` and ``removed``."""
        ...

    @property
    def rejected(self) -> tuple[int, str]:
        """The number of rejected rows, and where they are."""
        ...

    def find(self, folder: str, columns: Collection[str], ids: Collection[str]) -> list[dict[str, Any]]:
        """The rows of ``pairs``, ``clusters`` or ``removed`` that have one of the ids, as texts, in a column.

        Rows of ``removed`` have the ``id`` and the receipt.
        """
        ...

    def texts(self, ids: Collection[str]) -> dict[str, str]:
        """The texts of rows of the input, by id as text."""
        ...

    def texts_against(self, ids: Collection[str]) -> dict[str, str]:
        """The texts of rows of the input to compare against, by id as text."""
        ...

    def verifier(self) -> Verifier | None:
        """Computes scores as the run did, from their bounds; None if that is not possible any more."""
        ...


def difference(first: str, second: str, marks: Marks = PLAIN) -> str:
    """Show the difference of two texts, word by word.

    >>> difference("a red cat", "a blue cat")
    'a [-red-] {+blue+} cat'
    """
    one, two = (re.findall(r"\S+", text) for text in (first, second))
    cut = max(len(one), len(two)) > WORDS
    shown = word_diff(one[:WORDS], two[:WORDS], marks)
    return shown + (f" ... (the first {WORDS:,} words)" if cut else "")


def explain(run: FinishedRun, name: str, diff: Callable[[str, str], str] = difference) -> list[str]:
    """Explain what happened to a row and why.

    Args:
        run: the output of the run.
        name: the id of the row, as text.
        diff: shows the difference of two texts.

    Returns:
        The lines of the explanation.

    Raises:
        UserError: the run has no row with that id.
    """
    mine = run.find("clusters", ["id"], [name])
    if not mine:
        rejected, where = run.rejected
        raise UserError(
            f"{name}: no kept or removed row has that {run.id_column}"
            + (f"; {were(rejected, 'row')} rejected, see {where}" if rejected else "")
            + "."
        )
    members = [str(row["id"]) for row in run.find("clusters", ["cluster"], [str(mine[0]["cluster"])])]
    receipts = {str(row["id"]): row for row in run.find("removed", [run.id_column], members)}
    pairs = [row for row in run.find("pairs", ["id_a", "id_b"], [name]) if row["rule"] != "identical"]
    lines = [f"row        {name}: {_outcome(receipts.get(name))}"]
    kept = [member for member in members if member not in receipts]
    lines.append(f"cluster    {plural(len(members), 'row')}, {len(kept):,} kept: {_listed(kept)}")
    for member in members[:_LISTED]:
        if member in receipts:
            lines.append(f"           {member}: {_outcome(receipts[member])}")
    if len(members) > _LISTED:
        lines.append(f"           and {plural(len(members) - _LISTED, 'more row')}")
    lines.append(
        f"scores     {plural(len(pairs), 'pair')} of this row {'was' if len(pairs) == 1 else 'were'} examined"
    )
    listed = sorted(pairs, key=lambda row: -_most(row))[:_LISTED]
    for pair in sorted(_with_scores(run, listed), key=lambda row: -_most(row)):
        lines.append(
            f"           {_found(pair)}  {pair['id_a']} - {pair['id_b']}  {pair['source']}{_why(pair)}"
        )
    lines += _texts(run, name, receipts, diff)
    return lines


def _with_scores(run: FinishedRun, pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pairs that are no duplicates whatever their scores have none. They are scored now, if possible."""
    barred = [at for at, pair in enumerate(pairs) if pair["rule"] == "barred"]
    verifier = run.verifier() if barred else None
    if verifier is None:
        return pairs
    ends = [
        (str(pairs[at]["id_a"]), str(pairs[at]["id_b"]), pairs[at].get("b_in") == "against") for at in barred
    ]
    texts = run.texts({end for a, b, against in ends for end in ((a,) if against else (a, b))})
    others = run.texts_against({b for _, b, against in ends if against})
    sides = [texts.get(a) for a, *_ in ends], [(others if of else texts).get(b) for _, b, of in ends]
    if any(text is None for side in sides for text in side):
        return pairs
    one, two = (pa.array(side, pa.large_string()) for side in sides)
    bounds = np.array([pairs[at]["bound"] for at in barred], np.float32)
    scores = verifier.scores_within(one, two, bounds).tolist()
    found = dict(zip(barred, scores, strict=True))
    return [{**pair, "score": found.get(at, pair["score"])} for at, pair in enumerate(pairs)]


def _most(pair: dict[str, Any]) -> float:
    """The score of a pair, or its bound."""
    return next((float(pair[name]) for name in ("score", "bound") if pair.get(name) is not None), 0.0)


def _found(pair: dict[str, Any]) -> str:
    """The score of a pair, or why it has none, in words."""
    if pair["score"] is not None:
        return f"{_most(pair):.4f}"
    return "failed" if pair.get("bound") is None else f"at most {_most(pair):.4f}"


def _why(pair: dict[str, Any]) -> str:
    """Why a pair is not a duplicate, whatever its score."""
    return f"  kept: {in_words(pair['differs'])}" if pair.get("differs") else ""


def _outcome(receipt: dict[str, Any] | None) -> str:
    if receipt is None:
        return "kept"
    where = f" in {receipt['survivor_in']}" if receipt.get("survivor_in") == "against" else ""
    return (
        f"removed for {receipt['survivor']}{where}, score {float(receipt['score']):.4f} >= "
        f"{receipt['threshold']} ({receipt['rule']}; candidate by {receipt['source']}; "
        f"model {str(receipt['model'])[:12]})"
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _texts(
    run: FinishedRun, name: str, receipts: dict[str, Any], diff: Callable[[str, str], str]
) -> list[str]:
    texts = run.texts([name])
    receipt = receipts.get(name)
    if receipt is None:
        others = [other for other, row in receipts.items() if str(row["survivor"]) == name]
        if not others:
            return ["text", _one_line(texts[name])]
        other = others[0]
        second = run.texts([other])
    else:
        other = str(receipt["survivor"])
        second = (run.texts_against if receipt.get("survivor_in") == "against" else run.texts)([other])
    if other not in second:
        return [f"the text of {other} no longer exists", _one_line(texts[name])]
    return [f"{other} -> {name}", diff(second[other], texts[name])]


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_TEXT_SHOWN]
