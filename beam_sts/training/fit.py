"""Fits a cross-encoder to scored pairs, and scores pairs during training.

It is used instead of ``CrossEncoderTrainer``, because for a student of under a million parameters on two
cores, tokenising every pair again in each epoch and padding random batches takes as long as the model. Here
each distinct text is tokenised once, batches have pairs of similar length within a token budget, and targets
are the soft scores of a teacher.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedTokenizerBase

from beam_sts.models.bert_hash import BertHashForSequenceClassification
from beam_sts.training import progress
from beam_sts.training.autocast import autocast
from beam_sts.training.kept import owner_of
from beam_sts.training.pairs import PairTensors, length_grouped
from beam_sts.training.student import logits_for_training

_LOSSES = 60  # points of a learning curve
KEEP_SECONDS = 60.0
PROGRESS = "progress.safetensors"  # in a stage's folder during its fit
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingPairs:
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
    ) -> TrainingPairs:
        """Build from parallel sequences of texts and scores."""
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

    def compact(self) -> TrainingPairs:
        """The same pairs, with only the texts that they use."""
        used, places = np.unique(np.concatenate([self.left, self.right]), return_inverse=True)
        half = len(self)
        texts = [self.texts[i] for i in used]
        return TrainingPairs(texts, places[:half], places[half:], self.scores, self.weights)


@dataclass(frozen=True)
class FitSettings:
    """The settings of a fit.

    Attributes:
        epochs: Passes over the pairs; may be fractional.
        batch_size: Pairs per step.
        learning_rate: Peak rate of AdamW, reached after the warm-up; it then decays along a half cosine to 0.
        warmup: Share of the steps that warm up.
        weight_decay: Weight decay of AdamW, on matrices only.
        max_length: Limit for a pair, in tokens; longer pairs are truncated.
        max_tokens: Limit of the tokens in a batch, with padding; batches of long pairs have fewer pairs.
        shift: Most positions by which the tokens of a pair are shifted in half of the batches; only for
            models with rotary positions. So the model learns to read tokens far into long texts like those
            at their start.
        average: Decay of the exponential moving average of the weights, which is the result; 0: the last
            weights.
        seed: Seed of order, swaps and dropout.
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
    """Factor of the learning rate at a progress from 0 to 1: linear warm-up, then half a cosine."""
    if progress < warmup:
        return max(progress, 0.02 * warmup) / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def shifted_places(token_type_ids: torch.Tensor, moves: np.ndarray) -> torch.Tensor:
    """Positions of a batch's tokens in their texts, shifted by one number per pair, except the leading [CLS].

    Args:
        token_type_ids: 0 in the first text, 1 in the second, of shape (batch, length).
        moves: By how many positions each pair is shifted, int64[batch].

    Returns:
        Positions of shape (batch, length).
    """
    device = token_type_ids.device
    steps = torch.arange(token_type_ids.shape[1], device=device)
    places = torch.where(token_type_ids > 0, token_type_ids.cumsum(1), steps)
    return places + torch.from_numpy(moves).to(device)[:, None] * (places > 0)


class FitBatch(NamedTuple):
    """The pairs of a step, and the random choices of their presentation."""

    pairs: np.ndarray  # indices, int64[n]
    swap: np.ndarray  # whether the second text comes first, bool[n]
    moves: np.ndarray | None  # for ``shifted_places``, int64[n]


def random_batches(
    lengths: np.ndarray, settings: FitSettings, total: int, rng: np.random.Generator
) -> Iterator[FitBatch]:
    """The batches of a fit, epoch after epoch, until ``total`` pairs are seen.

    The magnitudes of shifts are log-uniform.
    """
    seen = 0
    while seen < total:
        for pairs in length_grouped(lengths, settings.batch_size, rng, settings.max_tokens):
            swap = rng.random(len(pairs)) < 0.5
            moves = None
            if settings.shift and rng.random() < 0.5:
                moves = np.exp(rng.uniform(0, math.log(settings.shift), len(pairs))).astype(np.int64)
            yield FitBatch(pairs, swap, moves)
            seen += len(pairs)
            if seen >= total:
                return


def fit(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    pairs: TrainingPairs,
    settings: FitSettings,
    evaluate: Callable[[nn.Module], str] | None = None,
    evaluate_every: int = 0,
    joined: bool = True,
    keep: Path | None = None,
) -> progress.Progress:
    """Fit ``model`` in place to ``pairs`` with binary cross-entropy on soft targets, texts in random order.

    Args:
        model: A sequence classifier with one label, or, not ``joined``, a model of logits, on any device.
        tokenizer: Its tokenizer.
        pairs: The training pairs.
        settings: The settings.
        evaluate: Called with the model every ``evaluate_every`` steps; what it returns is logged.
        evaluate_every: Steps between evaluations; 0 for none.
        joined: Whether the model reads a pair as one row; if not, a batch holds all first texts, then all
            second ones, each by itself.
        keep: File of the progress, written every minute during the fit. A stopped fit of the same pairs,
            settings and start continues from it, to the same weights.

    Returns:
        The progress: steps, pairs seen, seconds and some 60 points of the learning curve.
    """
    reached = progress.Progress()
    started = time.monotonic()
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    device = next(model.parameters()).device
    texts = PairTensors.of(pairs.texts, tokenizer, device)
    lengths = np.minimum(texts.lengths(pairs.left, pairs.right), settings.max_length)
    total = round(settings.epochs * len(pairs))
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
    if keep is not None:
        first = [p.detach().cpu().numpy().tobytes() for p in trained]
        known = [pairs.left, pairs.right, pairs.scores, pairs.weights]
        raw = [None if array is None else array.tobytes() for array in known]
        owner = owner_of(settings, joined, device.type, *raw, *pairs.texts, *first)
        reached = progress.load(keep, owner, optimizer, averaged) or reached
        if reached.step:
            logger.info("continues after %d of %d pairs (%s)", reached.seen, total, keep)
    started -= reached.seconds
    saved = time.monotonic()
    since: list[torch.Tensor] = []  # read rarely, because each read waits for the device
    recent: list[torch.Tensor] = []
    for batch in islice(random_batches(lengths, settings, total, rng), reached.step, None):
        rate = settings.learning_rate * rate_at(reached.seen / total, settings.warmup)
        for group in optimizer.param_groups:
            group["lr"] = rate
        left = np.where(batch.swap, pairs.right[batch.pairs], pairs.left[batch.pairs])
        right = np.where(batch.swap, pairs.left[batch.pairs], pairs.right[batch.pairs])
        if joined:
            batched = texts.joined(left, right, settings.max_length)
        else:
            batched = texts.alone(np.concatenate([left, right]), settings.max_length)
        if batch.moves is not None:
            batched["position_ids"] = shifted_places(batched["token_type_ids"], batch.moves)
        targets = torch.from_numpy(pairs.scores[batch.pairs]).to(device, non_blocking=True)
        weights = None if pairs.weights is None else torch.from_numpy(pairs.weights[batch.pairs]).to(device)
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
        reached.step += 1
        reached.seen += len(batch.pairs)
        recent.append(loss.detach())
        since.append(loss.detach())
        if reached.seen >= total or reached.seen >= total * (len(reached.losses) + 1) / _LOSSES:
            reached.losses.append((reached.seen, torch.stack(since).mean().item()))
            since.clear()
        if averaged:
            decay = min(settings.average, reached.step / (reached.step + 10))
            torch._foreach_lerp_(averaged, [p.detach() for p in trained], 1 - decay)
        if reached.step % 100 == 0:
            speed = reached.seen / (time.monotonic() - started)
            mean_loss = torch.stack(recent).mean().item()
            recent.clear()
            logger.info("%d of %d pairs, loss %.4f, %.0f pairs/s", reached.seen, total, mean_loss, speed)
        if evaluate is not None and evaluate_every and reached.step % evaluate_every == 0:
            logger.info("step %d: %s", reached.step, evaluate(model))
            model.train()
        if keep is not None and time.monotonic() - saved >= KEEP_SECONDS:
            reached.seconds = time.monotonic() - started
            progress.save(keep, owner, reached, optimizer, averaged)
            saved = time.monotonic()
    for parameter, mean in zip(trained, averaged, strict=False):
        parameter.data.copy_(mean)
    model.eval()
    if keep is not None:
        keep.unlink(missing_ok=True)
    reached.seconds = time.monotonic() - started
    return reached


@torch.inference_mode()
def predict(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    pairs: TrainingPairs,
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
    begin, started, logged = 0, time.monotonic(), time.monotonic()
    while begin < len(order):
        count = max(1, tokens_per_batch // int(lengths[order[begin]]))
        batch = order[begin : begin + count]
        with autocast(device, precision == "bf16"):
            logits = model(**texts.joined(pairs.left[batch], pairs.right[batch], max_length)).logits
        scores[batch] = torch.sigmoid(logits.float().squeeze(-1)).cpu().numpy()
        begin += len(batch)
        if time.monotonic() - logged > 30:
            logged = time.monotonic()
            logger.info("%d of %d pairs scored, %.0f pairs/s", begin, len(order), begin / (logged - started))
    return scores
