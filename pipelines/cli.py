"""What the command lines share: options, errors as one screen, progress."""

from __future__ import annotations

import argparse
import difflib
import json
import logging
import os
import shlex
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from apache_beam.options.pipeline_options import (
    DebugOptions,
    DirectOptions,
    GoogleCloudOptions,
    JobServerOptions,
    PipelineOptions,
    StandardOptions,
    TestOptions,
)
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from tqdm import tqdm

from beam_sts.errors import UserError
from beam_sts.io.storage import StorageOptions, hide_secrets
from beam_sts.scoring.backends import available_cores
from pipelines import java

_POLL_SECONDS = 0.5
_LOG_SECONDS = 10.0
_WORKER_THREAD = "run_worker"  # Beam's name for the thread that waits for a worker process


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
        own, rest = self.parse_known_args(argv)
        beam = _beam_parser()
        _, unknown = beam.parse_known_args(rest)
        if unknown:
            self._refuse(unknown[0], beam._option_string_actions)
        return self._with_storage(own), rest

    def parse(self, argv: Sequence[str] | None = None) -> argparse.Namespace:
        """Own options alone; an unknown one is refused, and the nearest named."""
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


def local_options(beam_args: list[str]) -> tuple[PipelineOptions, int, bool]:
    """Beam's options, how many processes score here, and whether the run is local.

    A process has one scorer, whose threads all workers of that process share. So only processes divide the
    cores among them, not the worker threads of ``multi_threading``.

    Raises:
        UserError: the runner is one that loses rows.
    """
    options = PipelineOptions(beam_args)
    _check_runner(options)
    _end_job_server_with_us(options)
    direct = options.view_as(DirectOptions)
    named = any(arg.partition("=")[0] == "--direct_num_workers" for arg in beam_args)
    if direct.direct_running_mode in ("multi_processing", "multi_threading") and not named:
        direct.direct_num_workers = available_cores()
    local = not any(arg.partition("=")[0] == "--runner" for arg in beam_args)
    many = local and direct.direct_running_mode == "multi_processing"
    return options, (direct.direct_num_workers or available_cores()) if many else 1, local


def runner_of(options: PipelineOptions) -> FnApiRunner | None:
    """Who runs a pipeline, where the options alone must not say it.

    DirectRunner, the default, looks for Prism first and downloads it; without that it takes this one. None is
    the runner of the options.
    """
    named = options.view_as(StandardOptions).runner
    return FnApiRunner() if not named or _is_runner(options, "direct") else None


def _end_job_server_with_us(options: PipelineOptions) -> None:
    """Have a job server that Beam starts end with this process, however that ends."""
    if sys.platform == "linux" and (_is_runner(options, "flink") or _is_runner(options, "spark")):
        server = options.view_as(JobServerOptions)
        command = [java.__file__, str(os.getpid()), server.job_server_java_launcher]
        server.job_server_jvm_properties = [*command, *(server.job_server_jvm_properties or [])]
        server.job_server_java_launcher = sys.executable


def worker_threads(options: PipelineOptions) -> int | None:
    """Threads of a scorer on a runner's workers: 1 where that starts a process per core, as Dataflow does."""
    debug = options.view_as(DebugOptions)
    one_process = debug.lookup_experiment("no_use_multiple_sdk_containers")
    return 1 if _is_runner(options, "dataflow") and not one_process else None


def only_built(options: PipelineOptions) -> str | None:
    """What comes of a job that Beam builds and does not run; None if it runs.

    Dataflow's templates are such jobs, the launcher of a Flex Template asks for one, and so does --dry_run.
    """
    if not _is_runner(options, "dataflow"):
        return None
    template = options.view_as(GoogleCloudOptions).template_location
    if template:
        return f"template written to {template}"
    return "nothing sent, for --dry_run" if options.view_as(TestOptions).dry_run else None


def check_runs(options: PipelineOptions) -> None:
    """Refuse a job that is only built, for a command that goes on with what the job wrote.

    Raises:
        UserError: Beam would not run it.
    """
    if only_built(options):
        raise UserError(
            "--template_location, --dry_run: this command waits for its job and goes on with what it wrote. "
            "Leave them out; templates are for pipelines.score."
        )


def _is_runner(options: PipelineOptions, name: str) -> bool:
    # As Beam finds a runner: a name in any case, with or without "Runner", or the dotted path of its class.
    runner = options.view_as(StandardOptions).runner
    return bool(runner) and runner.rpartition(".")[2].lower().removesuffix("runner") == name


def _check_runner(options: PipelineOptions) -> None:
    if _is_runner(options, "dask"):
        runner = options.view_as(StandardOptions).runner
        raise UserError(
            f"--runner {runner}: Beam's DaskRunner loses rows silently: it drops what a step emits at "
            "the end of a bundle (seen in Beam 2.77). Leave --runner out to run here, or use FlinkRunner."
        )


def guarded(run: Callable[[], int], *, interrupted: str, console: Console | None = None) -> int:
    """Run a command; turn what goes wrong into one screen and an exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    logging.getLogger("root").setLevel(logging.ERROR)  # Beam's import warnings
    if not os.environ.get("BEAM_STS_DEBUG"):
        for name in ("common", "worker.data_plane"):  # a traceback for each try, for each lost connection
            logging.getLogger(f"apache_beam.runners.{name}").setLevel(logging.CRITICAL)
    console = console or Console()

    def leave(*_: object) -> NoReturn:
        # Beam would turn the interrupt into an error of its own, or sit in a bundle for minutes. Every file
        # is published in one step, so leaving at once loses nothing that is committed.
        _end_workers()
        sys.stderr.write(f"\ninterrupted. {interrupted}\n")
        sys.stderr.flush()
        os._exit(130)

    def watch(failed: threading.ExceptHookArgs) -> None:
        # With multi_processing Beam waits for ever for a worker process that has died.
        if failed.thread is None or failed.thread.name != _WORKER_THREAD or finished.is_set():
            # Beam's threads that lose the connection say nothing that the message below does not.
            if os.environ.get("BEAM_STS_DEBUG") or not failed.exc_type.__module__.startswith("grpc"):
                threading.__excepthook__(failed)
            return
        code = str(failed.exc_value).rpartition(" ")[2]
        killed = " (killed; the kernel does so when memory is short: try fewer --direct_num_workers)"
        _end_workers()
        why = f"a worker process ended with status {code}{killed if code == '137' else ''}."
        os._exit(console.error(f"{why}\n{interrupted}", 1))

    finished = threading.Event()
    before = signal.signal(signal.SIGINT, leave)
    threading.excepthook = watch
    try:
        return run()
    except Exception as error:
        own = user_error(error)
        if own:
            return console.error(own, 2)
        if os.environ.get("BEAM_STS_DEBUG"):
            sys.stderr.write(hide_secrets(traceback.format_exc()))
        last = [line for line in str(error).strip().splitlines() if line.strip()] or [""]
        said = _without_runner(type(error).__name__, last[-1])[:500]
        return console.error(f"{said}\n{interrupted}\nBEAM_STS_DEBUG=1 prints the traceback.", 1)
    finally:
        finished.set()
        threading.excepthook = threading.__excepthook__
        signal.signal(signal.SIGINT, before)


def _end_workers() -> None:
    """Kill the processes that this one started, and theirs, before they print how they miss it."""
    processes = [os.getpid()]
    for process in processes:
        for file in Path(f"/proc/{process}/task").glob("*/children"):
            with suppress(OSError):
                processes += map(int, file.read_text().split())
    for process in processes[1:]:
        with suppress(OSError):
            os.kill(process, signal.SIGKILL)


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


@dataclass(frozen=True)
class Console:
    """How a command speaks: to people, in JSON lines to programs, or not at all but for errors."""

    quiet: bool = False
    json: bool = False

    def finish(self, lines: Iterable[tuple[str, str]], summary: dict[str, Any]) -> None:
        """The end of a run, on standard output: a table of names and texts, or one line of JSON."""
        if self.quiet:
            return
        if self.json:
            print(json.dumps({"event": "summary", **summary}, ensure_ascii=False))
        else:
            print("\n".join(f"{name:<10} {text}" for name, text in lines))

    def error(self, message: str, status: int) -> int:
        """What went wrong, on standard error and without secrets; gives the exit status back."""
        message = hide_secrets(message)
        if self.json:
            line = {"event": "error", "status": status, "message": message}
            sys.stderr.write(json.dumps(line, ensure_ascii=False) + "\n")
        else:
            sys.stderr.write(f"{'error' if status == 2 else 'failed'}: {message}\n")
        return status


def add_console_options(parser: argparse.ArgumentParser) -> None:
    """Give a command ``--quiet`` and ``--log_format``."""
    group = parser.add_argument_group("terminal")
    group.add_argument("--quiet", action="store_true", help="print errors only")
    group.add_argument(
        "--log_format",
        choices=("text", "json"),
        default="text",
        help="json: progress and errors as JSON lines on standard error, the summary as one on standard "
        "output",
    )


def console_of(own: argparse.Namespace) -> Console:
    """The console that the options ask for."""
    return Console(own.quiet, own.log_format == "json")


class Clock:
    """Seconds of the parts of a run, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """End a part."""
        now = time.perf_counter()
        self.seconds[name], self._last = round(now - self._last, 3), now


@contextmanager
def progress(
    total: int,
    done: Callable[[], int],
    unit: str,
    *,
    where: Callable[[], str] = str,
    console: Console | None = None,
) -> Iterator[None]:
    """Show rate, time left and place while a local run works: a bar on a terminal, plain lines otherwise.

    Args:
        total: units of the whole run.
        done: counts the units that are committed; called twice a second.
        unit: what is counted.
        where: says what is being worked on, such as a file; called after ``done``.
        console: how to speak.
    """
    stop, console = threading.Event(), console or Console()
    terminal = sys.stderr.isatty() and not console.json

    def line(now: int, rate: float) -> str:
        left = (total - now) / rate
        if console.json:
            event = {"event": "progress", "done": now, "total": total, "unit": unit}
            return json.dumps(
                event | {"per_second": round(rate, 1), "seconds_left": round(left, 1), "at": where()},
                ensure_ascii=False,
            )
        place = f", {where()}" if where() else ""
        return f"{now:,} of {total:,} {unit}, {rate:,.0f} {unit}/s, {left:,.0f} s left{place}"

    def count(last: int) -> int:
        try:
            return done()
        except OSError:  # a failing store ends the run with its reason, not its display
            return last

    def watch() -> None:
        start, first = time.monotonic(), count(0)
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
                now = count(bar.n)
                bar.set_postfix_str(where(), refresh=False)
                bar.update(now - bar.n)
                if not terminal and now > first and time.monotonic() - logged >= _LOG_SECONDS:
                    logged = time.monotonic()
                    sys.stderr.write(line(now, (now - first) / (logged - start)) + "\n")
            bar.update(count(bar.n) - bar.n)

    if console.quiet:
        yield
        return
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join(timeout=5)
