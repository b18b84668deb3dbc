"""What a tokenizer.json may do to a text, checked before a text goes through it.

The ``tokenizers`` library follows whatever the file says: a text that grows a million times ends the process,
and some values make other tokens of the same text each time.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from beam_sts.errors import UserError

_MOST_GROWTH = 256  # times; NFKC's largest, which sentencepiece has, is 18
_MOST_STEPS = 64
_MOST_PREPENDED = 16  # characters
_MOST_SPECIAL = 64  # tokens around a pair
_WAY_OUT = "Use the tokenizer.json the model was trained with."


def check_steps(content: Mapping[str, Any], place: object) -> None:
    """See that a tokenizer's steps are bounded in what they make of a text, and give the same each time.

    Args:
        content: the content of a tokenizer.json.
        place: the file, for errors.

    Raises:
        UserError: a step is not bounded or not deterministic. The message names it and its value.
    """
    model = content.get("model")
    if isinstance(model, Mapping) and model.get("dropout"):
        raise UserError(f"{place}: model.dropout {model['dropout']!r} makes tokens random. {_WAY_OUT}")
    growth = 1.0
    for name in ("normalizer", "pre_tokenizer"):
        steps = list(_steps(content.get(name)))
        if len(steps) > _MOST_STEPS:
            raise UserError(f"{place}: {name} has {len(steps)} steps, at most {_MOST_STEPS}. {_WAY_OUT}")
        for step in steps:
            prepended = step.get("prepend")
            if isinstance(prepended, str) and len(prepended) > _MOST_PREPENDED:
                raise UserError(
                    f"{place}: {name} puts {len(prepended):,} characters before each text, at most "
                    f"{_MOST_PREPENDED}. {_WAY_OUT}"
                )
            growth *= _growth(step)
    if growth > _MOST_GROWTH:
        raise UserError(
            f"{place}: its normalizer may make a text {growth:,.0f} times as long, at most {_MOST_GROWTH} "
            f"times. {_WAY_OUT}"
        )
    for step in _steps(content.get("post_processor")):
        _check_template(step, place)


def _steps(node: Any) -> Iterator[Mapping[str, Any]]:
    """A step and those inside it."""
    waiting = [node]
    while waiting:
        here = waiting.pop()
        if isinstance(here, Mapping):
            yield here
            for inner in here.values():
                waiting += inner if isinstance(inner, list) else [inner]


def _growth(step: Mapping[str, Any]) -> float:
    """How many times as long a normalizer's step may make a text."""
    content, pattern, charsmap = (step.get(name) for name in ("content", "pattern", "precompiled_charsmap"))
    if isinstance(content, str) and isinstance(pattern, Mapping):
        text = pattern.get("String")
        if isinstance(text, str) and text:
            return max(1.0, len(content) / len(text))
        return len(content) + 1.0  # a regular expression may match between two characters
    if isinstance(charsmap, str):
        return _longest_replacement(charsmap)
    return 1.0


def _longest_replacement(charsmap: str) -> float:
    """Characters of the longest text that sentencepiece's table has for one character."""
    try:
        table = base64.b64decode(charsmap)
    except ValueError:
        return 1.0  # the library refuses it
    replacements = table[4 + int.from_bytes(table[:4], "little") :]
    return max(1, *(len(text.decode(errors="replace")) for text in replacements.split(b"\0")))


def _check_template(step: Mapping[str, Any], place: object) -> None:
    pair, special = step.get("pair"), step.get("special_tokens")
    if not isinstance(pair, list) or not isinstance(special, Mapping):
        return
    ids = [token.get("ids") for token in special.values() if isinstance(token, Mapping)]
    longest = max((len(one) for one in ids if isinstance(one, list)), default=0)
    texts = sum(isinstance(part, Mapping) and "Sequence" in part for part in pair)
    tokens = (len(pair) - texts) * longest
    if texts > 2 or max(tokens, longest) > _MOST_SPECIAL:
        raise UserError(
            f"{place}: post_processor makes of a pair {texts} texts and up to {tokens:,} special tokens; "
            f"at most 2 and {_MOST_SPECIAL}. {_WAY_OUT}"
        )
