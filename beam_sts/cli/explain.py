"""Why a row was kept or removed: its cluster, the scores, and the two texts with their difference.

    python -m pipelines.explain --run clean/ ID

Colours on a terminal (not with NO_COLOR set); elsewhere [-removed-] and {+added+}.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import Any

from beam_sts.cli.args import Parser
from beam_sts.cli.console import guarded
from beam_sts.cli.formats import add_storage_options
from beam_sts.cli.terminal import Safe, safe, say
from beam_sts.dedup.runs import Run
from beam_sts.errors import UserError
from beam_sts.word_diff import PLAIN, Marks, word_diff

WORDS = 2_000
"""Words of a text that are compared; the time grows with their square."""

_COLOURS: Marks = (("\x1b[31m", "\x1b[0m"), ("\x1b[32m", "\x1b[0m"))
_LISTED = 20
_TEXT_SHOWN = 2_000  # characters of a text that has no other to be compared with


def difference(first: str, second: str, *, colour: bool) -> Safe:
    """What only the first text has and what only the second has, word by word, safe for a terminal.

    >>> difference("a red cat", "a blue cat", colour=False)
    'a [-red-] {+blue+} cat'
    """
    one, two = (re.findall(r"\S+", safe(text)) for text in (first, second))
    shown = word_diff(one[:WORDS], two[:WORDS], _COLOURS if colour else PLAIN)
    cut = max(len(one), len(two)) > WORDS
    return Safe(shown + (f" ... (the first {WORDS:,} words)" if cut else ""))


def explain(run: Run, name: str, *, colour: bool) -> list[str]:
    """What happened to a row and why, in lines; only the texts' difference is safe for a terminal as it is.

    Raises:
        UserError: the run has no row of that id.
    """
    mine = run.find("clusters", ["id"], [name])
    if not mine:
        rejected = run.summary["rows_rejected"]
        raise UserError(
            f"{name}: no kept or removed row has that {run.id_column}"
            + (f"; {rejected:,} rows were rejected, see {run.output.path('rejected')}" if rejected else "")
            + "."
        )
    members = [str(row["id"]) for row in run.find("clusters", ["cluster"], [str(mine[0]["cluster"])])]
    receipts = {str(row[run.id_column]): row for row in run.find("removed", [run.id_column], members)}
    pairs = [row for row in run.find("pairs", ["id_a", "id_b"], [name]) if row["rule"] != "identical"]
    lines = [f"row        {name}: {_fate(receipts.get(name))}"]
    kept = [member for member in members if member not in receipts]
    lines.append(f"cluster    {len(members):,} rows, {len(kept):,} kept: {_listed(kept)}")
    for member in members[:_LISTED]:
        if member in receipts:
            lines.append(f"           {member}: {_fate(receipts[member])}")
    if len(members) > _LISTED:
        lines.append(f"           and {len(members) - _LISTED:,} rows more")
    lines.append(f"scores     {len(pairs):,} pairs of this row were scored")
    for pair in sorted(pairs, key=lambda row: -(float(row["score"]) if row["score"] else 0.0))[:_LISTED]:
        score = "failed" if pair["score"] is None else f"{float(pair['score']):.4f}"
        lines.append(f"           {score}  {pair['id_a']} - {pair['id_b']}  {pair['source']}")
    lines += _texts(run, name, receipts, colour)
    return lines


def _fate(receipt: dict[str, Any] | None) -> str:
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


def _texts(run: Run, name: str, receipts: dict[str, Any], colour: bool) -> list[str]:
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
        return [f"text of {other} is no longer there", _one_line(texts[name])]
    return [f"{other} -> {name}", difference(second[other], texts[name], colour=colour)]


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_TEXT_SHOWN]


EXAMPLES = ("--run clean 1042",)


def parser() -> Parser:
    """The command's options."""
    p = Parser("explain", __doc__, EXAMPLES, beam=False, first="ID")
    p.add_argument("--run", required=True, metavar="DIR", help="output folder of pipelines.dedup")
    p.add_argument("id", metavar="ID", help="id of a row of its input")
    add_storage_options(p)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    own = parser().parse(argv)

    def run() -> int:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        say(*explain(Run.at(own.run), own.id, colour=colour))
        return 0

    return guarded(run, stays="Nothing was written")
