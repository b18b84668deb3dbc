"""Bucket keys of texts, by exact hash, MinHash and blocking expression. Pure functions.

Each function takes n texts (or rows) and returns :class:`Keys`: pairs of text number and bucket key. Texts
with an equal key are candidates; ``beam_sts.candidates.buckets`` pairs them. A key depends only on the text
and the settings, not on the process, the machine or other texts.

Candidates are only proposals. The model decides whether two texts are duplicates.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_sts import checks
from beam_sts.candidates.form import plain_texts
from beam_sts.errors import UserError
from beam_sts.io.expressions import evaluate
from beam_sts.io.spill import NumberFile, release_texts

_UNITS_AT_ONCE = 1 << 18  # characters that are hashed together: more are slower and take more memory
_NOT_IN_WORDS = r"[^\pL\pN\pM]+"


class Keys(NamedTuple):
    """Text numbers and bucket keys. A text may have several keys or none.

    ``text`` is int64 of shape (k,), ascending. ``key`` is uint64 of shape (k, 2), which makes 128 bits.
    ``source`` is the name of the source of candidates.
    """

    text: NDArray[np.int64]
    key: NDArray[np.uint64]
    source: str


KeyFunction = Callable[[pa.Array | pa.ChunkedArray], Keys | Iterable[Keys]]
"""Takes texts and returns their keys, or several sets of keys with separate buckets."""


def normalise(texts: pa.Array | pa.ChunkedArray) -> pa.Array:
    r"""Normalise texts for comparison: NFKC, casefold, NFKC again, white space collapsed.

    Compatibility forms become plain characters, case is removed by full case folding, each run of Unicode
    white space becomes one space, and the ends are trimmed. Null stays null. Normalising again changes
    nothing.

    Args:
        texts: n texts.

    Returns:
        n texts, ``large_string``.

    >>> normalise(pa.array(["  Straße\t ﬁne ", "", None])).to_pylist()
    ['strasse fine', '', None]
    """
    folded = [None if text is None else _normalise(text) for text in texts.to_pylist()]
    return pa.array(folded, pa.large_string())


def _normalise(text: str) -> str:
    if text.isascii():
        return " ".join(text.lower().split())
    for _ in range(2):  # folding some letters breaks NFKC, and the other way round
        text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", text).split())


def exact_keys(texts: pa.Array | pa.ChunkedArray, *, empty: bool = False, form: bool = False) -> Keys:
    """One key per text: the 128-bit BLAKE2b hash of its normalised form.

    Args:
        texts: n texts; null has no key.
        empty: whether empty texts have a key, so that they are candidates of each other.
        form: whether to hash the plain form (``beam_sts.candidates.form``).

    >>> keys = exact_keys(pa.array(["A  cat", "a cat", "A dog", "", " "]))
    >>> keys.text.tolist(), (keys.key[0] == keys.key[1]).all(), (keys.key[0] == keys.key[2]).any()
    ([0, 1, 2], np.True_, np.False_)
    """
    numbers, keys = [np.empty(0, np.int64)], [np.empty((0, 2), np.uint64)]
    for begin, part in text_blocks(texts):
        part = normalise(plain_texts(part) if form else part)
        wanted = part.is_valid() if empty else pc.greater(pc.fill_null(pc.binary_length(part), 0), 0)
        rows = np.flatnonzero(np.asarray(wanted))
        numbers.append(begin + rows)
        keys.append(hash128(part.take(pa.array(rows)).to_pylist()))
    return Keys(np.concatenate(numbers), np.concatenate(keys), "exact")


def hash128(texts: Iterable[str]) -> NDArray[np.uint64]:
    """The 128-bit BLAKE2b hash of each of n texts: uint64 of shape (n, 2)."""
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts)
    return np.frombuffer(digests, "<u8").astype(np.uint64).reshape(-1, 2)


@dataclass(frozen=True)
class MinHash:
    """MinHash LSH: texts whose shingle sets are similar probably share a bucket.

    Texts whose shingle sets have the Jaccard similarity ``similarity`` share one with probability ``recall``.
    A signature of ``bands * rows`` values is cut into bands. Texts that agree in all rows of a band share a
    bucket (Broder 1997; Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, chapter 3). The number of
    rows is the largest with which ``permutations`` values reach the recall, since more rows give fewer false
    candidates. Signatures are R-MinHash of the package rensa, over all shingles.

    Args:
        similarity: Jaccard similarity of the shingle sets, above 0, at most 1.
        recall: the required probability at that similarity, above 0, below 1.
        shingle: ``charN`` (N characters of the normalised text, spaces included) or ``wordN`` (N words: runs
            of letters, digits and marks). A text with fewer is one shingle; a text without any is in no
            bucket.
        permutations: the most values in a signature.
        seed: the seed of the signatures.

    Raises:
        UserError: a setting is out of range, or the recall cannot be reached.

    >>> minhash = MinHash(similarity=0.7, recall=0.95)
    >>> minhash.bands, minhash.rows, f"{minhash.probability(0.7):.2f} {minhash.probability(0.3):.2f}"
    (17, 5, '0.96 0.04')
    """

    similarity: float = 0.7
    recall: float = 0.95
    shingle: str = "char4"
    permutations: int = 128
    seed: int = 1

    def __post_init__(self) -> None:
        checks.share("MinHash similarity", self.similarity)
        checks.share("MinHash recall", self.recall)
        checks.whole(1, 4096)("MinHash permutations", self.permutations)
        checks.whole(0, (1 << 32) - 1)("MinHash seed", self.seed)
        if not self.similarity:
            raise UserError(f"MinHash similarity {self.similarity}: must be above 0 and at most 1.")
        if not 0 < self.recall < 1:
            raise UserError(f"MinHash recall {self.recall}: must be between 0 and 1, both excluded.")
        parse_shingle(self.shingle)
        if not self._shape:
            raise UserError(
                f"MinHash recall {self.recall} at similarity {self.similarity} is out of reach with "
                f"{self.permutations} permutations: raise the permutations or the similarity, or lower the "
                "recall."
            )

    @cached_property
    def unit(self) -> tuple[str, int]:
        """The unit of shingles, ``char`` or ``word``, and the number of units in a shingle."""
        return parse_shingle(self.shingle)

    @cached_property
    def _shape(self) -> tuple[int, int] | None:
        for rows in range(self.permutations, 0, -1):
            found = self.similarity**rows  # probability for one band
            bands = 1 if found >= self.recall else math.ceil(math.log1p(-self.recall) / math.log1p(-found))
            if bands * rows <= self.permutations:
                return bands, rows
        return None

    @property
    def bands(self) -> int:
        """The number of bands, which is the number of buckets of each text."""
        return (self._shape or (0, 0))[0]

    @property
    def rows(self) -> int:
        """The number of signature values in a band."""
        return (self._shape or (0, 0))[1]

    def probability(self, similarity: float) -> float:
        """The probability that two texts of this Jaccard similarity become candidates."""
        return float(1 - (1 - similarity**self.rows) ** self.bands)

    def curve(self) -> list[tuple[float, float]]:
        """The similarities 0.1 to 1.0, each with the probability of becoming candidates."""
        return [(step / 10, self.probability(step / 10)) for step in range(1, 11)]

    def __str__(self) -> str:
        points = "  ".join(f"{similarity:.1f}: {chance:.3f}" for similarity, chance in self.curve())
        return f"MinHash over {self.shingle}, {self.bands} bands of {self.rows}; found at similarity {points}"

    def keys(self, texts: pa.Array | pa.ChunkedArray, *, form: bool = False) -> Keys:
        """The keys of n texts: one per band for each text with a shingle. ``form``: hash the plain form."""
        parts = list(self.bands_of(texts, form=form))
        text = np.concatenate([part.text for part in parts])
        key = np.concatenate([part.key for part in parts])
        order = np.argsort(text, kind="stable")
        return Keys(text[order], key[order], "minhash")

    def bands_of(
        self, texts: pa.Array | pa.ChunkedArray, *, form: bool = False, folder: Path | None = None
    ) -> Iterator[Keys]:
        """The keys of :meth:`keys`, one band at a time, which divides the memory by the number of bands.

        ``folder``: a local folder for the signatures. None: they are kept in memory.
        """
        rows, signatures = self.signatures(texts, form=form, folder=folder)
        for band in range(self.bands):
            values = signatures.read(band, len(rows)).T
            key = np.empty((len(rows), 2), np.uint64)
            for lane in range(2):
                key[:, lane] = mix64(values, (self.seed << 32) + 2 * band + lane)
            yield Keys(rows, key, "minhash")
            del values, key  # before the next band is read

    def signatures(
        self, texts: pa.Array | pa.ChunkedArray, *, form: bool = False, folder: Path | None = None
    ) -> tuple[NDArray[np.int64], NumberFile]:
        """The MinHash values of the texts that have a shingle.

        Returns:
            The numbers of these m texts, shape (m,), and for each band their values, uint32 of shape
            (m, rows).
        """
        from rensa import RMinHash

        bands, width = self.bands, self.bands * self.rows
        numbers, done = [np.empty(0, np.int64)], 0
        dtype = np.dtype(np.uint32)
        values = NumberFile(folder, parts=bands, rows=len(texts), width=self.rows, dtype=dtype)
        for begin, part in text_blocks(texts):
            hashes, counts = shingle_hashes(normalise(plain_texts(part) if form else part), *self.unit)
            some = np.flatnonzero(counts)
            if not len(some):
                continue
            offsets = np.concatenate([[0], np.cumsum(counts[some])]).astype(np.uint64)
            matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, width, self.seed)
            numbers.append(begin + some)
            of_bands = np.asarray(matrix.to_rows(), np.uint32).reshape(len(some), bands, self.rows)
            values.write(done, of_bands.transpose(1, 0, 2))
            done += len(some)
        return np.concatenate(numbers), values


def parse_shingle(shingle: str) -> tuple[str, int]:
    """Parse a shingle setting into its unit, ``char`` or ``word``, and the number of units in a shingle.

    Raises:
        UserError: it is neither ``charN`` nor ``wordN``.
    """
    match = re.fullmatch(r"(char|word)([1-9]\d?)", shingle) if isinstance(shingle, str) else None
    if not match:
        raise UserError(f"shingle {shingle!r}: must be charN or wordN, such as char4 or word1.")
    return match[1], int(match[2])


def text_blocks(texts: pa.Array | pa.ChunkedArray) -> Iterator[tuple[int, pa.Array | pa.ChunkedArray]]:
    """Split texts into runs of a few hundred thousand bytes, each with the number of its first text.

    Texts that are on disk leave the memory after each run.
    """
    if not len(texts):
        return
    ends = np.cumsum(np.asarray(pc.fill_null(pc.binary_length(texts), 0)).astype(np.int64) + 64)
    block = ends // _UNITS_AT_ONCE
    starts = np.flatnonzero(np.diff(block, prepend=block[0] - 1))
    for begin, stop in zip(starts, [*starts[1:], len(texts)], strict=True):
        yield int(begin), texts.slice(begin, stop - begin)
        release_texts(texts)


def shingle_hashes(texts: pa.Array, unit: str, size: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Hashes of the shingles of normalised texts, text by text.

    Args:
        texts: n normalised texts; null counts as empty.
        unit: ``char`` or ``word``.
        size: the number of units in a shingle; a text with fewer is one shingle.

    Returns:
        The hashes of all texts in one array (repeated shingles repeat), and the number of hashes of each
        text, shape (n,).

    >>> hashes, counts = shingle_hashes(pa.array(["abcab", "ab", ""], pa.large_string()), "char", 2)
    >>> counts.tolist(), bool(hashes[0] == hashes[3] == hashes[4])
    ([4, 1, 0], True)
    """
    texts = pc.fill_null(texts, "")
    if unit == "char":
        lengths = np.asarray(pc.utf8_length(texts)).astype(np.int64)
        joined = "".join(texts.to_pylist()).encode("utf-32-le")
        units = np.frombuffer(joined, "<u4").astype(np.uint64)
    else:
        words = pc.split_pattern(pc.replace_substring_regex(texts, _NOT_IN_WORDS, " "), " ")
        lengths = np.asarray(pc.list_value_length(words)).astype(np.int64)
        flat = words.flatten()
        blank = np.asarray(pc.equal(flat, ""))  # empty words before a leading or after a trailing separator
        owner = np.repeat(np.arange(len(texts)), lengths)[~blank]
        lengths = np.bincount(owner, minlength=len(texts)).astype(np.int64)
        coded = flat.filter(pa.array(~blank)).dictionary_encode()
        table = hash128(coded.dictionary.to_pylist())[:, 0]
        units = table[coded.indices.to_numpy()]
    counts = np.where(lengths > 0, np.maximum(lengths - size + 1, 1), 0)
    # Zeros after each text complete the shingle of a text that is too short.
    padded = np.zeros(len(units) + (size - 1) * len(lengths), np.uint64)
    shift = np.arange(len(lengths)) * (size - 1)
    padded[np.arange(len(units)) + np.repeat(shift, lengths)] = units
    first = np.cumsum(lengths) - lengths + shift
    begins = np.repeat(first - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
    # Also hashed are the few that begin in one text and end in the next: slices are faster than indices.
    places = max(0, len(padded) - size + 1)
    return mix64([padded[place : place + places] for place in range(size)], 0)[begins], counts


def mix64(columns: Iterable[NDArray[np.unsignedinteger]], seed: int) -> NDArray[np.uint64]:
    """A 64-bit hash of each row of the columns, by multiply and shift, as in wyhash and MurmurHash."""
    factor = np.uint64(0xD6E8FEB86659FD93)
    state = np.full(1, (seed * 0x9E3779B97F4A7C15 + 0x2545F4914F6CDD1D) & (1 << 64) - 1, np.uint64)
    for column in columns:
        state = state ^ column
        state *= factor
        state ^= state >> np.uint64(32)
    state *= factor
    state ^= state >> np.uint64(29)
    return state


def blocking_keys(table: pa.Table, expression: str) -> Keys:
    """One key per row: the value of a column or of an SQL expression over the columns.

    Args:
        table: n rows.
        expression: a column (``a.b`` for a field of a struct), or a scalar expression in DuckDB's SQL, such
            as ``lower(left(name, 4)) || zip``. It can read the columns of the table and nothing else, neither
            files nor the network.

    Returns:
        The keys of the rows whose value is neither null nor an empty text. Other rows have none.

    Raises:
        UserError: the expression is invalid, does not give one value per row, or DuckDB is not installed.

    >>> rows = pa.table({"name": ["Anna", "anne", None], "zip": [1234, 1234, 1234]})
    >>> keys = blocking_keys(rows, "lower(left(name, 3)) || zip")
    >>> keys.text.tolist(), (keys.key[0] == keys.key[1]).all()
    ([0, 1], np.True_)
    """
    values = block_values(table, expression)
    coded = pa.chunked_array(values).combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.unify_dictionaries().combine_chunks()
    distinct = coded.dictionary.to_pylist()
    codes = np.asarray(pc.fill_null(coded.indices, -1))
    rows = np.flatnonzero(codes >= 0)
    if "" in distinct:
        rows = rows[codes[rows] != distinct.index("")]
    return Keys(rows, hash128(distinct)[codes[rows]], "block")


def block_values(table: pa.Table, expression: str) -> pa.ChunkedArray:
    """The blocking keys as texts, as for :func:`blocking_keys`; null for rows without a key."""
    values = evaluate(table, expression, "blocking key")
    if pa.types.is_nested(values.type):
        raise UserError(f"blocking key {expression!r}: holds {values.type}; name a field in it.")
    return values.cast(pa.large_string())
