"""Bounds on the steps of a tokenizer.json, checked before any text is tokenised.

The ``tokenizers`` library does whatever the file says. A step that makes a text a million times longer would
crash the process, and some values would give other tokens for the same text each time.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from beam_sts.errors import UserError

_MOST_GROWTH = 256  # factor of the length; the largest of NFKC, which sentencepiece uses, is 18
_MOST_STEPS = 64
_MOST_PREPENDED = 16  # characters before each text
_MOST_SPECIAL = 64  # special tokens around a pair
_WAY_OUT = "Use the tokenizer.json that the model was trained with."


def check_steps(content: Mapping[str, Any], place: object) -> None:
    """Check that a tokenizer's steps are deterministic and bounded in their output.

    Args:
        content: the content of a tokenizer.json.
        place: the file, for messages.

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
            raise UserError(
                f"{place}: {name} has {len(steps)} steps, but the limit is {_MOST_STEPS}. {_WAY_OUT}"
            )
        for step in steps:
            prepended = step.get("prepend")
            if isinstance(prepended, str) and len(prepended) > _MOST_PREPENDED:
                raise UserError(
                    f"{place}: {name} puts {len(prepended):,} characters before each text, but the "
                    f"limit is {_MOST_PREPENDED}. {_WAY_OUT}"
                )
            growth *= _growth(step)
    if growth > _MOST_GROWTH:
        raise UserError(
            f"{place}: its normalizer can make a text {growth:,.0f} times as long, but the limit is "
            f"{_MOST_GROWTH} times. {_WAY_OUT}"
        )
    for step in _steps(content.get("post_processor")):
        _check_template(step, place)


def _steps(node: Any) -> Iterator[Mapping[str, Any]]:
    """A step and all steps inside it."""
    waiting = [node]
    while waiting:
        here = waiting.pop()
        if isinstance(here, Mapping):
            yield here
            for inner in here.values():
                waiting += inner if isinstance(inner, list) else [inner]


def _growth(step: Mapping[str, Any]) -> float:
    """By which factor a normalizer's step can make a text longer."""
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
    """Length of the longest replacement of a character in sentencepiece's table, in characters."""
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
            f"{place}: post_processor gives a pair {texts} texts and up to {tokens:,} special tokens, "
            f"but the limits are 2 and {_MOST_SPECIAL}. {_WAY_OUT}"
        )
