"""The options of all commands that score: places, model and machine."""

from __future__ import annotations

import argparse
from typing import Any

from beam_sts.errors import UserError
from beam_sts.extras import need_torch
from beam_sts.models.checkpoint import DEFAULT_MODEL
from beam_sts.scoring.backends import PRECISIONS
from beam_sts.scoring.long_text import LONG_TEXT


def add_places(group: argparse._ActionsContainer, *, needs_input: bool = True) -> None:
    """Add ``--input``, ``--output`` and ``--overwrite``."""
    group.add_argument(
        "--input", required=needs_input, metavar="PATTERN", help="file, folder, pattern or fsspec URL"
    )
    group.add_argument("--output", required=True, metavar="DIR", help="output folder, local or fsspec URL")
    group.add_argument("--overwrite", action="store_true", help="delete the output of an earlier run in DIR")


def add_scoring_options(
    scoring: argparse._ActionsContainer, machine: argparse._ActionsContainer, *, long_text: str = "truncate"
) -> None:
    """Add the options for the model, for its use, and for the machine.

    Args:
        scoring: the group for the model and its use.
        machine: the group for the machine.
        long_text: the default of ``--long_text``.
    """
    scoring.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help="embedded model, folder, fsspec URL or Hugging Face id[@revision] (default: %(default)s)",
    )
    scoring.add_argument(
        "--symmetric",
        action="store_true",
        help="score both orders of the texts and take the mean, at twice the cost",
    )
    scoring.add_argument(
        "--long_text",
        choices=LONG_TEXT,
        default=long_text,
        help="pairs with more tokens than the model takes: truncate like the reference, reject (error), or "
        "score in overlapping windows (default: %(default)s)",
    )
    scoring.add_argument(
        "--allow_pickle",
        action="store_true",
        help="load .bin weights, which are pickles; only for sources that you trust",
    )
    scoring.add_argument(
        "--trust_remote_code",
        action="store_true",
        help="run the Python code of a model; only for sources that you trust",
    )
    machine.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="fp32",
        help="bf16 is faster on processors that support it, with slightly different scores (default: "
        "%(default)s)",
    )
    machine.add_argument("--device", default="cpu", help="torch device (default: cpu)")
    machine.add_argument(
        "--threads", type=int, metavar="N", help="threads of each worker process (default: cores / processes)"
    )


def check_device(device: str) -> None:
    """Check that this machine has a torch device.

    Raises:
        UserError: it does not, or torch is not installed (needed for every device but the CPU) or does not
            know it.
    """
    if device == "cpu":
        return
    need_torch(f"--device {device}")
    import torch

    try:
        torch.device(device)
    except RuntimeError as error:
        raise UserError(
            f"--device {device}: torch does not know this device. Give cpu, cuda or cuda:NUMBER."
        ) from error
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"--device {device}: torch finds no CUDA device. Leave it out to run on the CPU.")


def trust(args: argparse.Namespace) -> dict[str, bool]:
    """What the user allows a model to do, as arguments of ``load_checkpoint``."""
    return {"allow_pickle": args.allow_pickle, "trust_remote_code": args.trust_remote_code}


def scorer_options(args: argparse.Namespace) -> dict[str, Any]:
    """How to run the model, as arguments of ``PairScorer``."""
    return {name: getattr(args, name) for name in ("precision", "device", "threads", "long_text")}
