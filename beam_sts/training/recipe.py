"""The recipe of a training: everything that the trained weights depend on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from beam_sts.checks import every, flag, name, optional, share, whole
from beam_sts.io.slices import ReadOptions
from beam_sts.settings import Settings, setting
from beam_sts.training.fit import FitSettings
from beam_sts.training.student import StudentSize
from beam_sts.training.table import TableSettings

SIZES = {
    "mini": StudentSize(vocabulary=16384, projections=96, hidden=256, intermediate=1024, layers=3, heads=4),
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


def _sources(help: str, metavar: str = "SOURCE") -> Any:
    return setting((), help, every(name), metavar=metavar)


def _folder(help: str) -> Any:
    return setting(None, help, optional(name), metavar="DIR")


def _number(default: int, help: str, least: int = 0) -> Any:
    return setting(default, help, whole(least), metavar="N")


@dataclass(frozen=True)
class Recipe(Settings):
    """Everything that the trained weights depend on, and the options of ``beam-sts train``.

    A source is any source of :func:`read_columns`. ``source_limits`` are by the value of the column
    ``source``. ``table`` are the settings of the fit of the token table to the teacher's vectors, before the
    student. ``pretrain`` are those of the student's fit to all pairs, and ``finetune`` those of its fit to
    the gold pairs after that. ``read`` has the options of the reader of CSV, TSV and JSON Lines.
    """

    stsb: str = setting(
        None,
        "STS-B with {split} for train, dev and test, such as 'stsb/{split}.parquet'",
        name,
        metavar="SOURCE",
    )
    size: str = setting("nano", "size of the model", choices=tuple(SIZES))
    seed: int = setting(0, "seed of initial weights, order and dropout", whole(0), metavar="N")
    gold: tuple[str, ...] = _sources("more pairs with scores by people")
    gold_skip: tuple[str, ...] = _sources("subsets of --gold (column file) to leave out", "NAME")
    second_dev: tuple[str, ...] = _sources(
        "subsets of --gold (column file) to hold out as a second dev set", "NAME"
    )
    sentences: tuple[str, ...] = _sources("files of sentences (columns text and, optionally, source)")
    sentence_limit: int = _number(7_000, "most sentences of each source")
    source_limits: Mapping[str, int] = field(default_factory=dict)
    scored: tuple[str, ...] = _sources("files of scored pairs: sentence1, sentence2, score")
    start: str | None = _folder(
        "folder of a checkpoint of this size to train further (default: the matching start)"
    )
    start_share: float = setting(
        0.0, "the result of pretraining is a weighted mean of weights: share of --start", share, metavar="X"
    )
    encoder: str | None = _folder("folder of a BERT encoder, such as all-MiniLM-L6-v2")
    teacher_encoder: str | None = _folder("folder of the encoder to fit as teacher, if different")
    teacher_also: tuple[str, ...] = _sources(
        "folders of encoders, used without fitting, whose scores are averaged with the teacher's", "DIR"
    )
    teacher: str | None = _folder("folder of a fitted cross-encoder, used without fitting")
    teacher_fit: FitSettings = TEACHER_FIT
    teacher_frozen: int = _number(0, "lowest layers of the teacher that are not fitted")
    teacher_cross: bool = setting(
        False, "also fit the teacher's encoder as a cross-encoder, and label with the mean of both", flag
    )
    teacher_cross_fit: FitSettings = TEACHER_CROSS_FIT
    pairs: int = _number(740_000, "most pairs to label")
    cross_pairs: int = _number(
        740_000, "most pairs, from the first, that the cross-encoder of --teacher_cross labels", 1
    )
    edits: int = _number(2_000, "sentences to edit by rule")
    facts: int = _number(3_000, "facts to generate by grammar")
    roles: int = _number(40_000, "facts of roles and states to generate")
    swaps: int = _number(12_000, "facts with exchangeable parties to generate")
    identical: int = _number(100_000, "texts to pair with themselves")
    documents: int = _number(2_000, "pairs of long documents to generate")
    replaced: int = _number(12_000, "texts with replaced words to generate")
    changed: int = _number(0, "pairs with changed values, clauses or small words to generate")
    forms: int = _number(0, "pairs of a text in two forms (typos, mark-up, abbreviations) to generate")
    start_pairs: int = _number(0, "pairs of similar sentences, with the scores of --start")
    table: TableSettings = TABLE
    pretrain: FitSettings = PRETRAIN
    finetune: FitSettings = FINETUNE
    labelled_again: int = _number(44_000, "labelled pairs, from the first, that are in fine-tuning too")
    replay: float = setting(
        0.06, "fraction of the generated pairs that are in fine-tuning too", share, metavar="X"
    )
    data_notes: str | None = setting(
        None,
        "Markdown file on data, licences and teacher, for the model card",
        optional(name),
        metavar="FILE",
    )
    read: ReadOptions = field(default_factory=ReadOptions)


def values_of(recipe: Recipe) -> dict[str, Any]:
    """The recipe's values by name, without default options of the reader."""
    values = asdict(recipe)
    if recipe.read == ReadOptions():
        del values["read"]
    return values


def data_notes(recipe: Recipe) -> str:
    """The recipe's notes on its data, or else the names of its sources."""
    if recipe.data_notes is not None:
        return Path(recipe.data_notes).read_text(encoding="utf-8").strip()
    sources = (recipe.stsb, *recipe.gold, *recipe.sentences, *recipe.scored)
    return "\n".join(f"- {source.rsplit('/', 1)[-1]}" for source in sources)


def settings(recipe: Recipe) -> str:
    """The recipe as JSON, with paths without folders, because the model card is published."""
    values = values_of(recipe)
    for key in ("stsb", "start", "encoder", "teacher_encoder", "teacher", "data_notes"):
        values[key] = values[key] and values[key].rsplit("/", 1)[-1]
    for key in ("gold", "sentences", "scored", "teacher_also"):
        values[key] = [source.rsplit("/", 1)[-1] for source in values[key]]
    return "{\n" + ",\n".join(f' "{name}": {json.dumps(value)}' for name, value in values.items()) + "\n}"
