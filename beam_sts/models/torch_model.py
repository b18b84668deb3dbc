"""The transformers model of a checkpoint. Importing this module imports torch, which takes seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import transformers
from numpy.typing import NDArray

from beam_sts.models.architectures import read_config
from beam_sts.models.bounds import check_config
from beam_sts.models.heads import pooled_model, yes_no_model
from beam_sts.models.stack import CLASSIFY, EMBED, GENERATE, Stack
from beam_sts.models.torch_weights import build, read_tensors

_AUTO_CLASSES = {
    CLASSIFY: "AutoModelForSequenceClassification",
    GENERATE: "AutoModelForCausalLM",
    EMBED: "AutoModel",
}


def bert_hash_model(stack: Stack, arrays: Mapping[str, NDArray[Any]], pad_id: int) -> Any:
    """A BERT-hash classifier in float32 and evaluation mode.

    Args:
        stack: the checkpoint's modules.
        arrays: its weights, checked.
        pad_id: id of the padding token.

    Raises:
        UserError: transformers refuses the config.
    """
    config = read_config(stack.folder, check_config(stack.folder / "config.json"))
    config.pad_token_id = pad_id
    # Copies, because torch may write to its tensors.
    weights = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    return build(transformers.AutoModelForSequenceClassification, config, weights, stack.folder).eval()


def any_model(stack: Stack, config: Any, *, allow_pickle: bool, trust_remote_code: bool) -> Any:
    """The model of any other checkpoint, in float32 and evaluation mode: token ids in, ``logits`` out.

    Args:
        stack: the checkpoint's modules.
        config: its transformers config.
        allow_pickle: whether weights may come from a ``.bin`` file.
        trust_remote_code: whether the architecture may be the checkpoint's own code.

    Raises:
        UserError: the weights are missing, unsafe, unreadable or do not fit the config.
    """
    weights = read_tensors(stack.folder, allow_pickle=allow_pickle)
    auto_class = getattr(transformers, _AUTO_CLASSES[stack.task])
    model = build(auto_class, config, weights, stack.folder, trust_remote_code=trust_remote_code)
    if stack.task == GENERATE:
        model = yes_no_model(model, stack)
    elif stack.task == EMBED:
        model = pooled_model(model, stack, allow_pickle=allow_pickle)
    return model.eval()
