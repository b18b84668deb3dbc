"""The rows of a corpus on one machine: arrays of what decides, texts in a file, and distinct texts.

A corpus is read twice: here, and when its rows are written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_sts.arrays import IntArray, best_of_groups, chunks_of, inverse, one_array
from beam_sts.candidates.keys import Keys, blocking_keys, hash128, text_blocks
from beam_sts.candidates.propose import ComparedTexts, Proposal
from beam_sts.candidates.source import Readable
from beam_sts.candidates.vectors import vector_matrix
from beam_sts.dedup.decide import CorpusDecision, Edges, VerifyPairs, decide
from beam_sts.dedup.distinct import DistinctTexts, Grouping, distinct_texts
from beam_sts.dedup.keep import KeepPolicy, lengths_of, ranks
from beam_sts.dedup.learnt import Learnt
from beam_sts.dedup.rule import Policy
from beam_sts.errors import UserError
from beam_sts.io.blank import blank_rows
from beam_sts.io.ids import shown_id
from beam_sts.io.spill import TextFile, TextList
from beam_sts.plurals import plural

_COPY = 20_000  # texts that are in memory at once while they are written to disk


@dataclass
class Rows:
    """The good rows of one or two inputs. The second is the one to compare against.

    ``hashes`` are uint64 (n, 2), of the texts. ``characters`` are the lengths of the texts. ``side`` is 0 or
    1. ``values`` are those of the keep policy. ``vectors`` are float32 (n, dimensions), if the inputs have
    any. ``spans`` has the first row and the number of rows of each slice, for side 0.
    """

    texts: pa.LargeStringArray
    ids: list[pa.ChunkedArray]
    hashes: NDArray[np.uint64]
    characters: IntArray
    side: NDArray[np.int8]
    blank: NDArray[np.bool_]
    values: pa.ChunkedArray | None
    blocks: list[Keys]
    vectors: NDArray[np.float32] | None = None
    spans: dict[int, tuple[int, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.hashes)

    @property
    def own(self) -> int:
        """The number of rows of the input itself."""
        return len(self.ids[0])

    def id_ranks(self) -> IntArray:
        """The rank of each row by id. Rows of side 1 come after all rows of side 0.

        Raises:
            UserError: an id occurs twice.
        """
        places, before = [], 0
        for ids, name in zip(self.ids, ("--id", "--against_id"), strict=False):
            place = ranks(ids)
            order = inverse(place)
            ordered = ids.take(pa.array(order))
            twice = np.flatnonzero(np.asarray(pc.equal(ordered.slice(1), ordered.slice(0, len(ids) - 1))))
            if len(ids) > 1 and len(twice):
                first, second = sorted(order[twice[0] : twice[0] + 2].tolist())
                raise UserError(
                    f"{name}: {ids[first].as_py()!r} is the id of the good rows {first:,} and {second:,}"
                    + (
                        f", and {plural(len(twice) - 1, 'more id recurs', 'more ids recur')}"
                        if len(twice) > 1
                        else ""
                    )
                    + ". Ids must be distinct: make them so, or leave the option out to use row numbers."
                )
            places.append(place + before)
            before += len(ids)
        return np.concatenate(places)

    def ids_of(self, rows: IntArray) -> pa.Array:
        """The ids of rows of either side."""
        ids = pa.chunked_array([chunk for part in self.ids for chunk in part.chunks], self.ids[0].type)
        return one_array(ids.take(pa.array(rows)))


def read_rows(
    sources: Sequence[Readable],
    spill: TextFile | TextList,
    keep: KeepPolicy,
    blocks: Sequence[str] = (),
    seen: Callable[[int, str], None] = lambda rows, file: None,
) -> Rows:
    """Read one or two inputs.

    Args:
        sources: the input and, optionally, the one to compare it against.
        spill: stores the texts.
        keep: the policy that decides which row stays.
        blocks: columns or expressions of blocking keys.
        seen: called with the number of rows that were read, and their file.

    Returns:
        The good rows.

    Raises:
        UserError: an input cannot be read, or an expression is invalid.
    """
    ids: list[list[pa.Array]] = [[] for _ in sources]
    sizes = [0] * len(sources)
    hashes: list[NDArray[np.uint64]] = [np.empty((0, 2), np.uint64)]
    characters: list[IntArray] = [np.empty(0, np.int64)]
    blank: list[NDArray[np.bool_]] = [np.empty(0, bool)]
    values: list[pa.ChunkedArray] = []
    keys: list[list[Keys]] = [[] for _ in blocks]
    vectors: list[NDArray[np.float32]] = []
    spans, count = {}, 0
    for side, source in enumerate(sources):
        for rows in source.read():
            seen(rows.data.slice.rows, rows.data.slice.path)
            spill.append(rows.texts)
            ids[side] += chunks_of(rows.ids)
            sizes[side] += len(rows.good)
            hashes.append(hash128(rows.texts.to_pylist()))
            characters.append(np.asarray(pc.utf8_length(rows.texts)).astype(np.int64))
            blank.append(blank_rows(rows.texts))
            table = rows.table
            if side == 0:
                spans[rows.data.slice.index] = count, len(rows.good)
                if len(rows.good) and (found := keep.values(table)) is not None:
                    values.append(found)
            if (vector := source.columns.vector) is not None and len(rows.good):
                vectors.append(vector_matrix(table, vector, rows.numbers))
            for of_block, expression in zip(keys, blocks, strict=True):
                block = blocking_keys(table, expression)
                of_block.append(Keys(block.text + count, block.key, "block"))
            count += len(rows.good)
    return Rows(
        spill.column(),
        [pa.chunked_array(parts, source.id_type) for parts, source in zip(ids, sources, strict=True)],
        np.concatenate(hashes),
        np.concatenate(characters),
        np.repeat(np.arange(len(sources), dtype=np.int8), sizes),
        np.concatenate(blank),
        pa.chunked_array(values) if values else None,
        [_join(parts, name) for parts, name in zip(keys, blocks, strict=True)],
        _stack(vectors),
        spans,
    )


def _stack(parts: list[NDArray[np.float32]]) -> NDArray[np.float32] | None:
    widths = sorted({part.shape[1] for part in parts})
    if len(widths) > 1:
        raise UserError(
            f"--embedding: vectors have {' and '.join(map(str, widths))} numbers, not one length."
        )
    return np.concatenate(parts) if parts else None


def _join(parts: list[Keys], expression: str) -> Keys:
    text = [np.empty(0, np.int64), *(part.text for part in parts)]
    key = [np.empty((0, 2), np.uint64), *(part.key for part in parts)]
    return Keys(np.concatenate(text), np.concatenate(key), f"block:{expression}")


def best_rows(
    rows: Rows, distinct: DistinctTexts, id_rank: IntArray, keep: KeepPolicy
) -> tuple[IntArray, IntArray]:
    """The rank of each text, which is that of its best row, and that row. Texts of side 1 come last."""
    own = rows.own
    if keep.name == "first":
        place = np.arange(own)
    else:
        lengths = lengths_of(rows.texts.slice(0, own)) if keep.by_length else None
        priority = keep.priority(None, lengths, rows.values)
        place = ranks(
            pa.array(id_rank[:own]), pa.array(priority) if isinstance(priority, np.ndarray) else priority
        )
    rank = np.concatenate([place, id_rank[own:]])
    best = best_of_groups(distinct.of_row, rank)
    return rank[best] + np.where(distinct.side == 1, own, 0), best


@dataclass(frozen=True)
class Corpus:
    """One or two inputs on one machine: their rows, the distinct texts, and their contents.

    ``release`` frees the memory of texts that are on disk. ``own`` has the texts in plain form and without
    boilerplate, from which candidates are found; None if these are the texts as they are. ``folder`` is a
    local folder for what need not be kept in memory; None if all is.
    """

    rows: Rows
    id_rank: IntArray
    distinct: DistinctTexts
    texts: pa.LargeStringArray
    release: Callable[[], None]
    own: pa.LargeStringArray | None = None
    folder: Path | None = None

    @property
    def hashes(self) -> NDArray[np.uint64]:
        """The hash of the text of each text, shape (texts,)."""
        hashes: NDArray[np.uint64] = self.rows.hashes[self.distinct.row, 0]
        return hashes

    def with_own(self, learnt: Learnt) -> Corpus:
        """The corpus with ``own`` texts."""
        spill = TextFile(self.folder / "own") if self.folder else TextList()
        for _, part in text_blocks(self.texts):
            spill.append(learnt.own(part))
        return replace(self, own=spill.column())

    @property
    def against(self) -> bool:
        """Whether there is another input to compare against."""
        return len(self.rows.ids) > 1

    @property
    def to_pair(self) -> ComparedTexts:
        """The texts among which candidates are proposed."""
        rows, distinct = self.rows, self.distinct
        blocks = [Keys(distinct.of_row[keys.text], keys.key, "block") for keys in rows.blocks]
        vectors = rows.vectors
        of_texts = None if vectors is None else partial(np.take, vectors, distinct.row, axis=0)
        texts = self.texts if self.own is None else self.own
        return ComparedTexts(
            *(texts, distinct.side, distinct.blank, self.against, rows.ids[0], distinct.of_row, blocks),
            self.names,
            of_texts,
            self.folder,
        )

    def names(self, texts: IntArray) -> list[tuple[int, Any]]:
        """Returns the names of texts in Beam: the side and the id of the first row."""
        ids = self.rows.ids_of(self.distinct.row[texts]).to_pylist()
        return list(zip(self.distinct.side[texts].tolist(), ids, strict=True))

    def first_ids(self, texts: IntArray) -> list[Any]:
        """The ids of the first rows of texts, in readable form."""
        return list(map(shown_id, self.rows.ids_of(self.distinct.row[texts]).to_pylist()))

    def decide(self, policy: Policy, edges: Edges, verify: VerifyPairs | None = None) -> CorpusDecision:
        """Decide about all texts and rows, as one part. The arguments are those of ``decide``."""
        rank, best = best_rows(self.rows, self.distinct, self.id_rank, policy.keep)
        made = decide(policy, rank, self.distinct.rows, self.distinct.side == 1, edges, verify)
        return CorpusDecision(made, self.distinct.of_row, best, self.distinct.row)


def read_corpus(
    sources: Sequence[Readable],
    keep: KeepPolicy,
    proposal: Proposal,
    *,
    compare_blank: bool = False,
    folder: Path | None = None,
    seen: Callable[[int, str], None] = lambda rows, file: None,
) -> Corpus:
    """Read one or two inputs, and find their distinct texts.

    Args:
        sources: the input and, optionally, the one to compare it against.
        keep: the policy that decides which row stays.
        proposal: the sources of candidates.
        compare_blank: whether blank texts are compared like others.
        folder: a local folder for the texts. None: they are kept in memory.
        seen: called with the number of rows that were read, and their file.

    Returns:
        The corpus.

    Raises:
        UserError: an input cannot be read, an expression is invalid, or an id occurs twice.
    """
    spill = TextFile(folder / "texts") if folder else TextList()
    rows = read_rows(sources, spill, keep, proposal.blocks, seen)
    id_rank = rows.id_ranks()
    grouping = Grouping.of(proposal, against=len(sources) > 1, compare_blank=compare_blank)
    distinct = distinct_texts(grouping, rows.hashes, rows.side, rows.blank, id_rank)
    if not np.array_equal(distinct.row, np.arange(len(rows))):
        copied = TextFile(folder / "distinct") if folder else TextList()
        for start in range(0, len(distinct), _COPY):
            copied.append(rows.texts.take(pa.array(distinct.row[start : start + _COPY])))
            spill.release()
        spill = copied
    return Corpus(rows, id_rank, distinct, spill.column(), spill.release, folder=folder)
