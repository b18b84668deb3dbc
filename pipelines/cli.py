"""What the command lines share: options, Beam's among them, and what commands are called by."""

from __future__ import annotations

import argparse
import difflib
import shlex
import shutil
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from apache_beam.options.pipeline_options import PipelineOptions

from beam_sts.errors import UserError
from beam_sts.io.storage import StorageOptions

_BEAM_OPTIONS = (
    "--runner",
    "--direct_num_workers",
    "--direct_running_mode",
    "--setup_file",
    "--temp_location",
)
_STATUS = (
    "Exit status: 0 done, 1 failed on the way (run it again to go on), 2 a mistake in options, input "
    "or environment, 130 interrupted."
)


def program(verb: str) -> str:
    """What a command is called by: ``beam-sts score``, or ``python -m pipelines.score``."""
    return f"beam-sts {verb}" if sys.argv[0].startswith("beam-sts ") else f"python -m pipelines.{verb}"


def python() -> str:
    """The command that starts this Python again, for a line that people copy."""
    found = shutil.which("python")
    same = found and Path(found).absolute() == Path(sys.executable).absolute()
    return "python" if same else shlex.quote(sys.executable)


class Parser(argparse.ArgumentParser):
    """Own options by argparse, the rest to Beam where the command takes them; an unknown one is an error.

    Args:
        verb: the command.
        description: what it does; indented lines, commands in a module's docstring, are left out.
        examples: arguments of it that work, shown with ``--help``.
        beam: whether Beam's options work too.
        first: the argument that comes before the options, for the usage line.
    """

    def __init__(
        self,
        verb: str,
        description: str | None,
        examples: Sequence[str],
        *,
        beam: bool = True,
        first: str = "",
    ) -> None:
        name = program(verb)
        super().__init__(
            prog=name,
            description=_prose(description or ""),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            usage=" ".join(filter(None, [name, first, "[options]", "[Beam's options]" if beam else ""])),
            epilog="\n".join(["examples:", *(f"  {name} {example}" for example in examples), "", _STATUS]),
        )
        self._takes_beam = beam
        if beam:
            self.add_argument("--help_beam", action=_HelpBeam, nargs=0, help="list all of Beam's options too")

    def format_help(self) -> str:
        """Own options first, then the few of Beam's that are asked for most, then examples."""
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
        """Own options, and the arguments that are Beam's.

        Exits with status 2 on an option that neither this command nor Beam has, naming the nearest.
        """
        beam = _beam_parser()
        self._check_names(argv, beam._option_string_actions)
        own, rest = self.parse_known_args(argv)
        _, unknown = beam.parse_known_args(rest)
        if unknown:
            self._refuse(unknown[0], beam._option_string_actions)
        return self._with_storage(own), rest

    def parse(self, argv: Sequence[str] | None = None) -> argparse.Namespace:
        """Own options alone; an unknown one is refused, and the nearest named."""
        self._check_names(argv, ())
        own, rest = self.parse_known_args(argv)
        if rest:
            self._refuse(rest[0], ())
        return self._with_storage(own)

    def _with_storage(self, own: argparse.Namespace) -> argparse.Namespace:
        if "storage_options" in own:
            try:
                own.storage_options = StorageOptions.parse(own.storage_options).apply()
            except UserError as error:
                self.error(str(error))
        return own

    def _check_names(self, argv: Sequence[str] | None, others: Collection[str]) -> None:
        # Before argparse, which would only say that the option whose name is misspelt is missing.
        for argument in sys.argv[1:] if argv is None else argv:
            if argument == "--":
                return
            name = argument.partition("=")[0]
            known = name in self._option_string_actions or name in others
            if name.startswith("--") and " " not in name and not known:
                self._refuse(argument, others)

    def _refuse(self, argument: str, others: Iterable[str]) -> NoReturn:
        names = [*self._option_string_actions, *others]
        near = difflib.get_close_matches(argument.partition("=")[0], names, n=1)
        self.error(f"unknown option {argument}" + (f"; did you mean {near[0]}?" if near else ""))

    def error(self, message: str) -> NoReturn:
        """Print the message and where help is."""
        sys.stderr.write(f"error: {message}\nhelp: {self.prog} --help\n")
        raise SystemExit(2)


def _prose(text: str) -> str:
    lines = [line for line in text.splitlines() if not line.startswith("    ")]
    return "\n".join(lines).replace("\n\n\n", "\n\n").strip()


class _HelpBeam(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        parser.print_help()
        beam = _beam_parser()
        print("\nall of Beam's options:\n")
        print(beam.format_help().partition("\n\n")[2])
        parser.exit()


def _beam_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for options in _subclasses(PipelineOptions):
        if hasattr(options, "_add_argparse_args"):
            options._add_argparse_args(parser)
    for action in parser._actions:
        action.required = False
    return parser


def _subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    for child in cls.__subclasses__():
        # PipelineOptions' own test doubles and other packages' options do not run here.
        if child.__module__.startswith("apache_beam.") and "test" not in child.__module__:
            yield child
        yield from _subclasses(child)
