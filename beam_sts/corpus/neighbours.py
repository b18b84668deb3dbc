"""Candidates by nearness: top-k by embedding, top-k by shared rare shingles, and pairs given in a file.

``lexical_neighbours`` ranks by tf-idf cosine over shingles, so it finds texts that share little but something
rare (a part number), below any MinHash threshold. ``neighbours`` ranks by any embedding, such as
``static_embedding``, and finds paraphrases that share no shingle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from scipy import sparse

from beam_sts.corpus.buckets import IntArray
from beam_sts.corpus.candidates import normalise, parse_shingle, shingle_hashes, text_blocks
from beam_sts.errors import UserError
from beam_sts.io.schema import column_at
from beam_sts.io.slices import plan_input, read_slices
from beam_sts.models.checkpoint import Checkpoint
from beam_sts.scoring.backends import available_cores
from beam_sts.scoring.tokens import PairTokenizer

EXACT_UP_TO = 50_000
"""Texts up to which ``neighbours`` compares all with all; beyond, it searches an index of cells."""
WORK = 20_000
"""Multiplications for each text that ``lexical_neighbours`` may spend."""

_COLUMNS = 1 << 22  # of the hashed tf-idf matrix
_UNIT = 1 << 15  # whole numbers for coordinates: then sums are exact, the same on every machine
_EXACT_FLOAT = 1 << 24
_BLOCK = 1024
_ROWS_AT_ONCE = 50_000


_Search = Callable[[IntArray, IntArray, int], tuple[IntArray, IntArray, IntArray]]
"""From texts, among texts, how many -> a text, one of its neighbours, their product; nearest first."""


_NOTHING = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))


class Neighbours(NamedTuple):
    """Distinct pairs a < b in ascending order, and the cosine of each: int64, int64, float32 of (pairs,)."""

    a: IntArray
    b: IntArray
    cosine: NDArray[np.float32]


def lexical_neighbours(
    texts: pa.Array | pa.ChunkedArray,
    k: int,
    *,
    shingle: str = "char4",
    least: float = 0.0,
    side: NDArray[np.integer] | None = None,
    work: int = WORK,
    threads: int | None = None,
) -> Neighbours:
    """Each text with the k whose tf-idf vectors over shingles are nearest to its own.

    Weights are (1 + log count) * log((n + 1) / (texts with it + 1)), hashed into 4 million columns. The most
    frequent shingles, whose weight is least, are left out until comparing all texts takes ``work``
    multiplications for each of them. Result and order do not depend on threads or machine.

    Args:
        texts: n texts; null and empty ones are in no pair.
        k: neighbours of each text, at least 1.
        shingle: ``charN`` or ``wordN``, as for ``MinHash``.
        least: cosine below which a pair is left out.
        side: 0 or 1 for each text, of shape (n,); then neighbours are looked for on the other side only.
        work: multiplications for each text.
        threads: default: all cores.

    Raises:
        UserError: the shingle is unknown.

    >>> texts = pa.array(["printer LX-350 black", "needle printer lx-350", "black shoe", "red shoes"])
    >>> near = lexical_neighbours(texts, 1, least=0.1)
    >>> list(zip(near.a.tolist(), near.b.tolist()))
    [(0, 1), (2, 3)]
    """
    from sparse_dot_topn import sp_matmul_topn

    unit, size = parse_shingle(shingle)
    vectors = _tf_idf(normalise(texts), unit, size, work)
    floor = max(int(least * _UNIT * _UNIT) - 1, 0)

    def search(rows: IntArray, columns: IntArray, count: int) -> tuple[IntArray, IntArray, IntArray]:
        found = sp_matmul_topn(
            vectors[rows],
            vectors[columns].T.tocsr(),
            top_n=min(count, len(columns)),
            threshold=floor,
            sort=True,
            n_threads=threads or available_cores(),
        )
        owner = np.repeat(rows, np.diff(found.indptr))
        return owner, columns[found.indices], found.data.astype(np.int64)

    owner, other, product = _both_sides(search, vectors.shape[0], k, side)
    return _as_pairs(owner, other, (product / (_UNIT * _UNIT)).astype(np.float32))


def _tf_idf(texts: pa.Array, unit: str, size: int, work: int) -> sparse.csr_matrix:
    """Rows of unit length times ``_UNIT``, int32, without shingles of one text and without the cut ones."""
    n = len(texts)
    frequency = np.zeros(_COLUMNS, np.int64)
    for _, part in text_blocks(texts):
        counts = shingle_counts(part, unit, size)
        frequency += np.bincount(counts.indices, minlength=_COLUMNS)
    order = np.argsort(frequency, kind="stable")
    order = order[frequency[order] > 0]
    cost = np.cumsum(frequency[order].astype(np.float64) ** 2)
    kept = order[: np.searchsorted(cost, float(work) * n, side="right")]
    weight = np.zeros(_COLUMNS, np.float32)
    weight[kept] = np.log((n + 1) / (frequency[kept] + 1))
    number = np.full(_COLUMNS, -1, np.int32)
    shared = kept[frequency[kept] > 1]
    number[shared] = np.arange(len(shared))

    parts = [sparse.csr_matrix((0, len(shared)), dtype=np.int32)]
    for _, part in text_blocks(texts):
        counts = shingle_counts(part, unit, size)
        values = (1 + np.log(counts.data)) * weight[counts.indices]
        row = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
        length = np.sqrt(np.bincount(row, weights=values * values, minlength=counts.shape[0]))
        scaled = np.rint(values / np.maximum(length, 1e-12)[row] * _UNIT).astype(np.int32)
        held = (number[counts.indices] >= 0) & (scaled > 0)
        columns = number[counts.indices[held]]
        indptr = np.concatenate([[0], np.cumsum(np.bincount(row[held], minlength=counts.shape[0]))])
        parts.append(sparse.csr_matrix((scaled[held], columns, indptr), shape=(counts.shape[0], len(shared))))
    return sparse.vstack(parts, format="csr", dtype=np.int32)


def shingle_counts(texts: pa.Array, unit: str, size: int) -> sparse.csr_matrix:
    """How often each shingle is in each normalised text, hashed into 4 million columns; int32, sparse."""
    hashes, counts = shingle_hashes(texts, unit, size)
    columns = (hashes & np.uint64(_COLUMNS - 1)).astype(np.int32)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    matrix = sparse.csr_matrix((np.ones(len(columns), np.int32), columns, indptr), (len(texts), _COLUMNS))
    matrix.sum_duplicates()
    return matrix


def neighbours(
    vectors: NDArray[np.floating],
    k: int,
    *,
    least: float = -1.0,
    side: NDArray[np.integer] | None = None,
    exact_up_to: int = EXACT_UP_TO,
) -> Neighbours:
    """Each vector with the k nearest to it by cosine.

    Up to ``exact_up_to`` vectors all are compared with all, in whole numbers (coordinates rounded to some
    nine to eleven bits), so that neither threads nor machine change a result; ties go to the lower number.
    Beyond, faiss looks into the 32 nearest of about 4 * sqrt(n) cells; that is approximate, and the same
    wherever its k-means gives the same cells.

    Args:
        vectors: of shape (n, dimensions); a row of zeros has no neighbours.
        k: neighbours of each, at least 1.
        least: cosine below which a pair is left out.
        side: 0 or 1 for each, of shape (n,); then neighbours are looked for on the other side only.
        exact_up_to: see above.

    Raises:
        UserError: faiss is needed and not installed.

    >>> near = neighbours(np.array([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.0, 0.0]]), 1)
    >>> list(zip(near.a.tolist(), near.b.tolist()))
    [(0, 2), (1, 2)]
    """
    length = np.linalg.norm(vectors, axis=1)
    if not np.isfinite(length).all():
        row = int(np.flatnonzero(~np.isfinite(length))[0])
        raise UserError(f"embedding of row {row}: holds a value that is not finite.")
    step = np.sqrt(_EXACT_FLOAT / max(vectors.shape[1], 1)) // 1 - 1
    points = np.rint(vectors / np.maximum(length, 1e-12)[:, None] * step).astype(np.float32)
    real = length > 0

    def search(rows: IntArray, columns: IntArray, count: int) -> tuple[IntArray, IntArray, IntArray]:
        rows, columns = rows[real[rows]], columns[real[columns]]
        count = min(count, len(columns))
        if not count or not len(rows):
            return _NOTHING
        find = _exact if len(columns) <= exact_up_to else _indexed
        product, place = find(points[rows], points[columns], count)
        owner = np.repeat(rows, count)
        good = (place >= 0).ravel()
        return owner[good], columns[place.ravel()[good]], product.ravel()[good].astype(np.int64)

    owner, other, product = _both_sides(search, len(vectors), k, side)
    cosine = (product / step**2).astype(np.float32)
    enough = cosine >= least
    return _as_pairs(owner[enough], other[enough], cosine[enough])


def _exact(
    queries: NDArray[np.float32], points: NDArray[np.float32], count: int
) -> tuple[NDArray[np.float32], IntArray]:
    """Products and places of the ``count`` largest for each query, the lower place first among equals."""
    table = torch.from_numpy(points)
    products, places = [], []
    for begin in range(0, len(queries), _BLOCK):
        similarity = torch.from_numpy(queries[begin : begin + _BLOCK]) @ table.T
        top = similarity.topk(count, dim=1)
        last = top.values[:, -1:]
        # topk takes any of several equals at its edge; where there are more, take the lowest places.
        crowded = torch.nonzero((similarity >= last).sum(dim=1) > count).ravel().tolist()
        value, place = top.values.numpy(), top.indices.numpy()
        for row in crowded:
            all_of_row = similarity[row].numpy()
            best = np.flatnonzero(all_of_row >= last[row].item())
            place[row] = best[np.lexsort((best, -all_of_row[best]))][:count]
            value[row] = all_of_row[place[row]]
        order = np.lexsort((place, -value))
        products.append(np.take_along_axis(value, order, 1))
        places.append(np.take_along_axis(place, order, 1))
    return np.concatenate(products), np.concatenate(places)


def _indexed(
    queries: NDArray[np.float32], points: NDArray[np.float32], count: int
) -> tuple[NDArray[np.float32], IntArray]:
    try:
        import faiss
    except ImportError as error:
        raise UserError(
            f"neighbours among {len(points):,} texts need faiss: pip install 'beam_sts[neighbours]'"
        ) from error
    cells = int(4 * np.sqrt(len(points)))
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(points.shape[1]), points.shape[1], cells, faiss.METRIC_INNER_PRODUCT
    )
    index.train(points[np.random.default_rng(0).permutation(len(points))[: 64 * cells]])
    index.add(points)
    index.nprobe = 32
    parts = [
        index.search(queries[b : b + _ROWS_AT_ONCE], count) for b in range(0, len(queries), _ROWS_AT_ONCE)
    ]
    return np.concatenate([p for p, _ in parts]), np.concatenate([i for _, i in parts])


def _both_sides(
    search: _Search, n: int, k: int, side: NDArray[np.integer] | None
) -> tuple[IntArray, IntArray, IntArray]:
    """Run a search among all, or from each side in the other; at most k for each, never the text itself.

    Returns:
        A text, one of its neighbours, and their product; of shape (found,) each.
    """
    if k < 1:
        raise ValueError(f"k {k} must be at least 1")
    if side is not None:
        left, right = np.flatnonzero(np.asarray(side) == 0), np.flatnonzero(np.asarray(side) == 1)
        if not len(left) or not len(right):
            return _NOTHING
        there, back = search(left, right, k), search(right, left, k)
        owner, other, product = (np.concatenate(both) for both in zip(there, back, strict=True))
        return owner, other, product
    everyone = np.arange(n)
    owner, other, product = search(everyone, everyone, k + 1)
    apart = owner != other
    owner, other, product = owner[apart], other[apart], product[apart]
    # A text with many equals may not be among its own k + 1 nearest.
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
    return owner[rank < k], other[rank < k], product[rank < k]


def _as_pairs(owner: IntArray, other: IntArray, cosine: NDArray[np.float32]) -> Neighbours:
    a, b = np.minimum(owner, other), np.maximum(owner, other)
    order = np.lexsort((-cosine, b, a))
    a, b, cosine = a[order], b[order], cosine[order]
    first = np.concatenate([[True], (np.diff(a) != 0) | (np.diff(b) != 0)])[: len(a)]
    return Neighbours(a[first], b[first], cosine[first])


def static_embedding(texts: pa.Array | pa.ChunkedArray, checkpoint: Checkpoint) -> NDArray[np.float32]:
    """The mean of a checkpoint's own token vectors, weighted by inverse document frequency.

    No transformer runs and nothing is downloaded. Of BERT-hash the narrow table is taken.

    Args:
        texts: n texts; null as empty.
        checkpoint: whose tokenizer and token table to use.

    Returns:
        float32 of shape (n, width of the table), rows of unit length, of zeros for texts without a token.
    """
    tokenizer = PairTokenizer.of(checkpoint)
    embeddings = checkpoint.model().get_input_embeddings()
    table = getattr(embeddings, "embeddings", embeddings).weight.detach().float().numpy()
    texts = normalise(texts)
    counts = []
    for begin in range(0, len(texts), _ROWS_AT_ONCE):
        tokens = tokenizer.encode(pc.fill_null(texts[begin : begin + _ROWS_AT_ONCE], "").to_pylist())
        shape = (len(tokens.offsets) - 1, len(table))
        matrix = sparse.csr_matrix((np.ones(len(tokens.ids), np.float32), tokens.ids, tokens.offsets), shape)
        matrix.sum_duplicates()
        counts.append(matrix)
    matrix = sparse.vstack(counts, format="csr") if counts else sparse.csr_matrix((0, len(table)))
    frequency = np.bincount(matrix.indices, minlength=len(table))
    weight = np.log((len(texts) + 1) / (frequency + 1)).astype(np.float32)
    vectors = np.asarray(matrix @ (table * weight[:, None]), np.float32)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(length, 1e-12)
    return unit


class GivenPairs(NamedTuple):
    """Distinct pairs a < b of a file, its rows, and those left out: an unknown id, or one id twice."""

    a: IntArray
    b: IntArray
    rows: int
    unknown: int
    same: int


def given_pairs(
    pattern: str, ids: pa.Array | pa.ChunkedArray, columns: Sequence[str] = ("id_a", "id_b")
) -> GivenPairs:
    """Candidate pairs from files of ids, in any format that ``pipelines.score`` reads.

    Args:
        pattern: path, folder, pattern or fsspec URL.
        ids: of the n texts, in their order; compared as texts.
        columns: of the two ids.

    Raises:
        UserError: no file, or a column is missing.
    """
    plan = plan_input(pattern, _ROWS_AT_ONCE)
    for name in columns:
        if name not in plan.schema.names:
            listed = ", ".join(map(repr, plan.schema.names))
            raise UserError(f"pairs {pattern}: no column {name!r}; its columns are {listed}.")
    known = (
        pa.chunked_array(ids).cast(pa.string()) if isinstance(ids, pa.ChunkedArray) else ids.cast(pa.string())
    )
    found = [_NOTHING[:2]]
    for unit in plan.units:
        for part in read_slices(unit, plan.schema):
            numbers = [
                np.asarray(
                    pc.fill_null(pc.index_in(column_at(part.table, name).cast(pa.string()), known), -1)
                )
                for name in columns
            ]
            found.append((numbers[0].astype(np.int64), numbers[1].astype(np.int64)))
    first, second = (np.concatenate([pair[at] for pair in found]) for at in (0, 1))
    missing = (first < 0) | (second < 0)
    same = ~missing & (first == second)
    first, second = first[~missing & ~same], second[~missing & ~same]
    pairs = np.unique(np.stack([np.minimum(first, second), np.maximum(first, second)]), axis=1)
    return GivenPairs(pairs[0], pairs[1], plan.rows, int(missing.sum()), int(same.sum()))


def sentence_embedding(texts: pa.Array | pa.ChunkedArray, model: str) -> NDArray[np.float32]:
    """Embed texts with a sentence-transformers model, on the CPU.

    Args:
        texts: n texts; null as empty.
        model: a folder or a Hugging Face id, which is downloaded.

    Raises:
        UserError: sentence-transformers is not installed, or the model cannot be loaded.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise UserError(
            f"embedding model {model}: needs sentence-transformers: pip install 'beam_sts[train]'"
        ) from error
    try:
        loaded = SentenceTransformer(model, device="cpu", trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(f"embedding model {model}: cannot be loaded: {error}") from error
    vectors: NDArray[np.float32] = loaded.encode(
        pc.fill_null(texts, "").to_pylist(), convert_to_numpy=True, show_progress_bar=False
    )
    return vectors.astype(np.float32)
