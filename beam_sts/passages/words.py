"""The words of texts, their positions, and the information of each. Pure functions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.arrays import IntArray

# In scripts that do not separate words, each character counts as a word.
_ONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(f"[{_ONE}]|[^\\W_{_ONE}]+")
_WITHIN = re.compile(r"[^\S\n\r\u2028\u2029]*[,'\u2019_\u2010\u2011-]?[^\S\n\r\u2028\u2029]*")
"""What may be between two words of one sentence."""
_ONES, _FIRST_ONE = re.compile(f"[{_ONE}]"), _ONE[0]
_PRIOR = np.array([0, 3, 4, 6, 9, 12, 14], np.float32)
"""The most bits for a word of 0 to 6 or more characters, since short words are common in most languages."""
_FIGURE = 10.0  # the most bits for a number
EXTRA = 4096  # additional words that counts assume, so that few texts do not make words look frequent


@dataclass(frozen=True)
class Words:
    """The words of n texts, one text after the other.

    ``names`` are 64-bit hashes, uint64 (words,). ``start`` and ``stop`` are characters of the text, (words,).
    ``prior`` is the most information of each word in bits, float32 (words,). The words of text i are
    ``offsets[i]:offsets[i + 1]``. ``breaks`` tells whether a sentence or a line may start at each word, and
    after the last one, (words + 1,): there is more than a space or a comma before it.
    """

    names: NDArray[np.uint64]
    start: IntArray
    stop: IntArray
    prior: NDArray[np.float32]
    offsets: IntArray
    breaks: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.offsets) - 1


def words_of(texts: pa.ChunkedArray | pa.Array | Sequence[str]) -> Words:
    """The words of texts: runs of letters and digits, without case; in Chinese, Japanese or Thai, characters.

    >>> found = words_of(["Is it  OK?", ""])
    >>> found.offsets.tolist(), found.start.tolist(), found.stop.tolist()
    ([0, 3, 3], [0, 3, 7], [2, 5, 9])
    >>> words_of(["ok"]).names[0] == found.names[2]
    np.True_
    """
    names, priors, start, stop, offsets = list[int](), list[float](), list[int](), list[int](), [0]
    breaks = list[bool]()
    for text in texts if isinstance(texts, Sequence) else texts.to_pylist():
        word, end = "", 0
        for match in _WORD.finditer(text):
            breaks.append(not word or _is_break(word, text[end : match.start()]))
            word, end = match.group(), match.end()
            name, prior = _known(word)
            names.append(name)
            priors.append(prior)
            start.append(match.start())
            stop.append(match.end())
        offsets.append(len(names))
    return Words(
        np.array(names, np.uint64),
        np.array(start, np.int64),
        np.array(stop, np.int64),
        np.array(priors, np.float32),
        np.array(offsets, np.int64),
        np.array([*breaks, True]),
    )


def _is_break(before: str, between: str) -> bool:
    """Whether a sentence may end between a word and the next one."""
    if between in (" ", "") and before < _FIRST_ONE:
        return False
    return _WITHIN.fullmatch(between) is None or (between != "" and _ONES.fullmatch(before) is not None)


@lru_cache(1 << 18)
def _known(word: str) -> tuple[int, float]:
    """The hash of a word, and the most bits that it can have."""
    form = unicodedata.normalize("NFKC", word).casefold()
    digest = blake2b(form.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    if form.isdigit():
        prior = _FIGURE
    elif len(form) == 1 and not form.isascii():
        prior = float(_PRIOR[3])
    else:
        prior = float(_PRIOR[min(len(form), len(_PRIOR) - 1)])
    return int.from_bytes(digest, "little"), prior


def word_bits(words: Words) -> NDArray[np.float32]:
    """The information of each word in bits, (words,): low if the word is short or frequent in these texts.

    >>> bits = word_bits(words_of(["the tomatoes of the garden"]))
    >>> [round(float(bit)) for bit in bits]
    [6, 12, 4, 6, 12]
    """
    _, of, counts = np.unique(words.names, return_inverse=True, return_counts=True)
    rarity = np.log2((len(words.names) + EXTRA) / (counts + 0.25))
    found: NDArray[np.float32] = np.minimum(words.prior, rarity[of]).astype(np.float32)
    return found
