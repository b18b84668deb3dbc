"""Vectors of texts: from a column, from the token vectors of the model, or from sentence-transformers."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from beam_sts.arrays import IntArray
from beam_sts.candidates.keys import normalise, text_blocks
from beam_sts.errors import UserError
from beam_sts.io.column_paths import column_at, field_at, find_path, missing_column
from beam_sts.models.checkpoint import Checkpoint
from beam_sts.scoring.tokens import PairTokenizer

_NARROW_TABLE = "bert.embeddings.word_embeddings.embeddings.weight"  # in BERT-hash


def check_vector_column(schema: pa.Schema, name: str) -> None:
    """Check that a column holds vectors.

    Raises:
        UserError: the column is missing or holds no vectors. The message names it.
    """
    if not find_path(schema, name):
        raise missing_column(f"--embedding {name}:", name, schema.names)
    kind = field_at(schema, name).type
    nested = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not nested or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        raise UserError(f"--embedding {name}: holds {kind}, not lists of numbers.")


def vector_matrix(table: pa.Table, name: str, numbers: IntArray) -> NDArray[np.float32]:
    """A column of vectors as a matrix.

    Args:
        table: n rows.
        name: the name of the column.
        numbers: the row numbers, for messages, shape (n,).

    Returns:
        float32 of shape (n, dimensions); (0, 0) if there are no rows.

    Raises:
        UserError: a vector is missing, has a different length, or has a value that is not finite.
    """
    if not len(table):
        return np.empty((0, 0), np.float32)
    lists = pa.chunked_array(column_at(table, name)).combine_chunks()
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0))
    usual = int(np.bincount(lengths).argmax())
    wrong = np.flatnonzero(lengths != usual) if usual else np.arange(1)
    if not len(wrong):
        values = pc.fill_null(lists.flatten().cast(pa.float32()), float("nan"))
        matrix: NDArray[np.float32] = np.asarray(values).reshape(len(lists), usual)
        wrong = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
        if not len(wrong):
            return matrix
    row = int(wrong[0])
    raise UserError(
        f"--embedding {name}: row {numbers[row]:,} has {lengths[row]} numbers, or one among them that is "
        f"null or not finite; others have {usual}. Every row needs a vector of the same length."
    )


@dataclass(frozen=True)
class TokenVectors:
    """The tokenizer and the token vectors of a checkpoint: vectors of texts without the transformer.

    For BERT-hash these are the narrow vectors, before their projection.
    """

    tokenizer: PairTokenizer
    table: NDArray[np.float32]

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> TokenVectors:
        """The token vectors of a checkpoint. Nothing is downloaded."""
        if checkpoint.sizes:
            table = checkpoint.weights()[_NARROW_TABLE].astype(np.float32)
        else:
            embeddings = checkpoint.model().get_input_embeddings()
            table = getattr(embeddings, "embeddings", embeddings).weight.detach().float().numpy()
        return cls(PairTokenizer.of(checkpoint), table)

    def counts(self, texts: pa.Array) -> sparse.csr_matrix:
        """The count of each token in each of n texts: sparse float32 of shape (n, tokens)."""
        tokens = self.tokenizer.encode(pc.fill_null(normalise(texts), "").to_pylist())
        shape = (len(tokens.offsets) - 1, len(self.table))
        matrix = sparse.csr_matrix((np.ones(len(tokens.ids), np.float32), tokens.ids, tokens.offsets), shape)
        matrix.sum_duplicates()
        return matrix

    def frequency(self, counts: sparse.csr_matrix) -> IntArray:
        """The number of texts with each token, shape (tokens,)."""
        return np.bincount(counts.indices, minlength=len(self.table)).astype(np.int64)

    def embed(self, counts: sparse.csr_matrix, frequency: IntArray, texts: int) -> NDArray[np.float32]:
        """The mean of the token vectors of each text, weighted by inverse document frequency.

        Args:
            counts: the token counts of n texts.
            frequency: the number of texts with each token.
            texts: the number of texts in which ``frequency`` was counted.

        Returns:
            float32 of shape (n, width of the table). Rows have unit length, or are zero for texts without a
            token.
        """
        weight = np.log((texts + 1) / (frequency + 1)).astype(np.float32)
        vectors = np.asarray(counts @ (self.table * weight[:, None]), np.float32)
        unit: NDArray[np.float32] = vectors / np.maximum(
            np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12
        )
        return unit


def static_embedding(texts: pa.Array | pa.ChunkedArray, checkpoint: Checkpoint) -> NDArray[np.float32]:
    """The mean of the token vectors of a checkpoint, weighted by inverse document frequency.

    Args:
        texts: n texts; null counts as empty.
        checkpoint: its tokenizer and token vectors are used; its transformer does not run.

    Returns:
        float32 of shape (n, width of the table). Rows have unit length, or are zero for texts without a
        token.
    """
    tokens = TokenVectors.of(checkpoint)
    frequency = np.zeros(len(tokens.table), np.int64)
    vectors = np.empty((len(texts), tokens.table.shape[1]), np.float32)
    with tempfile.TemporaryFile() as kept:  # the tokens of texts take more memory than their vectors
        starts = []
        for start, part in text_blocks(texts):
            counts = tokens.counts(part)
            frequency += tokens.frequency(counts)
            starts.append((start, len(part)))
            for array in (counts.data, counts.indices, counts.indptr):
                np.save(kept, array)
        kept.seek(0)
        for start, size in starts:
            arrays = tuple(np.load(kept) for _ in range(3))
            counts = sparse.csr_matrix(arrays, (size, len(tokens.table)))
            vectors[start : start + size] = tokens.embed(counts, frequency, len(texts))
    return vectors


def sentence_embedding(texts: pa.Array | pa.ChunkedArray, model: str) -> NDArray[np.float32]:
    """Embed texts on the CPU with a sentence-transformers model.

    Args:
        texts: n texts; null counts as empty.
        model: a folder, or a Hugging Face id to download.

    Returns:
        float32 of shape (n, dimensions).

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
