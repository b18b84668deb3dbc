"""Heads: the modules of sentence-transformers that compute a logit from a transformer's output.

Source: ``Pooling``, ``Dense`` and ``LogitScore`` of sentence-transformers 6.2.
"""

from __future__ import annotations

import inspect

import torch
from torch import nn
from transformers.modeling_outputs import SequenceClassifierOutput

from beam_sts.errors import UserError
from beam_sts.models.bounds import check_whole
from beam_sts.models.stack import HeadModule, Stack
from beam_sts.models.tensors import check_finite, check_tensors
from beam_sts.models.torch_weights import read_tensors

_POOLING = ("cls", "mean", "max", "lasttoken")
_DENSE_ACTIVATIONS = {
    "Identity": nn.Identity,
    "Tanh": nn.Tanh,
    "ReLU": nn.ReLU,
    "GELU": nn.GELU,
    "SiLU": nn.SiLU,
}


class YesNoModel(nn.Module):
    """A language model as a classifier: the logit of the token yes minus that of the token no.

    Rows must be padded on the left, so that the last position is a real token.
    """

    def __init__(self, model: nn.Module, yes: int, no: int | None) -> None:
        super().__init__()
        self.model = model
        self.yes, self.no = yes, no

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SequenceClassifierOutput:
        """Compute logits of shape (batch, 1) from token ids of shape (batch, length)."""
        last = self.model(input_ids=input_ids, attention_mask=attention_mask, logits_to_keep=1).logits[:, -1]
        logits = last[:, self.yes] if self.no is None else last[:, self.yes] - last[:, self.no]
        return SequenceClassifierOutput(logits=logits.unsqueeze(1))


class PooledModel(nn.Module):
    """An encoder, pooling over its tokens, and linear layers with one final output."""

    def __init__(self, model: nn.Module, pooling: str, layers: nn.Sequential, token_types: bool) -> None:
        super().__init__()
        self.model = model
        self.pooling = pooling
        self.layers = layers
        self.token_types = token_types

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Compute logits of shape (batch, 1) from token ids of shape (batch, length)."""
        extra = {"token_type_ids": token_type_ids} if token_type_ids is not None and self.token_types else {}
        hidden = self.model(input_ids=input_ids, attention_mask=attention_mask, **extra).last_hidden_state
        return SequenceClassifierOutput(logits=self.layers(_pool(hidden, attention_mask, self.pooling)))


def _pool(hidden: torch.Tensor, mask: torch.Tensor, how: str) -> torch.Tensor:
    """Pool (batch, length, width) to (batch, width) over the tokens that are not padding."""
    real = mask.unsqueeze(-1)
    if how == "mean":
        return (hidden * real).sum(dim=1) / real.sum(dim=1).clamp(min=1e-9)
    if how == "max":
        return hidden.masked_fill(real == 0, float("-inf")).max(dim=1).values
    last = mask.shape[1] - 1 - mask.flip(1).argmax(dim=1)
    position = mask.argmax(dim=1) if how == "cls" else last
    return hidden[torch.arange(len(hidden), device=hidden.device), position]


def yes_no_model(model: nn.Module, stack: Stack) -> YesNoModel:
    """A language model with its ``LogitScore`` module.

    Args:
        model: the transformers model.
        stack: the checkpoint's modules.

    Raises:
        UserError: the stack has other modules.
    """
    kinds = [head.kind for head in stack.heads]
    if kinds != ["LogitScore"]:
        raise UserError(
            f"{stack.folder}: a language model followed by {', '.join(kinds) or 'nothing'}; "
            "supported is LogitScore."
        )
    settings, folder = stack.heads[0].settings, stack.heads[0].folder
    yes, no = settings.get("true_token_id"), settings.get("false_token_id")
    rows = int(model.config.get_text_config().vocab_size)  # type: ignore[operator,union-attr]
    check_whole(folder, "true_token_id", yes, 0, rows - 1)
    check_whole(folder, "false_token_id", no, 0, rows - 1, optional=True)
    return YesNoModel(model, yes, no)  # type: ignore[arg-type]


def pooled_model(model: nn.Module, stack: Stack, *, allow_pickle: bool = False) -> PooledModel:
    """An encoder with its ``Pooling`` and ``Dense`` modules.

    Args:
        model: the transformers model.
        stack: the checkpoint's modules.
        allow_pickle: whether weights may come from a ``.bin`` file.

    Raises:
        UserError: a module, a pooling or an activation is not supported, or the last module has more than one
            output.
    """
    if not stack.heads or stack.heads[0].kind != "Pooling" or len(stack.heads) < 2:
        kinds = ", ".join(head.kind for head in stack.heads) or "nothing"
        raise UserError(f"{stack.folder}: an encoder followed by {kinds}; supported are Pooling, then Dense.")
    pooling, *dense = stack.heads
    width = int(model.config.get_text_config().hidden_size)  # type: ignore[operator,union-attr]
    parts = []
    for head in dense:
        parts.append(_dense(head, width, allow_pickle))
        width = int(head.settings["out_features"])
    if width != 1:
        raise UserError(f"{stack.folder}: the last module has {width} outputs, not one.")
    layers = nn.Sequential(*parts)
    token_types = "token_type_ids" in inspect.signature(model.forward).parameters
    return PooledModel(model, _pooling_mode(pooling), layers, token_types)


def _pooling_mode(head: HeadModule) -> str:
    settings = head.settings
    old = {"cls": "cls_token", "max": "max_tokens", "mean": "mean_tokens", "lasttoken": "lasttoken"}
    modes = settings.get("pooling_mode") or [
        m for m, key in old.items() if settings.get(f"pooling_mode_{key}")
    ]
    modes = modes if isinstance(modes, list) else [modes]
    if len(modes) != 1 or not isinstance(modes[0], str) or modes[0] not in _POOLING:
        raise UserError(f"{head.folder}: pooling {modes} is not one of {', '.join(_POOLING)}.")
    return str(modes[0])


def _dense(head: HeadModule, width: int, allow_pickle: bool) -> nn.Module:
    """A linear layer of ``width`` inputs and its activation."""
    if head.kind != "Dense":
        raise UserError(
            f"{head.folder}: the module {head.kind} is not supported after Pooling. Only Dense is."
        )
    settings = head.settings
    entry = str(settings.get("activation_function", "torch.nn.modules.activation.Tanh"))
    activation = _DENSE_ACTIVATIONS.get(entry.rpartition(".")[2]) if entry.startswith("torch.nn.") else None
    if activation is None or settings.get("use_residual"):
        raise UserError(f"{head.folder}: a Dense layer with {entry} or a residual is not supported.")
    inputs, outputs = settings.get("in_features"), settings.get("out_features")
    check_whole(head.folder, "in_features", inputs, width, width)
    check_whole(head.folder, "out_features", outputs, 1, 1 << 15)
    expected: dict[str, tuple[int, ...]] = {"linear.weight": (outputs, inputs)}  # type: ignore[dict-item]
    if settings.get("bias", True):
        expected["linear.bias"] = (outputs,)  # type: ignore[assignment]
    weights = read_tensors(head.folder, allow_pickle=allow_pickle)
    named = {f"linear.{name.removeprefix('linear.')}": tensor for name, tensor in weights.items()}
    weights = check_tensors(named, expected, head.folder)
    for name, tensor in weights.items():
        check_finite(name, tensor, head.folder)
    linear = nn.Linear(inputs, outputs, bias="linear.bias" in expected)  # type: ignore[arg-type]
    linear.load_state_dict({name.removeprefix("linear."): w.float() for name, w in weights.items()})
    return nn.Sequential(linear, activation())
