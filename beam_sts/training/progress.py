"""The progress of a fit: a stopped fit continues from it, to the same weights as without the stop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from beam_sts.training.kept import keep, kept


@dataclass
class Progress:
    """The progress of a fit.

    Attributes:
        step: Steps taken.
        seen: Pairs seen.
        seconds: Time spent.
        losses: Points of the learning curve: pairs seen and the mean loss since the point before.
    """

    step: int = 0
    seen: int = 0
    seconds: float = 0.0
    losses: list[tuple[int, float]] = field(default_factory=list)


def save(
    file: Path,
    owner: str,
    progress: Progress,
    optimizer: torch.optim.Optimizer,
    averaged: Sequence[torch.Tensor],
) -> None:
    """Write progress, weights, their moving averages, optimizer state and torch's random state atomically."""
    tensors = {f"weight.{n}": weight.detach() for n, weight in enumerate(_weights(optimizer))}
    tensors |= {f"average.{n}": mean for n, mean in enumerate(averaged)}
    for n, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{n}.{name}": tensor for name, tensor in state.items()}
    tensors["random"] = torch.get_rng_state()
    device = next(_weights(optimizer)).device
    if device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(device)
    keep(file, owner, tensors, vars(progress))


def load(
    file: Path, owner: str, optimizer: torch.optim.Optimizer, averaged: Sequence[torch.Tensor]
) -> Progress | None:
    """Restore weights, their moving averages, optimizer state and random state as ``save`` wrote them.

    Returns:
        The progress. None if the file is missing, unreadable or another fit's; then nothing is changed.
    """
    found = kept(file, owner)
    if found is None:
        return None
    tensors, note = found
    with torch.no_grad():
        for n, weight in enumerate(_weights(optimizer)):
            weight.copy_(tensors[f"weight.{n}"])
        for n, mean in enumerate(averaged):
            mean.copy_(tensors[f"average.{n}"])
    states: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            number, _, part = rest.partition(".")
            states.setdefault(int(number), {})[part] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": states})
    torch.set_rng_state(tensors["random"])
    if "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"], next(_weights(optimizer)).device)
    progress = Progress(**note)
    progress.losses = [(seen, loss) for seen, loss in note["losses"]]
    return progress


def _weights(optimizer: torch.optim.Optimizer) -> Iterator[torch.Tensor]:
    return (weight for group in optimizer.param_groups for weight in group["params"])
