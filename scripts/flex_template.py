"""Metadata of the Flex Templates, from the commands' own options.

    python -m scripts.flex_template    # writes flex_template/*.json anew

A parameter of a Flex Template is always ``--name=value``: options that take no value are left out.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipelines import dedup, mine, score
from pipelines.cli import Parser

FOLDER = Path(__file__).parents[1] / "flex_template"
COMMANDS = {"dedup": dedup, "mine": mine, "score": score}
_NUMBERS = {int: r"-?\d+", float: r"-?\d*\.?\d+([eE]-?\d+)?"}


def metadata(name: str, parser: Parser) -> dict[str, Any]:
    """What ``gcloud dataflow flex-template build --metadata-file`` takes."""
    return {
        "name": f"beam_sts {name}",
        "description": (parser.description or "").partition("\n")[0],
        "parameters": [_parameter(option) for option in _options(parser)],
    }


def _options(parser: Parser) -> Iterable[argparse.Action]:
    return (option for option in parser._actions if option.option_strings and option.nargs is None)


def _parameter(option: argparse.Action) -> dict[str, Any]:
    allowed = "|".join(map(re.escape, option.choices)) if option.choices else _NUMBERS.get(option.type)  # type: ignore[arg-type, call-overload]
    text = (option.help or option.option_strings[0]) % {"default": option.default, "prog": ""}
    return {
        "name": option.dest,
        "label": option.option_strings[0],
        "helpText": text,
        "isOptional": not option.required,
        **({"regexes": [f"^({allowed})$"]} if allowed else {}),
    }


def write(folder: Path) -> None:
    """Write a file for each command."""
    for name, command in COMMANDS.items():
        text = json.dumps(metadata(name, command.parser()), indent=2, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(FOLDER)
