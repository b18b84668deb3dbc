"""Products in bfloat16 while training, where the processor has instructions for them."""

from __future__ import annotations

import torch

from beam_sts.scoring.hash_backend import multiplies_bfloat16


def autocast(wanted: bool = True) -> torch.autocast:
    """A context of products in bfloat16, if that is ``wanted`` and not seven times slower than float32.

    >>> with autocast(False):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.float32
    """
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=wanted and multiplies_bfloat16())
