"""What Beam's options say about a run: who runs it, with how many processes, and whether it runs at all."""

from __future__ import annotations

import os
import shlex
import sys

from apache_beam.options.pipeline_options import (
    DebugOptions,
    DirectOptions,
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
from beam_sts.cli.runners import Machine, is_runner, runner_problem
from beam_sts.errors import UserError
from beam_sts.scoring.backends import available_cores

_LONGEST_JOB = 365 * 24 * 60 * 60  # seconds


def local_options(
    beam_args: list[str], *, waits: bool = False, here: Machine | None = None
) -> tuple[PipelineOptions, int, bool]:
    """Beam's options, how many processes score here, and whether the run is local.

    A process has one scorer, whose threads all workers of that process share. So only processes divide the
    cores among them, not the worker threads of ``multi_threading``.

    Args:
        beam_args: Beam's part of the command line.
        waits: whether the command continues with what the job wrote, so that the job must run.
        here: what the runner may find; default: this machine.

    Raises:
        UserError: the runner is one that loses rows, something that it needs is missing, or a job that the
            command waits for would not run.
    """
    options = PipelineOptions(beam_args)
    if waits:
        _check_runs(options)
    problem = runner_problem(options, here or Machine())
    if problem:
        raise UserError(problem)
    _end_job_server_with_us(options)
    _let_jobs_take_long(options, beam_args)
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
    return _LocalRunner() if not named or is_runner(options, "direct") else None


class _LocalRunner(FnApiRunner):
    """Beam's runner; its worker processes are silent when a signal ends the command, and end with it.

    Ctrl-C reaches every process of a terminal's group. Beam's workers would print a traceback each, also
    while they start; and those of a launcher that is killed would work on until they miss it.
    """

    def run_via_runner_api(
        self, pipeline_proto: beam_runner_api_pb2.Pipeline, options: PipelineOptions
    ) -> PipelineResult:
        # Ignored signals stay so in the program that a shell becomes.
        tied = [sys.executable, "-IS", child.__file__, str(os.getpid()), "SIGKILL"]
        command = f"trap '' INT TERM; exec {shlex.join([*tied, sys.executable, '-m', worker.__name__])}"
        for environment in pipeline_proto.components.environments.values():
            if environment.urn == SUBPROCESS_SDK:
                environment.payload = command.encode()
        return super().run_via_runner_api(pipeline_proto, options)


def _end_job_server_with_us(options: PipelineOptions) -> None:
    """Have a job server that Beam starts end with this process, however that ends."""
    if sys.platform == "linux" and (is_runner(options, "flink") or is_runner(options, "spark")):
        server = options.view_as(JobServerOptions)
        command = [child.__file__, str(os.getpid()), "SIGTERM", server.job_server_java_launcher]
        server.job_server_jvm_properties = [*command, *(server.job_server_jvm_properties or [])]
        server.job_server_java_launcher = sys.executable


def _let_jobs_take_long(options: PipelineOptions, beam_args: list[str]) -> None:
    """Have no job fail for its length.

    Beam's timeout of requests to a job server, five minutes, is also that of the streams of a job's states,
    where the server knows the job before it runs: Prism, and the one in this process. The command then ended
    with DEADLINE_EXCEEDED. Whether the server answers at all is looked at before.
    """
    named = {arg.partition("=")[0].replace("-", "_") for arg in beam_args}
    if "__job_server_timeout" not in named:
        options.view_as(PortableOptions).job_server_timeout = _LONGEST_JOB


def worker_threads(options: PipelineOptions) -> int | None:
    """Threads of a scorer on a runner's workers: 1 where that starts a process per core, as Dataflow does."""
    debug = options.view_as(DebugOptions)
    one_process = debug.lookup_experiment("no_use_multiple_sdk_containers")
    return 1 if is_runner(options, "dataflow") and not one_process else None


def only_built(options: PipelineOptions) -> str | None:
    """What comes of a job that Beam builds and does not run; None if it runs.

    Dataflow's templates are such jobs, the launcher of a Flex Template asks for one, and so does --dry_run.
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
            "Leave them out; templates are for pipelines.score."
        )
