"""What the command lines share: options, errors as one screen, progress."""

from __future__ import annotations

import argparse
import difflib
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from tqdm import tqdm

from beam_sts.errors import UserError
from beam_sts.io.storage import StorageOptions
from beam_sts.scoring.backends import available_cores

_POLL_SECONDS = 0.5
_LOG_SECONDS = 10.0


class Parser(argparse.ArgumentParser):
    """Own options by argparse, the rest to Beam; what neither knows is an error."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            epilog="Any Beam option works too, such as --runner, --direct_num_workers or --setup_file.\n"
            "Exit status: 0 done, 1 failed on the way (run it again to go on), 2 a mistake in options, input "
            "or environment, 130 interrupted.",
            **kwargs,
        )

    def split(self, argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
        """Own options, and the arguments that are Beam's.

        Exits with status 2 on an option that neither this command nor Beam has, naming the nearest.
        """
        own, rest = self.parse_known_args(argv)
        beam = _beam_parser()
        _, unknown = beam.parse_known_args(rest)
        if unknown:
            name = unknown[0].partition("=")[0]
            near = difflib.get_close_matches(
                name, [*self._option_string_actions, *beam._option_string_actions], n=1
            )
            self.error(f"unknown option {unknown[0]}" + (f"; did you mean {near[0]}?" if near else ""))
        if "storage_options" in own:
            try:
                own.storage_options = StorageOptions.parse(own.storage_options).apply()
            except UserError as error:
                self.error(str(error))
        return own, rest

    def error(self, message: str) -> NoReturn:
        """Print the message and where help is."""
        sys.stderr.write(f"error: {message}\nhelp: {self.prog} --help\n")
        raise SystemExit(2)


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


def local_options(beam_args: list[str]) -> tuple[PipelineOptions, int, bool]:
    """Beam's options, how many worker processes or threads they start here, and whether the run is local.

    Raises:
        UserError: the runner is one that loses rows.
    """
    options = PipelineOptions(beam_args)
    _check_runner(options.view_as(StandardOptions).runner)
    direct = options.view_as(DirectOptions)
    named = any(arg.partition("=")[0] == "--direct_num_workers" for arg in beam_args)
    if direct.direct_running_mode in ("multi_processing", "multi_threading") and not named:
        direct.direct_num_workers = available_cores()
    local = not any(arg.partition("=")[0] == "--runner" for arg in beam_args)
    workers = direct.direct_num_workers or available_cores()
    return options, workers if local else 1, local


def _check_runner(runner: str | None) -> None:
    # As Beam finds a runner: a name in any case, with or without "Runner", or the dotted path of its class.
    if runner and runner.rpartition(".")[2].lower().removesuffix("runner") == "dask":
        raise UserError(
            f"--runner {runner}: Beam's DaskRunner loses rows silently: it drops what a step emits at "
            "the end of a bundle (seen in Beam 2.77). Leave --runner out to run here, or use FlinkRunner."
        )


def guarded(run: Callable[[], int], *, interrupted: str) -> int:
    """Run a command; turn what goes wrong into one screen and an exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    logging.getLogger("root").setLevel(logging.ERROR)  # Beam's import warnings
    if not os.environ.get("BEAM_STS_DEBUG"):
        logging.getLogger("apache_beam.runners.common").setLevel(logging.CRITICAL)  # a traceback for each try

    def leave(*_: object) -> NoReturn:
        # Beam would turn the interrupt into an error of its own, or sit in a bundle for minutes. Every file
        # is published in one step, so leaving at once loses nothing that is committed.
        sys.stderr.write(f"\ninterrupted. {interrupted}\n")
        sys.stderr.flush()
        os._exit(130)

    before = signal.signal(signal.SIGINT, leave)
    try:
        return run()
    except Exception as error:
        own = user_error(error)
        if own:
            sys.stderr.write(f"error: {own}\n")
            return 2
        if os.environ.get("BEAM_STS_DEBUG"):
            traceback.print_exc()
        last = [line for line in str(error).strip().splitlines() if line.strip()] or [""]
        sys.stderr.write(
            f"failed: {_without_runner(type(error).__name__, last[-1])[:500]}\n{interrupted}\n"
            "BEAM_STS_DEBUG=1 prints the traceback.\n"
        )
        return 1
    finally:
        signal.signal(signal.SIGINT, before)


def _without_runner(kind: str, message: str) -> str:
    """An error as it was raised in a worker: Beam puts its own type before it and the step after it."""
    message, step, _ = message.partition(" [while running")
    return message if step else f"{kind}: {message}"


def user_error(error: BaseException | None) -> str | None:
    """The message of the UserError in a chain of causes, also of one that crossed a process as text."""
    marker = f"{UserError.__module__}.{UserError.__qualname__}: "
    while error is not None:
        text = str(error)
        if isinstance(error, UserError) or marker in text:
            return text.rpartition(marker)[2].partition(" [while running")[0].strip()
        error = error.__cause__ or error.__context__
    return None


@contextmanager
def progress(total: int, done: Callable[[], int], unit: str) -> Iterator[None]:
    """Show rate and time left while a local run works: a bar on a terminal, plain lines otherwise.

    Args:
        total: units of the whole run.
        done: counts the units that are committed; called twice a second.
        unit: what is counted.
    """
    stop = threading.Event()
    terminal = sys.stderr.isatty()

    def watch() -> None:
        start, first = time.monotonic(), done()
        logged = start
        with tqdm(
            total=total,
            initial=first,
            unit=f" {unit}",
            unit_scale=True,
            disable=not terminal,
            file=sys.stderr,
        ) as bar:
            while not stop.wait(_POLL_SECONDS):
                now = done()
                bar.update(now - bar.n)
                if not terminal and now > first and time.monotonic() - logged >= _LOG_SECONDS:
                    logged = time.monotonic()
                    rate = (now - first) / (logged - start)
                    left = (total - now) / rate
                    sys.stderr.write(
                        f"{now:,} of {total:,} {unit}, {rate:,.0f} {unit}/s, {left:,.0f} s left\n"
                    )
            bar.update(done() - bar.n)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join(timeout=5)
