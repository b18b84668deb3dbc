"""The sets of pairs and sentences of a recipe, without held-out ones."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from beam_sts.training.data import DataError, read_columns, read_scored_pairs
from beam_sts.training.edits import edited_pairs, grammar_pairs
from beam_sts.training.fit import TrainingPairs
from beam_sts.training.grammars import read_grammars
from beam_sts.training.leakage import HeldOut, check_leakage, drop_held_out, plain_words
from beam_sts.training.long_texts import long_pairs
from beam_sts.training.recipe import Recipe
from beam_sts.training.replacements import replaced_pairs

_NOT_FIRST = (
    None,
    False,
    0,
    "",
    "0",
    "false",
    "False",
)  # values of the column first_seen, including those from CSV


def texts_of(pairs: TrainingPairs) -> tuple[list[str], list[str]]:
    """First and second texts of pairs."""
    return [pairs.texts[i] for i in pairs.left], [pairs.texts[i] for i in pairs.right]


def joined_pairs(parts: Sequence[TrainingPairs]) -> TrainingPairs:
    """Concatenate sets of pairs."""
    first = [text for part in parts for text in texts_of(part)[0]]
    second = [text for part in parts for text in texts_of(part)[1]]
    return TrainingPairs.of(first, second, np.concatenate([part.scores for part in parts]).tolist())


def taken(pairs: TrainingPairs, rows: Sequence[int]) -> TrainingPairs:
    """Select rows of a set of pairs."""
    first, second = texts_of(pairs)
    return TrainingPairs.of(
        [first[i] for i in rows], [second[i] for i in rows], [float(pairs.scores[i]) for i in rows]
    )


def without_held_out(
    pairs: TrainingPairs, held_out: HeldOut, source: str, sentences: bool = True
) -> TrainingPairs:
    """The pairs that training may use, checked; the other arguments are those of :func:`check_leakage`."""
    kept = taken(pairs, drop_held_out(*texts_of(pairs), held_out, sentences=sentences))
    check_leakage(*texts_of(kept), held_out, source, sentences=sentences)
    return kept


def second_dev_pairs(recipe: Recipe) -> TrainingPairs:
    """The gold pairs of the recipe's second dev set.

    Raises:
        DataError: There is none.
    """
    pairs = joined_pairs(
        [read_scored_pairs(source, only=recipe.second_dev, options=recipe.read) for source in recipe.gold]
    )
    if not len(pairs):
        raise DataError(f"no gold pair has one of {', '.join(recipe.second_dev)} in its column file")
    return pairs


def dev_sets(recipe: Recipe) -> dict[str, TrainingPairs]:
    """The sets for choices: STS-B's dev and, if the recipe names one, the second dev set."""
    sets = {"STS-B dev": read_scored_pairs(recipe.stsb.format(split="dev"), options=recipe.read)}
    if recipe.second_dev:
        sets["second dev"] = second_dev_pairs(recipe)
    return sets


def gold_pairs(recipe: Recipe, held_out: HeldOut) -> list[TrainingPairs]:
    """STS-B's train without pairs of dev or test, and the other gold sets, all checked."""
    sets: list[TrainingPairs] = []
    for source in (recipe.stsb.format(split="train"), *recipe.gold):
        own = source == recipe.stsb.format(split="train")
        pairs = read_scored_pairs(source, skip=recipe.gold_skip, options=recipe.read)
        sets.append(without_held_out(pairs, held_out, source, sentences=not own))
    return sets


def sentence_pool(recipe: Recipe, held_out: HeldOut) -> tuple[list[str], int]:
    """Distinct sentences that are not held out, those of the gold pairs first, and how many these are."""
    rng = random.Random(0)
    texts: dict[str, None] = {}
    for pairs in gold_pairs(recipe, held_out):
        texts.update(dict.fromkeys(pairs.texts))
    gold = {plain_words(text) for text in texts}
    for path in recipe.sentences:
        columns = read_columns(path, ("text",), ("source", "first_seen"), recipe.read)
        by_source: dict[str, list[str]] = {}
        first_seen = columns.get("first_seen", [True] * len(columns["text"]))
        sources = columns.get("source", [""] * len(columns["text"]))
        for text, source, first in zip(columns["text"], sources, first_seen, strict=True):
            if first not in _NOT_FIRST and text and 15 <= len(text) <= 180:
                by_source.setdefault(source, []).append(text)
        for source, members in sorted(by_source.items()):
            limit = recipe.source_limits.get(source, recipe.sentence_limit)
            texts.update(dict.fromkeys(rng.sample(members, min(limit, len(members)))))
    distinct = {
        plain_words(text): text for text in texts if len(text) < 300 and not held_out.has_sentence(text)
    }
    return list(distinct.values()), sum(normalised in gold for normalised in distinct)


def mined_texts(pairs: Path) -> list[str]:
    """The sentences in the folder of the stage ``pairs``."""
    texts: list[str] = json.loads((pairs / "texts.json").read_text(encoding="utf-8"))
    return texts


def labelled_pairs(pairs: Path, labels: Path) -> TrainingPairs:
    """The mined pairs with the teacher's scores, from the folders of these two stages."""
    scores = np.load(labels / "scores.npy")
    rows = np.load(pairs / "pairs.npy")[: len(scores)]
    return TrainingPairs(mined_texts(pairs), rows[:, 0], rows[:, 1], scores).compact()


def generated_pairs(recipe: Recipe, pool: Sequence[str], held_out: HeldOut) -> TrainingPairs:
    """The generated pairs of every training, checked for held-out texts.

    These are edited sentences, facts of three kinds of grammar, identical texts, long documents, and texts
    with replaced words.
    """
    rng = random.Random(1)
    facts = grammar_pairs(recipe.facts, seed=1)
    facts += grammar_pairs(recipe.roles, seed=2, grammars=read_grammars("roles"))
    # Half of the facts with exchanged parties are of deeds, because there are many verbs to learn.
    swaps = read_grammars("deeds") + 7 * read_grammars("swaps")
    facts += grammar_pairs(recipe.swaps, seed=4, grammars=swaps)
    edited = edited_pairs(rng.sample(pool, min(recipe.edits, len(pool))), seed=1)
    made = [row[:3] for row in edited + facts]
    same = rng.sample(pool, min(recipe.identical, len(pool)))
    made += [(text, text, 1.0) for text in same]
    made += long_pairs(pool, recipe.documents, seed=1)
    made += replaced_pairs(pool, recipe.replaced, seed=3)
    return scored_by_rule(made, held_out)


def scored_by_rule(made: Sequence[tuple[str, str, float]], held_out: HeldOut) -> TrainingPairs:
    """Generated triples as pairs, without those that are held out."""
    pairs = TrainingPairs.of([row[0] for row in made], [row[1] for row in made], [row[2] for row in made])
    return without_held_out(pairs, held_out, "made pairs")
