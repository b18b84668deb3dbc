"""Token ids: each text is tokenised once, and pairs are assembled from the ids without the tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from tokenizers import Tokenizer, normalizers

from beam_sts.arrays import IntArray, arrow_texts, group_starts, numpy_numbers
from beam_sts.models.checkpoint import Checkpoint
from beam_sts.models.files import brief, reading
from beam_sts.models.stack import GENERATE
from beam_sts.models.tokenizer import SavedTokenizer
from beam_sts.scoring.cuts import MAX_PIECE, cut_pattern, cut_positions
from beam_sts.scoring.plan import expand_ranges, longest_first
from beam_sts.scoring.scripts import unreadable_tokens
from beam_sts.scoring.template import PairTemplate, check_template, probe_template
from beam_sts.scoring.wordpiece import WordPieceColumns

# Characters in a piece of a long text. One piece usually has all the tokens that are needed.
_PIECE, _LEAST_PIECE, _CHARACTERS_PER_TOKEN = 1 << 17, 1 << 12, 16
# Texts, and bytes of texts, that a thread tokenises at a time.
_BLOCK, _BLOCK_BYTES = 1024, 1 << 20


@dataclass(frozen=True)
class TokenTable:
    """Token ids of distinct texts, end to end: text i has ``ids[offsets[i]:offsets[i + 1]]``.

    ``partial`` has the texts of which only the needed tokens are in the table. ``refused`` has the texts
    that cannot be tokenised, with reasons. With ``from_end``, a truncated text keeps its last tokens, not
    its first.
    """

    ids: NDArray[np.int64]
    offsets: IntArray
    partial: frozenset[int] = frozenset()
    refused: dict[int, str] = field(default_factory=dict)
    from_end: bool = False

    @property
    def lengths(self) -> IntArray:
        """Count of tokens in the table for each text, shape (texts,)."""
        return np.diff(self.offsets)

    def lengths_of(self, texts: IntArray) -> IntArray:
        """Counts of tokens of some texts."""
        return self.offsets[texts + 1] - self.offsets[texts]

    def take(self, texts: IntArray, kept: IntArray) -> NDArray[np.int64]:
        """The ids of the ``kept`` tokens of each of the texts, end to end."""
        starts = self.offsets[texts + 1] - kept if self.from_end else self.offsets[texts]
        return self.ids[expand_ranges(starts, kept)]


@dataclass(frozen=True)
class PaddedBatch:
    """Padded model input: integer arrays of shape (rows, longest)."""

    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    token_type_ids: NDArray[np.int64] | None


@dataclass(frozen=True, eq=False)
class MicroBatch:
    """Pairs that a backend scores together; arrays of shape (rows,).

    ``a`` and ``b`` are indices of texts in the table, ``kept_a`` and ``kept_b`` counts of their kept
    tokens, and ``items`` indices of items in the macro-batch. ``shared`` is the result of the backend's
    ``share``.
    """

    tokenizer: PairTokenizer
    table: TokenTable
    a: IntArray
    b: IntArray
    kept_a: IntArray
    kept_b: IntArray
    items: IntArray
    shared: Any = None

    def __getitem__(self, rows: slice) -> MicroBatch:
        """The pairs of a slice."""
        a, b, kept_a, kept_b, items = (
            array[rows] for array in (self.a, self.b, self.kept_a, self.kept_b, self.items)
        )
        return MicroBatch(self.tokenizer, self.table, a, b, kept_a, kept_b, items, self.shared)

    def __len__(self) -> int:
        return len(self.a)

    @cached_property
    def lengths(self) -> IntArray:
        """Count of tokens of each pair, special tokens included."""
        return self.tokenizer.pair_lengths(self.kept_a, self.kept_b)

    @cached_property
    def width(self) -> int:
        """Count of tokens of the longest pair."""
        return int(self.lengths.max())

    @cached_property
    def packed(self) -> NDArray[np.int64]:
        """The pairs' token ids end to end, special tokens included."""
        return self.tokenizer.lay_out(self.table, self.a, self.b, self.kept_a, self.kept_b)[0]

    @cached_property
    def padded(self) -> PaddedBatch:
        """The pairs padded, as input of a transformers model."""
        return self.tokenizer.assemble(self.table, self.a, self.b, self.kept_a, self.kept_b)


class PairTokenizer:
    """Tokenises texts and assembles truncated, padded pairs as the reference tokenizer would.

    Args:
        tokenizer: a ``tokenizers.Tokenizer`` without truncation and padding. It is never changed, so
            several threads may use it.
        max_length: limit for a pair, in tokens, special tokens included.
        pad_id: id that fills short rows.
        pad_left: pad on the left, as decoders need.
        truncate_left: drop tokens from the start of a long text, not from its end.
        token_types: whether the model reads token types.
        prompt: the checkpoint's prompt, which is put before the first text of each pair.
        unknown_id: id of the unknown token, if there is one.
    """

    def __init__(
        self,
        tokenizer: Any,
        max_length: int,
        *,
        pad_id: int = 0,
        pad_left: bool = False,
        truncate_left: bool = False,
        token_types: bool = True,
        prompt: str = "",
        unknown_id: int | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        template = probe_template(tokenizer)
        self._template = template if token_types else template.untyped()
        self._cut = cut_pattern(tokenizer)
        self._columns = WordPieceColumns(tokenizer) if WordPieceColumns.takes(tokenizer) else None
        self.max_length = max_length
        self.prompt = prompt
        self._pad_id = pad_id
        self._pad_left = pad_left
        self._truncate_left = truncate_left
        self._token_types = token_types
        self._unreadable = None
        if unknown_id is not None:
            self._unreadable = unreadable_tokens(tokenizer.get_vocab(), unknown_id)

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> PairTokenizer:
        """The tokenizer of a checkpoint, with the limit, padding and prompt of that checkpoint."""
        with reading(f"{checkpoint.path}: the tokenizer cannot be used"):
            made = cls._of(checkpoint, checkpoint.tokenizer)
        check_template(made.template, made.max_length, checkpoint)
        return made

    @classmethod
    def _of(cls, checkpoint: Checkpoint, saved: SavedTokenizer) -> PairTokenizer:
        backend = saved.backend
        if checkpoint.stack.lowercase:
            backend = Tokenizer.from_str(backend.to_str())  # a copy: the checkpoint's is not changed
            before = [backend.normalizer] if backend.normalizer else []
            backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *before])
        return cls(
            backend,
            checkpoint.max_length,
            pad_id=checkpoint.pad_id,
            # The reference pads decoders on the left, whatever their tokenizer's settings.
            pad_left=saved.pads_left or checkpoint.stack.task == GENERATE,
            truncate_left=saved.truncates_left,
            token_types=saved.token_types,
            prompt=checkpoint.stack.prompt,
            unknown_id=saved.unknown_id,
        )

    @property
    def template(self) -> PairTemplate:
        """The special tokens around a pair."""
        return self._template

    @property
    def budget(self) -> int:
        """The limit of both texts of a pair together, in tokens, without special tokens."""
        return self.max_length - self._template.special_tokens

    def encode(
        self,
        texts: Sequence[str] | pa.Array,
        keep: int | None = None,
        run: Callable[..., Iterable[Any]] = map,
    ) -> TokenTable:
        """Tokenise texts, without special tokens.

        Args:
            texts: n texts, without nulls.
            keep: how many tokens of each text are needed, from the side that truncation keeps. Of a much
                longer text only the needed part is read. Default: all.
            run: ``map``, or that of a pool of threads.
        """
        column = texts.cast(pa.large_string()) if isinstance(texts, pa.Array) else arrow_texts(texts)
        size = _PIECE if keep is None else min(_PIECE, max(_LEAST_PIECE, _CHARACTERS_PER_TOKEN * keep))
        pieces: dict[int, list[str]] = {}  # of each long text, in reverse order
        refused: dict[int, str] = {}
        for index in np.flatnonzero(numpy_numbers(pc.utf8_length(column)) > 2 * size).tolist():
            text = column[index].as_py()
            pieces[index] = self._pieces(text, size)
            if max(map(len, pieces[index])) > MAX_PIECE:
                refused[index] = f"text too large: {len(text):,} characters without a place to cut"
                pieces[index] = [""]
        if pieces:
            shortened = column.to_pylist()
            for index, cut in pieces.items():
                shortened[index] = cut.pop()
            column = arrow_texts(shortened)
        numbers = np.maximum(
            np.arange(len(column)) // _BLOCK,
            np.cumsum(numpy_numbers(pc.binary_length(column))) // _BLOCK_BYTES,
        )
        bounds = [*group_starts(numbers).tolist(), len(column)]
        blocks = [column[start:end] for start, end in pairwise(bounds)]
        encoded = list(run(self._encode_block, blocks))
        lengths = np.concatenate([np.empty(0, np.int64), *(lengths for _, lengths, _ in encoded)])
        ids = np.concatenate([np.empty(0, np.int64), *(ids for ids, _, _ in encoded)])
        for start, (_, _, failed) in zip(bounds, encoded, strict=False):
            refused |= {start + index: reason for index, reason in failed.items()}
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        partial = frozenset(index for index, rest in pieces.items() if rest)
        if partial:
            longer = {}
            for index in partial:
                own = ids[offsets[index] : offsets[index + 1]].tolist()
                while pieces[index] and (keep is None or len(own) < keep):
                    (more,), failed = self._encodings([pieces[index].pop()])
                    if failed:
                        refused[index] = failed[0]
                    own = more + own if self._truncate_left else own + more
                longer[index] = own
            rows = np.split(ids, offsets[1:-1])
            for index, own in longer.items():
                rows[index] = np.array(own, dtype=np.int64)
            ids = np.concatenate(rows)
            offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
            partial = frozenset(index for index in partial if pieces[index])
        return TokenTable(ids, offsets, partial, refused, self._truncate_left)

    def _encode_block(self, texts: pa.Array) -> tuple[NDArray[np.int64], IntArray, dict[int, str]]:
        """The token ids of texts, end to end, the count of each text, and the reasons why some have none."""
        if self._columns:
            return *self._columns.encode(texts), {}
        rows, failed = self._encodings(texts.to_pylist())
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        return np.fromiter(chain.from_iterable(rows), np.int64, int(lengths.sum())), lengths, failed

    def _encodings(self, texts: list[str]) -> tuple[list[list[int]], dict[int, str]]:
        """The token ids of each text, and the reasons by index of texts on which the tokenizer fails.

        A regular expression of a tokenizer may exceed its limit on a text, which is a panic in Rust.
        """
        try:
            encoded = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            return [encoding.ids for encoding in encoded], {}
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # a Rust panic is not an Exception
            if len(texts) == 1:
                return [[]], {0: f"the tokenizer fails: {brief(error)}"}
        half = len(texts) // 2
        (left, failed), (right, more) = self._encodings(texts[:half]), self._encodings(texts[half:])
        return left + right, failed | {half + index: reason for index, reason in more.items()}

    def _pieces(self, text: str, size: int) -> list[str]:
        """The pieces of a text in the order of ``pop``: reversed, unless the end of the text is kept."""
        ends = cut_positions(text, self._cut, size)
        cut = [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        return cut if self._truncate_left else cut[::-1]

    def count(self, text: str) -> int:
        """Count of tokens of a text, in bounded memory however long it is."""
        pieces = self._pieces(text, _PIECE)
        return sum(len(self._encodings([piece])[0][0]) for piece in pieces)

    def unknown_pairs(self, table: TokenTable, a: IntArray, b: IntArray) -> IntArray:
        """Indices of the pairs with a text of which more than half of the tokens are unreadable.

        To the model two such texts look alike, and one looks unlike any English text. Their scores mean
        little. See ``unreadable_tokens``.
        """
        if self._unreadable is None:
            return np.empty(0, dtype=np.int64)
        unknown = np.concatenate([[0], np.cumsum(self._unreadable[table.ids])])
        mostly = 2 * np.diff(unknown[table.offsets]) > table.lengths
        return np.flatnonzero(mostly[a] | mostly[b])

    def truncate(self, len_a: IntArray, len_b: IntArray) -> tuple[IntArray, IntArray]:
        """Counts of the tokens that both texts of each pair keep under ``max_length``."""
        return longest_first(len_a, len_b, self.budget)

    def pair_lengths(self, kept_a: IntArray, kept_b: IntArray) -> IntArray:
        """Counts of the tokens of whole pairs, special tokens included."""
        return kept_a + kept_b + self._template.special_tokens

    def lay_out(
        self, table: TokenTable, a: IntArray, b: IntArray, kept_a: IntArray, kept_b: IntArray
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], IntArray]:
        """Lay pairs out end to end, with special tokens.

        Args:
            table: token ids of the distinct texts.
            a: index into the table of each pair's first text, shape (rows,).
            b: the same for the second text.
            kept_a: tokens to keep of each first text, shape (rows,).
            kept_b: the same for the second text.

        Returns:
            Token ids and token types, end to end, and the length of each pair.
        """
        (before, between, after), types = self._template.parts, self._template.types
        lengths = self.pair_lengths(kept_a, kept_b)
        starts = np.cumsum(lengths) - lengths
        flat = np.empty(int(lengths.sum()), dtype=np.int64)
        flat_types = np.empty(len(flat), dtype=np.int64)

        def put_special(at: IntArray, ids: tuple[int, ...], kinds: tuple[int, ...]) -> None:
            for position, (token, kind) in enumerate(zip(ids, kinds, strict=True)):
                flat[at + position] = token
                flat_types[at + position] = kind

        def put_text(at: IntArray, texts: IntArray, kept: IntArray, kind: int) -> None:
            target = expand_ranges(at, kept)
            flat[target] = table.take(texts, kept)
            flat_types[target] = kind

        start_a = starts + len(before)
        start_b = start_a + kept_a + len(between)
        put_special(starts, before, types[0])
        put_text(start_a, a, kept_a, types[1])
        put_special(start_a + kept_a, between, types[2])
        put_text(start_b, b, kept_b, types[3])
        put_special(start_b + kept_b, after, types[4])
        return flat, flat_types, lengths

    def assemble(
        self, table: TokenTable, a: IntArray, b: IntArray, kept_a: IntArray, kept_b: IntArray
    ) -> PaddedBatch:
        """Assemble a padded micro-batch; the arguments are those of ``lay_out``."""
        flat, flat_types, lengths = self.lay_out(table, a, b, kept_a, kept_b)
        width = int(lengths.max())
        column = np.arange(width)
        mask = column >= (width - lengths)[:, None] if self._pad_left else column < lengths[:, None]
        input_ids = np.full(mask.shape, self._pad_id, dtype=np.int64)
        input_ids[mask] = flat
        token_type_ids = None
        if self._token_types:
            token_type_ids = np.zeros(mask.shape, dtype=np.int64)
            token_type_ids[mask] = flat_types
        return PaddedBatch(input_ids, mask.astype(np.int64), token_type_ids)
