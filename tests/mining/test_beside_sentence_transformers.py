"""Mining by queries compared with sentence-transformers' ``mine_hard_negatives``: equal rows."""

import numpy as np
import pyarrow as pa
import pytest

from beam_sts import mine
from beam_sts.models.registry import EMBEDDED
from tests.mining.test_queries import ANIMALS, PLACES

MODEL = EMBEDDED / "beam-sts-pico"
CORPUS = [
    f"The {size}{animal} {deed} {place}."
    for size in ("", "big ", "old ")
    for animal in ANIMALS
    for deed in ("slept", "ran")
    for place in PLACES
]
PAIRS = [
    {"anchor": f"A {animal} was asleep {place}.", "positive": f"A sleeping {animal} lay {place}."}
    for animal in ANIMALS
    for place in PLACES
]
PAIRS += [{"anchor": PAIRS[0]["anchor"], "positive": "A cat slept on its mat."}]
RULES = [
    {"absolute_margin": 0.02},
    {"absolute_margin": 0.0, "max_score": 0.9, "range_min": 2},
    {"absolute_margin": 0.0, "relative_margin": 0.05, "min_score": 0.3},
]


@pytest.fixture(scope="module")
def encoder():
    """The model's token vectors as a bi-encoder."""
    sentence_transformers = pytest.importorskip("sentence_transformers")
    from sentence_transformers.models import StaticEmbedding
    from tokenizers import Tokenizer

    from beam_sts.candidates.vectors import TokenVectors
    from beam_sts.models.checkpoint import load_checkpoint

    table = TokenVectors.of(load_checkpoint(str(MODEL))).table
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    return sentence_transformers.SentenceTransformer(
        modules=[StaticEmbedding(tokenizer, embedding_weights=table)], device="cpu"
    )


@pytest.mark.parametrize("form", ["triplet", "n-tuple", "labeled-pair", "labeled-list"])
@pytest.mark.parametrize("rule", RULES, ids=[" ".join(rule) for rule in RULES])
def test_the_rows_are_those_of_mine_hard_negatives(encoder, form, rule):
    from datasets import Dataset
    from sentence_transformers import CrossEncoder
    from sentence_transformers.util import mine_hard_negatives

    theirs = mine_hard_negatives(
        Dataset.from_list(PAIRS),
        encoder,
        corpus=CORPUS,
        cross_encoder=CrossEncoder(str(MODEL), device="cpu"),
        range_max=60,
        num_negatives=3,
        output_format=form,
        verbose=False,
        **rule,
    )
    # Their search takes range_max texts and as many more as a query has positives at most: 62. Ours rounds
    # the vectors, so at the end of a narrow range it may find another text.
    texts = [*CORPUS, *(pair["positive"] for pair in PAIRS)]

    def with_vectors(column, **more):
        vectors = encoder.encode(column, show_progress_bar=False).astype(np.float64)
        return pa.table({**more, "v": vectors.tolist()})

    anchors = [pair["anchor"] for pair in PAIRS]
    ours = mine(
        queries=with_vectors(anchors, anchor=anchors, positive=[pair["positive"] for pair in PAIRS]),
        corpus=with_vectors(texts, text=texts),
        positive_column_name="positive",
        embedding="v",
        neighbours=62,
        lexical=0,
        random=0,
        test_share=0,
        num_negatives=3,
        output_format=form,
        model=str(MODEL),
        threads=1,
        **rule,
    ).rows("triplet-hard", "train")
    ours, theirs = (
        [[tuple(x) if isinstance(x, list) else x for x in row.values()] for row in rows]
        for rows in (ours.to_pylist(), theirs.to_list())
    )
    assert len(theirs) > 10
    if form == "labeled-pair":  # theirs includes the positives of queries without negatives
        with_negatives = {anchor for anchor, _, label in theirs if not label}
        theirs = [row for row in theirs if row[0] in with_negatives]
    assert sorted(ours) == sorted(theirs)
