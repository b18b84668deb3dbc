"""Tokens that a model cannot read: unknown ones, and letters of scripts in which it has no words."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

# A vocabulary has words of a script if at least this many tokens have two or more of its letters, or one
# letter where a letter can be a word, as in Chinese.
_WORDS, _LETTERS = 100, 1000


def unreadable_tokens(vocabulary: Mapping[str, int], unknown_id: int) -> NDArray[np.bool_]:
    """Whether each token id is unreadable: the unknown token, or a letter of a script without words.

    A vocabulary learnt from English may have the single letters of other alphabets. A Greek text is then a
    sequence of letters that the model never saw in words.

    Args:
        vocabulary: ids by token, including marks such as BERT's ``##``.
        unknown_id: id of the unknown token.

    Returns:
        Booleans of shape (highest id + 1,).
    """
    scripts = {id: _script(token) for token, id in vocabulary.items() if not token.isascii()}
    words = Counter(script for script, letters in scripts.values() if letters > 1)
    letters = Counter(script for script, letters in scripts.values() if letters)
    unreadable = np.zeros(max(unknown_id, *vocabulary.values()) + 1, dtype=bool)
    unreadable[unknown_id] = True
    for id, (script, count) in scripts.items():
        unreadable[id] = bool(count) and words[script] < _WORDS and letters[script] < _LETTERS
    return unreadable


def _script(token: str) -> tuple[str, int]:
    """The script of a token's first letter outside ASCII, and the token's count of letters."""
    letters = [char for char in token if unicodedata.category(char)[0] in "LM"]
    foreign = next((char for char in letters if not char.isascii()), None)
    return ("", 0) if foreign is None else (unicodedata.name(foreign, "").partition(" ")[0], len(letters))
