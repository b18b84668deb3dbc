"""Checksums of checkpoint folders, and of single files that are written once and loaded often."""

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
        UserError: SHA256SUMS or a file that it must list is missing, or a file differs; the message names
            it with both sums.
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


def digest_file(file: Path) -> Path:
    """The path of a file's digest, next to it, in the format of ``sha256sum -c``."""
    return file.with_name(f"{file.name}.sha256")


def write_digest(file: Path) -> None:
    """Write a file's SHA-256 to ``digest_file``. ``setup.py`` does the same for the compiled library."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    digest_file(file).write_text(f"{digest}  {file.name}\n", encoding="utf-8")


def verify_digest(file: Path) -> None:
    """Compare a file with its digest file.

    Raises:
        OSError: one of the two cannot be read.
        ValueError: the digests differ.
    """
    expected = digest_file(file).read_text(encoding="utf-8").split(maxsplit=1)[:1]
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if expected != [found]:
        raise ValueError(f"its SHA-256 is {found}, {digest_file(file).name} says {''.join(expected)[:64]}")
