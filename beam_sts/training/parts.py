"""Long computations in parts, so that a stopped one continues where it was."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

logger = logging.getLogger(__name__)


def in_parts(
    folder: Path, owner: str, count: int, compute: Callable[[range], np.ndarray], size: int = 4_096
) -> np.ndarray:
    """Compute something for many rows, in parts that a stopped run leaves behind for the next.

    Args:
        folder: Where the parts lie.
        owner: What they are good for; parts of another owner are thrown away.
        count: The rows.
        compute: Results of some rows, one a row.
        size: Rows of a part.

    Returns:
        The results of all rows.
    """
    note = folder / "owner.txt"
    if not note.is_file() or note.read_text(encoding="utf-8") != owner:
        for stale in folder.glob("part-*.npy"):
            stale.unlink()
        note.write_text(owner, encoding="utf-8")
    parts: list[np.ndarray] = []
    for begin in range(0, count, size):
        rows = range(begin, min(begin + size, count))
        path = folder / f"part-{begin:09d}.npy"
        part = np.load(path) if path.is_file() else None
        if part is None or len(part) < len(rows):
            part = compute(rows)
            temporary = path.with_suffix(".tmp")
            with temporary.open("wb") as stream:
                np.save(stream, part)
            temporary.replace(path)
            logger.info("%s: %d of %d", folder.name, rows.stop, count)
        parts.append(part[: len(rows)])
    return np.concatenate(parts)
