from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from safetensors.torch import load_file
from scipy.special import logit
from transformers import AutoTokenizer, BertConfig, BertModel

from beam_sts.models.registry import EMBEDDED
from beam_sts.scoring.scorer import PairScorer
from beam_sts.training.data import DataError, read_scored_pairs
from beam_sts.training.drawing import Embedder
from beam_sts.training.fit import FitSettings, TrainingPairs, predict
from beam_sts.training.further import further_pairs
from beam_sts.training.label_stages import CROSS, TABLE
from beam_sts.training.leakage import HeldOutTextError, check_leakage
from beam_sts.training.pairs import tokenised
from beam_sts.training.sets import gold_pairs, mined_texts, second_dev_pairs, texts_of
from beam_sts.training.smoke import smoke_recipe
from beam_sts.training.stages import workspace
from beam_sts.training.table import TableSettings
from beam_sts.training.table import cosines as bags
from beam_sts.training.teacher import (
    cross_encoder,
    embedder,
    fit_scale,
    fit_teacher,
    mean_of_logits,
    similarities,
)
from beam_sts.training.vocabulary import save_tokenizer, train_vocabulary


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The smoke recipe with a tiny encoder as the teacher, and gold pairs of three subsets."""
    folder = tmp_path_factory.mktemp("teacher")
    recipe = smoke_recipe(folder / "data")
    train = read_scored_pairs(recipe.stsb.format(split="train"))
    save_tokenizer(train_vocabulary(train.texts, 400), folder / "encoder", 128)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=400,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder / "encoder")
    rows = [("a red kite", "a kite", 0.8, "news.test"), ("one owl", "two owls", 0.4, "news.train")]
    rows += [("a pond", "a lake", 0.7, "forum.test"), ("rain", "sun", 0.1, "noise.test")]
    names = ("sentence1", "sentence2", "score", "file")
    table = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    pa.parquet.write_table(table, folder / "gold.parquet")
    return dataclasses.replace(
        recipe, teacher=None, encoder=str(folder / "encoder"), gold=(str(folder / "gold.parquet"),)
    )


def cosines(vectors, pairs):
    vectors = vectors.astype(np.float32)
    return (vectors[pairs.left] * vectors[pairs.right]).sum(1)


def test_a_teacher_learns_what_is_not_frozen(data, tmp_path):
    train = read_scored_pairs(data.stsb.format(split="train"))
    how = FitSettings(epochs=8, batch_size=32, learning_rate=3e-3)
    source = Path(data.encoder)
    fit_teacher(source, train, how, tmp_path, frozen_layers=1)
    untaught, taught = (cosines(Embedder(folder)(train.texts), train) for folder in (source, tmp_path))
    assert np.corrcoef(taught, train.scores)[0, 1] > np.corrcoef(untaught, train.scores)[0, 1] + 0.1
    before, after = (load_file(folder / "model.safetensors") for folder in (source, tmp_path))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith("encoder.layer.1.") for name in moved)
    assert not any(name.startswith(("embeddings.", "encoder.layer.0.")) for name in moved)


def test_several_encoders_score_by_the_mean_of_their_cosines(data, tmp_path):
    train = read_scored_pairs(data.stsb.format(split="train"))
    source = Path(data.encoder)
    other = BertModel.from_pretrained(source)
    torch.manual_seed(1)
    with torch.no_grad():
        for layer in other.encoder.layer:
            layer.output.dense.weight.normal_()
    other.save_pretrained(tmp_path)
    save_tokenizer(train_vocabulary(train.texts, 400), tmp_path, 128)
    vectors = embedder([source, tmp_path])(train.texts)
    each = [cosines(Embedder(folder)(train.texts), train) for folder in (source, tmp_path)]
    assert np.abs(each[0] - each[1]).mean() > 0.004
    np.testing.assert_allclose(cosines(vectors, train), np.mean(each, axis=0), atol=2e-3)


def test_the_scale_makes_scores_of_cosines(tmp_path):
    rng = np.random.default_rng(0)
    angles = rng.uniform(0, np.pi, 400)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    pairs = TrainingPairs([""] * 400, *rng.integers(0, 400, (2, 3000)), np.zeros(3000, np.float32))
    wanted = 1 / (1 + np.exp(-(6 * cosines(vectors, pairs) - 2)))
    fit_scale(vectors, dataclasses.replace(pairs, scores=wanted), tmp_path)
    np.testing.assert_allclose(similarities(vectors, pairs.left, pairs.right, tmp_path), wanted, atol=1e-3)


def test_labels_are_the_fitted_teachers_and_embedding_goes_on_where_it_stopped(data, tmp_path):
    work = workspace(tmp_path, data)
    work.run("labels")
    pairs = np.load(work.folder("pairs") / "pairs.npy")[: data.pairs]
    scores = np.load(work.folder("labels") / "scores.npy")
    vectors = np.load(work.folder("pairs") / "vectors.npy")
    assert len(scores) == len(pairs)
    cosines = (vectors[pairs[:, 0]].astype(np.float32) * vectors[pairs[:, 1]].astype(np.float32)).sum(1)
    assert (np.argsort(cosines) == np.argsort(scores)).mean() > 0.9
    part = next(work.folder("pairs").glob("part-*.safetensors"))
    with safe_open(part, "np") as opened:
        save_file({"rows": vectors[::-1].copy()}, part, opened.metadata())
    (work.folder("pairs") / "done.json").unlink()
    work.run("pairs")
    assert (np.load(work.folder("pairs") / "vectors.npy") == vectors[::-1]).all(), "a finished part is read"
    other = workspace(tmp_path, dataclasses.replace(data, teacher_encoder=data.encoder))
    assert other.result("teacher") is None, "the teacher's encoder is part of the fingerprint"


def test_the_students_table_is_fitted_to_the_teachers_vectors(data, tmp_path):
    recipe = dataclasses.replace(data, table=TableSettings(steps=300, pairs=64))
    work = workspace(tmp_path, recipe)
    noted = work.run("table")
    first, table = (np.load(work.folder(stage) / TABLE) for stage in ("vocabulary", "table"))
    assert first.shape == table.shape
    assert (first != table).any()
    assert noted["STS-B dev"]["after"] != noted["STS-B dev"]["before"]
    own = AutoTokenizer.from_pretrained(work.folder("vocabulary"))
    texts = tokenised(mined_texts(work.folder("pairs")), own)
    pairs = np.load(work.folder("pairs") / "pairs.npy")
    vectors = np.load(work.folder("pairs") / "vectors.npy").astype(np.float32)
    taught = (vectors[pairs[:, 0]] * vectors[pairs[:, 1]]).sum(1)
    before, after = (np.corrcoef(bags(values, texts, *pairs.T), taught)[0, 1] for values in (first, table))
    assert after > before + 0.08
    as_it_is = workspace(tmp_path, dataclasses.replace(recipe, table=TableSettings(steps=0)))
    assert as_it_is.result("pairs") is not None
    assert as_it_is.result("table") is None
    as_it_is.run("table")
    np.testing.assert_array_equal(np.load(work.folder("table") / TABLE), first)


def test_subsets_of_the_gold_pairs_are_left_out_or_held_out(data, tmp_path):
    recipe = dataclasses.replace(data, gold_skip=("noise",), second_dev=("forum",))
    work = workspace(tmp_path, recipe)
    _, given = gold_pairs(recipe, work.held_out)
    assert given.texts == ["a red kite", "one owl", "a kite", "two owls"]
    assert second_dev_pairs(recipe).texts == ["a pond", "a lake"]
    with pytest.raises(HeldOutTextError, match="a lake"):
        check_leakage(*texts_of(second_dev_pairs(recipe)), work.held_out, "second dev")
    with pytest.raises(DataError, match="no gold pair has one of sports"):
        second_dev_pairs(dataclasses.replace(data, second_dev=("sports",)))


def labelled_by_both(work, cross, count):
    """Run the stages. The labels of pairs, and the scores of the encoders and of a cross-encoder."""
    noted = work.run("teacher")
    assert {"STS-B dev", "STS-B dev, cross-encoder", "STS-B dev, mean of both"} <= noted.keys()
    work.run("labels")
    pairs = np.load(work.folder("pairs") / "pairs.npy")[:count]
    vectors = np.load(work.folder("pairs") / "vectors.npy")
    texts = mined_texts(work.folder("pairs"))
    alone = similarities(vectors, pairs[:, 0], pairs[:, 1], work.folder("teacher"))
    asked = TrainingPairs(texts, pairs[:, 0], pairs[:, 1], np.zeros(count, np.float32))
    crossed = predict(*cross_encoder(cross), asked)
    assert np.abs(alone - crossed).mean() > 0.01
    return np.load(work.folder("labels") / "scores.npy"), alone, crossed


def test_a_cross_encoder_beside_the_encoder_labels_by_the_mean_of_both(data, tmp_path):
    recipe = dataclasses.replace(data, teacher_cross=True, pairs=100, cross_pairs=60)
    work = workspace(tmp_path, recipe)
    scores, alone, crossed = labelled_by_both(work, work.folder("teacher") / CROSS, 100)
    np.testing.assert_allclose(scores[60:], alone[60:], atol=1e-5)
    np.testing.assert_allclose(scores[:60], mean_of_logits(alone, crossed)[:60], atol=1e-5)
    assert (
        (np.minimum(alone, crossed) - 1e-5 <= scores) & (scores <= np.maximum(alone, crossed) + 1e-5)
    ).all()


def test_encoders_beside_a_given_teacher_label_by_the_mean_of_both(data, tmp_path):
    given = EMBEDDED / "beam-sts-pico"
    recipe = dataclasses.replace(
        data, teacher=str(given), encoder=None, teacher_also=(data.encoder,), pairs=80, cross_pairs=10
    )
    work = workspace(tmp_path, recipe)
    scores, alone, crossed = labelled_by_both(work, given, 80)
    vectors = np.load(work.folder("pairs") / "vectors.npy")
    texts = mined_texts(work.folder("pairs"))
    np.testing.assert_allclose(vectors, Embedder(Path(data.encoder))(texts), atol=2e-3)
    np.testing.assert_allclose(scores, mean_of_logits(alone, crossed), atol=1e-5)


def test_sentences_with_a_common_prefix_get_the_mean_of_the_start_and_the_encoder(data, tmp_path):
    start = str(EMBEDDED / "beam-sts-pico")
    recipe = dataclasses.replace(data, start=start, teacher=start, start_pairs=60)
    work = workspace(tmp_path, recipe)
    work.run("pairs")
    _, _, _, *alike = further_pairs(recipe, work, start)
    owns = [PairScorer(start).score(list(zip(*texts_of(pairs), strict=True))) for pairs in alike]
    for pairs, own in zip(alike[1:], owns[1:], strict=True):
        np.testing.assert_array_equal(pairs.scores, own)
    vectors = Embedder(Path(data.encoder))(alike[0].texts)
    of_encoder = 2 * logit(alike[0].scores.astype(np.float64)) - logit(owns[0].astype(np.float64))
    assert len(alike[0]) > 15
    assert np.corrcoef(of_encoder, cosines(vectors, alike[0]))[0, 1] ** 2 > 0.99


@pytest.mark.parametrize("change", [{"pairs": 0}, {"teacher": str(EMBEDDED / "beam-sts-nano")}])
def test_without_vectors_of_a_fitted_teacher_the_table_stays_as_it_is(data, tmp_path, change):
    work = workspace(tmp_path, data)
    work.run("teacher")  # the folder's content is not that of another recipe
    other = workspace(tmp_path, dataclasses.replace(data, **change))
    assert other.run("table")["steps"] == 0
    first, table = (np.load(other.folder(stage) / TABLE) for stage in ("vocabulary", "table"))
    np.testing.assert_array_equal(table, first)
