"""The texts to mine: rows or their sentences, each text once, its documents, and its split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_sts.corpus.buckets import IntArray
from beam_sts.corpus.candidates import normalise
from beam_sts.corpus.mining import in_test, split_sentences
from beam_sts.corpus.rows import SliceRows, Source
from beam_sts.errors import UserError
from beam_sts.io.schema import column_at, field_at, find_path


@dataclass(frozen=True)
class PassageSettings:
    """What becomes a text.

    ``document`` is the column of document ids; with ``sentences`` (a language) and without ``document`` every
    row is a document. ``embedding`` is a column of vectors.
    """

    document: str | None = None
    sentences: str | None = None
    shortest: int = 1
    longest: int = 10_000
    embedding: str | None = None

    def check(self, schema: pa.Schema) -> None:
        """See that the columns are there and of the right kind.

        Raises:
            UserError: naming the column and the way out.
        """
        listed = ", ".join(map(repr, schema.names[:20]))
        for flag, name in (("doc_id", self.document), ("embedding", self.embedding)):
            if name is not None and not find_path(schema, name):
                raise UserError(f"--{flag} {name}: is not in the input; its columns are {listed}.")
        if self.embedding is None:
            return
        if self.sentences:
            raise UserError("--embedding: has a vector for each row, not for each of its --sentences.")
        kind = field_at(schema, self.embedding).type
        nested = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        if not nested or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
            raise UserError(f"--embedding {self.embedding}: holds {kind}, not lists of numbers.")


@dataclass(frozen=True)
class Passages:
    """Distinct texts, in the order of their first place, and where they stand.

    ``place`` numbers the text at each place of the corpus, ``document`` its document there (-1: none); both
    of shape (places,). ``test`` is of shape (texts,); ``vectors`` of (texts, dimensions). ``counts`` adds up:
    places + too short + too long = sentences, or rows used.
    """

    texts: pa.LargeStringArray
    place: IntArray
    document: IntArray
    test: NDArray[np.bool_]
    vectors: NDArray[np.float32] | None
    counts: dict[str, int]


@dataclass
class PassageReader:
    """Reads passages; what cannot be read is given out slice by slice by :meth:`rows`.

    Texts with one normal form are one text, the first of them.
    """

    source: Source
    settings: PassageSettings
    _texts: list[pa.Array] = field(default_factory=list)
    _documents: list[pa.Array] = field(default_factory=list)
    _vectors: list[NDArray[np.float32]] = field(default_factory=list)
    _counts: Counter[str] = field(default_factory=Counter)

    def rows(self) -> Iterator[SliceRows]:
        """Read the input and keep its passages; gives every slice's rows, for those rejected."""
        for rows in self.source.read():
            self._keep(rows)
            yield rows

    def _keep(self, rows: SliceRows) -> None:
        settings, table = self.settings, rows.table
        texts = rows.texts.combine_chunks() if isinstance(rows.texts, pa.ChunkedArray) else rows.texts
        texts = texts.cast(pa.large_string())
        self._counts["rows_used"] += len(texts)
        if settings.document is not None:
            documents = column_at(table, settings.document).cast(pa.large_string())
            documents = pa.chunked_array(documents).combine_chunks()
        elif settings.sentences:
            documents = pa.array(rows.numbers).cast(pa.large_string())
        else:
            documents = pa.nulls(len(texts), pa.large_string())
        if settings.embedding is not None and len(texts):
            self._vectors.append(_matrix(column_at(table, settings.embedding), settings.embedding, rows))
        if settings.sentences:
            owner, texts = split_sentences(texts, settings.sentences)
            documents = documents.take(pa.array(owner))
            self._counts["sentences"] += len(texts)
        length = np.asarray(pc.utf8_length(texts)).astype(np.int64)
        self._counts["texts_too_short"] += int((length < settings.shortest).sum())
        self._counts["texts_too_long"] += int((length > settings.longest).sum())
        kept = np.flatnonzero((length >= settings.shortest) & (length <= settings.longest))
        self._texts.append(texts.take(pa.array(kept)))
        self._documents.append(documents.take(pa.array(kept)))
        if self._vectors and len(rows.texts):
            self._vectors[-1] = self._vectors[-1][kept]

    def finish(self, test_share: float, seed: int) -> Passages:
        """The passages of all that was read.

        Args:
            test_share: of the documents, or of the texts where there are none.
            seed: of the split.

        Raises:
            UserError: vectors differ in length.
        """
        texts = pa.chunked_array(self._texts, pa.large_string()).combine_chunks()
        documents = pa.chunked_array(self._documents, pa.large_string()).combine_chunks()
        normal = normalise(texts)
        place = _codes(normal)
        first = _first_places(place)
        owner = documents.take(pa.array(first))
        named = pc.binary_join_element_wise(_large("document"), owner, _large("\0"))
        keys = pc.coalesce(named, normal.take(pa.array(first)))
        widths = {vectors.shape[1] for vectors in self._vectors}
        if len(widths) > 1:
            raise UserError(f"--embedding: vectors have {' and '.join(map(str, sorted(widths)))} numbers.")
        vectors = np.concatenate(self._vectors)[first] if widths else None
        counts = {"sentences": 0, "texts_too_short": 0, "texts_too_long": 0, **self._counts}
        counts |= {"texts": len(first), "texts_repeated": len(place) - len(first)}
        test = in_test(keys.to_pylist(), test_share, seed)
        return Passages(texts.take(pa.array(first)), place, _codes(documents), test, vectors, counts)


def _large(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def _codes(values: pa.Array) -> IntArray:
    """Equal values as equal numbers, in the order of their first place; null as -1."""
    indices = values.dictionary_encode().indices
    codes: IntArray = np.asarray(pc.fill_null(indices, -1)).astype(np.int64)
    return codes


def _first_places(codes: IntArray) -> IntArray:
    seen = np.maximum.accumulate(codes) if len(codes) else codes
    first: IntArray = np.flatnonzero(np.diff(seen, prepend=-1))
    return first


def _matrix(column: pa.ChunkedArray, name: str, rows: SliceRows) -> NDArray[np.float32]:
    lists = pa.chunked_array(column).combine_chunks()
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0))
    values = lists.flatten()
    if len(np.unique(lengths)) != 1 or not lengths[0] or values.null_count:
        wrong = int(np.flatnonzero(lengths != np.median(lengths))[0]) if len(np.unique(lengths)) > 1 else 0
        raise UserError(
            f"--embedding {name}: row {rows.numbers[wrong]:,} has {lengths[wrong]} numbers or a null among "
            "them; every row needs a vector of the same length."
        )
    matrix: NDArray[np.float32] = np.asarray(values.cast(pa.float32())).reshape(len(lists), lengths[0])
    return matrix
