"""The engine as a backend of the scorer: micro-batches in, logits out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import IntArray
from beam_sts.scoring.engine.batch import PairBatch, SharedTexts, TokenIds
from beam_sts.scoring.engine.library import installed_library, supported_kinds
from beam_sts.scoring.engine.native import Native
from beam_sts.scoring.engine.packing import BFLOAT16, FLOAT32, INT8
from beam_sts.scoring.engine.reference import Reference, attention_temperature, rotary_factors
from beam_sts.scoring.engine.shape import Shape
from beam_sts.scoring.engine.weights import Weights
from beam_sts.scoring.long_text import Work
from beam_sts.scoring.plan import TOKEN_BUDGET
from beam_sts.scoring.template import PairTemplate
from beam_sts.scoring.tokens import MicroBatch, TokenTable

log = logging.getLogger(__name__)

PRECISIONS = {"fp32": FLOAT32, "bf16": BFLOAT16, "int8": INT8}
# A table of texts saves time if each token is used this often on average. It takes 2 kB for each token.
_LEAST_REUSE, _MOST_TOKENS = 1.3, 1 << 16
_TEXT_BLOCK = 2048
LEVEL: int | None = None  # index of an instruction set, set by tests; None: the best of this CPU


@dataclass(frozen=True)
class _Shared:
    """What the micro-batches of a macro-batch share.

    Attributes:
        table: the token table of the macro-batch.
        ids: its token ids, checked.
        texts: the tokens of texts that are in several pairs, or None.
        rows: rows of ``texts`` at which each item's first and second text start, int64 of shape (2, items).
    """

    table: TokenTable
    ids: TokenIds
    texts: SharedTexts | None = None
    rows: IntArray | None = None


class Engine:
    """Runs BERT-hash classifiers on the CPU. Safe to call from several threads.

    Args:
        config: an object with the keys of the checkpoint's config.json as attributes.
        tensors: the checkpoint's tensors by name, arrays of float32, float16 or float64.
        template: the special tokens around a pair.
        precision: ``fp32``, ``bf16`` or ``int8``. Norms, softmax and the path of [CLS] through the last layer
            are always float32.

    Raises:
        ValueError: a key of the config or a tensor does not fit; the message names it.
    """

    packs = True

    @staticmethod
    def takes(config: Any, tensors: Mapping[str, NDArray[Any]], template: PairTemplate) -> bool:
        """Whether the engine can run a model.

        A window at the end of a pair covers padding. There the engine takes zeros, and the model class the
        padding token's row of the table, so the engine needs that row to be zero, as training leaves it.

        Args:
            config: an object with the keys of the checkpoint's config.json as attributes.
            tensors: the checkpoint's tensors by name.
            template: the special tokens around a pair.
        """
        table = tensors["bert.embeddings.word_embeddings.embeddings.weight"]
        return (
            config.hidden_act == "gelu"
            and not config.is_decoder
            and not config.add_cross_attention
            and [len(part) for part in template.parts] == [1, 1, 1]
            and template.types == ((0,), 0, (0,), 1, (1,))
            and (config.window == 1 or not table[config.pad_token_id].any())
        )

    def __init__(
        self,
        config: Any,
        tensors: Mapping[str, NDArray[Any]],
        template: PairTemplate,
        precision: str = "fp32",
    ) -> None:
        self.shape = shape = Shape.of(config)
        weights = Weights.of(shape, tensors)
        before, between, after = template.parts
        special = (before[0], between[0], after[0])
        library, kind = installed_library(), PRECISIONS[precision]
        self._native: Native | None = None
        self._reference: Reference | None = None
        if library is None:
            self._reference = Reference(shape, weights, special)
        else:
            level = library.beam_sts_level() if LEVEL is None else LEVEL
            if kind not in supported_kinds(library, level):
                log.warning(
                    "This CPU has no instructions for %s: products run in float32. That is no faster than "
                    "--precision fp32.",
                    precision,
                )
                kind = FLOAT32
            self._native = Native(library, shape, weights, special, kind, level)
        # Faster products make the overhead of a call a larger share of the time, so micro-batches are larger.
        self.token_budget = TOKEN_BUDGET if kind == FLOAT32 else 2 * TOKEN_BUDGET
        self._special = special
        self._rotary = rotary_factors(shape, 512)

    def share(self, work: Work, run: Callable[..., Iterable[Any]]) -> _Shared:
        """Check the token ids. If texts recur, compute once for each what depends on that text alone.

        Args:
            work: the pairs of a macro-batch.
            run: ``map`` over the scorer's threads.

        Returns:
            What ``logits`` expects as ``batch.shared``.
        """
        table, shape = work.table, self.shape
        shared = _Shared(table, TokenIds(table.ids, shape.vocabulary))
        if self._native is None or not shape.segment or shape.layers < 2:
            return shared
        cls, sep, other = self._special
        rows, kept = np.concatenate([work.a, work.b]), np.concatenate([work.kept_a, work.kept_b])
        longest = int(kept.max(initial=0)) + 1
        entries, inverse = np.unique(rows * longest + kept, return_inverse=True)
        rows, kept = np.divmod(entries, longest)
        ends = np.cumsum(kept + 1)
        starts = ends - (kept + 1)
        tokens = int(ends[-1]) if len(ends) else 0
        paired = int((work.kept_a + work.kept_b + 2).sum())
        if sep != other or not 0 < tokens <= _MOST_TOKENS or paired < _LEAST_REUSE * tokens:
            return shared
        texts = SharedTexts.empty(shape, tokens)
        native = self._native
        native.embed(TokenIds(np.array([cls]), shape.vocabulary), np.zeros(1, np.int32), texts, tokens)
        # Cuts are starts of texts. A bound beyond the last start would make an empty block.
        cuts = np.unique(np.searchsorted(starts, np.arange(0, int(starts[-1]) + 1, _TEXT_BLOCK)))

        def block(bounds: tuple[int, int]) -> None:
            some = slice(*bounds)
            start, stop = int(starts[bounds[0]]), int(ends[bounds[1] - 1])
            ids = np.full(stop - start, sep)
            owners = np.repeat(np.arange(len(kept[some]), dtype=np.int32), kept[some] + 1)
            is_end = np.zeros(len(ids), dtype=bool)
            is_end[ends[some] - 1 - start] = True
            ids[~is_end] = table.take(rows[some], kept[some])
            native.embed(TokenIds(ids, shape.vocabulary), owners, texts, start)

        for _ in run(block, zip(cuts, [*cuts[1:], len(kept)], strict=True)):
            pass
        return _Shared(table, shared.ids, texts, starts[inverse].reshape(2, -1))

    def logits(self, batch: MicroBatch) -> NDArray[np.float32]:
        """Logits of the rows, shape (rows,)."""
        table, shared = batch.table, batch.shared
        if not isinstance(shared, _Shared) or shared.table is not table:
            shared = _Shared(table, TokenIds(table.ids, self.shape.vocabulary))
        kept = np.stack([batch.kept_a, batch.kept_b])
        texts = np.stack([batch.a, batch.b])
        starts = table.offsets[texts + 1] - kept if table.from_end else table.offsets[texts]
        if self._native is None:
            return self._refer(shared.ids, starts, kept)
        lengths = kept.sum(axis=0) + 3
        temperature = None
        if self.shape.rotary and lengths.max() > self.shape.sharp_length:
            temperature = attention_temperature(self.shape, lengths)
        rows = None
        if shared.texts is not None and shared.rows is not None:
            rows = np.ascontiguousarray(shared.rows[:, batch.items])
        rotary = self._factors(int(kept.max()) + 2)
        pairs = PairBatch(shared.ids, starts, kept, temperature, rotary, shared.texts, rows)
        return self._native.logits(pairs)

    def _refer(self, ids: TokenIds, starts: IntArray, kept: IntArray) -> NDArray[np.float32]:
        reference = self._reference
        if reference is None:
            raise RuntimeError("the engine has neither a library nor a reference")

        def text(which: int, pair: int) -> NDArray[np.int32]:
            start = starts[which, pair]
            return ids.array[start : start + kept[which, pair]]

        logits = [reference.logit(text(0, pair), text(1, pair)) for pair in range(kept.shape[1])]
        return np.array(logits, dtype=np.float32)

    def _factors(self, places: int) -> NDArray[np.float32]:
        """Rotary factors of at least ``places`` positions."""
        factors = self._rotary
        if len(factors) < places:
            self._rotary = factors = rotary_factors(self.shape, 2 * places)
        return factors
