"""The common part of the commands: their options, those of Beam, and the names of the programs."""

from __future__ import annotations

import argparse
import difflib
import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from beam_sts.checks import one_of
from beam_sts.cli.console import Console
from beam_sts.cli.terminal import print_errors, print_lines
from beam_sts.errors import UserError
from beam_sts.io.files import is_utf8
from beam_sts.io.storage import StorageOptions, refuse_secrets
from beam_sts.secrets import has_secret, remember, secret_parts, shown

_BEAM_OPTIONS = (
    "--runner",
    "--direct_num_workers",
    "--direct_running_mode",
    "--setup_file",
    "--temp_location",
)
_PLACES = {
    *("input", "output", "against", "from_pairs", "run", "sheet", "read", "json", "plot", "report"),
    *("model", "work_dir", "junit", "markdown", "calibration", "queries", "corpus"),
}
"""Options that name a file or a folder."""
_URL = re.compile(r"[\w+.-]+:/")
_STATUS = (
    "Exit status: 0 success, 1 failure during the run (the message says whether to run it again), 2 error in "
    "options, input or environment, {more}130 interrupted."
)


def program(verb: str) -> str:
    """The name of a command, as it was called: ``beam-sts score`` or ``python -m pipelines.score``."""
    return f"beam-sts {verb}" if sys.argv[0].startswith("beam-sts ") else f"python -m pipelines.{verb}"


def python() -> str:
    """The command that starts this Python interpreter, for a line to copy."""
    found = shutil.which("python")
    same = found and Path(found).absolute() == Path(sys.executable).absolute()
    return "python" if same else shlex.quote(sys.executable)


def open_command(folder: str, form: str) -> str:
    """A command to copy, which shows the first rows of a folder of shards.

    >>> open_command("my out/scores", "csv")
    "head -n 3 'my out/scores/part-000000.csv'"
    """
    place = json.dumps(folder, ensure_ascii=False)
    if form == "parquet":
        code = (
            f'import pyarrow.parquet as pq; print(*pq.read_table({place}).slice(0, 5).to_pylist(), sep="\\n")'
        )
        return f"{python()} -c {shlex.quote(code)}"
    if "://" in folder:
        return f"download {folder}/part-000000.{form} and open it"
    return shlex.join(["head", "-n", "3", f"{folder}/part-000000.{form}"])


class Parser(argparse.ArgumentParser):
    """Parses the options of a command, and passes the rest to Beam if the command takes Beam's options.

    Args:
        verb: the command.
        description: what it does. Indented lines (commands in a module's docstring) are left out.
        examples: arguments that work, shown by ``--help``.
        beam: whether the command takes Beam's options.
        first: the argument before the options, for the usage line.
        status: an exit status of this command only, with its meaning.
    """

    def __init__(
        self,
        verb: str,
        description: str | None,
        examples: Sequence[str],
        *,
        beam: bool = True,
        first: str = "",
        status: str = "",
    ) -> None:
        name = program(verb)
        ends = _STATUS.format(more=f"{status}, " if status else "")
        super().__init__(
            prog=name,
            description=_prose(description or ""),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            usage=" ".join(filter(None, [name, first, "[options]", "[Beam's options]" if beam else ""])),
            epilog="\n".join(["examples:", *(f"  {name} {example}" for example in examples), "", ends]),
        )
        self._takes_beam = beam
        self._argv: list[str] = []
        if beam:
            self.add_argument(
                "--help_beam", action=_HelpBeam, nargs=0, help="also list all of Beam's options"
            )

    def format_help(self) -> str:
        """The command's options, then some of Beam's most frequent ones, then examples."""
        if not self._takes_beam:
            return super().format_help()
        whole = super().format_help()
        known = {name: action for action in _beam_parser()._actions for name in action.option_strings}
        brief = self._get_formatter()
        brief.start_section("Beam's options, such as (--help_beam lists all)")
        brief.add_arguments([known[name] for name in _BEAM_OPTIONS if name in known])
        brief.end_section()
        head, examples, tail = whole.partition("examples:\n")
        return f"{head}{brief.format_help()}\n{examples}{tail}"

    def split(self, argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
        """Parse the options, and return them with the arguments for Beam.

        Exits with status 2 if neither this command nor Beam has an option, and suggests the closest one.
        """
        names = [one.partition("=")[0] for one in (sys.argv[1:] if argv is None else argv)]
        if all(name in self._option_string_actions for name in names if name.startswith("-")):
            return self.parse(argv), []  # Beam takes seconds to import
        beam = _beam_parser(self.error)
        self._check_names(argv, beam._option_string_actions)
        args, rest = self.parse_known_args(self._argv)
        _, unknown = beam.parse_known_args(rest)
        if unknown:
            self._refuse(unknown[0], beam._option_string_actions)
        return self._checked(args, rest), rest

    def parse(self, argv: Sequence[str] | None = None) -> argparse.Namespace:
        """Parse the options of the command only. Exits with status 2 on an unknown one, with a suggestion."""
        self._check_names(argv, ())
        args, rest = self.parse_known_args(self._argv)
        if rest:
            self._refuse(rest[0], ())
        return self._checked(args, ())

    def _checked(self, args: argparse.Namespace, beams: Iterable[str]) -> argparse.Namespace:
        """The options after a check of their paths. Also applies the options of the stores."""
        try:
            for action in self._actions:
                given = getattr(args, action.dest, None)
                values = given if isinstance(given, list) else [given]
                if action.option_strings and action.dest != "storage_options":
                    for value in map(str, values):
                        _check_value(action, value)
            for argument in beams:
                name, _, value = argument.rpartition("=") if argument.startswith("--") else ("", "", argument)
                refuse_secrets(value, name)
            if "storage_options" in args:
                args.storage_options = StorageOptions.parse(args.storage_options).apply()
        except UserError as error:
            self.error(str(error))
        return args

    def _check_names(self, argv: Sequence[str] | None, others: Collection[str]) -> None:
        # Before argparse, which would only report that the option with the misspelt name is missing.
        self._argv = list(sys.argv[1:] if argv is None else argv)
        for argument in self._argv:
            if not is_utf8(argument):
                self.error(
                    f"{argument!a}: the bytes of this argument are not UTF-8. Rename a file of such a name."
                )
            value = argument.partition("=")[2] if argument.startswith("--") else argument
            if has_secret(value):
                remember(secret_parts(value))  # so that any message that quotes it hides it
        seen = set()
        for argument in self._argv:
            if argument == "--":
                return
            name = argument.partition("=")[0]
            action = self._option_string_actions.get(name)
            if name.startswith("--") and " " not in name and not action and name not in others:
                self._refuse(argument, others)
            if name == "--input" and action and name in seen:  # for other options, the last one counts
                self.error("--input: given more than once. For several files, give a folder or a pattern.")
            seen.add(name)

    def _refuse(self, argument: str, others: Iterable[str]) -> NoReturn:
        if not argument.startswith("-"):
            value = shown(argument) if has_secret(argument) else argument
            self.error(
                f"{value}: belongs to no option. Put a pattern of files in quotes, since the shell otherwise "
                "replaces it with file names: --input 'data/*.parquet'."
            )
        name = argument.partition("=")[0]  # its value may be a secret
        near = difflib.get_close_matches(name, [*self._option_string_actions, *others], n=1)
        self.error(f"unknown option {name}" + (f"; did you mean {near[0]}?" if near else ""))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None:
            try:
                one_of(*map(str, action.choices))(_named(action), str(value))
            except UserError as error:
                self.error(str(error))

    def _get_value(self, action: argparse.Action, text: str) -> Any:
        try:
            return super()._get_value(action, text)
        except argparse.ArgumentError:
            kind = "a whole number" if action.type is int else "a number"
            self.error(f"{_named(action)} {text!r}: must be {kind}.")

    def error(self, message: str) -> NoReturn:
        """Print the message and how to get help, and exit with status 2."""
        argv = " ".join(self._argv).replace("=", " ")
        console = Console(json="--log_format json" in argv)
        raise SystemExit(console.error(2, message, f"help: {self.prog} --help"))

    def _print_message(self, message: str, file: Any = None) -> None:
        if message:
            lines = message.removesuffix("\n").split("\n")
            (print_errors if file is sys.stderr else print_lines)(*lines)


def _check_value(action: argparse.Action, value: str) -> None:
    """Refuse a path that cannot be meant, and a path that contains a secret."""
    flag = action.option_strings[-1]
    if action.dest in _PLACES and value.strip() in ("", "-"):
        why = "standard input and output do not work here" if value.strip() else "the name is empty"
        raise UserError(f"{flag} {value if value.strip() else repr(value)}: {why}. Name a file or a folder.")
    if " " not in value or _URL.match(value):  # values with spaces are expressions and texts
        refuse_secrets(value, flag)


def _named(action: argparse.Action) -> str:
    return "/".join(action.option_strings) or action.dest


def _prose(text: str) -> str:
    lines = [line for line in text.splitlines() if not line.startswith("    ")]
    return "\n".join(lines).replace("\n\n\n", "\n\n").strip()


class _HelpBeam(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        parser.print_help()
        print_lines(
            "", "all of Beam's options:", "", *_beam_parser().format_help().partition("\n\n")[2].split("\n")
        )
        parser.exit()


class _BeamParser(argparse.ArgumentParser):
    """Parses Beam's options. An error is reported like one in the command's options, not with 200 usages."""

    def __init__(self, refuse: Callable[[str], NoReturn] | None = None) -> None:
        super().__init__(add_help=False, allow_abbrev=False, conflict_handler="resolve")
        self._refuse = refuse

    def error(self, message: str) -> NoReturn:
        if self._refuse:
            self._refuse(message)
        super().error(message)


def beam_options(beam_args: list[str]) -> tuple[Any, int, bool]:
    """The result of ``local_options`` for a command that waits for its job. Imports Beam only if needed.

    Args:
        beam_args: Beam's part of the command line.

    Returns:
        Beam's options or None, the number of local processes that score, and whether the run is local.

    Raises:
        UserError: as for ``local_options``.
    """
    if not beam_args:
        return None, 1, True
    from beam_sts.cli.beam_options import local_options

    return local_options(beam_args, waits=True)


def worker_threads(options: Any) -> int | None:
    """The threads of a scorer on the workers of a runner, see ``beam_sts.cli.beam_options``."""
    from beam_sts.cli import beam_options as beams

    return beams.worker_threads(options)


def _beam_parser(refuse: Callable[[str], NoReturn] | None = None) -> argparse.ArgumentParser:
    from apache_beam.options.pipeline_options import PipelineOptions

    parser = _BeamParser(refuse)
    for options in _subclasses(PipelineOptions):
        if hasattr(options, "_add_argparse_args"):
            options._add_argparse_args(parser)
    for action in parser._actions:
        action.required = False
    return parser


def _subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    for child in cls.__subclasses__():
        # Test doubles of Beam, and options of other packages, do not apply here.
        if child.__module__.startswith("apache_beam.") and "test" not in child.__module__:
            yield child
        yield from _subclasses(child)
