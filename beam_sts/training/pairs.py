"""Pairs of texts as arrays. Each distinct text is stored and tokenised once, however many pairs have it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from beam_sts.scoring.plan import longest_first
from beam_sts.scoring.template import PairTemplate
from beam_sts.scoring.tokens import PairTokenizer, TokenTable


def tokenised(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> TokenTable:
    """Token ids of texts, without special tokens, equal to those of the scorer."""
    return _pair_tokenizer(tokenizer).encode(texts)


def _pair_tokenizer(tokenizer: PreTrainedTokenizerBase) -> PairTokenizer:
    # A copy, because each call of transformers' tokenizer sets padding and truncation.
    plain = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    plain.no_padding()
    plain.no_truncation()
    return PairTokenizer(plain, tokenizer.model_max_length)


@dataclass(frozen=True)
class PairTensors:
    """Tokenised texts on a device, on which batches are joined and padded without a loop over rows.

    Attributes:
        texts: The texts' tokens, on the host.
        template: The special tokens of a pair.
        pad_id: Id of the padding token.
        typed: Whether the model reads token types: 0 up to the second text, 1 from there on.
        ids: ``texts.ids`` on the device.
    """

    texts: TokenTable
    template: PairTemplate
    pad_id: int
    typed: bool
    ids: torch.Tensor

    @classmethod
    def of(
        cls, texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, device: torch.device | str = "cpu"
    ) -> PairTensors:
        """Tokenise texts for a model on ``device``."""
        pairs = _pair_tokenizer(tokenizer)
        table = pairs.encode(texts)
        ids = np.append(table.ids, 0).astype(np.int32)  # one more id, so that no index is out of bounds
        typed = "token_type_ids" in tokenizer.model_input_names
        pad_id = int(tokenizer.pad_token_id)
        return cls(table, pairs.template, pad_id, typed, torch.from_numpy(ids).to(device))

    def lengths(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Count of tokens of each pair's two texts, without special tokens, int64[n]."""
        both: np.ndarray = self.texts.lengths_of(left) + self.texts.lengths_of(right)
        return both

    def joined(self, left: np.ndarray, right: np.ndarray, max_length: int) -> dict[str, torch.Tensor]:
        """Join pairs; the longer text of a pair is truncated until the pair fits ``max_length``.

        Args:
            left: Index of each pair's first text, int64[n].
            right: Index of each pair's second text, int64[n].
            max_length: Limit for a pair, in tokens.

        Returns:
            The model's keyword arguments, each of shape (n, longest).
        """
        first, middle, last = self.template.parts
        room = max_length - self.template.special_tokens
        kept_a, kept_b = longest_first(self.texts.lengths_of(left), self.texts.lengths_of(right), room)
        second = len(first) + kept_a + len(middle)
        parts = ((left, len(first) + 0 * kept_a, kept_a), (right, second, kept_b))
        specials = ((first, 0 * kept_a), (middle, len(first) + kept_a), (last, second + kept_b))
        return self._padded(parts, specials, second, second + kept_b + len(last))

    def alone(self, rows: np.ndarray, max_length: int) -> dict[str, torch.Tensor]:
        """Single texts, truncated to ``max_length``, as keyword arguments of the model."""
        first, _, last = self.template.parts
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
        """Padded rows of texts (index, position, tokens) and special tokens (ids, position)."""
        device = self.ids.device
        at = torch.arange(int(lengths.max()), device=device)[None]

        def column(values: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(values).to(device, non_blocking=True)[:, None]

        input_ids = torch.full((len(lengths), at.shape[1]), self.pad_id, device=device)
        for rows, place, kept in parts:
            begin = column(place)
            inside = (at >= begin) & (at < column(place + kept))
            source = (column(self.texts.offsets[rows]) + at - begin).clamp(0, len(self.ids) - 1)
            input_ids = torch.where(inside, self.ids[source].long(), input_ids)
        for tokens, place in specials:
            for offset, token in enumerate(tokens):
                input_ids.masked_fill_(at == column(place + offset), token)
        mask = at < column(lengths)
        tensors = {"input_ids": input_ids, "attention_mask": mask.long()}
        if self.typed:
            tensors["token_type_ids"] = (mask & (at >= column(second))).long()
        return tensors


def length_grouped(
    lengths: np.ndarray, batch_size: int, rng: np.random.Generator, max_tokens: int = 16_384, window: int = 64
) -> Iterator[np.ndarray]:
    """Yield every index once in random batches of pairs of similar length.

    A shuffled window of ``window`` batches is sorted by length and divided, and its batches come in random
    order. So padding is small, and the order of batches is independent of length.

    Args:
        lengths: Count of tokens of each pair, int[n].
        batch_size: Limit of the pairs in a batch.
        rng: The random number generator.
        max_tokens: Limit of the tokens in a batch, with padding; a longer pair is a batch by itself.
        window: How many batches are sorted together.
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
