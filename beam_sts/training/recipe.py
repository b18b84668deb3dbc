"""The recipe of a training: everything that decides the trained weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from beam_sts.io.slices import ReadOptions
from beam_sts.training.fit import FitSettings
from beam_sts.training.student import StudentSize
from beam_sts.training.table import TableSettings

SIZES = {
    "nano": StudentSize(vocabulary=8192, projections=64, hidden=128, intermediate=512),
    "pico": StudentSize(vocabulary=8000, projections=32, hidden=80, intermediate=320, rotary_dims=12),
    "tiny": StudentSize(vocabulary=400, projections=16, hidden=32, intermediate=64, rotary_dims=4),
}


TEACHER_FIT = FitSettings(epochs=2, batch_size=32, learning_rate=6e-5, warmup=0.1)
TEACHER_CROSS_FIT = FitSettings(epochs=3, batch_size=32, learning_rate=4e-5, warmup=0.1)
TABLE = TableSettings()
PRETRAIN = FitSettings(
    epochs=2, batch_size=256, learning_rate=1e-3, max_tokens=32_768, max_length=4096, shift=4096
)
FINETUNE = replace(PRETRAIN, epochs=1, batch_size=128, learning_rate=3e-4)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the trained weights.

    Attributes:
        size: Key of :data:`SIZES`.
        seed: Of the student: start, order, dropout.
        stsb: STS-B, with "{split}" for train, dev and test (any source :func:`read_columns` takes).
        gold: More pairs with people's scores.
        gold_skip: Subsets of them left out, by the value of the column file up to its first point.
        second_dev: Subsets of them held out, sentences and all, and reported as a second dev set: STS-B's own
            dev shares its sources with train.
        sentences: Sources of sentences (column text, and source if there) for vocabulary and pairs.
        sentence_limit: Sentences taken of each source at most.
        source_limits: Other limits, by the value of the column source.
        scored: Pairs scored elsewhere (wiki-sim's pair-score-sampled shape), used as they are.
        encoder: Folder of a BERT encoder: start of the token table.
        teacher_encoder: Folder of the sentence encoder that the teacher starts from; None takes ``encoder``.
        teacher_also: Folders of more sentence encoders, used beside the fitted one as they are.
        teacher: Folder of a fitted cross-encoder, used as it is instead.
        teacher_fit: How the teacher is fitted.
        teacher_frozen: Its lowest layers that are not.
        teacher_cross: Fit the teacher's encoder as a cross-encoder too, and label with the mean of both.
        cross_pairs: Pairs that this cross-encoder labels at most, the first ones.
        teacher_cross_fit: How that one is fitted.
        pairs: Pairs to label, at most.
        edits: Sentences to edit by rule.
        facts: Facts to make by grammar.
        roles: Facts of who does what to whom, and of the same things in other states, to make by grammar.
        swaps: Facts whose two parties can be exchanged, in many more words, to make.
        identical: Texts to pair with themselves.
        documents: Pairs of long documents to make.
        table: How the token table is fitted to the teacher's vectors, before the student.
        replaced: Texts with words replaced to make.
        pretrain: How the student is fitted to all pairs: labelled, made, gold and given ones.
        finetune: How it is fitted to the gold pairs after that, with the next two.
        labelled_again: Labelled pairs in fine-tuning too, the first ones: their labels are the best.
        replay: Share of the generated pairs that goes into fine-tuning too.
        data_notes: Markdown file on the data, its licences and the teacher, for the model card.
        read: How CSV, TSV and JSON Lines are read.
    """

    stsb: str
    size: str = "nano"
    seed: int = 0
    gold: tuple[str, ...] = ()
    gold_skip: tuple[str, ...] = ()
    second_dev: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    sentence_limit: int = 7_000
    source_limits: Mapping[str, int] = field(default_factory=dict)
    scored: tuple[str, ...] = ()
    encoder: str | None = None
    teacher_encoder: str | None = None
    teacher_also: tuple[str, ...] = ()
    teacher: str | None = None
    teacher_fit: FitSettings = TEACHER_FIT
    teacher_frozen: int = 0
    teacher_cross: bool = False
    teacher_cross_fit: FitSettings = TEACHER_CROSS_FIT
    pairs: int = 740_000
    cross_pairs: int = 740_000
    edits: int = 2_000
    facts: int = 3_000
    roles: int = 40_000
    swaps: int = 12_000
    identical: int = 100_000
    documents: int = 2_000
    replaced: int = 12_000
    table: TableSettings = TABLE
    pretrain: FitSettings = PRETRAIN
    finetune: FitSettings = FINETUNE
    labelled_again: int = 44_000
    replay: float = 0.06
    data_notes: str | None = None
    read: ReadOptions = field(default_factory=ReadOptions)


def told(recipe: Recipe) -> dict[str, Any]:
    """The recipe's values by name; without how files are read, where that is as usual."""
    values = asdict(recipe)
    if recipe.read == ReadOptions():
        del values["read"]
    return values


def data_notes(recipe: Recipe) -> str:
    """The recipe's notes on its data, or else the bare names of its sources."""
    if recipe.data_notes is not None:
        return Path(recipe.data_notes).read_text(encoding="utf-8").strip()
    sources = (recipe.stsb, *recipe.gold, *recipe.sentences, *recipe.scored)
    return "\n".join(f"- {source.rsplit('/', 1)[-1]}" for source in sources)


def settings(recipe: Recipe) -> str:
    """The recipe as JSON, with folders cut from paths: the card is for others' machines."""
    values = told(recipe)
    for name in ("stsb", "encoder", "teacher_encoder", "teacher", "data_notes"):
        values[name] = values[name] and values[name].rsplit("/", 1)[-1]
    for name in ("gold", "sentences", "scored", "teacher_also"):
        values[name] = [source.rsplit("/", 1)[-1] for source in values[name]]
    return "{\n" + ",\n".join(f' "{name}": {json.dumps(value)}' for name, value in values.items()) + "\n}"
