"""The local cache of fetched checkpoints and exported models, below ``HF_HOME``."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from beam_sts.errors import UserError


@contextmanager
def published(target: Path) -> Iterator[Path]:
    """A temporary folder to fill; it is then renamed, so ``target`` appears complete or not at all.

    If another process has created the target first, that folder stays.

    Args:
        target: the final path.

    Yields:
        The temporary folder.

    Raises:
        UserError: the cache cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise unwritable(target.parent, error) from error
    try:
        yield partial
        try:
            partial.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def unwritable(cache: str | Path, error: OSError) -> UserError:
    """The error of a cache that cannot be written."""
    return UserError(
        f"the cache of models, {cache}, cannot be written: {error.strerror or error}. Set the "
        "environment variable HF_HOME to a writable folder."
    )
