"""Find pairs worth scoring: sentences with their near, middling and far neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from beam_sts.scoring.hash_layers import multiplies_bfloat16
from beam_sts.training.autocast import autocast
from beam_sts.training.pairs import PairTensors

RANKS = ((0, 2, 1.0), (2, 8, 1.0), (8, 40, 0.7))
"""(first rank, last rank, share of sentences): one neighbour is drawn from each range for that share."""
RANDOM_SHARE = 0.3
"""Share of sentences that also get a partner at random."""


def plain_tokenizer(source: Path) -> PreTrainedTokenizerBase:
    """A checkpoint's tokenizer that neither pads nor cuts."""
    tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True)
    # Some packages bake padding and truncation into tokenizer.json.
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    return tokenizer


class Embedder:
    """An encoder such as all-MiniLM-L6-v2: the mean of its output over a text's tokens, at unit length.

    Args:
        source: Its checkpoint folder.
        max_length: Tokens a text is cut to.
        device: Where it runs.
    """

    def __init__(self, source: Path, max_length: int = 96, device: str = "cpu") -> None:
        self.max_length = max_length
        self.tokens_per_batch = 4096 if device == "cpu" else 65_536
        self.tokenizer = plain_tokenizer(source)
        self.model = AutoModel.from_pretrained(
            source, dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
        self.model.eval().to(device)

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts: float16[texts, hidden size]."""
        device = self.model.device
        batches = PairTensors.of(texts, self.tokenizer, device)
        lengths = np.minimum(batches.texts.lengths + 2, self.max_length)
        order = np.argsort(-lengths, kind="stable")
        vectors = np.zeros((len(texts), self.model.config.hidden_size), dtype=np.float16)
        begin = 0
        while begin < len(order):
            rows = order[begin : begin + max(1, self.tokens_per_batch // int(lengths[order[begin]]))]
            batch = batches.alone(rows, self.max_length)
            with autocast(device):
                hidden = self.model(**batch).last_hidden_state
            mask = batch["attention_mask"][..., None]
            mean = (hidden.float() * mask).sum(1) / mask.sum(1)
            vectors[rows] = torch.nn.functional.normalize(mean, dim=1).cpu().numpy()
            begin += len(rows)
        return vectors


def neighbour_pairs(
    vectors: np.ndarray,
    seed: int,
    ranks: Sequence[tuple[int, int, float]] = RANKS,
    random_share: float = RANDOM_SHARE,
    block: int = 2048,
    device: str = "cpu",
) -> np.ndarray:
    """Draw for each text one neighbour from each range of ranks, and for some a partner at random.

    Args:
        vectors: Unit vectors, float[n, dims].
        seed: Of the draws.
        ranks: As :data:`RANKS`.
        random_share: As :data:`RANDOM_SHARE`.
        block: Texts compared with all others at once.
        device: Where they are compared.

    Returns:
        Distinct pairs of indices, the lower first, int64[pairs, 2], in a random order.
    """
    rng = np.random.default_rng(seed)
    count = len(vectors)
    able = device != "cpu" or multiplies_bfloat16()
    table = torch.from_numpy(vectors).to(device, torch.bfloat16 if able else torch.float32)
    deepest = min(max(last for _, last, _ in ranks), count - 1)
    drawn: list[np.ndarray] = []
    for begin in range(0, count, block):
        similarity = table[begin : begin + block] @ table.T
        own = np.arange(begin, begin + len(similarity))
        similarity[torch.arange(len(own)), torch.from_numpy(own)] = -2
        nearest = similarity.topk(deepest, dim=1).indices.cpu().numpy()
        for first, last, share in ranks:
            chosen = rng.random(len(own)) < share
            rank = np.minimum(rng.integers(first, last, len(own)), deepest - 1)
            drawn.append(np.stack([own, nearest[np.arange(len(own)), rank]], axis=1)[chosen])
    lone = np.flatnonzero(rng.random(count) < random_share)
    drawn.append(np.stack([lone, rng.integers(0, count, len(lone))], axis=1))
    pairs = np.sort(np.concatenate(drawn), axis=1)
    pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
    return rng.permutation(pairs, axis=0).astype(np.int64)
