"""Checkpoints: weights, tokenizer and scoring rules by a model's name, read as ``CrossEncoder`` does."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_sts.errors import UserError
from beam_sts.extras import need_torch
from beam_sts.models.bounds import check_config, check_whole
from beam_sts.models.checksums import verify_checksums
from beam_sts.models.files import check_sizes, reading
from beam_sts.models.registry import EMBEDDED, embedded_models
from beam_sts.models.sizes import MODEL_TYPE, BertHashSizes, bert_hash_sizes
from beam_sts.models.source import locate
from beam_sts.models.stack import CLASSIFY, Stack, activation_name, plain_stack, read_stack
from beam_sts.models.tensors import bert_hash_shapes, check_finite, check_tensors
from beam_sts.models.tokenizer import SavedTokenizer, read_tokenizer
from beam_sts.models.weights import read_stored, read_weights, rename_projection, stored_tensors

__all__ = ["DEFAULT_MODEL", "Checkpoint", "embedded_models", "load_checkpoint"]

DEFAULT_MODEL = "beam-sts-nano"
UNLIMITED = 1 << 30
_HASHED = {".json", ".safetensors", ".txt", ".model", ".bin", ".py"}


@dataclass(frozen=True)
class Checkpoint:
    """A local checkpoint folder and the rules that turn it into scores.

    Attributes:
        name: the name that the user gave.
        path: the local folder.
        config: a ``BertHashSizes``, or the transformers config if transformers runs the model.
        activation: ``sigmoid`` or ``identity``, applied to the logit.
        max_length: limit for a pair, in tokens, special tokens included.
        tokenizer: the tokenizer and its settings.
        stack: the modules and rules around the transformer.
        allow_pickle: whether weights may come from a ``.bin`` file.
        trust_remote_code: whether the architecture may be the checkpoint's own code.
    """

    name: str
    path: Path
    config: Any
    activation: str
    max_length: int
    tokenizer: SavedTokenizer
    stack: Stack
    allow_pickle: bool = False
    trust_remote_code: bool = False

    def __getstate__(self) -> dict[str, Any]:
        """The attributes, without the weights and other cached values."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def activate(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The scores of logits, in float32, of the same shape."""
        if self.activation == "identity":
            return logits
        with np.errstate(over="ignore"):
            scores: NDArray[np.float64] = 1 / (1 + np.exp(-logits.astype(np.float64)))
        return scores.astype(np.float32)

    @property
    def sizes(self) -> BertHashSizes | None:
        """The sizes of a BERT-hash classifier; None for other models, which only transformers can run."""
        own = isinstance(self.config, BertHashSizes) and self.stack.task == CLASSIFY
        return self.config if own else None

    def weights(self) -> dict[str, NDArray[Any]]:
        """The tensors of a BERT-hash classifier by name, checked. Those in bfloat16 become float32.

        Raises:
            UserError: the weights are missing, unsafe, unreadable, or do not fit the config.
        """
        return self._weights

    @cached_property
    def _weights(self) -> dict[str, NDArray[Any]]:
        if self.sizes is None:
            raise TypeError(f"{self.name} is not a BERT-hash classifier; use model() instead of weights()")
        folder = self.stack.folder
        load_pickle = _load_pickle if self.allow_pickle else None
        found: dict[str, Any] = read_weights(folder, stored_tensors, load_pickle)
        found = check_tensors(rename_projection(found, folder), bert_hash_shapes(self.sizes), folder)
        weights = read_stored(found)
        for name, array in weights.items():
            check_finite(name, array, folder)
        return weights

    def model(self) -> Any:
        """The transformers model, in float32 and evaluation mode: token ids in, ``logits`` out.

        Raises:
            UserError: torch is not installed, or the weights are missing, unsafe, unreadable, or do not fit
                the config.
        """
        need_torch(f"{self.name}: its model class")
        from beam_sts.models.torch_model import any_model, bert_hash_model

        if self.sizes:
            return bert_hash_model(self.stack, self.weights(), self.pad_id)
        return any_model(
            self.stack,
            self.config,
            allow_pickle=self.allow_pickle,
            trust_remote_code=self.trust_remote_code,
        )

    @property
    def pad_id(self) -> int:
        """The id of the padding token: that of the model, by which decoders find their last real token."""
        return int(self.text_config.pad_token_id)

    @property
    def text_config(self) -> Any:
        """The part of the config that describes the text model."""
        return self.config if isinstance(self.config, BertHashSizes) else self.config.get_text_config()

    @property
    def card(self) -> str:
        """The model card in Markdown; empty if there is none."""
        file = self.path / "README.md"
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the model's languages by its model card; empty if the card names none."""
        return card_languages(self.card)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the files that affect scores, as 64 hex digits."""
        digest = hashlib.sha256()
        for file in sorted(self.path.rglob("*")):
            if file.suffix in _HASHED and file.is_file():
                digest.update(f"{file.relative_to(self.path)}\0{file.stat().st_size}\0".encode())
                with file.open("rb") as stream:
                    while block := stream.read(1 << 22):
                        digest.update(block)
        return digest.hexdigest()


def _load_pickle(file: Path) -> dict[str, NDArray[Any]]:
    need_torch(f"{file}: a pickle")
    from beam_sts.models.torch_weights import load_pickle, to_arrays

    return to_arrays(load_pickle(file), file)


def card_languages(card: str) -> tuple[str, ...]:
    r"""The languages in a model card's front matter, a word or a list; empty for a multilingual model.

    >>> card_languages("---\nlanguage:\n- en\n- de\nlicense: mit\n---\n# A model")
    ('de', 'en')
    """
    matter = re.match(r"---\s*\n(.*?)\n---\s*(?:\n|$)", card, re.DOTALL)
    languages = matter and re.search(r"^languages?:[ \t]*(.*(?:\n[ \t]*-[ \t].*)*)", matter[1], re.MULTILINE)
    names = re.findall(r"[A-Za-z]+(?:-[A-Za-z]+)*", languages[1]) if languages else []
    codes = {name.lower().partition("-")[0] for name in names}
    return tuple(sorted(codes)) if codes and all(len(code) in (2, 3) for code in codes) else ()


def load_checkpoint(
    name: str | Path, *, allow_pickle: bool = False, trust_remote_code: bool = False
) -> Checkpoint:
    """Find a checkpoint and read it. Weights are read later, except those of BERT-hash, which are small.

    Args:
        name: an embedded model's name, a local folder, an fsspec URL (copied once into the local cache) or a
            Hugging Face id with optional ``@revision`` (downloaded once into the Hugging Face cache).
        allow_pickle: load weights from a ``.bin`` file if there is no safetensors file.
        trust_remote_code: run the checkpoint's own code if its architecture is not supported.

    Raises:
        UserError: there is no such model, its config or tokenizer is unusable, or a file of an embedded
            model does not match its SHA256SUMS.
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
    check_sizes(folder)
    values = check_config(folder / "config.json")
    config: Any
    text_config: Any
    if _is_own(values, saved, trust_remote_code):
        config = text_config = bert_hash_sizes(values, folder / "config.json")
    else:
        need_torch(f"{path}: the architecture {values.get('model_type')}")
        from beam_sts.models.architectures import read_config

        config = read_config(folder, values, trust_remote_code=trust_remote_code)
        text_config = config.get_text_config()
    vocab_size = int(text_config.vocab_size)
    tokenizer = read_tokenizer(folder, vocab_size, trust_remote_code=trust_remote_code)
    stack = saved or plain_stack(path, values, tokenizer)
    if stack.task == CLASSIFY and config.num_labels != 1:
        kind = (values.get("architectures") or ["?"])[0]
        raise UserError(
            f"{path}: the model has {config.num_labels} labels ({kind}), but a "
            "similarity needs a cross-encoder with one. Use one trained for STS, such as beam-sts-nano."
        )
    pad_id = tokenizer.pad_id if text_config.pad_token_id is None else text_config.pad_token_id
    if pad_id is None:
        raise UserError(
            f"{path}: neither config.json nor the tokenizer names a padding token. Set pad_token_id "
            "in config.json."
        )
    check_whole(path, "pad_token_id", pad_id, 0, vocab_size - 1)
    if isinstance(config, BertHashSizes):
        config = text_config = replace(config, pad_token_id=pad_id)
    else:
        text_config.pad_token_id = pad_id
    checkpoint = Checkpoint(
        name,
        path,
        config,
        activation_name(path, stack.activation, values),
        _max_length(path, tokenizer, text_config, stack),
        tokenizer,
        stack,
        allow_pickle,
        trust_remote_code,
    )
    if checkpoint.sizes:
        checkpoint.weights()  # report an error in them before a run starts
    return checkpoint


def _is_own(values: Mapping[str, Any], saved: Stack | None, trust_remote_code: bool) -> bool:
    """Whether a config is read without transformers, which is so for a BERT-hash classifier."""
    return (
        values.get("model_type") == MODEL_TYPE
        and (saved is None or saved.task == CLASSIFY)
        and not (trust_remote_code and "auto_map" in values)
    )


def _max_length(path: Path, tokenizer: SavedTokenizer, config: Any, stack: Stack) -> int:
    """The limit for a pair, in tokens: the stack's or else the tokenizer's, within the model's positions."""
    limit = tokenizer.model_max_length
    if isinstance(limit, float) and limit.is_integer():
        limit = int(limit)  # in some configs a huge float means "no limit"
    limits = [UNLIMITED, stack.max_length or limit]
    if config.model_type == "neobert":
        limits.append(config.max_length)
    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None and positions != -1:
        # RoBERTa counts positions from padding_idx + 1, so two of its 514 cannot be used.
        offset = (
            config.pad_token_id + 1 if config.model_type in {"roberta", "xlm-roberta", "camembert"} else 0
        )
        limits.append(positions - offset)
    for tokens in limits:
        known = min(tokens, UNLIMITED) if type(tokens) is int else tokens
        check_whole(path, "the limit of tokens", known, 1, UNLIMITED)
    return min(limits)
