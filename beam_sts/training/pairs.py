"""Pairs of texts as arrays: each distinct text is stored and tokenised once, however many pairs it is in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

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
            parts.append(np.fromiter(chain.from_iterable(encoded), dtype=np.int32))
        starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
        return cls(np.concatenate(parts) if parts else np.zeros(0, np.int32), starts)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text, int64[texts]."""
        return np.diff(self.starts)

    def lengths_of(self, rows: np.ndarray) -> np.ndarray:
        """Tokens of some texts, int64[rows]."""
        lengths: np.ndarray = self.starts[rows + 1] - self.starts[rows]
        return lengths


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


@dataclass(frozen=True)
class PairTensors:
    """Tokenised texts on a device, where batches of them are joined and padded without a loop over rows.

    Attributes:
        texts: The texts' tokens, on the host.
        template: How they are joined.
        ids: ``texts.ids`` on the device.
    """

    texts: TokenisedTexts
    template: PairTemplate
    ids: torch.Tensor

    @classmethod
    def of(
        cls, texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, device: torch.device | str = "cpu"
    ) -> PairTensors:
        """Tokenise texts for a model on ``device``."""
        tokenised = TokenisedTexts.of(texts, tokenizer)
        ids = np.concatenate([tokenised.ids, [0]])  # so that no index is out of bounds
        return cls(tokenised, PairTemplate.of(tokenizer), torch.from_numpy(ids).to(device))

    def lengths(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Tokens of each pair's two texts, special ones left out, int64[n]."""
        both: np.ndarray = self.texts.lengths_of(left) + self.texts.lengths_of(right)
        return both

    def joined(self, left: np.ndarray, right: np.ndarray, max_length: int) -> dict[str, torch.Tensor]:
        """Join pairs, cutting the longer text of each as long as the pair is over ``max_length``.

        Args:
            left: Index of each pair's first text, int64[n].
            right: Index of each pair's second text, int64[n].
            max_length: Tokens of a pair, at most.

        Returns:
            The model's keyword arguments, each of shape (n, longest).
        """
        first, middle, last = self.template.first, self.template.middle, self.template.last
        a, b = self.texts.lengths_of(left), self.texts.lengths_of(right)
        room = max_length - len(first) - len(middle) - len(last)
        short = np.minimum(np.minimum(a, b), room // 2)
        over = a + b > room
        kept_a = np.where(over, np.where(a > b, room - short, short), a)
        kept_b = np.where(over, np.where(a > b, short, room - short), b)
        second = len(first) + kept_a + len(middle)
        parts = ((left, len(first) + 0 * kept_a, kept_a), (right, second, kept_b))
        specials = ((first, 0 * kept_a), (middle, len(first) + kept_a), (last, second + kept_b))
        return self._padded(parts, specials, second, second + kept_b + len(last))

    def alone(self, rows: np.ndarray, max_length: int) -> dict[str, torch.Tensor]:
        """Texts by themselves, cut to ``max_length``: the model's keyword arguments."""
        first, last = self.template.first, self.template.last
        kept = np.minimum(self.texts.lengths_of(rows), max_length - len(first) - len(last))
        begin = np.full_like(kept, len(first))
        whole = begin + kept + len(last)
        return self._padded(((rows, begin, kept),), ((first, 0 * kept), (last, begin + kept)), whole, whole)

    def _padded(
        self,
        parts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
        specials: Sequence[tuple[tuple[int, ...], np.ndarray]],
        second: np.ndarray,
        lengths: np.ndarray,
    ) -> dict[str, torch.Tensor]:
        """Texts (index, place, tokens) and special tokens (ids, place) put into padded rows."""
        device = self.ids.device
        at = torch.arange(int(lengths.max()), device=device)[None]

        def column(values: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(values).to(device, non_blocking=True)[:, None]

        input_ids = torch.full((len(lengths), at.shape[1]), self.template.pad_id, device=device)
        for rows, place, kept in parts:
            begin = column(place)
            inside = (at >= begin) & (at < column(place + kept))
            source = (column(self.texts.starts[rows]) + at - begin).clamp(0, len(self.ids) - 1)
            input_ids = torch.where(inside, self.ids[source].long(), input_ids)
        for tokens, place in specials:
            for offset, token in enumerate(tokens):
                input_ids.masked_fill_(at == column(place + offset), token)
        mask = at < column(lengths)
        tensors = {"input_ids": input_ids, "attention_mask": mask.long()}
        if self.template.typed:
            tensors["token_type_ids"] = (mask & (at >= column(second))).long()
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
