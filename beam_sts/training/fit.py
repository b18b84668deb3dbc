"""Fit a cross-encoder to scored pairs, and score pairs while training.

Own code rather than ``CrossEncoderTrainer``: for a student of under a million parameters on two cores,
tokenising every pair again each epoch and padding random batches cost as much as the model itself. Here each
distinct text is tokenised once, batches hold pairs of like length under a token budget, and targets are the
soft scores of a teacher.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedTokenizerBase

from beam_sts.models.bert_hash import BertHashForSequenceClassification
from beam_sts.training.autocast import autocast
from beam_sts.training.pairs import PairTensors, length_grouped
from beam_sts.training.student import logits_for_training

_LOSSES = 60  # points of a learning curve
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoredPairs:
    """Pairs by index into a list of distinct texts, with target scores.

    Attributes:
        texts: The distinct texts.
        left: Index of each pair's first text, int64[n].
        right: Index of each pair's second text, int64[n].
        scores: Targets between 0 and 1, float32[n].
        weights: Weight of each pair in the loss, float32[n], or None for equal weights.
    """

    texts: Sequence[str]
    left: np.ndarray
    right: np.ndarray
    scores: np.ndarray
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.left)

    @classmethod
    def of(
        cls,
        first: Sequence[str],
        second: Sequence[str],
        scores: Sequence[float],
        weights: Sequence[float] | None = None,
    ) -> ScoredPairs:
        """Index pairs given as parallel sequences of texts."""
        index: dict[str, int] = {}
        left = np.array([index.setdefault(text, len(index)) for text in first], dtype=np.int64)
        right = np.array([index.setdefault(text, len(index)) for text in second], dtype=np.int64)
        return cls(
            list(index),
            left,
            right,
            np.asarray(scores, dtype=np.float32),
            None if weights is None else np.asarray(weights, dtype=np.float32),
        )

    def compact(self) -> ScoredPairs:
        """The same pairs over only the texts they use."""
        used, places = np.unique(np.concatenate([self.left, self.right]), return_inverse=True)
        half = len(self)
        texts = [self.texts[i] for i in used]
        return ScoredPairs(texts, places[:half], places[half:], self.scores, self.weights)


@dataclass(frozen=True)
class FitSettings:
    """How to fit.

    Attributes:
        epochs: Passes over the pairs; may be fractional.
        batch_size: Pairs a step.
        learning_rate: Peak rate of AdamW, reached after the warm-up and then decaying along a half cosine to
            0.
        warmup: Share of the steps that warm up.
        weight_decay: Of AdamW, on matrices only.
        max_length: Tokens a pair is cut to.
        max_tokens: Padded tokens a batch may hold; batches of long pairs are smaller for it.
        shift: Places that the tokens of a pair are moved from its start, at most, in half of the batches;
            only for models of rotary positions. What stands far into long texts then reads as at their start.
        average: Decay of the exponential moving average of the weights that is kept in the end; 0 keeps the
            last.
        seed: Of order, swaps and dropout.
    """

    epochs: float = 1.0
    batch_size: int = 64
    learning_rate: float = 1e-3
    warmup: float = 0.05
    weight_decay: float = 0.01
    max_length: int = 128
    max_tokens: int = 16_384
    shift: int = 0
    average: float = 0.0
    seed: int = 0


def rate_at(progress: float, warmup: float) -> float:
    """Factor of the learning rate at a share of the way: up along a line, then down along a half cosine."""
    if progress < warmup:
        return max(progress, 0.02 * warmup) / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def shifted_places(token_type_ids: torch.Tensor, most: int, rng: np.random.Generator) -> torch.Tensor:
    """Places of a batch's tokens in their texts, each pair's but for the leading [CLS] moved by one number.

    Args:
        token_type_ids: 0 in the first text, 1 in the second, of shape (batch, length).
        most: The farthest a pair is moved; near moves are as likely as far ones, by magnitude.
        rng: Source of the moves.

    Returns:
        Places of shape (batch, length).
    """
    count, length = token_type_ids.shape
    device = token_type_ids.device
    places = torch.where(token_type_ids > 0, token_type_ids.cumsum(1), torch.arange(length, device=device))
    moves = torch.from_numpy(np.exp(rng.uniform(0, math.log(most), count)).astype(np.int64)).to(device)
    return places + moves[:, None] * (places > 0)


def fit(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    pairs: ScoredPairs,
    settings: FitSettings,
    evaluate: Callable[[nn.Module], str] | None = None,
    evaluate_every: int = 0,
    joined: bool = True,
    losses: list[tuple[int, float]] | None = None,
) -> float:
    """Fit ``model`` in place to ``pairs`` with binary cross-entropy on soft targets, texts in random order.

    Args:
        model: A sequence classifier with one label, or, not ``joined``, a model of logits, on any device.
        tokenizer: Its tokenizer.
        pairs: What to learn.
        settings: How.
        evaluate: Called with the model every ``evaluate_every`` steps; what it returns is logged.
        evaluate_every: Steps between evaluations; 0 for none.
        joined: Whether the model reads a pair as one row; if not, a batch holds all first texts, then all
            second ones, each by itself.
        losses: Is filled with pairs seen and the mean loss since the entry before, some 60 times.

    Returns:
        The seconds it took.
    """
    begun = time.monotonic()
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    device = next(model.parameters()).device
    texts = PairTensors.of(pairs.texts, tokenizer, device)
    lengths = np.minimum(texts.lengths(pairs.left, pairs.right), settings.max_length)
    total = max(1, round(settings.epochs * len(pairs)))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": settings.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        fused=True,
    )
    averaged = [p.detach().clone() for p in trained] if settings.average else []
    model.train()
    rotary = isinstance(model, BertHashForSequenceClassification) and model.config.rotary_dims > 0
    student = cast(BertHashForSequenceClassification, model) if rotary else None
    step, seen = 0, 0
    since: list[torch.Tensor] = []  # read seldom: each reading waits for the device
    recent: list[torch.Tensor] = []
    while seen < total:
        for batch in length_grouped(lengths, settings.batch_size, rng, settings.max_tokens):
            rate = settings.learning_rate * rate_at(seen / total, settings.warmup)
            for group in optimizer.param_groups:
                group["lr"] = rate
            swap = rng.random(len(batch)) < 0.5
            left = np.where(swap, pairs.right[batch], pairs.left[batch])
            right = np.where(swap, pairs.left[batch], pairs.right[batch])
            if joined:
                batched = texts.joined(left, right, settings.max_length)
            else:
                batched = texts.alone(np.concatenate([left, right]), settings.max_length)
            if settings.shift and rng.random() < 0.5:
                batched["position_ids"] = shifted_places(batched["token_type_ids"], settings.shift, rng)
            targets = torch.from_numpy(pairs.scores[batch]).to(device, non_blocking=True)
            weights = None if pairs.weights is None else torch.from_numpy(pairs.weights[batch]).to(device)
            with autocast(device):
                if student is not None:
                    logits = logits_for_training(student, **batched)
                else:
                    logits = model(**batched).logits if joined else model(**batched)
            loss = functional.binary_cross_entropy_with_logits(logits.float().squeeze(-1), targets, weights)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            step += 1
            seen += len(batch)
            recent.append(loss.detach())
            if losses is not None:
                since.append(loss.detach())
                if seen >= total or seen >= total * (len(losses) + 1) / _LOSSES:
                    losses.append((seen, torch.stack(since).mean().item()))
                    since.clear()
            if averaged:
                decay = min(settings.average, step / (step + 10))
                torch._foreach_lerp_(averaged, [p.detach() for p in trained], 1 - decay)
            if step % 100 == 0:
                speed = seen / (time.monotonic() - begun)
                mean_loss = torch.stack(recent).mean().item()
                recent.clear()
                logger.info("%d of %d pairs, loss %.4f, %.0f pairs/s", seen, total, mean_loss, speed)
            if evaluate is not None and evaluate_every and step % evaluate_every == 0:
                logger.info("step %d: %s", step, evaluate(model))
                model.train()
            if seen >= total:
                break
    for parameter, mean in zip(trained, averaged, strict=False):
        parameter.data.copy_(mean)
    model.eval()
    return time.monotonic() - begun


@torch.inference_mode()
def predict(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    pairs: ScoredPairs,
    max_length: int = 128,
    tokens_per_batch: int = 8192,
    precision: str = "bf16",
) -> np.ndarray:
    """Score pairs in length-sorted batches.

    Returns:
        The Sigmoid of the logits, float32[n], in the order of ``pairs``.
    """
    model.eval()
    device = next(model.parameters()).device
    texts = PairTensors.of(pairs.texts, tokenizer, device)
    lengths = np.minimum(texts.lengths(pairs.left, pairs.right) + 4, max_length)
    order = np.argsort(-lengths, kind="stable")
    scores = np.empty(len(pairs), dtype=np.float32)
    begin, begun, said = 0, time.monotonic(), time.monotonic()
    while begin < len(order):
        count = max(1, tokens_per_batch // int(lengths[order[begin]]))
        batch = order[begin : begin + count]
        with autocast(device, precision == "bf16"):
            logits = model(**texts.joined(pairs.left[batch], pairs.right[batch], max_length)).logits
        scores[batch] = torch.sigmoid(logits.float().squeeze(-1)).cpu().numpy()
        begin += len(batch)
        if time.monotonic() - said > 30:
            said = time.monotonic()
            logger.info("%d of %d pairs scored, %.0f pairs/s", begin, len(order), begin / (said - begun))
    return scores
