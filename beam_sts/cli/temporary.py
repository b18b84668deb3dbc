"""The folder for temporary files, which torch and Beam need when they are imported."""

from __future__ import annotations

import sys
import tempfile


def check_temporary_folder() -> None:
    """End a command by one line where no folder for temporary files can be written."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        from beam_sts.cli.terminal import complain

        complain(
            f"error: {error.strerror}. Name a folder that can be written by the environment variable TMPDIR."
        )
        sys.exit(2)
