"""The options that every command has which scores: places, model, machine."""

from __future__ import annotations

import argparse
from typing import Any

from beam_sts.errors import UserError
from beam_sts.extras import need_torch
from beam_sts.models.checkpoint import DEFAULT_MODEL
from beam_sts.scoring.backends import PRECISIONS
from beam_sts.scoring.long_text import LONG_TEXT


def add_places(group: argparse._ActionsContainer, *, needs_input: bool = True) -> None:
    """``--input``, ``--output`` and ``--overwrite``."""
    group.add_argument(
        "--input", required=needs_input, metavar="PATTERN", help="file, folder, pattern or fsspec URL"
    )
    group.add_argument("--output", required=True, metavar="DIR", help="output folder, local or fsspec URL")
    group.add_argument("--overwrite", action="store_true", help="drop an earlier run's output in DIR")


def add_scoring_options(
    scoring: argparse._ActionsContainer, machine: argparse._ActionsContainer, *, long_text: str = "truncate"
) -> None:
    """The model and how it scores, and the machine.

    Args:
        scoring: group of the former.
        machine: group of the latter.
        long_text: default of ``--long_text``.
    """
    scoring.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help="embedded model, folder, fsspec URL or Hugging Face id[@revision] (default: %(default)s)",
    )
    scoring.add_argument("--symmetric", action="store_true", help="mean of both orders, at twice the work")
    scoring.add_argument(
        "--long_text",
        choices=LONG_TEXT,
        default=long_text,
        help="pairs of more tokens than the model takes: cut as the reference does, reject, or score by "
        "overlapping windows (default: %(default)s)",
    )
    scoring.add_argument(
        "--allow_pickle", action="store_true", help="load a model's .bin, a pickle, if you trust its source"
    )
    scoring.add_argument(
        "--trust_remote_code", action="store_true", help="run a model's own Python code if you trust it"
    )
    machine.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="fp32",
        help="bf16 is faster if the processor supports it, and scores differ a little (default: %(default)s)",
    )
    machine.add_argument("--device", default="cpu", help="torch device (default: cpu)")
    machine.add_argument(
        "--threads", type=int, metavar="N", help="threads of each worker process (default: cores / processes)"
    )


def check_device(device: str) -> None:
    """Whether this machine has it.

    Raises:
        UserError: it has not, or torch, which is needed for any but the CPU, knows no such device.
    """
    if device == "cpu":
        return
    need_torch(f"--device {device}")
    import torch

    try:
        torch.device(device)
    except RuntimeError as error:
        raise UserError(
            f"--device {device}: torch knows no such device. Give cpu, cuda or cuda:NUMBER."
        ) from error
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"--device {device}: torch sees no CUDA device here. Leave it out to run on the CPU.")


def trust(args: argparse.Namespace) -> dict[str, bool]:
    """What the user lets a model do, as ``load_checkpoint`` takes it."""
    return {"allow_pickle": args.allow_pickle, "trust_remote_code": args.trust_remote_code}


def scorer_options(args: argparse.Namespace) -> dict[str, Any]:
    """How the model is run, as ``PairScorer`` takes it."""
    return {name: getattr(args, name) for name in ("precision", "device", "threads", "long_text")}
