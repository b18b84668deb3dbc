"""The sentence-transformers files of a checkpoint: its task, modules, prompt and activation.

Source: ``CrossEncoder`` of sentence-transformers 6.2, the reference, whose scores are reproduced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beam_sts.errors import UserError
from beam_sts.models.bounds import check_whole
from beam_sts.models.files import check_sizes, read_json, read_object
from beam_sts.models.tokenizer import SavedTokenizer

CLASSIFY, GENERATE, EMBED = "sequence-classification", "text-generation", "feature-extraction"
_ACTIVATIONS = {"Sigmoid": "sigmoid", "Identity": "identity"}
_MOST_MODULES = 64
_SETTINGS_FILES = ("sentence_bert_config.json", "sentence_roberta_config.json")


@dataclass(frozen=True)
class HeadModule:
    """A module after the transformer: its class name, settings and folder."""

    kind: str
    settings: dict[str, Any]
    folder: Path


@dataclass(frozen=True)
class Stack:
    """How a logit is computed from texts.

    Attributes:
        folder: the folder of the transformer and the tokenizer.
        task: ``sequence-classification`` (the transformer has the head), ``text-generation`` (the tokens yes
            and no of a language model are compared) or ``feature-extraction`` (pooling and separate head
            modules).
        heads: the modules after the transformer.
        prompt: is put before the first text of each pair.
        activation: the entry of config_sentence_transformers.json, if any.
        max_length: limit for a pair, in tokens, if the files set one.
        lowercase: whether texts are lower-cased before the tokenizer.
    """

    folder: Path
    task: str = CLASSIFY
    heads: tuple[HeadModule, ...] = ()
    prompt: str = ""
    activation: str | None = None
    max_length: int | None = None
    lowercase: bool = False


def read_stack(path: Path) -> Stack | None:
    """The module stack of a checkpoint; None if it is a plain transformers one.

    Raises:
        UserError: the stack has a part that is not supported.
    """
    modules_file = path / "modules.json"
    saved = read_object(path / "config_sentence_transformers.json")
    # As in the reference, modules and settings of another model type are ignored.
    if not modules_file.is_file() or saved.get("model_type") != "CrossEncoder":
        return None
    modules = read_json(modules_file)
    whole = isinstance(modules, list) and 0 < len(modules) <= _MOST_MODULES
    if not whole or not all(isinstance(module, dict) for module in modules):
        raise UserError(f"{modules_file}: not a list of modules. Save the checkpoint again.")
    first, *rest = (_module(path, module) for module in modules)
    if first.kind != "Transformer":
        raise UserError(f"{modules_file}: starts with {first.kind}, not with a Transformer.")
    settings: dict[str, Any] = next(
        (found for name in _SETTINGS_FILES if (found := read_object(first.folder / name))), {}
    )
    task = settings.get("transformer_task", EMBED)
    if task not in (CLASSIFY, GENERATE, EMBED):
        raise UserError(f"{path}: transformer_task {task!r} is not supported.")
    if task == CLASSIFY and rest:
        kinds = ", ".join(head.kind for head in rest)
        raise UserError(f"{modules_file}: a classifier followed by {kinds}, which is not supported.")
    if "message" in (settings.get("modality_config") or {}):
        raise _chat_template(path)
    for name in ("processing_kwargs", "model_kwargs", "processor_kwargs", "config_kwargs"):
        if settings.get(name):
            raise UserError(f"{path}: {name} {settings[name]} in its settings are not supported.")
    check_whole(path, "max_seq_length", settings.get("max_seq_length"), 1, 1 << 60, optional=True)
    return Stack(
        first.folder,
        task,
        tuple(rest),
        _prompt(path, saved),
        saved.get("activation_fn"),
        settings.get("max_seq_length"),
        bool(settings.get("do_lower_case")),
    )


def plain_stack(path: Path, values: Mapping[str, Any], tokenizer: SavedTokenizer) -> Stack:
    """The reference's stack for a plain checkpoint: a classifier, or a language model with yes and no.

    Args:
        path: the checkpoint.
        values: the content of its config.json.
        tokenizer: its tokenizer.

    Raises:
        UserError: the reference would use a chat template, or the vocabulary has no yes and no.
    """
    if tokenizer.chat_template:
        raise _chat_template(path)
    if not (values.get("architectures") or [""])[0].endswith("ForCausalLM"):
        return Stack(path)
    tokens = {"true_token_id": "yes", "false_token_id": "no"}
    ids = {name: tokenizer.backend.token_to_id(token) for name, token in tokens.items()}
    if None in ids.values():
        raise UserError(
            f"{path}: a language model scores by its tokens yes and no, but its vocabulary lacks one of them."
        )
    return Stack(path, GENERATE, (HeadModule("LogitScore", ids, path),))


def activation_name(path: Path, entry: str | None, values: Mapping[str, Any]) -> str:
    """The activation, ``sigmoid`` or ``identity``.

    In the reference's order: the stack's entry, the config's new and old entries, then Sigmoid.

    Args:
        path: the checkpoint.
        entry: the stack's entry.
        values: the content of config.json.

    Raises:
        UserError: the entry is not supported.
    """
    entry = (
        entry
        or (values.get("sentence_transformers") or {}).get("activation_fn")
        or values.get("sbert_ce_default_activation_function")
        or "torch.nn.modules.activation.Sigmoid"
    )
    short = str(entry).rpartition(".")[2]
    if not str(entry).startswith("torch.") or short not in _ACTIVATIONS:
        raise UserError(f"{path}: activation {entry!r} is not one of {', '.join(_ACTIVATIONS)} of torch.nn.")
    return _ACTIVATIONS[short]


def _module(path: Path, entry: dict[str, Any]) -> HeadModule:
    relative = Path(str(entry.get("path", "")).replace("\0", "?"))
    if relative.is_absolute() or ".." in relative.parts:
        raise UserError(f"{path / 'modules.json'}: the path {str(relative)!r} leaves the checkpoint folder.")
    folder = path / relative
    if not folder.is_dir():
        raise UserError(f"{path / 'modules.json'}: {str(relative)!r} is not a folder of the checkpoint.")
    check_sizes(folder)
    return HeadModule(str(entry.get("type")).rpartition(".")[2], read_object(folder / "config.json"), folder)


def _prompt(path: Path, saved: dict[str, Any]) -> str:
    prompts, default = saved.get("prompts") or {}, saved.get("default_prompt_name")
    if default is None:
        return ""
    if not isinstance(prompts, dict) or not isinstance(default, str):
        raise UserError(
            f"{path}: prompts or default_prompt_name {default!r} are malformed. Save the checkpoint again."
        )
    if default not in prompts:
        raise UserError(
            f"{path}: default_prompt_name {default!r} is not among its prompts {sorted(prompts)}."
        )
    return str(prompts[default] or "")


def _chat_template(path: Path) -> UserError:
    return UserError(
        f"{path}: the reference formats this model's pairs with a chat template, which is not "
        "supported. Use a sequence-classification model, such as those of `python -m "
        "beam_sts.models`."
    )
