"""Write an example file of text pairs with scores by people, and suggest commands to try on it.

beam-sts example
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from beam_sts.cli.args import Parser
from beam_sts.cli.console import guarded
from beam_sts.cli.terminal import print_lines
from beam_sts.errors import UserError

PAIRS = Path(__file__).parents[1] / "example_pairs.jsonl"
"""62 pairs, made for this project: columns id, sentence1, sentence2 and gold, from 0 to 1."""
EXAMPLES = ("", "--output mine.jsonl")


def write(output: Path) -> list[str]:
    """Write the file, unless it exists with other content. Returns the lines to print.

    Raises:
        UserError: the file exists with other content, or cannot be written.
    """
    content = PAIRS.read_bytes()
    try:
        if output.exists() and output.read_bytes() != content:
            raise UserError(f"--output {output}: exists already. Give another name.")
        output.write_bytes(content)
    except OSError as error:
        raise UserError(f"--output {output}: cannot be written: {error.strerror}.") from error
    return [
        f"wrote      {output}: "
        f"{content.count(b'{')} pairs of texts, with scores by people in the column gold",
        f"score      beam-sts score --input {output} --output scored",
        f"dedup      beam-sts dedup --input {output} --output clean --text sentence1 --id id",
        f"mine       beam-sts mine --input {output} --output mined --text sentence1",
        f"evaluate   beam-sts evaluate --input {output} --score gold --report gold.html",
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
        print_lines(*write(Path(args.output)))
        return 0

    return guarded(run, stays="Nothing was written")
