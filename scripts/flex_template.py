"""Writes the metadata of the Flex Template, from the options of the command.

    python -m scripts.flex_template    # writes flex_template/score.json

Flex Templates pass every parameter as ``--name=value``, so options without a value are left out.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from beam_sts.cli import score
from beam_sts.cli.args import Parser

METADATA = Path(__file__).parents[1] / "flex_template" / "score.json"
_NUMBERS = ((int, r"-?\d+"), (float, r"-?\d*\.?\d+([eE]-?\d+)?"))


def metadata() -> dict[str, Any]:
    """Returns the metadata for ``gcloud dataflow flex-template build --metadata-file``."""
    parser = score.parser()
    return {
        "name": "beam_sts score",
        "description": (parser.description or "").partition("\n")[0],
        "parameters": [_parameter(option) for option in _options(parser)],
    }


def _options(parser: Parser) -> Iterable[argparse.Action]:
    return (option for option in parser._actions if option.option_strings and option.nargs is None)


def _parameter(option: argparse.Action) -> dict[str, Any]:
    choices = "|".join(map(re.escape, option.choices or ()))
    allowed = choices or next((pattern for kind, pattern in _NUMBERS if option.type is kind), "")
    text = (option.help or option.option_strings[0]) % {"default": option.default, "prog": ""}
    return {
        "name": option.dest,
        "label": option.option_strings[0],
        "helpText": text,
        "isOptional": not option.required,
        **({"regexes": [f"^({allowed})$"]} if allowed else {}),
    }


if __name__ == "__main__":
    METADATA.write_text(json.dumps(metadata(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
