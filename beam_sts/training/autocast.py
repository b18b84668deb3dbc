"""Products in bfloat16 during training, if the processor has instructions for them."""

from __future__ import annotations

import torch

from beam_sts.scoring.torch_backend import multiplies_bfloat16


def autocast(device: torch.device | str, wanted: bool = True) -> torch.autocast:
    """A context with products in bfloat16, if ``wanted`` and if the processor does not emulate them.

    >>> with autocast("cpu", False):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.float32
    """
    kind = torch.device(device).type
    able = kind != "cpu" or multiplies_bfloat16()
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=wanted and able)
