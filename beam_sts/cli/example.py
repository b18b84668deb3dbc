"""Write an example file of text pairs with scores by people, and suggest commands to try on it.

beam-sts example
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from beam_sts.cli.args import Parser
from beam_sts.cli.console import guarded
from beam_sts.cli.terminal import print_lines
from beam_sts.errors import UserError
from beam_sts.io.files import file_system, publish

PAIRS = Path(__file__).parents[1] / "example_pairs.jsonl"
"""62 pairs, made for this project: columns id, sentence1, sentence2 and gold, from 0 to 1."""
EXAMPLES = ("", "--output mine.jsonl")


def write(output: str) -> list[str]:
    """Write the file, unless it exists with other content. Returns the lines to print.

    Raises:
        UserError: the file exists with other content, or cannot be written.
    """
    content = PAIRS.read_bytes()
    fs, inside = file_system(output)
    try:
        if fs.exists(inside) and (fs.isdir(inside) or fs.cat_file(inside) != content):
            raise UserError(f"--output {output}: exists already. Give another name.")
        publish(output, content)
    except OSError as error:
        raise UserError(f"--output {output}: cannot be written: {error.strerror or error}.") from error
    name = shlex.quote(output)
    return [
        f"wrote      {output}: "
        f"{content.count(b'{')} pairs of texts, with scores by people in the column gold",
        f"score      beam-sts score --input {name} --output scored",
        f"dedup      beam-sts dedup --input {name} --output clean --text sentence1 --id id",
        f"mine       beam-sts mine --input {name} --output mined --text sentence1",
        f"evaluate   beam-sts evaluate --input {name} --score gold --report gold.html",
    ]


def parser() -> Parser:
    """The options of the command."""
    p = Parser("example", __doc__, EXAMPLES, beam=False)
    p.add_argument(
        "--output", metavar="FILE", default="pairs.jsonl", help="the file to write (default: %(default)s)"
    )
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    args = parser().parse(argv)

    def run() -> int:
        print_lines(*write(args.output))
        return 0

    return guarded(run, stays="Nothing was written")
