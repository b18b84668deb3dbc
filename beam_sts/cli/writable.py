"""A check of the files that a command writes at its end."""

from __future__ import annotations

import os
from pathlib import Path

from beam_sts.errors import UserError
from beam_sts.io.files import file_system, is_local


def check_writable(flag: str, path: str) -> None:
    """Check before the long work that a file can be written, as far as the local file system tells.

    Raises:
        UserError: it cannot be written, or it is a folder.
    """
    if not is_local(path):
        return
    file = Path(file_system(path)[1]).absolute()
    try:
        is_folder = file.is_dir()
    except OSError as error:  # such as a name that is too long
        raise UserError(f"{flag} {path}: cannot be written: {error.strerror}.") from error
    if is_folder:
        raise UserError(f"{flag} {path}: is a folder. Name a file.")
    existing = next(parent for parent in file.parents if parent.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK)):
        raise UserError(f"{flag} {path}: cannot be written below {existing}.")
