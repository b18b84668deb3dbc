import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_sts.candidates.given import given_pairs, plan_given, read_given
from beam_sts.candidates.neighbours import lexical_neighbours, neighbours
from beam_sts.candidates.vectors import TokenVectors, static_embedding
from beam_sts.errors import UserError
from beam_sts.io.slices import ReadOptions
from beam_sts.models.checkpoint import load_checkpoint

TEXTS = [
    "Apple MacBook Air 13 laptop, silver, MC965LL/A",
    "MC965LL/A MacBook Air (13-inch)",
    "Sony Bravia KDL-40EX500 television",
    "sony 40 inch television kdl40ex500 bravia",
    "Bose QuietComfort headphones",
    "",
    None,
]


def pairs(near):
    return list(zip(near.a.tolist(), near.b.tolist(), strict=True))


def test_lexical_neighbours_meet_by_what_is_rare():
    near = lexical_neighbours(pa.array(TEXTS), 1, least=0.1)
    assert pairs(near) == [(0, 1), (2, 3)]
    assert ((near.cosine > 0.1) & (near.cosine < 1)).all()


def test_lexical_cosine_is_one_for_equal_texts():
    texts = pa.array(["a rare text indeed", "A rare  text indeed", "something else entirely"])
    near = lexical_neighbours(texts, 2, least=0.5)
    assert pairs(near) == [(0, 1)]
    assert near.cosine[0] == pytest.approx(1, abs=1e-3)


def test_lexical_result_does_not_depend_on_threads():
    rng = np.random.default_rng(1)
    texts = pa.array([" ".join(rng.integers(0, 99, 12).astype(str)) for _ in range(500)])
    one, two = (lexical_neighbours(texts, 5, threads=threads) for threads in (1, 2))
    assert all(np.array_equal(x, y) for x, y in zip(one, two, strict=True))


def test_lexical_work_is_bounded_by_leaving_out_what_is_frequent():
    texts = pa.array([f"the common phrase of all texts and number{i // 2:04d}" for i in range(400)])
    near = lexical_neighbours(texts, 1, shingle="word1", work=10)
    assert pairs(near) == [(i, i + 1) for i in range(0, 400, 2)]


def cosines(vectors):
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(length > 0, length, 1)
    product = unit @ unit.T
    product[length[:, 0] == 0] = product[:, length[:, 0] == 0] = -np.inf
    np.fill_diagonal(product, -np.inf)
    return product


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 40), st.integers(1, 6), st.booleans())
def test_exact_neighbours_are_the_nearest(seed, n, k, sided):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n, 8))
    side = rng.integers(0, 2, n) if sided else None
    product = cosines(vectors)
    if sided:
        product[side[:, None] == side[None, :]] = -np.inf
    found = set(pairs(neighbours(vectors, k, side=side)))
    for row in range(n):
        near = np.sort(product[row][np.isfinite(product[row])])[::-1]
        own = [product[row, b if a == row else a] for a, b in found if row in (a, b)]
        assert len(own) >= min(k, len(near))
        # Coordinates are rounded, so near ties may be reordered.
        assert all(value <= max(own) + 0.01 for value in near[:1])
        assert sum(value >= near[min(k, len(near)) - 1] - 0.01 for value in own) >= min(k, len(near))


def test_ties_go_to_the_lower_number_and_zeros_have_no_neighbours():
    vectors = np.array([[1.0, 0.0]] * 6 + [[0.0, 0.0]] * 2)
    assert pairs(neighbours(vectors, 2)) == [
        (0, 1),
        (0, 2),
        (0, 3),
        (0, 4),
        (0, 5),
        (1, 2),
        (1, 3),
        (1, 4),
        (1, 5),
    ]


def test_not_finite_vectors_are_refused():
    with pytest.raises(UserError, match="row 1"):
        neighbours(np.array([[1.0], [np.nan]]), 1)


def test_static_embedding_brings_paraphrases_together():
    texts = pa.array(
        ["A man plays a guitar.", "Someone is playing guitars", "Shares fell sharply.", "", None]
    )
    vectors = static_embedding(texts, load_checkpoint("beam-sts-nano"))
    assert vectors.shape[0] == 5
    assert not vectors[3:].any()
    assert np.allclose(np.linalg.norm(vectors[:3], axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


def test_given_pairs_are_distinct_known_and_counted(tmp_path):
    rows = {"id_a": ["x", "y", "y", "x", None, "z"], "id_b": ["y", "x", "q", "x", "y", "x"]}
    pq.write_table(pa.table(rows), tmp_path / "pairs.parquet")
    found = given_pairs([str(tmp_path / "pairs.parquet")], pa.array(["x", "y", "z"]))
    assert list(zip(found.a.tolist(), found.b.tolist(), strict=True)) == [(0, 1), (0, 2)]
    assert (found.rows, found.unknown, found.same) == (6, 2, 1)


def test_given_pairs_of_whole_numbers(tmp_path):
    (tmp_path / "pairs.csv").write_text("id_a,id_b\n7,9\n9,8\n")
    found = given_pairs([str(tmp_path / "pairs.csv")], pa.array([9, 8, 7]))
    assert list(zip(found.a.tolist(), found.b.tolist(), strict=True)) == [(0, 1), (0, 2)]
    (tmp_path / "other.csv").write_text("left,right\n7,9\n")
    with pytest.raises(UserError, match="no column 'id_a'"):
        given_pairs([str(tmp_path / "other.csv")], pa.array([9]))


def test_given_pairs_are_read_as_the_options_say(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_bytes("id_a;id_b\ncafé;x\n".encode("cp1252"))
    ids = pa.array(["café", "x"])
    with pytest.raises(UserError, match="give --delimiter ';'"):
        given_pairs([str(path)], ids)
    with pytest.raises(UserError, match=r"its columns are 'id_a;id_b'\. --delimiter sets"):
        given_pairs([str(path)], ids, ReadOptions(delimiter=","))
    options = ReadOptions(delimiter=";", encoding="cp1252")
    assert given_pairs([str(path)], ids, options)[:2] == (0, 1)
    plan = plan_given(str(path), options)
    read = [pair for unit in plan.units for pair in read_given((unit, plan.schema, options))]
    assert read == [("café", "x")]
    path.write_bytes("id_a,id_b\nx,x\ncafé,x\n".encode("cp1252"))
    with pytest.raises(UserError, match=r"row 1: .*give --encoding cp1252"):
        given_pairs([str(path)], ids)


def test_token_vectors_read_from_the_weights_are_those_of_the_model():
    checkpoint = load_checkpoint("beam-sts-nano")
    table = checkpoint.model().get_input_embeddings().embeddings.weight.detach().numpy()
    assert np.array_equal(TokenVectors.of(checkpoint).table, table)
