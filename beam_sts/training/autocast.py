"""Products in bfloat16 while training, where the processor has instructions for them."""

from __future__ import annotations

import torch

from beam_sts.scoring.torch_backend import multiplies_bfloat16


def autocast(device: torch.device | str, wanted: bool = True) -> torch.autocast:
    """A context of products in bfloat16, if that is ``wanted`` and not seven times slower than float32.

    >>> with autocast("cpu", False):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.float32
    """
    kind = torch.device(device).type
    able = kind != "cpu" or multiplies_bfloat16()
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=wanted and able)
