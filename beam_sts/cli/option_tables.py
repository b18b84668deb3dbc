"""The tables of docs/options.md. ``python -m beam_sts.cli.option_tables docs/options.md`` updates them."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from beam_sts.cli.main import VERBS, verbs

_HEAD = """# Command options

Every option of every verb, as `beam-sts VERB --help` prints it. `score`, `dedup`, `mine` and `evaluate` also
take Beam's options, which `beam-sts VERB --help_beam` lists. In Python and in Beam YAML the settings have the
same names.

<!-- generated: python -m beam_sts.cli.option_tables docs/options.md -->
"""
_DEFAULT = re.compile(r" ?\(default: ([^()]*(?:\([^()]*\)[^()]*)*)\)$")


def document() -> str:
    """The page as Markdown."""
    summaries = verbs()
    parts = [_HEAD]
    for verb in VERBS:
        parser = import_module(f"beam_sts.cli.{verb}").parser()
        parts.append(f"## {verb}\n\n{summaries[verb]}\n")
        for group in parser._action_groups:
            rows = list(_rows(parser, group))
            if rows:
                title = "" if group.title in ("positional arguments", "options") else f"**{group.title}**\n\n"
                parts.append(
                    f"{title}| option | default | what it does |\n|---|---|---|\n" + "\n".join(rows) + "\n"
                )
    return "\n".join(parts)


def _rows(parser: argparse.ArgumentParser, group: argparse._ArgumentGroup) -> Iterator[str]:
    formatter = parser._get_formatter()
    for action in group._group_actions:
        if action.dest in ("help", "help_beam"):
            continue
        # argparse replaces %(default)s, but has no public function for it.
        text = formatter._expand_help(action) if action.help else ""
        default = "" if action.default in (None, False, "{}") or action.default == [] else str(action.default)
        found = _DEFAULT.search(text)
        if found:
            default, text = found[1], text[: found.start()]
        name = action.option_strings[0] if action.option_strings else str(action.metavar or action.dest)
        value = "" if action.nargs == 0 else " " + _value(action)
        shown = f"`{name}{value if action.option_strings else ''}`"
        if action.choices and not action.option_strings:
            text += ": " + ", ".join(map(str, action.choices))
        required = "required" if action.required and action.option_strings else ""
        yield f"| {_cell(shown)} | {_cell(required or default)} | {_cell(text)} |"


def _value(action: argparse.Action) -> str:
    if action.choices:
        return "|".join(map(str, action.choices))
    return str(action.metavar or ("N" if action.type is int else "X" if action.type is float else "VALUE"))


def _cell(text: str) -> str:
    """Escape text for a Markdown table."""
    text = text.replace("|", "\\|")
    return text if text.startswith("`") else re.sub(r"([*_<>{}])", r"\\\1", text)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document(), encoding="utf-8")
