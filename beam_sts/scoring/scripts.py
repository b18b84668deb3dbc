"""Which tokens a vocabulary has only for want of better: letters of scripts in which it has no words."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

# A vocabulary has words of a script if so many of its tokens have two or more of the script's letters, or,
# where a letter is a word as in Chinese, so many have one.
_WORDS, _LETTERS = 100, 1000


def unreadable_tokens(vocabulary: Mapping[str, int], unknown_id: int) -> NDArray[np.bool_]:
    """Whether each token id says almost nothing: the unknown token, and parts of words spelled by letters.

    A vocabulary learnt from English may hold the letters of other alphabets, one by one. A Greek text is then
    all letters that the model never saw in a word.

    Args:
        vocabulary: ids by token, with BERT's ``##`` or other marks.
        unknown_id: of the token for what the vocabulary lacks.

    Returns:
        Of shape (highest id + 1,).
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
    """The script of a token's first letter beyond ASCII, and how many letters it has."""
    letters = [char for char in token if unicodedata.category(char)[0] in "LM"]
    foreign = next((char for char in letters if not char.isascii()), None)
    return ("", 0) if foreign is None else (unicodedata.name(foreign, "").partition(" ")[0], len(letters))
