"""BERT's WordPiece for columns of texts: the reference tokenizer reads each distinct word once.

In plain ASCII, BERT's rules are simple: letters and digits form words, each punctuation mark is a word, and
white space is dropped. So a column of texts is split by array operations on its bytes, its distinct words
are looked up, and the reference tokenizer reads only words of several pieces. It reads texts with anything
else (other scripts, control characters, the text of a special token) whole. The ids are equal to the
reference's; property tests compare them.
"""

from __future__ import annotations

import json
import string
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_sts.arrays import IntArray, arrow_numbers, arrow_texts, numpy_numbers
from beam_sts.scoring.plan import expand_ranges

_SPACE, _LETTER, _MARK, _OTHER = range(4)
# Steps before BERT's normaliser that leave ASCII as it is.
_NOT_ASCII = ("Lowercase", "NFC", "NFD", "NFKC", "NFKD")
# How many distinct words of several pieces are cached.
_MOST_WORDS = 1 << 19


class WordPieceColumns:
    """Tokenises columns of texts as a BERT tokenizer would. Safe to call from several threads.

    Args:
        tokenizer: a ``tokenizers.Tokenizer`` that ``takes`` accepts. It is not changed.
    """

    @staticmethod
    def takes(tokenizer: Any) -> bool:
        """Whether a tokenizer follows BERT's rules for ASCII exactly."""
        spec = json.loads(tokenizer.to_str())
        steps = _steps(spec["normalizer"])
        return (
            spec["model"]["type"] == "WordPiece"
            and (spec["pre_tokenizer"] or {}).get("type") == "BertPreTokenizer"
            and [step["type"] for step in steps if step["type"] not in _NOT_ASCII] == ["BertNormalizer"]
        )

    def __init__(self, tokenizer: Any) -> None:
        spec = json.loads(tokenizer.to_str())
        self._tokenizer = tokenizer
        kinds = np.full(256, _OTHER, dtype=np.uint8)
        kinds[[ord(c) for c in " \t\n\r"]] = _SPACE
        kinds[[ord(c) for c in string.ascii_letters + string.digits]] = _LETTER
        kinds[[ord(c) for c in string.punctuation]] = _MARK
        self._kinds = kinds
        lower = any(
            step["type"] == "Lowercase" or step.get("lowercase") for step in _steps(spec["normalizer"])
        )
        self._case = np.arange(256, dtype=np.uint8)
        if lower:
            self._case[[ord(c) for c in string.ascii_uppercase]] += 32
        # The reference tokenizer reads texts that contain the text of a special token, in any case.
        self._special = [token["content"].encode().lower() for token in spec["added_tokens"]]
        limit = spec["model"].get("max_input_chars_per_word", 100)
        whole = {word: id for word, id in spec["model"]["vocab"].items() if len(word) <= limit}
        self._words = arrow_texts(list(whole)).cast(pa.large_binary())
        self._ids = np.array(list(whole.values()), dtype=np.int64)
        self._pieces: dict[bytes, list[int]] = {}

    def encode(self, texts: pa.LargeStringArray) -> tuple[NDArray[np.int64], IntArray]:
        """The token ids of texts, end to end, without special tokens, and the count of each text."""
        _, offset_buffer, data = texts.buffers()
        offsets = np.frombuffer(offset_buffer, np.int64)[texts.offset : texts.offset + len(texts) + 1]
        if offsets[0] == offsets[-1]:
            return np.empty(0, np.int64), np.zeros(len(texts), np.int64)
        raw = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
        offsets = offsets - offsets[0]
        kinds = self._kinds[raw]
        other = self._others(raw, kinds, offsets)
        if len(other):
            kinds[expand_ranges(offsets[other], offsets[other + 1] - offsets[other])] = _SPACE
        ids, lengths = self._split(self._case[raw], kinds, offsets)
        if not len(other):
            return ids, lengths
        encoded = self._tokenizer.encode_batch_fast(
            texts.take(arrow_numbers(other)).to_pylist(), add_special_tokens=False
        )
        by_reference = [e.ids for e in encoded]
        lengths[other] = [len(row) for row in by_reference]
        starts = np.cumsum(lengths) - lengths
        merged = np.empty(int(lengths.sum()), np.int64)
        is_other = np.zeros(len(texts), dtype=bool)
        is_other[other] = True
        merged[expand_ranges(starts[~is_other], lengths[~is_other])] = ids
        merged[expand_ranges(starts[other], lengths[other])] = list(chain.from_iterable(by_reference))
        return merged, lengths

    def _others(self, raw: NDArray[np.uint8], kinds: NDArray[np.uint8], offsets: IntArray) -> IntArray:
        """Indices, in order, of the texts that the reference tokenizer must read whole."""
        places = [np.flatnonzero(kinds == _OTHER)]
        lowered = raw.tobytes().lower()
        for special in self._special:
            place = lowered.find(special)
            while place >= 0:
                places.append(np.array([place]))
                # One match is enough for a text. A match that crosses into the next text is harmless.
                place = lowered.find(special, int(offsets[np.searchsorted(offsets, place, "right")]))
        return np.unique(np.searchsorted(offsets, np.concatenate(places), "right") - 1)

    def _split(
        self, letters: NDArray[np.uint8], kinds: NDArray[np.uint8], offsets: IntArray
    ) -> tuple[NDArray[np.int64], IntArray]:
        """The token ids of ASCII texts from their bytes and the kinds of these bytes."""
        begins = np.ones(len(kinds), dtype=bool)
        begins[1:] = (kinds[1:] == _MARK) | (kinds[:-1] != _LETTER)
        begins[offsets[:-1][offsets[:-1] < len(kinds)]] = True
        solid = kinds != _SPACE
        places = np.flatnonzero(begins & solid)
        kept = letters[solid]
        before = np.cumsum(solid, dtype=np.int32)
        bounds = np.append(before[places].astype(np.int64) - 1, len(kept))
        words = pa.Array.from_buffers(
            pa.large_binary(), len(places), [None, pa.py_buffer(bounds), pa.py_buffer(kept)]
        ).dictionary_encode()
        firsts, counts, flat = self._look_up(words.dictionary)
        index = numpy_numbers(words.indices)
        per_word = counts[index]
        ids = flat[expand_ranges(firsts[index], per_word)]
        tokens = np.concatenate([[0], np.cumsum(per_word)])
        return ids, np.diff(tokens[np.searchsorted(places, offsets)])

    def _look_up(self, words: pa.Array) -> tuple[IntArray, IntArray, NDArray[np.int64]]:
        """The start of each distinct word's ids in an array of ids, their count, and that array."""
        at = pc.index_in(words, value_set=self._words)
        missing = numpy_numbers(pc.indices_nonzero(at.is_null())).astype(np.int64)
        known = numpy_numbers(at).copy()
        known[missing] = 0
        flat = self._ids[known]
        firsts, counts = np.arange(len(words)), np.ones(len(words), dtype=np.int64)
        if not len(missing):
            return firsts, counts, flat
        spelled = words.take(arrow_numbers(missing)).to_pylist()
        pieces = [self._pieces.get(word) for word in spelled]
        new = [number for number, known in enumerate(pieces) if known is None]
        if new:
            encoded = self._tokenizer.encode_batch_fast(
                [spelled[number].decode() for number in new], add_special_tokens=False
            )
            if len(self._pieces) + len(new) > _MOST_WORDS:
                self._pieces = {}
            for number, encoding in zip(new, encoded, strict=True):
                pieces[number] = self._pieces[spelled[number]] = encoding.ids
        counts[missing] = [len(ids) for ids in pieces]  # type: ignore[arg-type]
        firsts[missing] = len(words) + np.cumsum(counts[missing]) - counts[missing]
        more = np.fromiter(chain.from_iterable(pieces), np.int64)  # type: ignore[arg-type]
        return firsts, counts, np.concatenate([flat, more])


def _steps(normalizer: dict[str, Any] | None) -> list[dict[str, Any]]:
    if normalizer is None:
        return []
    if normalizer["type"] == "Sequence":
        return [step for inner in normalizer["normalizers"] for step in _steps(inner)]
    return [normalizer]
