"""PairScorer: pairs of texts in, scores out, in input order."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_sts.arrays import IntArray, arrow_numbers, inverse, numpy_numbers
from beam_sts.errors import UserError
from beam_sts.models.checkpoint import Checkpoint, load_checkpoint
from beam_sts.models.registry import EMBEDDED
from beam_sts.scoring.backends import (
    Backend,
    default_threads,
    load_backend,
    resolve_backend,
    thread_pool,
)
from beam_sts.scoring.inputs import read_pairs, text_column
from beam_sts.scoring.long_text import plan_work
from beam_sts.scoring.plan import MACRO_BATCH, plan_micro_batches, plan_packed
from beam_sts.scoring.result import ScoreResult, ScoreStats
from beam_sts.scoring.settings import ScorerSettings
from beam_sts.scoring.threads import Threads, unforked
from beam_sts.scoring.tokens import MicroBatch, PairTokenizer
from beam_sts.settings import made
from beam_sts.types import Pairs

# Macro-batches in progress at a time with a GPU or several threads: what a single thread does for one,
# such as sorting, is done while other threads compute.
_MACRO_BATCHES = 2
# After this many failures without one success, the backend is at fault, not the pairs.
_HOPELESS = 16

_loading = threading.Lock()  # guards the loading of unpickled scorers


def _renew_lock() -> None:
    global _loading
    _loading = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class PairScorer:
    """A cross-encoder that scores pairs of texts. Safe to call from several threads.

    It continues to work in a forked process. A pickle holds its settings and the path of its local
    checkpoint, which the copy loads at its first use.

    Args:
        model: an embedded model's name, a local folder, an fsspec URL or a Hugging Face id with optional
            ``@revision``.
        precision: ``fp32``; ``bf16`` (faster; scores differ by up to about 0.01); ``fp16`` on a GPU;
            ``int8`` for BERT-hash (on CPUs with VNNI) and with ONNX Runtime.
        backend: ``native``, ``torch``, ``onnx``, ``openvino`` (the last three need extras), or ``auto``:
            see ``beam_sts.scoring.backends.resolve_backend``.
        device: where to run: ``cpu``, ``cuda``, ``cuda:1``, ... With a GPU, cuDNN's attention is switched
            off for the whole process, because it plans again for each shape.
        threads: threads of this process, each with its own micro-batch. Default: all cores that it may use;
            with a GPU, three at most, since threads only tokenise, pad and launch kernels.
        macro_batch: distinct pairs that are tokenised and sorted by length together.
        token_budget: bound on the size of a micro-batch in tokens, padding included; default: the best size
            for the backend, 4,096 to 32,768.
        long_text: what to do with a pair of more tokens than the model's limit. ``truncate``: cut it as
            sentence-transformers does; ``error``: the pair fails and the others are scored; ``windows``:
            score it by overlapping windows (``beam_sts.scoring.windows`` has the rule).
        allow_pickle: load weights from a ``.bin`` file, a pickle, if there is no safetensors file.
        trust_remote_code: run the checkpoint's own code if its architecture is not supported.

    Raises:
        UserError: an argument is none of these, the model is unknown, or its checkpoint cannot be used.

    >>> PairScorer().score([("A cat sits.", "A cat is sitting."), ("A cat sits.", "Stocks fell.")]).round(1)
    array([1., 0.], dtype=float32)
    """

    def __init__(
        self,
        model: str | Path | Checkpoint = "beam-sts-nano",
        *,
        precision: str = "fp32",
        backend: str = "auto",
        device: str = "cpu",
        threads: int | None = None,
        macro_batch: int = MACRO_BATCH,
        token_budget: int | None = None,
        long_text: str = "truncate",
        allow_pickle: bool = False,
        trust_remote_code: bool = False,
    ) -> None:
        self._settings: dict[str, Any] = {
            "model": model,
            "precision": precision,
            "backend": backend,
            "device": device,
            "threads": threads,
            "macro_batch": macro_batch,
            "token_budget": token_budget,
            "long_text": long_text,
            "allow_pickle": allow_pickle,
            "trust_remote_code": trust_remote_code,
        }
        made(ScorerSettings, "PairScorer", self._settings)  # raises if one is invalid
        self._fingerprint: str | None = None
        self._load()

    def _load(self) -> None:
        """Load the checkpoint, its tokenizer and its backend."""
        model, device, precision = (self._settings[name] for name in ("model", "device", "precision"))
        threads = self._settings["threads"] or default_threads(device)
        self._pool = thread_pool(threads)
        self._map: Callable[..., Iterable[Any]] = map
        if device != "cpu" or threads > 1:
            self._map = Threads(_MACRO_BATCHES, "beam_sts_macro", nested=True).map
        with unforked():
            allowed = {name: self._settings[name] for name in ("allow_pickle", "trust_remote_code")}
            loaded = model if isinstance(model, Checkpoint) else load_checkpoint(model, **allowed)
            if self._fingerprint not in (None, loaded.fingerprint):
                raise UserError(
                    f"{loaded.path}: the checkpoint has changed since the scorer was pickled. Create "
                    "the scorer again."
                )
            tokenizer = PairTokenizer.of(loaded)
            backend = resolve_backend(loaded, tokenizer, self._settings["backend"], precision, device)
            self._settings["backend"] = backend
            self._backend: Backend = load_backend(loaded, tokenizer, backend, precision, device, threads)
        self._checkpoint, self._tokenizer = loaded, tokenizer
        self._macro_batch: int = self._settings["macro_batch"]
        self._token_budget: int = self._settings["token_budget"] or self._backend.token_budget
        self._long_text: str = self._settings["long_text"]
        self._loaded = True

    _loaded = False  # an unpickled scorer loads at its first use

    def _ready(self) -> None:
        if not self._loaded:
            with _loading:
                if not self._loaded:
                    self._load()

    def __getstate__(self) -> dict[str, Any]:
        """The settings, the local folder and the fingerprint of its content, without weights and threads."""
        if not self._loaded:
            return {"settings": self._settings, "fingerprint": self._fingerprint}
        loaded = self._checkpoint
        embedded = loaded.path.parent == EMBEDDED.resolve() or loaded.path.parent == EMBEDDED
        own = {
            "model": loaded.path.name if embedded else str(loaded.path),
            "allow_pickle": loaded.allow_pickle,
            "trust_remote_code": loaded.trust_remote_code,
        }
        return {"settings": self._settings | own, "fingerprint": loaded.fingerprint}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._settings, self._fingerprint = dict(state["settings"]), state["fingerprint"]

    @property
    def checkpoint(self) -> Path:
        """The local folder that the model was loaded from; ``CrossEncoder`` loads it too."""
        self._ready()
        return self._checkpoint.path

    @property
    def bounded(self) -> bool:
        """Whether every score is between 0 and 1."""
        self._ready()
        return self._checkpoint.activation == "sigmoid"

    @property
    def max_length(self) -> int:
        """The model's limit for a pair, in tokens, special tokens included."""
        self._ready()
        return self._tokenizer.max_length

    def score(
        self, pairs: Pairs, *, symmetric: bool = False, raw_logits: bool = False
    ) -> NDArray[np.float32]:
        """Score pairs.

        Args:
            pairs: n pairs of texts: tuples or lists of two strings, ``TextPair``, an array of shape (n, 2),
                or a table of two columns (pandas, polars, Arrow).
            symmetric: return the mean of the scores in both orders, at twice the work.
            raw_logits: return logits, without the checkpoint's activation.

        Returns:
            The score of each pair, float32 of shape (n,), in input order.

        Raises:
            TypeError: something in ``pairs`` is not a pair of strings.
            RuntimeError: the backend fails on a pair.
        """
        result = self.run(*read_pairs(pairs), symmetric=symmetric, raw_logits=raw_logits)
        for index, reason in result.failures.items():
            raise RuntimeError(f"pairs[{index}] cannot be scored: {reason}")
        return result.scores

    def run(
        self,
        text_a: Sequence[str] | pa.Array | pa.ChunkedArray,
        text_b: Sequence[str] | pa.Array | pa.ChunkedArray,
        *,
        symmetric: bool = False,
        raw_logits: bool = False,
    ) -> ScoreResult:
        """Score two columns of n texts. If the backend fails on a pair, the others are scored.

        Each distinct pair is scored once. Each distinct text is tokenised once per macro-batch.

        Args:
            text_a: the first texts: strings, or an Arrow array of strings without nulls.
            text_b: the second texts.
            symmetric: return the mean of the scores in both orders.
            raw_logits: return logits, without the checkpoint's activation.

        Returns:
            Scores in row order, failures by row, and counts.

        Raises:
            TypeError: a column holds something other than texts.
            ValueError: the columns differ in length, or a text is null or not valid Unicode.
            RuntimeError: the backend fails on every pair.
        """
        self._ready()
        started = time.perf_counter()
        codes, texts = _encode_texts(text_a, text_b)
        n = len(codes) // 2
        a, b = codes[:n], codes[n:]
        if symmetric:
            a, b = np.minimum(a, b), np.maximum(a, b)
        distinct, inverse = _distinct_pairs(a, b, len(texts))
        a, b = a[distinct], b[distinct]
        if symmetric:
            a, b = np.concatenate([a, b]), np.concatenate([b, a])

        values: NDArray[np.float32] = np.empty(len(a), dtype=np.float32)
        failures: dict[int, str] = {}
        broken = 0
        stats = ScoreStats(pairs=n, pairs_reused=n - len(distinct))
        tokens = np.empty(len(a), dtype=np.int64)
        marks: dict[str, list[IntArray]] = {}

        def score(start: int) -> tuple[int, int, _MacroBatch]:
            stop = min(len(a), start + self._macro_batch)
            return start, stop, self._score_macro_batch(texts, a[start:stop], b[start:stop], raw_logits)

        for start, stop, scored in self._map(score, range(0, len(a), self._macro_batch)):
            values[start:stop] = scored.scores
            failures.update((start + index, reason) for index, reason in scored.failures.items())
            broken += scored.broken
            stats += scored.stats
            tokens[start:stop] = scored.tokens
            for name, pairs in scored.marked.items():
                marks.setdefault(name, []).append(start + pairs)
            if broken == stop and stop >= _HOPELESS:
                raise RuntimeError(f"the backend fails on every pair: {failures[0]}")
        if symmetric:
            values = (values[: len(distinct)] + values[len(distinct) :]) * np.float32(0.5)
            failures = {index % len(distinct): reason for index, reason in failures.items()}
        values[list(failures)] = np.nan
        rows = np.flatnonzero(np.isin(inverse, list(failures)))
        failed_rows = {int(row): failures[int(inverse[row])] for row in rows}
        # Marks are indices of distinct pairs (under symmetric, of both orders). The result has row indices.
        marked = {name: np.flatnonzero(np.isin(inverse, np.concatenate(at))) for name, at in marks.items()}
        stats += ScoreStats(**{name: len(at) for name, at in marked.items()})
        seconds = time.perf_counter() - started
        return ScoreResult(values[inverse], failed_rows, stats, seconds, tokens[inverse], marked)

    def _score_macro_batch(self, texts: pa.Array, a: IntArray, b: IntArray, raw_logits: bool) -> _MacroBatch:
        if (
            self._tokenizer.prompt
        ):  # the prompt is part of a first text, so it is another text than as a second one
            first, local_a = np.unique(a, return_inverse=True)
            second, local_b = np.unique(b, return_inverse=True)
            prompt, nothing = (pa.scalar(text, pa.large_string()) for text in (self._tokenizer.prompt, ""))
            prompted = pc.binary_join_element_wise(prompt, texts.take(arrow_numbers(first)), nothing)
            texts = pa.concat_arrays([prompted, texts.take(arrow_numbers(second))])
            local_b = local_b + len(first)
        else:
            used, local = np.unique(np.concatenate([a, b]), return_inverse=True)
            texts = texts.take(arrow_numbers(used))
            local_a, local_b = local[: len(a)], local[len(a) :]
        work = plan_work(self._tokenizer, texts, local_a, local_b, self._long_text, self._pool.map)
        lengths = self._tokenizer.pair_lengths(work.kept_a, work.kept_b)
        order = np.argsort(-lengths, kind="stable")
        shared = self._backend.share(work, self._pool.map)

        def run(bounds: tuple[int, int]) -> tuple[IntArray, NDArray[np.float32], dict[int, str], int]:
            rows = order[slice(*bounds)]
            batch = MicroBatch(
                self._tokenizer,
                work.table,
                work.a[rows],
                work.b[rows],
                work.kept_a[rows],
                work.kept_b[rows],
                rows,
                shared,
            )
            tokens = int(batch.lengths.sum()) if self._backend.packs else len(batch) * batch.width
            return rows, *_run_bisecting(self._backend, batch), tokens

        logits = np.empty(len(order), dtype=np.float32)
        failed_pairs: dict[int, str] = {}
        padded = 0
        plan = plan_packed if self._backend.packs else plan_micro_batches
        batches = plan(lengths[order], self._token_budget)
        for rows, values, failed, size in self._pool.map(run, batches):
            logits[rows] = values
            for index, reason in failed.items():
                failed_pairs[int(work.owner[rows[index]])] = reason
            padded += size
        return _MacroBatch(
            work.collect(len(a), logits if raw_logits else self._checkpoint.activate(logits)),
            {**work.refused, **failed_pairs},
            len(failed_pairs),
            ScoreStats(
                texts_tokenised=len(texts),
                real_tokens=int(lengths.sum()),
                padded_tokens=padded,
                backend_calls=len(batches),
                windows=sum(len(w.first) for w in work.windowed.values()),
            ),
            np.bincount(work.owner, weights=lengths, minlength=len(a)).astype(np.int64),
            {
                "truncated": work.truncated,
                "windowed": np.array(list(work.windowed), dtype=np.int64),
                "unknown": self._tokenizer.unknown_pairs(work.table, local_a, local_b),
            },
        )


@dataclass(frozen=True)
class _MacroBatch:
    """Scores of a macro-batch, the reasons of failures, and how many failures are the backend's.

    ``tokens`` counts tokens by pair; ``marked`` has indices of pairs by the name of their count.
    """

    scores: NDArray[np.float32]
    failures: dict[int, str]
    broken: int
    stats: ScoreStats
    tokens: IntArray
    marked: dict[str, IntArray]


def _encode_texts(
    text_a: Sequence[str] | pa.Array | pa.ChunkedArray, text_b: Sequence[str] | pa.Array | pa.ChunkedArray
) -> tuple[IntArray, pa.Array]:
    """Both columns as one array of indices (first column, then second), and the distinct texts they index."""
    first, second = text_column("text_a", text_a), text_column("text_b", text_b)
    if len(first) != len(second):
        raise ValueError(f"text_a has {len(first)} texts, but text_b has {len(second)}")
    chunks = [*first.chunks, *second.chunks]
    encoded = pa.chunked_array(chunks, pa.large_string()).combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    return numpy_numbers(encoded.indices).astype(np.int64), encoded.dictionary


def _distinct_pairs(a: IntArray, b: IntArray, texts: int) -> tuple[IntArray, IntArray]:
    """The first row of each distinct pair, in order of appearance, and the distinct pair of each row."""
    _, first, number = np.unique(a * max(texts, 1) + b, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    return first[order], inverse(order)[number]


def _run_bisecting(backend: Backend, batch: MicroBatch) -> tuple[NDArray[np.float32], dict[int, str]]:
    """Logits of a micro-batch. If the backend raises, the batch is halved until the pair at fault is found.

    Returns:
        Logits of shape (rows,), NaN for rows that fail alone, and the reasons by row.
    """
    try:
        logits = backend.logits(batch)
        if logits.shape != (len(batch),):
            raise RuntimeError(f"the backend returned shape {logits.shape} for {len(batch)} pairs")
        bad = np.flatnonzero(~np.isfinite(logits))
        return logits, {int(row): f"the model's output is {logits[row]}" for row in bad}
    except Exception as error:
        if len(batch) == 1:
            return np.full(1, np.nan, np.float32), {0: f"{type(error).__name__}: {error}"}
    half = len(batch) // 2
    left, failed = _run_bisecting(backend, batch[:half])
    right, more = _run_bisecting(backend, batch[half:])
    return np.concatenate([left, right]), {**failed, **{half + row: reason for row, reason in more.items()}}
