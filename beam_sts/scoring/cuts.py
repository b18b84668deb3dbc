"""Where a long text may be cut so that its pieces' tokens, end to end, are the whole text's tokens.

A reference tokenizer reads the whole of a 100 MB text to keep its first 512 tokens. This module reads only
the pieces that are needed. The result is exact only if no token, normalisation or merge can cross the cut,
which depends on the tokenizer. ``cut_pattern`` lists the kinds of which this is known, and property tests
compare the results.
"""

from __future__ import annotations

import json
import re
from typing import Any

# A text that has no place to cut in this many characters is not tokenised, to bound memory.
MAX_PIECE = 1 << 24

_LOCAL_NORMALIZERS = {"BertNormalizer", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"}
_WORD_SPLITTERS = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
_SPACE = re.compile(r"(?<=\S) (?=\S)")
_SPACE_OR_LINE = re.compile(r"(?<=\S)[ \n](?=\S)")
# BERT's normalizer makes each ideograph a word, and every word splitter splits at CJK punctuation.
_BERT = re.compile(r"(?<=\S)[ \n](?=\S)|(?<=\w)(?=[\u3002\uff0c\u4e00-\u9fff])")
_SENTENCEPIECE_SPACE = "\u2581"


def cut_pattern(tokenizer: Any) -> re.Pattern[str] | None:
    """A pattern of which each match starts a piece: where the text of a tokenizer may be cut.

    Args:
        tokenizer: a ``tokenizers.Tokenizer``.

    Returns:
        None if no place is known to be safe.
    """
    spec = json.loads(tokenizer.to_str())
    if not all(_stands_alone(token) for token in spec["added_tokens"]):
        return None
    normalizers = _flat(spec["normalizer"], "normalizers")
    splitter = spec["pre_tokenizer"] or {"type": None}
    marks_spaces = [n for n in normalizers if _marks_spaces(n)]
    if any(n["type"] not in _LOCAL_NORMALIZERS for n in normalizers if n not in marks_spaces):
        return None
    if marks_spaces:
        return _SPACE if _merges_stay_in_words(spec["model"]) and _harmless(splitter) else None
    if splitter["type"] in _WORD_SPLITTERS:
        ideographs = any(n["type"] == "BertNormalizer" and n["handle_chinese_chars"] for n in normalizers)
        return _BERT if ideographs else _SPACE_OR_LINE
    if splitter["type"] == "ByteLevel" and splitter.get("use_regex", True):
        return _SPACE if splitter["add_prefix_space"] else _SPACE_OR_LINE
    if splitter["type"] == "Metaspace" and splitter.get("split", True):
        return _SPACE
    return None


def _flat(part: dict[str, Any] | None, inner: str) -> list[dict[str, Any]]:
    if part is None:
        return []
    if part["type"] == "Sequence":
        return [leaf for child in part[inner] for leaf in _flat(child, inner)]
    return [part]


def _stands_alone(token: dict[str, Any]) -> bool:
    """Whether an added token contains no cut and does not swallow the white space after it."""
    content = token["content"]
    return not token["rstrip"] and (
        content.isspace() or not re.search(r"[\s\u3002\uff0c\u4e00-\u9fff]", content)
    )


def _marks_spaces(normalizer: dict[str, Any]) -> bool:
    return bool(
        normalizer["type"] == "Replace"
        and normalizer["pattern"] == {"String": " "}
        and normalizer["content"] == _SENTENCEPIECE_SPACE
    )


def _merges_stay_in_words(model: dict[str, Any]) -> bool:
    """Whether no token of a BPE vocabulary continues past a space mark, so that no merge crosses one."""
    if model["type"] != "BPE" or _SENTENCEPIECE_SPACE not in model["vocab"]:
        return False
    crossing = re.compile(f"[^{_SENTENCEPIECE_SPACE}]{_SENTENCEPIECE_SPACE}")
    return not any(crossing.search(token) for token in model["vocab"])


def _harmless(splitter: dict[str, Any]) -> bool:
    """Whether a splitter has no effect, like Gemma's: it splits at spaces, which are space marks by then."""
    return splitter["type"] is None or (
        splitter["type"] == "Split" and splitter["pattern"] == {"String": " "}
    )


def cut_positions(text: str, pattern: re.Pattern[str] | None, size: int) -> list[int]:
    """The ends of a text's pieces: cuts about ``size`` characters apart, then the end of the text.

    >>> cut_positions("one two three four", _SPACE, 5)
    [7, 13, 18]
    """
    ends: list[int] = []
    position = 0
    while pattern is not None and position + size < len(text):
        match = pattern.search(text, position + size)
        if match is None:
            break
        position = match.start()
        ends.append(position)
    return [*ends, len(text)]
