"""Checksums of a checkpoint folder: written by training, verified when an embedded model is loaded."""

from __future__ import annotations

import hashlib
from pathlib import Path

from beam_sts.errors import UserError

CHECKSUMS = "SHA256SUMS"
CHECKED = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def write_checksums(folder: Path) -> None:
    """Write SHA256SUMS (the format of ``sha256sum -c``) over the files that decide a checkpoint's scores."""
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}" for name in CHECKED]
    (folder / CHECKSUMS).write_text("\n".join(lines) + "\n", encoding="utf-8")


def verify_checksums(folder: Path) -> None:
    """Compare a checkpoint's files with its SHA256SUMS.

    Args:
        folder: A checkpoint folder.

    Raises:
        UserError: SHA256SUMS or a file that it must list is missing, or a file differs, naming it with both
            sums.
    """
    try:
        lines = (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"{folder / CHECKSUMS} cannot be read; install the package again") from error
    expected = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in CHECKED:
        path = folder / name
        if name not in expected:
            raise UserError(f"{folder / CHECKSUMS} does not list {name}; install the package again")
        if not path.is_file():
            raise UserError(f"{path} is missing, but {CHECKSUMS} lists it; install the package again")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != expected[name]:
            raise UserError(
                f"{path} has SHA-256 {found}, {CHECKSUMS} says {expected[name]}; install the package again"
            )
