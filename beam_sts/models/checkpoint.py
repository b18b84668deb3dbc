"""From a model's name to weights, tokenizer and rules, read as ``CrossEncoder`` reads them."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedConfig
from transformers.utils import logging as transformers_logging

from beam_sts.errors import UserError
from beam_sts.models.bert_hash import BertHashConfig, rename_projection

EMBEDDED = Path(__file__).parent / "embedded"
DEFAULT_MODEL = "beam-sts-nano"
_ACTIVATIONS = {"Sigmoid": "sigmoid", "Identity": "identity"}
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_HUB_FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]


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
    """

    name: str
    path: Path
    config: PreTrainedConfig
    activation: str
    max_length: int
    tokenizer: Any

    def activate(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores from logits, in float32."""
        if self.activation == "identity":
            return logits
        scores: NDArray[np.float32] = torch.sigmoid(torch.from_numpy(logits)).numpy()
        return scores

    def model(self) -> Any:
        """The model in float32 and evaluation mode.

        Raises:
            UserError: the weights are absent, unsafe, unreadable or do not fit the config.
        """
        weights = _read_weights(self.path)
        if isinstance(self.config, BertHashConfig):
            weights = rename_projection(weights, self.path)
        # Old checkpoints carry this buffer; it holds 0, 1, 2, ... and no knowledge.
        weights = {name: w for name, w in weights.items() if not name.endswith("embeddings.position_ids")}
        try:
            with torch.device("meta"):
                architecture = type(AutoModelForSequenceClassification.from_config(self.config))
            with _quiet():
                model, report = architecture.from_pretrained(
                    None,
                    config=self.config,
                    state_dict=weights,
                    dtype=torch.float32,
                    output_loading_info=True,
                    ignore_mismatched_sizes=False,
                )
        except (RuntimeError, ValueError) as error:
            raise UserError(
                f"{self.path}: the weights do not fit config.json: {_first_lines(error)}"
            ) from error
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            if report.get(kind):
                keys = sorted(map(str, report[kind]))
                raise UserError(
                    f"{self.path}: the weights do not fit config.json: {len(keys)} {kind.replace('_', ' ')}, "
                    f"such as {keys[0]}. Take a complete checkpoint of this architecture "
                    f"({self.config.model_type})."
                )
        return model.eval()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the files that decide a score, as 64 hex digits."""
        digest = hashlib.sha256()
        for file in sorted(self.path.rglob("*")):
            if file.suffix in {".json", ".safetensors", ".txt", ".model"} and file.is_file():
                digest.update(f"{file.relative_to(self.path)}\0{file.stat().st_size}\0".encode())
                with file.open("rb") as stream:
                    while block := stream.read(1 << 22):
                        digest.update(block)
        return digest.hexdigest()


def embedded_models() -> list[str]:
    """Names of the models inside the package."""
    return sorted(folder.name for folder in EMBEDDED.iterdir() if folder.is_dir())


def load_checkpoint(name: str | Path) -> Checkpoint:
    """Find a checkpoint and read everything but its weights.

    Args:
        name: an embedded model's name, a local folder, an fsspec URL (copied once into the local cache) or a
            Hugging Face id with optional ``@revision`` (downloaded once into the Hugging Face cache).

    Raises:
        UserError: nothing is found under the name, or its config or tokenizer is unusable.
    """
    path = _locate(str(name))
    try:
        config = AutoConfig.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: config.json cannot be used: {_first_lines(error)}") from error
    architecture = (config.architectures or [""])[0]
    if not config.architectures and "num_labels" not in config.to_diff_dict():
        config.num_labels = 1  # the reference's rule for a bare encoder
    if config.num_labels != 1:
        raise UserError(
            f"{path}: the model has {config.num_labels} labels ({architecture}); a similarity needs a "
            "cross-encoder with one. Take one trained for STS, such as beam-sts-nano."
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        tokenizer.backend_tokenizer.get_vocab_size()
    except (OSError, ValueError, KeyError, AttributeError, ImportError) as error:
        raise UserError(
            f"{path}: no tokenizer can be loaded: {_first_lines(error)}. The folder needs the tokenizer.json "
            "the model was trained with."
        ) from error
    if len(tokenizer) > config.vocab_size:
        raise UserError(
            f"{path}: the tokenizer has {len(tokenizer)} tokens, the model {config.vocab_size}; they do not "
            "belong together."
        )
    return Checkpoint(
        str(name), path, config, _activation(path, config), _max_length(tokenizer, config), tokenizer
    )


def _locate(name: str) -> Path:
    if name in embedded_models():
        return EMBEDDED / name
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(f"{folder}: no config.json in this folder, so it is no checkpoint.")
        return folder.resolve()
    if "://" in name:
        return _copy_remote(name)
    if _HUB_ID.fullmatch(name) and not name.startswith(("./", "../")):
        return _download(name)
    near = difflib.get_close_matches(name, embedded_models(), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise UserError(
        f"model {name!r} is unknown{hint} It is neither embedded ({', '.join(embedded_models())}) nor a "
        "local folder, an fsspec URL or a Hugging Face id (owner/name)."
    )


def _copy_remote(url: str) -> Path:
    import fsspec
    from huggingface_hub import constants

    try:
        fs, root = fsspec.core.url_to_fs(url)
        files = sorted(
            file for file in fs.find(root) if Path(file).suffix in {".json", ".safetensors", ".txt"}
        )
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"model {url!r} cannot be read: {error}") from error
    if not files:
        raise UserError(f"model {url!r}: no checkpoint files there.")
    key = hashlib.sha256(url.encode())
    for file in files:
        info = fs.info(file)
        key.update(repr((file, info.get("size"), info.get("ETag") or info.get("mtime"))).encode())
    target = Path(constants.HF_HOME) / "beam_sts" / key.hexdigest()[:32]
    if not target.is_dir():
        partial = target.with_name(f".{target.name}.{hashlib.sha256(str(id(key)).encode()).hexdigest()[:8]}")
        for file in files:
            relative = file[len(root.rstrip("/")) + 1 :]
            if ".." in Path(relative).parts:
                raise UserError(f"model {url!r}: the file name {relative!r} leaves the checkpoint folder.")
            (partial / relative).parent.mkdir(parents=True, exist_ok=True)
            fs.get_file(file, str(partial / relative))
        try:
            partial.rename(target)
        except OSError:  # another process was first; its copy is the same
            if not target.is_dir():
                raise
    return target


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    repo, _, revision = name.partition("@")
    try:
        return Path(snapshot_download(repo, revision=revision or None, allow_patterns=_HUB_FILES))
    except (OSError, ValueError, HfHubHTTPError, HFValidationError) as error:
        raise UserError(
            f"model {name!r} is not in the Hugging Face cache and cannot be downloaded: "
            f"{_first_lines(error)}. "
            f"Ways out: an embedded model ({', '.join(embedded_models())}), a local folder with the "
            "checkpoint, or download it where there is a network and copy the cache (HF_HOME)."
        ) from error


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    index = path / "model.safetensors.index.json"
    if index.is_file():
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        if any(Path(name).name != name for name in names):
            raise UserError(f"{index}: a weight file lies outside of the checkpoint folder.")
    else:
        names = ["model.safetensors"]
    weights: dict[str, torch.Tensor] = {}
    for name in names:
        file = path / name
        if not file.is_file():
            pickled = sorted(p.name for p in path.glob("*.bin"))
            hint = (
                f" ({', '.join(pickled)} is a pickle, which can run code, and is not loaded)"
                if pickled
                else ""
            )
            raise UserError(f"{path}: {name} is missing{hint}. Save the checkpoint as safetensors.")
        try:
            weights.update(load_file(file))
        except (SafetensorError, OSError) as error:
            raise UserError(f"{file}: not a whole safetensors file: {error}. Copy it again.") from error
    return weights


def _read_json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text()) if file.is_file() else {}


def _activation(path: Path, config: PreTrainedConfig) -> str:
    """The reference's order: sentence-transformers' file, the config's new and old entry, Sigmoid."""
    entry = (
        _read_json(path / "config_sentence_transformers.json").get("activation_fn")
        or (getattr(config, "sentence_transformers", None) or {}).get("activation_fn")
        or getattr(config, "sbert_ce_default_activation_function", None)
        or "torch.nn.modules.activation.Sigmoid"
    )
    short = str(entry).rpartition(".")[2]
    if not str(entry).startswith("torch.") or short not in _ACTIVATIONS:
        raise UserError(f"{path}: activation {entry!r} is not one of {', '.join(_ACTIVATIONS)} of torch.nn.")
    return _ACTIVATIONS[short]


def _max_length(tokenizer: Any, config: PreTrainedConfig) -> int:
    positions = getattr(config, "max_position_embeddings", None)
    limits = [int(tokenizer.model_max_length)]
    if positions is not None and positions != -1:
        # RoBERTa counts positions from padding_idx + 1: two of its 514 cannot be used.
        offset = config.pad_token_id + 1 if config.model_type in {"roberta", "xlm-roberta"} else 0
        limits.append(int(positions) - offset)
    return min(limits)


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar, and no printed report of missing keys: those are our errors."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


def _first_lines(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
