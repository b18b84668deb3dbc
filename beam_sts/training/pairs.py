"""Pairs of texts as arrays: each distinct text is stored and tokenised once, however many pairs it is in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class TokenisedTexts:
    """Token ids of many texts, without special tokens, in one flat array.

    Attributes:
        ids: Token ids of all texts, one after the other, int32[total tokens].
        starts: Where each text begins in ``ids``, int64[texts + 1].
    """

    ids: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(
        cls, texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, chunk: int = 20_000
    ) -> TokenisedTexts:
        """Tokenise in chunks: the tokenizer's own lists are twenty times the size of the arrays."""
        parts: list[np.ndarray] = []
        lengths: list[int] = []
        for begin in range(0, len(texts), chunk):
            encoded = tokenizer(
                list(texts[begin : begin + chunk]),
                add_special_tokens=False,
                truncation=False,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )["input_ids"]
            lengths.extend(map(len, encoded))
            parts.append(np.fromiter((i for ids in encoded for i in ids), dtype=np.int32))
        starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
        return cls(np.concatenate(parts) if parts else np.zeros(0, np.int32), starts)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text, int64[texts]."""
        return np.diff(self.starts)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.ids[self.starts[index] : self.starts[index + 1]]


@dataclass(frozen=True)
class PairTemplate:
    """How a checkpoint's tokenizer joins two texts: the special tokens around and between them.

    Attributes:
        first: Special tokens before the first text.
        middle: Special tokens between the texts.
        last: Special tokens after the second text.
        pad_id: Id that fills a batch's short rows.
        typed: Whether the model takes token types (0 up to the middle's end of the first text, 1 after it).
    """

    first: tuple[int, ...]
    middle: tuple[int, ...]
    last: tuple[int, ...]
    pad_id: int
    typed: bool

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> PairTemplate:
        """Read the template off the tokenizer's own encoding of a pair."""
        # Not of two empty texts: transformers takes an empty second text for no second text.
        text = tokenizer("a", add_special_tokens=False)["input_ids"]
        ids = tokenizer("a", "a")["input_ids"]
        begins = [at for at in range(len(ids)) if ids[at : at + len(text)] == text]
        typed = "token_type_ids" in tokenizer.model_input_names
        return cls(
            tuple(ids[: begins[0]]),
            tuple(ids[begins[0] + len(text) : begins[-1]]),
            tuple(ids[begins[-1] + len(text) :]),
            int(tokenizer.pad_token_id),
            typed,
        )

    def join(self, a: np.ndarray, b: np.ndarray, max_length: int) -> tuple[np.ndarray, int]:
        """Join two texts' ids, cutting the longer one as long as the pair is over ``max_length``.

        Returns:
            The ids of the pair and how many of them belong to the first segment.
        """
        room = max_length - len(self.first) - len(self.middle) - len(self.last)
        if len(a) + len(b) > room:
            short = min(len(a), len(b), room // 2)
            a, b = (a[: room - short], b[:short]) if len(a) > len(b) else (a[:short], b[: room - short])
        return (
            np.concatenate([self.first, a, self.middle, b, self.last]).astype(np.int64),
            len(self.first) + len(a) + len(self.middle),
        )

    def alone(self, text: np.ndarray, max_length: int) -> tuple[np.ndarray, int]:
        """One text's ids between the special tokens, cut to ``max_length``, and how many these are."""
        room = max_length - len(self.first) - len(self.last)
        ids = np.concatenate([self.first, text[:room], self.last]).astype(np.int64)
        return ids, len(ids)


def batch_tensors(rows: Sequence[tuple[np.ndarray, int]], template: PairTemplate) -> dict[str, torch.Tensor]:
    """Pad joined pairs to the longest: the model's keyword arguments, each of shape (rows, longest)."""
    longest = max(len(ids) for ids, _ in rows)
    input_ids = np.full((len(rows), longest), template.pad_id, dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    types = np.zeros((len(rows), longest), dtype=np.int64)
    for row, (ids, split) in enumerate(rows):
        input_ids[row, : len(ids)] = ids
        mask[row, : len(ids)] = 1
        types[row, split : len(ids)] = 1
    tensors = {"input_ids": torch.from_numpy(input_ids), "attention_mask": torch.from_numpy(mask)}
    if template.typed:
        tensors["token_type_ids"] = torch.from_numpy(types)
    return tensors


def length_grouped(
    lengths: np.ndarray, batch_size: int, rng: np.random.Generator, max_tokens: int = 16_384, window: int = 64
) -> Iterator[np.ndarray]:
    """Yield every index once in random batches of pairs of like length.

    A shuffled window of ``window`` batches is sorted by length and cut, and its batches come in random order,
    so that padding stays small and the order of batches says nothing about length.

    Args:
        lengths: Tokens of each pair, int[n].
        batch_size: Pairs a batch, at most.
        rng: Source of the order.
        max_tokens: Padded tokens a batch, at most (but for a single pair that alone is longer).
        window: Batches sorted together.
    """
    order = rng.permutation(len(lengths))
    for begin in range(0, len(order), batch_size * window):
        part = order[begin : begin + batch_size * window]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches: list[np.ndarray] = []
        end = len(part)
        while end > 0:
            size = min(batch_size, max(1, max_tokens // max(1, int(lengths[part[end - 1]]))))
            batches.append(part[max(0, end - size) : end])
            end -= size
        for place in rng.permutation(len(batches)):
            yield batches[place]
