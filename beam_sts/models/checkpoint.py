"""From a model's name to weights, tokenizer and rules, read as ``CrossEncoder`` reads them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig

from beam_sts.errors import UserError
from beam_sts.models import architectures as _architectures  # noqa: F401  for the Auto classes
from beam_sts.models.bounds import check_config, check_vocabulary, check_whole
from beam_sts.models.checksums import verify_checksums
from beam_sts.models.configs import BertHashConfig, NeoBertConfig, config_alone
from beam_sts.models.files import check_sizes, read_json, reading
from beam_sts.models.registry import EMBEDDED, embedded_models
from beam_sts.models.source import locate
from beam_sts.models.stack import (
    CLASSIFY,
    EMBED,
    GENERATE,
    Stack,
    activation_name,
    plain_stack,
    read_stack,
)
from beam_sts.models.tensors import bert_hash_shapes, check_tensors
from beam_sts.models.weights import build, read_weights, rename_projection

__all__ = ["DEFAULT_MODEL", "Checkpoint", "embedded_models", "load_checkpoint"]

DEFAULT_MODEL = "beam-sts-nano"
UNLIMITED = 1 << 30
_AUTO_CLASSES = {
    CLASSIFY: "AutoModelForSequenceClassification",
    GENERATE: "AutoModelForCausalLM",
    EMBED: "AutoModel",
}
_HASHED = {".json", ".safetensors", ".txt", ".model", ".bin", ".py"}


@dataclass(frozen=True)
class Checkpoint:
    """A local checkpoint folder and the rules that turn it into scores.

    Attributes:
        name: what the user asked for.
        path: the local folder.
        config: its transformers config.
        activation: ``sigmoid`` or ``identity``, applied to the logit.
        max_length: tokens of a pair, special tokens included.
        tokenizer: its transformers tokenizer, a fast one.
        stack: what comes before and after the transformer.
        allow_pickle: whether weights may come from a ``.bin``.
        trust_remote_code: whether the architecture may be the checkpoint's own code.
    """

    name: str
    path: Path
    config: PreTrainedConfig
    activation: str
    max_length: int
    tokenizer: Any
    stack: Stack
    allow_pickle: bool = False
    trust_remote_code: bool = False

    def activate(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores from logits, in float32."""
        if self.activation == "identity":
            return logits
        scores: NDArray[np.float32] = torch.sigmoid(torch.from_numpy(logits)).numpy()
        return scores

    def weights(self) -> dict[str, torch.Tensor]:
        """The transformer's tensors by name, as the files have them; those of BERT-hash, checked.

        Raises:
            UserError: they are absent, unsafe, unreadable or, of BERT-hash, do not fit the config.
        """
        folder = self.stack.folder
        weights = read_weights(folder, allow_pickle=self.allow_pickle)
        if isinstance(self.config, BertHashConfig) and self.stack.task == CLASSIFY:
            weights = rename_projection(weights, folder)
            weights = check_tensors(weights, bert_hash_shapes(self.config), folder)
        return weights

    def model(self) -> Any:
        """The model in float32 and evaluation mode: token ids in, an output with ``logits`` out.

        Raises:
            UserError: the weights are absent, unsafe, unreadable or do not fit the config.
        """
        from beam_sts.models import bert_hash  # noqa: F401  registers its model classes
        from beam_sts.models.heads import pooled_model, yes_no_model

        folder, task = self.stack.folder, self.stack.task
        auto_class = getattr(transformers, _AUTO_CLASSES[task])
        model = build(
            auto_class, self.config, self.weights(), folder, trust_remote_code=self.trust_remote_code
        )
        if task == GENERATE:
            model = yes_no_model(model, self.stack)
        elif task == EMBED:
            model = pooled_model(model, self.stack, allow_pickle=self.allow_pickle)
        return model.eval()

    @property
    def pad_id(self) -> int:
        """The token that fills short rows: the model's own, by which decoders find their last real token."""
        return int(self.config.get_text_config().pad_token_id)

    @property
    def card(self) -> str:
        """The model card, Markdown; empty where there is none."""
        file = self.path / "README.md"
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the files that decide a score, as 64 hex digits."""
        digest = hashlib.sha256()
        for file in sorted(self.path.rglob("*")):
            if file.suffix in _HASHED and file.is_file():
                digest.update(f"{file.relative_to(self.path)}\0{file.stat().st_size}\0".encode())
                with file.open("rb") as stream:
                    while block := stream.read(1 << 22):
                        digest.update(block)
        return digest.hexdigest()


def load_checkpoint(
    name: str | Path, *, allow_pickle: bool = False, trust_remote_code: bool = False
) -> Checkpoint:
    """Find a checkpoint and read everything but its weights; those of BERT-hash are small, and checked here.

    Args:
        name: an embedded model's name, a local folder, an fsspec URL (copied once into the local cache) or a
            Hugging Face id with optional ``@revision`` (downloaded once into the Hugging Face cache).
        allow_pickle: take weights from a ``.bin`` where there is no safetensors file.
        trust_remote_code: run the checkpoint's own code if its architecture is not known here.

    Raises:
        UserError: nothing is found under the name, its config or tokenizer is unusable, or a file of an
            embedded model is not what its SHA256SUMS says.
    """
    path = locate(str(name), allow_pickle=allow_pickle, trust_remote_code=trust_remote_code)
    if path.parent == EMBEDDED.resolve():
        verify_checksums(path)
    with reading(f"{path}: the checkpoint cannot be used"):
        return _load(str(name), path, allow_pickle, trust_remote_code)


def _load(name: str, path: Path, allow_pickle: bool, trust_remote_code: bool) -> Checkpoint:
    check_sizes(path)
    saved = read_stack(path)
    folder = saved.folder if saved else path
    config = _config(folder, trust_remote_code)
    text_config = config.get_text_config()
    vocab_size = int(text_config.vocab_size)
    tokenizer = _tokenizer(folder, vocab_size, trust_remote_code)
    stack = saved or plain_stack(path, config, tokenizer)
    if stack.task == CLASSIFY and config.num_labels != 1:
        raise UserError(
            f"{path}: the model has {config.num_labels} labels ({(config.architectures or ['?'])[0]}); a "
            "similarity needs a cross-encoder with one. Take one trained for STS, such as beam-sts-nano."
        )
    if text_config.pad_token_id is None:
        if tokenizer.pad_token_id is None:
            raise UserError(
                f"{path}: neither config.json nor the tokenizer names a padding token. Set pad_token_id."
            )
        text_config.pad_token_id = tokenizer.pad_token_id
    check_whole(path, "pad_token_id", text_config.pad_token_id, 0, vocab_size - 1)
    checkpoint = Checkpoint(
        name,
        path,
        config,
        activation_name(path, stack.activation, config),
        _max_length(path, tokenizer, text_config, stack),
        tokenizer,
        stack,
        allow_pickle,
        trust_remote_code,
    )
    if isinstance(config, BertHashConfig):
        checkpoint.weights()  # an error in them comes before a run starts
    return checkpoint


def _config(folder: Path, trust_remote_code: bool) -> PreTrainedConfig:
    file = folder / "config.json"
    check_sizes(folder)
    check_config(file)
    with reading(f"{file} cannot be used", "Take the config that the model was saved with."):
        try:
            with config_alone():
                config = AutoConfig.from_pretrained(
                    folder, local_files_only=True, trust_remote_code=trust_remote_code
                )
        except (OSError, ValueError, KeyError) as error:
            saved = read_json(file)
            if not trust_remote_code and "auto_map" in saved:
                raise UserError(
                    f"{folder}: the architecture {saved.get('model_type')!r} is not known here and comes as "
                    "Python code with the checkpoint, which is not run. If you have read that code and trust "
                    "it, say --trust_remote_code (trust_remote_code=True)."
                ) from error
            raise
        if not any(name.endswith("ForSequenceClassification") for name in config.architectures or ()):
            config.num_labels = 1  # the reference's rule for a bare encoder
        config.return_dict = True  # how an output is packed decides no score
    return config


def _tokenizer(folder: Path, vocab_size: int, trust_remote_code: bool) -> Any:
    file = folder / "tokenizer.json"
    tokens = check_vocabulary(file, vocab_size)
    needs = "The folder needs the tokenizer.json the model was trained with."
    with reading(f"{folder}: no tokenizer can be loaded", needs):
        with config_alone():
            tokenizer = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=trust_remote_code
            )
        highest = max(tokenizer.backend_tokenizer.get_vocab().values(), default=-1)
        special = {name: getattr(tokenizer, f"{name}_token", None) for name in ("cls", "sep", "pad", "unk")}
    for name, token in special.items():
        if token is not None and tokens is not None and token not in tokens:
            raise UserError(f"{file}: lacks the special token {token!r} ({name}_token). {needs}")
    if highest >= vocab_size:
        raise UserError(
            f"{folder}: the tokenizer has {highest + 1} tokens, the model {vocab_size}; they do not belong "
            "together."
        )
    return tokenizer


def _max_length(path: Path, tokenizer: Any, config: PreTrainedConfig, stack: Stack) -> int:
    """Tokens of a pair: the tokenizer's limit or the stack's own, within the positions the model has."""
    limit = tokenizer.model_max_length
    if isinstance(limit, float) and limit.is_integer():
        limit = int(limit)  # some write the largest number there is
    limits = [UNLIMITED, stack.max_length or limit]
    if config.model_type == NeoBertConfig.model_type:
        limits.append(config.max_length)
    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None and positions != -1:
        # RoBERTa counts positions from padding_idx + 1: two of its 514 cannot be used.
        offset = (
            config.pad_token_id + 1 if config.model_type in {"roberta", "xlm-roberta", "camembert"} else 0
        )
        limits.append(positions - offset)
    for tokens in limits:
        known = min(tokens, UNLIMITED) if type(tokens) is int else tokens
        check_whole(path, "the limit of tokens", known, 1, UNLIMITED)
    return min(limits)
