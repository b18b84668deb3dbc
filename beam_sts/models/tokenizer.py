"""A checkpoint's tokenizer and its settings, equal to the fast tokenizer of transformers.

BERT's WordPiece, as transformers saves it, is read with the ``tokenizers`` library alone: under the name of
BERT's class from its settings, as that class does, and under the name of the general class as its file says,
which may have more steps, such as NFKC. Any other tokenizer is loaded by transformers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from beam_sts.errors import UserError
from beam_sts.extras import need_torch
from beam_sts.models.bounds import check_vocabulary
from beam_sts.models.files import read_object, reading
from beam_sts.models.tokenizer_bounds import check_steps

_NEEDS = "Copy the tokenizer.json that the model was trained with into the folder."
_BERT_CLASSES = ("BertTokenizer", "BertTokenizerFast")
_GENERAL_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")  # they read tokenizer.json as it is
_VOCABULARIES = ("tokenizer.json", "vocab*", "*.model")  # what transformers can make them from
_BERT_TOKENS = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
# Settings with which transformers reads or adds tokens in other ways.
_MORE_TOKENS = ("extra_special_tokens", "additional_special_tokens", "bos_token", "eos_token")
_UNLIMITED = int(1e30)  # the default of transformers


@dataclass(frozen=True)
class SavedTokenizer:
    """A tokenizer and its settings.

    Attributes:
        backend: the ``tokenizers.Tokenizer``, without truncation and padding.
        model_max_length: limit for a pair, in tokens, from the files, unchecked.
        pads_left: whether padding is on the left.
        truncates_left: whether the start of a long text is cut.
        token_types: whether the model reads token types.
        unknown_id: id of the unknown token.
        pad_id: id of the padding token.
        chat_template: whether the files have a chat template for pairs.
    """

    backend: Tokenizer
    model_max_length: Any
    pads_left: bool
    truncates_left: bool
    token_types: bool
    unknown_id: int | None
    pad_id: int | None
    chat_template: bool


def read_tokenizer(folder: Path, vocab_size: int, *, trust_remote_code: bool = False) -> SavedTokenizer:
    """The tokenizer of a checkpoint folder.

    Args:
        folder: the checkpoint folder.
        vocab_size: rows of the model's table.
        trust_remote_code: whether the tokenizer may be the checkpoint's own code.

    Raises:
        UserError: the tokenizer is missing, damaged or not the model's, or needs transformers, which is not
            installed.
    """
    file = folder / "tokenizer.json"
    tokens = check_vocabulary(file, vocab_size)
    check_steps(read_object(file), file)
    with reading(f"{folder}: no tokenizer can be loaded", _NEEDS):
        settings = _bert_settings(folder)
        if settings is not None:
            saved, special = _bert(read_object(file), settings)
        else:
            need_torch(f"{folder}: the tokenizer, which is not BERT's,")
            saved, special = _by_transformers(folder, trust_remote_code)
    for name, token in special.items():
        if token is not None and tokens is not None and token not in tokens:
            raise UserError(f"{file}: lacks the special token {token!r} ({name}). {_NEEDS}")
    highest = max(saved.backend.get_vocab().values(), default=-1)
    if highest >= vocab_size:
        raise UserError(
            f"{folder}: the tokenizer has {highest + 1} tokens, but the model {vocab_size}; they do "
            "not belong together."
        )
    return saved


def _bert_settings(folder: Path) -> dict[str, Any] | None:
    """The content of tokenizer_config.json, if the folder has BERT's tokenizer without further tokens.

    The older files that name special tokens may exist if they name the same ones.
    """
    settings, content = read_object(folder / "tokenizer_config.json"), read_object(folder / "tokenizer.json")
    model = content.get("model")
    name = settings.get("tokenizer_class")
    if name not in (*_BERT_CLASSES, *_GENERAL_CLASSES) or "auto_map" in settings:
        return None
    if (
        not isinstance(model, dict)
        or model.get("type") != "WordPiece"
        or not isinstance(model["vocab"], dict)
    ):
        return None
    if any(settings.get(name) for name in _MORE_TOKENS) or settings.get("split_special_tokens"):
        return None
    assumed = _BERT_TOKENS if name in _BERT_CLASSES else dict.fromkeys(_BERT_TOKENS)
    special = {name: _saved(settings.get(name, token)) for name, token in assumed.items()}
    if (
        not all(isinstance(token, str) for token in special.values())
        or special["mask_token"] not in model["vocab"]
    ):
        return None
    if any(name.endswith("_token") and name not in special for name in settings):
        return None
    older = settings.get("added_tokens_decoder") or {}
    added = content.get("added_tokens") or []
    if not isinstance(older, dict) or not isinstance(added, list):
        return None
    for token in (*older.values(), *added):
        if (
            not isinstance(token, dict)
            or not _is_plain(token)
            or token.get("content") not in special.values()
        ):
            return None
    if name in _GENERAL_CLASSES and {token["content"] for token in added} != set(special.values()):
        return None  # transformers would add the others
    named = read_object(folder / "special_tokens_map.json")
    if any(_content(token) != special.get(name) for name, token in named.items()):
        return None
    others = read_object(folder / "added_tokens.json")
    if not others.keys() <= set(special.values()):
        return None
    template = settings.get("chat_template") is not None or any(folder.glob("chat_template*"))
    return settings | special | {"chat_template": template}


def _saved(token: Any) -> Any:
    return _content(token) if isinstance(token, dict) and token.get("__type") == "AddedToken" else token


def _content(token: Any) -> Any:
    return token.get("content") if isinstance(token, dict) and _is_plain(token) else token


def _is_plain(token: Mapping[str, Any]) -> bool:
    """Whether a special token is matched exactly as written, without the characters around it."""
    return not any(token.get(name) for name in ("single_word", "lstrip", "rstrip", "normalized"))


def _bert(content: dict[str, Any], settings: dict[str, Any]) -> tuple[SavedTokenizer, dict[str, str]]:
    """BERT's tokenizer and its settings, as transformers reads them."""
    vocabulary = content["model"]["vocab"]
    special = {name: settings[name] for name in _BERT_TOKENS}
    ids = {token: vocabulary[token] for token in special.values() if token in vocabulary}
    bert = settings["tokenizer_class"] in _BERT_CLASSES
    if bert:
        tokenizer = _rebuilt(vocabulary, settings, ids)
    else:
        tokenizer = Tokenizer.from_str(json.dumps(content))
        tokenizer.no_truncation()
        tokenizer.no_padding()
    saved = SavedTokenizer(
        tokenizer,
        settings.get("model_max_length", _UNLIMITED),
        _is_left(settings.get("padding_side"), content.get("padding")),
        _is_left(settings.get("truncation_side"), content.get("truncation")),
        "token_type_ids" in settings.get("model_input_names", ["token_type_ids"] if bert else []),
        ids.get(special["unk_token"]),
        ids.get(special["pad_token"]),
        settings["chat_template"],
    )
    return saved, {name: token for name, token in special.items() if name != "mask_token"}


def _rebuilt(vocabulary: dict[str, int], settings: dict[str, Any], ids: dict[str, int]) -> Tokenizer:
    """BERT's tokenizer of a vocabulary; the other steps are from the settings, whatever tokenizer.json says.

    Source: ``BertTokenizer`` of transformers 5.
    """
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=settings["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
        lowercase=settings.get("do_lower_case", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(sorted(ids, key=lambda token: ids[token]))
    cls, sep = settings["cls_token"], settings["sep_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0",
        pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
        special_tokens=[(token, ids[token]) for token in {cls, sep} if token in ids],
    )
    return tokenizer


def _is_left(side: Any, saved: Any) -> bool:
    """Whether a side is the left one, by the settings or else by tokenizer.json."""
    if side is None:
        side = str((saved or {}).get("direction", "right")).lower()
    if side not in ("left", "right"):
        raise ValueError(f"the side {side!r} of padding or truncation is neither left nor right")
    return bool(side == "left")


def _by_transformers(folder: Path, trust_remote_code: bool) -> tuple[SavedTokenizer, dict[str, Any]]:
    from transformers import AutoTokenizer

    if read_object(folder / "tokenizer_config.json").get("tokenizer_class") in _GENERAL_CLASSES and not any(
        path.is_file() for pattern in _VOCABULARIES for path in folder.glob(pattern)
    ):
        raise UserError(f"{folder}: none of {', '.join(_VOCABULARIES)} exists. {_NEEDS}")
    from beam_sts.models import architectures as _architectures  # noqa: F401  for the Auto classes

    wrapper = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=trust_remote_code
    )
    _check_files(folder, wrapper)
    text = wrapper.backend_tokenizer.to_str()
    if not (folder / "tokenizer.json").is_file():  # it was built from other files
        check_steps(json.loads(text), folder)
    tokenizer = Tokenizer.from_str(text)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    special = {
        f"{name}_token": getattr(wrapper, f"{name}_token", None) for name in ("cls", "sep", "pad", "unk")
    }
    saved = SavedTokenizer(
        tokenizer,
        wrapper.model_max_length,
        wrapper.padding_side == "left",
        wrapper.truncation_side == "left",
        "token_type_ids" in wrapper.model_input_names,
        wrapper.unk_token_id,
        wrapper.pad_token_id,
        getattr(wrapper, "chat_template", None) is not None,
    )
    return saved, special


def _check_files(folder: Path, wrapper: Any) -> None:
    """Check that the vocabulary is from a file: without one, transformers makes a tokenizer without words.

    Raises:
        UserError: there is none.
    """
    names = list(wrapper.vocab_files_names.values())
    if names and not any((folder / name).is_file() for name in names):
        raise UserError(f"{folder}: none of {', '.join(names)} exists. {_NEEDS}")
