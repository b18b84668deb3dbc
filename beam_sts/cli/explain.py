"""Explain why a row was kept or removed: its cluster, its scores, and the difference of the two texts.

    beam-sts explain --run clean/ ID

Differences are coloured on a terminal (unless NO_COLOR is set), and otherwise shown as [-removed-] and
{+added+}.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial

from beam_sts.cli.args import Parser
from beam_sts.cli.console import guarded
from beam_sts.cli.formats import add_storage_options
from beam_sts.cli.terminal import Safe, print_lines, safe
from beam_sts.dedup import explain as in_words
from beam_sts.dedup.runs import Run
from beam_sts.word_diff import PLAIN, Marks

_COLOURS: Marks = (("\x1b[31m", "\x1b[0m"), ("\x1b[32m", "\x1b[0m"))


def coloured_difference(first: str, second: str, *, colour: bool) -> Safe:
    """Show the difference of two texts, word by word, in a form that is safe for a terminal.

    >>> coloured_difference("a red cat", "a blue cat", colour=False)
    'a [-red-] {+blue+} cat'
    """
    return Safe(in_words.difference(safe(first), safe(second), _COLOURS if colour else PLAIN))


EXAMPLES = ("--run clean 1042",)


def parser() -> Parser:
    """The options of the command."""
    p = Parser("explain", __doc__, EXAMPLES, beam=False, first="ID")
    p.add_argument("--run", required=True, metavar="DIR", help="output folder of beam-sts dedup")
    p.add_argument("id", metavar="ID", help="id of a row in its input")
    add_storage_options(p)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    args = parser().parse(argv)

    def run() -> int:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        print_lines(*in_words.explain(Run.at(args.run), args.id, partial(coloured_difference, colour=colour)))
        return 0

    return guarded(run, stays="Nothing was written")
