"""Interpretation of Beam's options: the runner, the number of processes, and whether the job runs at all."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DebugOptions,
    DirectOptions,
    FlinkRunnerOptions,
    GoogleCloudOptions,
    JobServerOptions,
    PipelineOptions,
    PortableOptions,
    StandardOptions,
    TestOptions,
)
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.portability.python_urns import SUBPROCESS_SDK
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult

from beam_sts.cli import child, worker
from beam_sts.cli.console import Console
from beam_sts.cli.runners import Machine, is_runner, runner_problem
from beam_sts.errors import UserError
from beam_sts.scoring.backends import available_cores

_LONGEST_JOB = 365 * 24 * 60 * 60  # seconds
ROWS_A_PART = 1 << 16
"""Rows of a part of a job on Flink: with texts of 350 characters, a step gives some 150 MB for them."""


class FlinkBatchOptions(PipelineOptions):
    """Options of Flink's job server that Beam's Python part does not list."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--execution_mode_for_batch",
            choices=("PIPELINED", "PIPELINED_FORCED", "BATCH", "BATCH_FORCED"),
            help="Flink's exchange of data between steps; the commands use BATCH",
        )


def local_options(
    beam_args: list[str], *, waits: bool = False, here: Machine | None = None
) -> tuple[PipelineOptions, int, bool]:
    """Beam's options, the number of local processes that score, and whether the run is local.

    A process has one scorer, whose threads are shared by all workers of the process. So the cores are divided
    among processes only, not among the worker threads of ``multi_threading``.

    Args:
        beam_args: Beam's part of the command line.
        waits: whether the command continues with the output of the job, so that the job must run.
        here: the machine that is checked for the runner; by default this machine.

    Raises:
        UserError: the runner loses rows, something that it needs is missing, or a job that the command waits
            for would not run.
    """
    options = PipelineOptions(beam_args)
    if waits:
        _check_runs(options)
    problem = runner_problem(options, here or Machine())
    if problem:
        # A line break within a value from the user must not split the message.
        raise UserError(*([problem] if "\n" in "".join(beam_args) else problem.split("\n")))
    _end_job_server_with_us(options)
    _let_jobs_take_long(options, beam_args)
    _let_parts_wait_for_slots(options)
    direct = options.view_as(DirectOptions)
    named = any(arg.partition("=")[0] == "--direct_num_workers" for arg in beam_args)
    if direct.direct_running_mode in ("multi_processing", "multi_threading") and not named:
        direct.direct_num_workers = available_cores()
    local = not any(arg.partition("=")[0] == "--runner" for arg in beam_args)
    many = local and direct.direct_running_mode == "multi_processing"
    return options, (direct.direct_num_workers or available_cores()) if many else 1, local


def runner_of(options: PipelineOptions) -> FnApiRunner | None:
    """The runner to use instead of DirectRunner; None to use the runner that the options name.

    DirectRunner, the default, first looks for Prism and downloads it, and uses this runner only without it.
    """
    named = options.view_as(StandardOptions).runner
    return _LocalRunner() if not named or is_runner(options, "direct") else None


def run_pipeline(
    options: PipelineOptions, units: list[Any] | dict[str, list[Any]], transform: beam.PTransform
) -> None:
    """Run a job and wait for it.

    Args:
        options: Beam's options.
        units: the units of slices that the transform takes, or several lists by name.
        transform: the steps of the job.
    """
    with beam.Pipeline(runner=runner_of(options), options=options) as pipeline:
        slices: Any = (
            {
                name: pipeline | f"Slices of {name}" >> beam.Create(part, reshuffle=False)
                for name, part in units.items()
            }
            if isinstance(units, dict)
            else pipeline | "Units" >> beam.Create(units, reshuffle=False)
        )
        _ = slices | transform


class _LocalRunner(FnApiRunner):
    """Beam's local runner, whose worker processes end silently with the command if a signal ends it.

    Ctrl-C reaches every process in the terminal's process group. Otherwise each of Beam's workers would print
    a traceback, even during its start, and the workers of a killed launcher would continue for a while.
    """

    def run_via_runner_api(
        self, pipeline_proto: beam_runner_api_pb2.Pipeline, options: PipelineOptions
    ) -> PipelineResult:
        # A program that the shell executes inherits the ignored signals.
        tied = [sys.executable, "-IS", child.__file__, str(os.getpid()), "SIGKILL"]
        command = f"trap '' INT TERM; exec {shlex.join([*tied, sys.executable, '-m', worker.__name__])}"
        for environment in pipeline_proto.components.environments.values():
            if environment.urn == SUBPROCESS_SDK:
                environment.payload = command.encode()
        return super().run_via_runner_api(pipeline_proto, options)


def _end_job_server_with_us(options: PipelineOptions) -> None:
    """Make a job server that Beam starts end with this process, however this process ends."""
    if sys.platform == "linux" and (is_runner(options, "flink") or is_runner(options, "spark")):
        server = options.view_as(JobServerOptions)
        command = [child.__file__, str(os.getpid()), "SIGTERM", server.job_server_java_launcher]
        server.job_server_jvm_properties = [*command, *(server.job_server_jvm_properties or [])]
        server.job_server_java_launcher = sys.executable


def _let_jobs_take_long(options: PipelineOptions, beam_args: list[str]) -> None:
    """Raise a timeout, so that long jobs do not fail.

    Beam's timeout for requests to a job server, five minutes, also applies to the stream of job states of
    servers that know the job before it runs: Prism, and the one in this process. Without this, commands would
    end with DEADLINE_EXCEEDED. Whether the server answers at all is checked earlier.
    """
    named = {arg.partition("=")[0].replace("-", "_") for arg in beam_args}
    if "__job_server_timeout" not in named:
        options.view_as(PortableOptions).job_server_timeout = _LONGEST_JOB


def _let_parts_wait_for_slots(options: PipelineOptions) -> None:
    """Let a job on Flink have more parts (``--parallelism``) than the cluster has slots.

    Beam's Flink runner keeps what a part gives in a step in the task manager's memory until the part ends,
    and hangs beyond 100 messages of 10 MB (seen in 2.70.0). So a large job needs many small parts. By default
    all parts of some steps must run at once.
    """
    flink = options.view_as(FlinkBatchOptions)
    if is_runner(options, "flink") and flink.execution_mode_for_batch is None:
        flink.execution_mode_for_batch = "BATCH"


def note_few_parts(options: PipelineOptions, rows: int, console: Console, least: int = 1) -> None:
    """Warn if a job on Flink has so few parts that what they send may not fit into a task manager's memory.

    ``least``: the number of parts that is needed whatever the number of rows.
    """
    parts = max(1, options.view_as(FlinkRunnerOptions).parallelism)
    wanted = max(-(-rows // ROWS_A_PART), least)
    if is_runner(options, "flink") and wanted > 2 * parts:
        console.note(
            "parallelism",
            f"--parallelism {parts}: for {rows:,} rows give --parallelism={wanted}. Parts wait until "
            "slots are free; few parts may make the job hang, or end it for lack of memory.",
        )


def worker_threads(options: PipelineOptions) -> int | None:
    """The threads of a scorer on a runner's workers: 1 if it starts a process per core, like Dataflow."""
    debug = options.view_as(DebugOptions)
    one_process = debug.lookup_experiment("no_use_multiple_sdk_containers")
    return 1 if is_runner(options, "dataflow") and not one_process else None


def only_built(options: PipelineOptions) -> str | None:
    """The result of a job that Beam builds but does not run; None if it runs.

    Examples are Dataflow's templates, jobs for the launcher of a Flex Template, and --dry_run.
    """
    if not is_runner(options, "dataflow"):
        return None
    template = options.view_as(GoogleCloudOptions).template_location
    if template:
        return f"template written to {template}"
    return "nothing sent, for --dry_run" if options.view_as(TestOptions).dry_run else None


def _check_runs(options: PipelineOptions) -> None:
    if only_built(options):
        raise UserError(
            "--template_location, --dry_run: this command waits for its job and continues with its output. "
            "Leave them out. Only beam-sts score can build templates."
        )
