"""Draws the pairs that a teacher labels: sentences with near, intermediate and far neighbours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from beam_sts.arrays import coded_pairs, pair_codes
from beam_sts.scoring.torch_backend import multiplies_bfloat16
from beam_sts.training.autocast import autocast
from beam_sts.training.pairs import PairTensors

RANKS = ((0, 2, 1.0), (2, 8, 1.0), (8, 40, 0.7))
"""(first rank, last rank, share of sentences): one neighbour is drawn from each range for that share."""
RANDOM_SHARE = 0.3
"""Share of sentences that also get a random partner."""
WORDS_AMONG = 60_000
"""How many sentences, besides the gold ones, are searched for neighbours by common words."""
_WORD = re.compile(r"\w+")


def octaves(count: int, share: float = 1.0) -> tuple[tuple[int, int, float], ...]:
    """Ranges of ranks as in :data:`RANKS`, each twice as long as the one before.

    >>> octaves(3)
    ((0, 1, 1.0), (1, 3, 1.0), (3, 7, 1.0))
    """
    return tuple((2**octave - 1, 2 ** (octave + 1) - 1, share) for octave in range(count))


def plain_tokenizer(source: Path) -> PreTrainedTokenizerBase:
    """A checkpoint's tokenizer without padding and truncation."""
    tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True)
    # Some tokenizer.json files include padding and truncation.
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    return tokenizer


class Embedder:
    """A sentence encoder such as all-MiniLM-L6-v2: the normalised mean of its output over a text's tokens.

    Args:
        source: The checkpoint folder.
        max_length: Limit for a text, in tokens; longer texts are truncated.
        device: The torch device.
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
        """Embed texts as float16[texts, hidden size]."""
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


def bags_of_words(texts: Sequence[str], dims: int = 256) -> np.ndarray:
    """Vectors with a cosine close to the share of words that two texts have in common.

    Each word is a random direction, independent of case and frequency.

    Args:
        texts: The texts.
        dims: Width of the vectors.

    Returns:
        Unit vectors, or zeros for texts without words, float32[texts, dims].

    >>> bags = bags_of_words(["The cat sat.", "the CAT sat", "A dog ran!"])
    >>> (bags @ bags[0] > 0.5).tolist()
    [True, True, False]
    """
    index: dict[str, int] = {}
    rows = [
        [index.setdefault(word, len(index)) for word in dict.fromkeys(_WORD.findall(text.lower()))]
        for text in texts
    ]
    directions = np.random.default_rng(0).standard_normal((len(index), dims)).astype(np.float32)
    bags = np.zeros((len(rows), dims), np.float32)
    for bag, row in zip(bags, rows, strict=True):
        bag += directions[row].sum(axis=0)
    bags /= np.maximum(np.linalg.norm(bags, axis=1, keepdims=True), 1e-6)
    return bags


def neighbour_pairs(
    vectors: np.ndarray,
    seed: int,
    ranks: Sequence[tuple[int, int, float]] = RANKS,
    random_share: float = RANDOM_SHARE,
    asking: int | None = None,
    block: int = 2048,
    device: str = "cpu",
) -> np.ndarray:
    """Draw for each text one neighbour from each range of ranks, and for some texts a random partner.

    Args:
        vectors: Unit vectors, float[n, dims].
        seed: Seed of the draws.
        ranks: As :data:`RANKS`.
        random_share: As :data:`RANDOM_SHARE`.
        asking: How many texts, from the first, get partners from among all texts; None: all.
        block: How many texts are compared with all others at once.
        device: The torch device.

    Returns:
        Distinct pairs of indices, the lower first, int64[pairs, 2], in random order.
    """
    rng = np.random.default_rng(seed)
    count = len(vectors)
    asking = count if asking is None else asking
    able = device != "cpu" or multiplies_bfloat16()
    table = torch.from_numpy(vectors).to(device, torch.bfloat16 if able else torch.float32)
    deepest = min(max(last for _, last, _ in ranks), count - 1)
    drawn: list[np.ndarray] = []
    for begin in range(0, asking, block):
        similarity = table[begin : min(begin + block, asking)] @ table.T
        own = np.arange(begin, begin + len(similarity))
        similarity[torch.arange(len(own)), torch.from_numpy(own)] = -2
        nearest = similarity.topk(deepest, dim=1).indices.cpu().numpy()
        for first, last, share in ranks:
            chosen = rng.random(len(own)) < share
            rank = np.minimum(rng.integers(first, last, len(own)), deepest - 1)
            drawn.append(np.stack([own, nearest[np.arange(len(own)), rank]], axis=1)[chosen])
    lone = np.flatnonzero(rng.random(asking) < random_share)
    drawn.append(np.stack([lone, rng.integers(0, count, len(lone))], axis=1))
    pairs = np.concatenate(drawn)
    return rng.permutation(_distinct(pairs[pairs[:, 0] != pairs[:, 1]]), axis=0)


def drawn_pairs(texts: Sequence[str], gold: int, vectors: np.ndarray, device: str = "cpu") -> np.ndarray:
    """Draw the pairs that are the most useful for a student.

    The student is evaluated on topics like those of the gold sentences, so these get many near and far
    partners. Pairs with many common words are included whatever their meaning: the student must learn that
    common words do not imply the same meaning, and the teacher's neighbours of a sentence rarely show it.

    Args:
        texts: The sentences, the gold ones first.
        gold: How many gold sentences there are.
        vectors: The teacher's unit vectors of the sentences, float[texts, dims].
        device: The torch device.

    Returns:
        Distinct pairs of indices, int64[pairs, 2]: first all of these with half as many neighbours of the
            other sentences in random order, then the other neighbours.
    """
    rng = np.random.default_rng(0)
    others = rng.choice(np.arange(gold, len(texts)), min(WORDS_AMONG, len(texts) - gold), replace=False)
    some = np.concatenate([np.arange(gold), others])
    bags = bags_of_words([texts[i] for i in some])
    parts = [
        neighbour_pairs(vectors[:gold], 0, octaves(11), random_share=0.7, device=device),
        neighbour_pairs(vectors, 0, octaves(7), random_share=0.0, asking=gold, device=device),
        neighbour_pairs(bags[:gold], 0, octaves(7), random_share=0.0, device=device),
        some[neighbour_pairs(bags, 0, octaves(7, 0.3), random_share=0.0, device=device)],
    ]
    own = _distinct(np.concatenate(parts))
    rest = neighbour_pairs(vectors, seed=0, device=device)
    rest = rest[~(rest < gold).any(axis=1)]
    rest = rest[~np.isin(pair_codes(*rest.T), pair_codes(*own.T))]
    half = len(own) // 2
    mixed = rng.permutation(np.concatenate([own, rest[:half]]), axis=0)
    return np.concatenate([mixed, rest[half:]])


def _distinct(pairs: np.ndarray) -> np.ndarray:
    """Distinct pairs of indices, the lower first, in order, int64[pairs, 2]."""
    return np.stack(coded_pairs(np.unique(pair_codes(*pairs.astype(np.int64).T))), axis=1)
