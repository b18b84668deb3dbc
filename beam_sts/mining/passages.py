"""The texts to mine: rows or their sentences, each text once, with its documents and its split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_sts.arrays import IntArray, group_rows, one_array, rank_in_group
from beam_sts.candidates.form import plain_texts
from beam_sts.candidates.keys import hash128, normalise
from beam_sts.candidates.source import Readable, SliceRows
from beam_sts.candidates.vectors import check_vector_column, vector_matrix
from beam_sts.errors import UserError
from beam_sts.io.column_paths import column_at, find_path, missing_column
from beam_sts.io.spill import TextFile
from beam_sts.mining.core import are_queries, sided_names, split_sentences
from beam_sts.mining.settings import MineSettings
from beam_sts.mining.split import in_test, near_keys, split_key, texts_in_test, unit_names

_COPY = 20_000  # texts in memory at a time while they are written to disk


def check_columns(schema: pa.Schema, settings: MineSettings, label: Callable[[str], str] = str) -> None:
    """Check that the columns of document ids and vectors exist and have a supported type.

    Raises:
        UserError: a column does not; the message names it and the way out.
    """
    if settings.doc_id is not None and not find_path(schema, settings.doc_id):
        raise missing_column(f"{label('doc_id')} {settings.doc_id}:", settings.doc_id, schema.names)
    if settings.embedding is not None:
        check_vector_column(schema, settings.embedding)
        if settings.sentences:
            raise UserError(
                f"{label('embedding')}: has one vector for each row, but {label('sentences')} splits rows. "
                "Give one of the two."
            )


@dataclass(frozen=True)
class SlicePassages:
    """The passages of a slice, in order; each array is of shape (p,) unless stated.

    ``row``: row number in the whole input. ``place``: index of the passage in that row. ``name``: 128-bit
    hash of the normal form, uint64 (p, 2), from ``sided_names`` if queries are mined. ``document``: hash of
    the document, likewise; zeros for none. ``unit``: name of what goes to a split as a whole, from
    ``unit_names``. ``vectors``: float32 (p, dimensions) or None. ``given``: passages
    of queries and their positives, int64 (g, 2). ``counts``: counts of the slice, which are added up.
    """

    texts: pa.LargeStringArray
    row: IntArray
    place: IntArray
    name: NDArray[np.uint64]
    document: NDArray[np.uint64]
    unit: NDArray[np.uint64]
    vectors: NDArray[np.float32] | None
    counts: dict[str, int]
    given: IntArray = field(default_factory=lambda: np.empty((0, 2), np.int64))


def slice_queries(rows: SliceRows, settings: MineSettings, after: int = 0) -> SlicePassages:
    """Returns the queries of the valid rows of a slice, followed by their positives, which join the corpus.

    Args:
        rows: rows of the queries.
        settings: settings of the run.
        after: number of rows in the corpus, which come first.
    """
    columns = [rows.texts, rows.second] if settings.given else [rows.texts]
    texts = pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.large_string())
    texts = texts.combine_chunks()
    count = len(rows.texts)
    kept, counts = _of_length(texts, settings)
    of_corpus = kept >= count
    place = np.full(len(texts), -1)
    place[kept] = np.arange(len(kept))
    given = np.stack([place[:count], place[count:]], axis=1) if settings.given else np.empty((0, 2), np.int64)
    vectors = None
    if settings.embedding:  # positives outside the corpus have no vectors, so they are no neighbours
        own = vector_matrix(rows.table, settings.embedding, rows.numbers)
        vectors = np.concatenate([own, np.zeros((len(texts) - count, own.shape[1]), np.float32)])[kept]
    texts = texts.take(pa.array(kept))
    normal = normalise(texts).to_pylist()
    hashes = hash128(normal)
    sides = [sided_names(hashes, corpus=corpus) for corpus in (True, False)]
    return SlicePassages(
        texts,
        after + np.tile(rows.numbers, len(columns))[kept],
        np.zeros(len(kept), np.int64),
        np.where(of_corpus[:, None], *sides),
        np.zeros((len(kept), 2), np.uint64),
        unit_names([split_key(text) for text in normal]),
        vectors,
        {"rows_used": count, **counts},
        given[(given >= 0).all(axis=1)],
    )


def _of_length(texts: pa.Array, settings: MineSettings) -> tuple[IntArray, dict[str, int]]:
    """Returns the indices of texts of an allowed length, and how many are too short or too long."""
    length = np.asarray(pc.utf8_length(texts)).astype(np.int64)
    short, long = length < settings.shortest, length > settings.longest
    counts = {"texts_too_short": int(short.sum()), "texts_too_long": int(long.sum())}
    return np.flatnonzero(~short & ~long), counts


def slice_passages(rows: SliceRows, settings: MineSettings) -> SlicePassages:
    """Returns the passages of the valid rows of a slice.

    With ``sentences`` and without ``doc_id``, every row is a document.
    """
    table = rows.table
    texts = one_array(rows.texts).cast(pa.large_string())
    counts = {"rows_used": len(texts), "sentences": 0}
    owner = np.arange(len(texts))
    if settings.doc_id is not None:
        documents = pa.chunked_array(column_at(table, settings.doc_id).cast(pa.large_string()))
        documents = documents.combine_chunks()
    elif settings.sentences:
        documents = pa.array(rows.numbers).cast(pa.large_string())
    else:
        documents = pa.nulls(len(texts), pa.large_string())
    if settings.sentences:
        owner, texts = split_sentences(texts, settings.sentences)
        counts["sentences"] = len(texts)
    kept, lengths = _of_length(texts, settings)
    counts |= lengths
    place = rank_in_group(owner)
    texts, owner, place = texts.take(pa.array(kept)), owner[kept], place[kept]
    normal = normalise(texts)
    named = documents.take(pa.array(owner))
    of_rows: list[str | None] = documents.to_pylist()
    if settings.doc_id is None and settings.sentences:
        of_rows = [split_key(text) for text in normalise(rows.texts).to_pylist()]
    splits = [
        split_key(text) if owner_split is None else owner_split
        for text, owner_split in zip(normal.to_pylist(), (of_rows[at] for at in owner.tolist()), strict=True)
    ]
    keys = [
        text if document is None else f"document\0{document}"
        for text, document in zip(normal.to_pylist(), named.to_pylist(), strict=True)
    ]
    document = np.where(np.asarray(named.is_valid())[:, None], hash128(keys), np.uint64(0))
    name = hash128(normal.to_pylist())
    if settings.across:
        name = sided_names(name, corpus=True)
    return SlicePassages(
        texts,
        rows.numbers[owner],
        place,
        name,
        document,
        unit_names(splits),
        vector_matrix(table, settings.embedding, rows.numbers)[owner] if settings.embedding else None,
        counts,
    )


def queries_in_test(
    unit: NDArray[np.uint64], name: NDArray[np.uint64], settings: MineSettings
) -> NDArray[np.bool_]:
    """Returns which texts are queries of the test split. Texts of a corpus are for queries of both splits."""
    found: NDArray[np.bool_] = in_test(unit, settings.share_of_test, settings.seed) & are_queries(name)
    return found


@dataclass(frozen=True)
class Passages:
    """Distinct texts in the order of their names, and where they occur.

    ``forms``: the texts in plain form, in which partners are searched. ``name``: uint64 (texts, 2),
    ascending. ``anchor``: which texts may be anchors, shape (texts,): the queries if there are any, otherwise
    all. ``place``: number of the text at each place of the corpus;
    ``document``: number of its document there, -1 for none; both of shape (places,). ``test``: shape
    (texts,). ``vectors``: shape (texts, dimensions), with zeros for positives outside the corpus. ``given``:
    distinct queries and their positives, shape (g, 2). ``counts``: places + too short + too long = sentences,
    or rows used.
    """

    texts: pa.LargeStringArray
    forms: pa.LargeStringArray
    name: NDArray[np.uint64]
    place: IntArray
    document: IntArray
    test: NDArray[np.bool_]
    vectors: NDArray[np.float32] | None
    counts: dict[str, int]
    anchor: NDArray[np.bool_]
    given: IntArray


@dataclass
class PassageReader:
    """Reads passages. Texts are written to files in ``work``; memory holds the vectors and 60 bytes per text.

    Texts with the same normal form count as one text: the first of them. Texts of the corpus come before
    those of the queries' input.
    """

    source: Readable
    settings: MineSettings
    work: Path
    queries: Readable | None = None
    _read: list[SlicePassages] = field(default_factory=list)
    _counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._spill = TextFile(self.work / "passages")

    def rows(self) -> Iterator[tuple[SliceRows, bool]]:
        """Read the input and keep its passages. Yields the rows of every slice, to report rejected ones.

        Also yields whether the rows are of the queries' input.
        """
        for rows in self.source.read():
            self._keep(slice_passages(rows, self.settings))
            yield rows, False
        for rows in self.queries.read() if self.queries else ():
            self._keep(slice_queries(rows, self.settings))
            yield rows, True

    def _keep(self, found: SlicePassages) -> None:
        self._spill.append(found.texts)
        self._counts.update(found.counts)
        self._read.append(SlicePassages(*(vars(found) | {"texts": found.texts[:0]}).values()))

    def finish(self) -> Passages:
        """Returns the passages of the input.

        Raises:
            UserError: vectors differ in length.
        """
        names = np.concatenate([np.empty((0, 2), np.uint64), *(part.name for part in self._read)])
        widths = {part.vectors.shape[1] for part in self._read if part.vectors is not None}
        if len(widths) > 1:
            raise UserError(
                f"--embedding: the vectors have different lengths: {', '.join(map(str, sorted(widths)))}."
            )
        place, first = group_rows((*names.T,))
        vectors = None
        if widths:
            vectors = np.concatenate([p.vectors for p in self._read if p.vectors is not None])[first]
        documents = np.concatenate([np.empty((0, 2), np.uint64), *(part.document for part in self._read)])
        document, _ = group_rows((*documents.T,))
        document = np.where(documents.any(axis=1), document, -1)
        every = self._spill.column()
        unit = np.concatenate([np.empty(0, np.uint64), *(part.unit for part in self._read)])
        test = self._in_test(every, unit, names)[first]
        anchor = are_queries(names[first]) if self.settings.across else np.ones(len(first), bool)
        starts = np.cumsum([0, *(len(part.name) for part in self._read)])
        given = [part.given + start for part, start in zip(self._read, starts, strict=False)]
        pairs = place[np.concatenate([np.empty((0, 2), np.int64), *given])]
        counts = {"rows_used": 0, "sentences": 0, "texts_too_short": 0, "texts_too_long": 0, **self._counts}
        counts |= {"texts": len(first), "texts_repeated": len(place) - len(first)}
        counts["queries"] = int(anchor.sum()) if self.settings.across else 0
        self._read.clear()
        texts, forms = TextFile(self.work / "texts"), TextFile(self.work / "forms")
        for start in range(0, len(first), _COPY):
            part = every.take(pa.array(first[start : start + _COPY]))
            texts.append(part)
            forms.append(plain_texts(part))
        return Passages(
            texts.column(),
            forms.column(),
            names[first],
            place,
            document,
            test,
            vectors,
            counts,
            anchor,
            np.unique(pairs, axis=0) if len(pairs) else pairs,
        )

    def _in_test(
        self, texts: pa.Array | pa.ChunkedArray, unit: NDArray[np.uint64], names: NDArray[np.uint64]
    ) -> NDArray[np.bool_]:
        """Whether each passage is in the test split."""
        share, seed = self.settings.share_of_test, self.settings.seed
        if self.settings.across:
            return queries_in_test(unit, names, self.settings)
        return texts_in_test(unit, near_keys(texts) if 0 < share < 1 else (), share, seed)
