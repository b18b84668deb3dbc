"""The console command ``beam-sts``, with one verb per pipeline. A verb is imported only when it is used."""

from __future__ import annotations

import argparse
import ast
import difflib
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from beam_sts.cli.terminal import print_errors, print_lines

VERBS = ("example", "score", "dedup", "mine", "evaluate", "train", "explain", "label", "models")
SHELLS = ("bash", "zsh", "tcsh")
_HERE = Path(__file__).parent


def verbs() -> dict[str, str]:
    """The installed verbs with the first lines of their docstrings, without importing them."""
    return {
        verb: (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").splitlines()[0]
        for verb, file in _files().items()
    }


def _files() -> dict[str, Path]:
    files = {verb: _HERE / f"{verb}.py" for verb in VERBS}
    return {verb: file for verb, file in files.items() if file.exists()}


def usage() -> str:
    """The output of ``beam-sts --help``."""
    listed = "\n".join(f"  {verb:<10}{line}" for verb, line in verbs().items())
    return (
        f"usage: beam-sts VERB [options]\n\n{listed}\n\n"
        "beam-sts VERB --help lists the options of a verb.\n"
        f"beam-sts --completion {{{','.join(SHELLS)}}} prints a completion script, for example:\n"
        "  beam-sts --completion bash > ~/.local/share/bash-completion/completions/beam-sts\n"
        "beam-sts --version prints the version."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb: ``beam-sts score ...`` does the same as ``python -m pipelines.score ...``."""
    verb, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if verb in ("-h", "--help", "help"):
        print_lines(*usage().split("\n"))
        return 0
    if verb == "--version":
        from beam_sts import __version__

        print_lines(__version__)
        return 0
    if verb == "--completion":
        return _completion(rest)
    if verb not in _files():
        near = difflib.get_close_matches(verb, _files(), n=1)
        plain = re.fullmatch(r"[\w-]{1,40}", verb)  # anything else may be a path that contains a secret
        _refuse(
            f"unknown verb {verb}" + (f"; did you mean {near[0]}?" if near else "")
            if plain
            else f"the first argument must be a verb: {', '.join(_files())}"
        )
    sys.argv[0] = f"beam-sts {verb}"  # the name of the command in its messages
    status: int = import_module(f"beam_sts.cli.{verb}").main(rest)
    return status


def _completion(rest: Sequence[str]) -> int:
    """Print a completion script. It is static, so that completion does not start Python."""
    try:
        import shtab
    except ImportError:
        _refuse("--completion needs shtab: pip install 'beam_sts[completion]'")
    if len(rest) != 1 or rest[0] not in SHELLS:
        _refuse(f"--completion: name a shell, one of {', '.join(SHELLS)}")
    whole = argparse.ArgumentParser(prog="beam-sts")
    choices = whole.add_subparsers()
    for verb, line in verbs().items():
        try:
            args = import_module(f"beam_sts.cli.{verb}").parser()
        except SystemExit:  # its extra is not installed, as printed on standard error
            continue
        choices.add_parser(verb, parents=[args], add_help=False, help=line, conflict_handler="resolve")
    print_lines(*shtab.complete(whole, rest[0]).split("\n"))
    return 0


def _refuse(message: str) -> NoReturn:
    print_errors(f"error: {message}", "help: beam-sts --help")
    raise SystemExit(2)
