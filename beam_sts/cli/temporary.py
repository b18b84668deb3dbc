"""The folder for temporary files, which torch and Beam need at import."""

from __future__ import annotations

import sys
import tempfile


def check_temporary_folder() -> None:
    """Exit with a one-line message if there is no writable folder for temporary files."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        from beam_sts.cli.terminal import print_errors

        print_errors(
            f"error: {error.strerror}. Set the environment variable TMPDIR to a folder that can be written."
        )
        sys.exit(2)
