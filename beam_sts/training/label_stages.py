"""The stages before the student: vocabulary, teacher, pairs and their labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from transformers import AutoTokenizer

from beam_sts.training import drawing, evaluation, table, teacher, vocabulary
from beam_sts.training.data import DataError
from beam_sts.training.fit import TrainingPairs, predict
from beam_sts.training.kept import in_parts
from beam_sts.training.leakage import check_leakage
from beam_sts.training.pairs import tokenised
from beam_sts.training.recipe import SIZES, Recipe
from beam_sts.training.sets import dev_sets, gold_pairs, joined_pairs, mined_texts, sentence_pool
from beam_sts.training.workspace import Workspace

CROSS = "cross"  # folder of the teacher's cross-encoder, in the teacher's folder
TABLE = (
    "table.npy"  # the token table: initial values in the vocabulary's folder, fitted values in the table's
)


def run_vocabulary(recipe: Recipe, work: Workspace, folder: Path) -> dict[str, Any]:
    """Train the vocabulary on the sentences, and compute the initial values of the token table.

    A checkpoint to start from brings its vocabulary and its table.
    """
    size = SIZES[recipe.size]
    if recipe.start is not None:
        saved = vocabulary.with_nfkc(Path(recipe.start), folder, size.max_length)
        return {"entries": len(saved)}
    pool, _ = sentence_pool(recipe, work.held_out)
    gold = [text for pairs in gold_pairs(recipe, work.held_out) for text in pairs.texts]
    texts = pool + 3 * gold
    tokenizer = vocabulary.train_vocabulary(texts, size.vocabulary)
    vocabulary.save_tokenizer(tokenizer, folder, size.max_length)
    pieces = [piece for piece, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]
    if recipe.encoder is None:
        vectors = np.random.default_rng(0).standard_normal((len(pieces), max(64, size.projections)))
        vectors[: len(vocabulary.SPECIAL_TOKENS)] = 0
    else:
        vectors = vocabulary.piece_vectors(pieces, Path(recipe.encoder))
    counts = vocabulary.piece_counts(tokenizer, texts)
    np.save(folder / TABLE, vocabulary.token_table(vectors, counts, size.projections, seed=0))
    return {"texts": len(texts), "entries": len(pieces)}


def run_teacher(recipe: Recipe, work: Workspace, folder: Path) -> dict[str, Any]:
    """Fit a sentence encoder to the gold pairs, and the scale of its cosine.

    With a teacher in the recipe, only the scale of the encoders beside it is fitted.
    """
    source = _fitted_encoder(recipe)
    if source is None and not _beside(recipe):
        return {"teacher": Path(recipe.teacher).name if recipe.teacher else "none"}
    pairs = joined_pairs(gold_pairs(recipe, work.held_out))
    if source is not None:
        teacher.fit_teacher(source, pairs, recipe.teacher_fit, folder, recipe.teacher_frozen, work.device)
        if recipe.teacher_cross:
            teacher.fit_cross_encoder(source, pairs, recipe.teacher_cross_fit, folder / CROSS, work.device)
    embed = teacher.embedder(_encoders(recipe, work), work.device)
    teacher.fit_scale(embed(pairs.texts), pairs, folder)
    cross = _cross_encoder(recipe, folder)
    figures: dict[str, Any] = {}
    for name, gold in dev_sets(recipe).items():
        alone = teacher.similarities(embed(gold.texts), gold.left, gold.right, folder)
        figures[name] = evaluation.correlations(alone, gold.scores)
        if cross is not None:
            crossed = predict(*teacher.cross_encoder(cross, work.device), gold)
            figures[f"{name}, cross-encoder"] = evaluation.correlations(crossed, gold.scores)
            both = teacher.mean_of_logits(alone, crossed)
            figures[f"{name}, mean of both"] = evaluation.correlations(both, gold.scores)
    return figures


def _fitted_encoder(recipe: Recipe) -> Path | None:
    """The encoder that the teacher starts from; None if the teacher is not fitted."""
    source = recipe.teacher_encoder or recipe.encoder
    return Path(source) if recipe.teacher is None and source is not None else None


def _beside(recipe: Recipe) -> list[Path]:
    """The sentence encoders whose scores are averaged with those of a teacher that is not fitted."""
    return [] if recipe.teacher is None else list(map(Path, recipe.teacher_also))


def _cross_encoder(recipe: Recipe, folder: Path) -> Path | None:
    """The cross-encoder of the teacher; ``folder`` is that of the stage ``teacher``."""
    if recipe.teacher is not None:
        return Path(recipe.teacher)
    return folder / CROSS if recipe.teacher_cross else None


def _encoders(recipe: Recipe, work: Workspace) -> list[Path]:
    """The sentence encoders that find and score pairs."""
    if _fitted_encoder(recipe) is not None:
        return [work.folder("teacher"), *map(Path, recipe.teacher_also)]
    return _beside(recipe) or ([Path(recipe.encoder)] if recipe.encoder else [])


def run_pairs(recipe: Recipe, work: Workspace, folder: Path) -> dict[str, Any]:
    """Embed the sentences and draw neighbours."""
    pool, gold = sentence_pool(recipe, work.held_out)
    encoders = _encoders(recipe, work)
    if not encoders or not recipe.pairs:
        vectors = drawing.bags_of_words(pool).astype(np.float16)
    else:
        embed = teacher.embedder(encoders, work.device)
        owner = work.fingerprint("pairs")
        size = 4_096 if work.device == "cpu" else 131_072
        vectors = in_parts(folder, owner, len(pool), lambda rows: embed(pool[rows.start : rows.stop]), size)
    pairs = drawing.drawn_pairs(pool, gold, vectors, work.device)
    first, second = ([pool[i] for i in pairs[:, side]] for side in (0, 1))
    check_leakage(first, second, work.held_out, "mined pairs")
    np.save(folder / "pairs.npy", pairs)
    np.save(folder / "vectors.npy", vectors)
    (folder / "texts.json").write_text(json.dumps(pool, ensure_ascii=False), encoding="utf-8")
    of_gold = (pairs < gold).sum(axis=1)
    return {
        "texts": len(pool),
        "gold texts": gold,
        "pairs": len(pairs),
        "of one gold text": int((of_gold == 1).sum()),
        "of two": int((of_gold == 2).sum()),
    }


def run_table(recipe: Recipe, work: Workspace, folder: Path) -> dict[str, Any]:
    """Fit the token table to the vectors of the teacher's sentence encoders, if it has any.

    A checkpoint to start from has a fitted table.
    """
    if recipe.start is not None:
        return {"steps": 0}
    first = np.load(work.folder("vocabulary") / TABLE)
    encoders = _fitted_encoder(recipe) is not None or _beside(recipe)
    if not encoders or not recipe.pairs or not recipe.table.steps:
        np.save(folder / TABLE, first)
        return {"steps": 0}
    tokenizer = AutoTokenizer.from_pretrained(work.folder("vocabulary"), local_files_only=True)
    found = work.folder("pairs")
    texts = tokenised(mined_texts(found), tokenizer)
    vectors, pairs = (np.load(found / name, mmap_mode="r") for name in ("vectors.npy", "pairs.npy"))
    special = np.isin(np.arange(len(first)), tokenizer.all_special_ids)
    scale = teacher.scale_of(work.folder("teacher"))
    fitted = table.fit_table(first, texts, vectors, pairs, scale, special, recipe.table)
    np.save(folder / TABLE, fitted)
    figures: dict[str, Any] = {"steps": recipe.table.steps}
    for name, gold in dev_sets(recipe).items():
        own = tokenised(gold.texts, tokenizer)
        figures[name] = {
            when: evaluation.correlations(table.cosines(values, own, gold.left, gold.right), gold.scores)
            for when, values in (("before", first), ("after", fitted))
        }
    return figures


def run_labels(recipe: Recipe, work: Workspace, folder: Path) -> dict[str, Any]:
    """Score the pairs with the teacher."""
    pairs = np.load(work.folder("pairs") / "pairs.npy")[: recipe.pairs]
    if not len(pairs):
        np.save(folder / "scores.npy", np.zeros(0, np.float32))
        return {"pairs": 0}
    cross = _cross_encoder(recipe, work.folder("teacher"))
    if _fitted_encoder(recipe) is not None or _beside(recipe):
        vectors = np.load(work.folder("pairs") / "vectors.npy")
        scores = teacher.similarities(vectors, pairs[:, 0], pairs[:, 1], work.folder("teacher"))
        if cross is not None:
            some = slice(None if recipe.teacher else recipe.cross_pairs)
            crossed = _cross_encoder_scores(cross, work, folder, pairs[some])
            scores[some] = teacher.mean_of_logits(scores[some], crossed)
    elif cross is not None:
        scores = _cross_encoder_scores(cross, work, folder, pairs)
    else:
        raise DataError(
            "no teacher: set --encoder (fitted to the gold pairs) or --teacher (used without fitting)"
        )
    np.save(folder / "scores.npy", scores)
    return {"pairs": len(scores), "quantiles": np.quantile(scores, (0.05, 0.5, 0.95)).round(3).tolist()}


def _cross_encoder_scores(source: Path, work: Workspace, folder: Path, pairs: np.ndarray) -> np.ndarray:
    texts = mined_texts(work.folder("pairs"))
    model, tokenizer = teacher.cross_encoder(source, work.device)
    size, tokens = (4_096, 8_192) if work.device == "cpu" else (262_144, 65_536)

    def scores(rows: range) -> np.ndarray:
        left, right = pairs[rows.start : rows.stop].T
        asked = TrainingPairs(texts, left, right, np.zeros(len(rows), np.float32))
        return predict(model, tokenizer, asked.compact(), tokens_per_batch=tokens)

    # Parts remain valid for the same pairs and teacher, however many pairs are labelled.
    owner = " ".join(map(work.fingerprint, work.stages["labels"].needs))
    return in_parts(folder, owner, len(pairs), scores, size)
