"""What all commands that score have in common: their places, and checks of model and machine."""

from __future__ import annotations

import argparse
from typing import Any

from beam_sts.errors import UserError
from beam_sts.scoring.settings import check_device


def add_places(group: argparse._ActionsContainer, *, needs_input: bool = True) -> None:
    """Add ``--input``, ``--output`` and ``--overwrite``."""
    group.add_argument(
        "--input", required=needs_input, metavar="PATTERN", help="file, folder, pattern or fsspec URL"
    )
    group.add_argument("--output", required=True, metavar="DIR", help="output folder, local or fsspec URL")
    group.add_argument("--overwrite", action="store_true", help="delete the output of an earlier run in DIR")


def check_device_here(device: str) -> None:
    """Check that this machine has a torch device.

    Raises:
        UserError: it does not, or torch is not installed (needed for every device but the CPU) or does not
            know it.
    """
    check_device("--device", device)
    if device.startswith("cuda"):
        import torch

        if not torch.cuda.is_available():
            raise UserError(f"--device {device}: torch finds no CUDA device. Leave it out to run on the CPU.")


def trust(args: argparse.Namespace) -> dict[str, bool]:
    """What the user allows a model to do, as arguments of ``load_checkpoint``."""
    return {"allow_pickle": args.allow_pickle, "trust_remote_code": args.trust_remote_code}


def scorer_options(args: argparse.Namespace) -> dict[str, Any]:
    """How to run the model, as arguments of ``PairScorer``."""
    return {name: getattr(args, name) for name in ("precision", "device", "threads", "long_text")}
