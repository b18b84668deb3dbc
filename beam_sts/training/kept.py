"""The progress of an interrupted stage on disk: the next run continues from it, to the same result.

A file has tensors, a note, and an owner: the digest of everything that they depend on. A file of another
owner is ignored.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

logger = logging.getLogger(__name__)


def owner_of(*facts: object) -> str:
    """The digest of everything that a result depends on."""
    digest = hashlib.sha256()
    for fact in facts:
        digest.update(fact if isinstance(fact, bytes) else repr(fact).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def keep(file: Path, owner: str, tensors: Mapping[str, torch.Tensor], note: Any = None) -> None:
    """Write tensors and a note (as JSON) atomically."""
    temporary = file.with_suffix(".tmp")
    header = {"owner": owner, "note": json.dumps(note)}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, header)
    temporary.replace(file)


def kept(file: Path, owner: str) -> tuple[dict[str, torch.Tensor], Any] | None:
    """The tensors and the note of a file; None if it is missing, unreadable or another owner's."""
    try:
        with safe_open(file, "pt") as opened:
            header = opened.metadata() or {}
            if header.get("owner") != owner:
                return None
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    return tensors, json.loads(header["note"])


def in_parts(
    folder: Path, owner: str, count: int, compute: Callable[[range], np.ndarray], size: int = 4_096
) -> np.ndarray:
    """Compute results of many rows in parts, which the next run reuses if this one is stopped.

    Args:
        folder: The folder of the parts.
        owner: The digest of everything that the results depend on.
        count: How many rows.
        compute: Computes the results of a range of rows, one per row.
        size: Rows per part.

    Returns:
        The results of all rows.
    """
    parts: list[np.ndarray] = []
    for begin in range(0, count, size):
        rows = range(begin, min(begin + size, count))
        file = folder / f"part-{begin:09d}.safetensors"
        found = kept(file, owner)
        part = found[0]["rows"].numpy() if found else None
        if part is None or len(part) < len(rows):
            part = compute(rows)
            keep(file, owner, {"rows": torch.from_numpy(part)})
            logger.info("%s: %d of %d", folder.name, rows.stop, count)
        parts.append(part[: len(rows)])
    return np.concatenate(parts)
