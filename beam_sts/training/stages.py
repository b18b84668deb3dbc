"""The stages of training, in order."""

from __future__ import annotations

from pathlib import Path

from beam_sts.training import label_stages, student_stages
from beam_sts.training.recipe import Recipe
from beam_sts.training.workspace import Stage, Workspace


def workspace(root: Path, recipe: Recipe, device: str = "cpu") -> Workspace:
    """The folder of all stages; the arguments are those of ``Workspace``."""
    return Workspace(root, recipe, STAGES, device)


_GOLD = ("stsb", "gold", "gold_skip", "second_dev")
_DATA = (*_GOLD, "sentences", "sentence_limit", "source_limits", "encoder")
_MADE = (
    "edits",
    "facts",
    "roles",
    "swaps",
    "identical",
    "documents",
    "replaced",
    "changed",
    "forms",
    "start_pairs",
)
STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage("vocabulary", label_stages.run_vocabulary, (*_DATA, "size", "start"), (), ("size",)),
        Stage("teacher", label_stages.run_teacher,
              (*_GOLD, "encoder", "teacher_encoder", "teacher_also", "teacher", "teacher_fit",
               "teacher_frozen", "teacher_cross", "teacher_cross_fit")),
        Stage("pairs", label_stages.run_pairs, _DATA, ("teacher",)),
        Stage("labels", label_stages.run_labels, ("pairs", "cross_pairs"), ("pairs", "teacher")),
        Stage("table", label_stages.run_table, ("size", "table"), ("vocabulary", "pairs"), ("size",)),
        Stage("pretrain", student_stages.run_pretrain,
              ("size", "seed", "scored", "pretrain", "start_share", *_MADE),
              ("table", "labels"),
              ("size", "seed")),
        Stage("finetune", student_stages.run_finetune,
              ("labelled_again", "replay", "finetune"), ("pretrain",), ("size", "seed")),
        Stage("calibrate", student_stages.run_calibrate, (), ("finetune",), ("size", "seed")),
        Stage("evaluate", student_stages.run_evaluate, (), ("calibrate",), ("size", "seed")),
        Stage("export", student_stages.run_export, (), ("evaluate",), ("size", "seed")),
    )
}  # fmt: skip
