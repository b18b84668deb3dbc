"""The stages of the student: pretraining, fine-tuning, calibration, evaluation, export."""

from __future__ import annotations

import json
import platform
import random
import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import expit, logit
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import beam_sts.models.bert_hash  # noqa: F401  registers the student's architecture
from beam_sts.scoring.scorer import PairScorer
from beam_sts.training import card, evaluation, teacher, vocabulary
from beam_sts.training.calibration import rescale, slope_and_bias
from beam_sts.training.data import read_scored_pairs
from beam_sts.training.fit import PROGRESS, FitSettings, TrainingPairs, fit, predict
from beam_sts.training.further import further_pairs
from beam_sts.training.identical import with_another_word, with_other_digits
from beam_sts.training.label_stages import TABLE
from beam_sts.training.leakage import check_leakage
from beam_sts.training.long_texts import report_on_length
from beam_sts.training.recipe import SIZES, Recipe, data_notes, settings
from beam_sts.training.sets import (
    dev_sets,
    generated_pairs,
    gold_pairs,
    joined_pairs,
    labelled_pairs,
    mined_texts,
    taken,
    without_held_out,
)
from beam_sts.training.student import matching_start, parameter_count
from beam_sts.training.workspace import Workspace


def _fit_student(
    recipe: Recipe,
    work: Workspace,
    start: Path | None,
    pairs: TrainingPairs,
    how: FitSettings,
    folder: Path,
    start_share: float = 0.0,
) -> dict[str, Any]:
    tokenizer = AutoTokenizer.from_pretrained(work.folder("vocabulary"), local_files_only=True)
    if start is None:
        table = np.load(work.folder("table") / TABLE)
        config = SIZES[recipe.size].config()
        config.vocab_size = len(table)
        model = matching_start(config, table, recipe.seed)
    else:
        model = AutoModelForSequenceClassification.from_pretrained(
            start, dtype=torch.float32, use_safetensors=True
        )
    on_dev = partial(_agreement, tokenizer=tokenizer, sets=dev_sets(recipe))
    model.to(work.device)
    before = {name: values.clone() for name, values in model.state_dict().items()}
    how = replace(how, seed=recipe.seed)
    done = fit(
        model, tokenizer, pairs, how, lambda current: str(on_dev(current)), 1000, keep=folder / PROGRESS
    )
    for name, values in model.state_dict().items():
        values.lerp_(before[name], start_share)
    model.save_pretrained(folder)
    for name in vocabulary.FILES:
        shutil.copyfile(work.folder("vocabulary") / name, folder / name)
    return {
        "pairs": len(pairs),
        "fit_seconds": round(done.seconds, 1),
        **on_dev(model),
        "losses": done.losses,
    }


def _agreement(model: Any, tokenizer: Any, sets: Mapping[str, TrainingPairs]) -> dict[str, dict[str, float]]:
    """The agreement of a student's scores with gold scores, by the name of the set."""
    return {
        name: evaluation.correlations(predict(model, tokenizer, gold, precision="fp32"), gold.scores)
        for name, gold in sets.items()
    }


def run_pretrain(recipe: Recipe, work: Workspace, folder: Path) -> dict[str, Any]:
    """Fit the student to all pairs: labelled, generated, gold and given ones.

    With ``start_pairs`` the gold pairs have the scores of the checkpoint, as all other similar texts do. The
    mean with the weights that the student started from forgets less than the fitted weights do.
    """
    given = [
        without_held_out(read_scored_pairs(name, options=recipe.read), work.held_out, name)
        for name in recipe.scored
    ]
    start = None if recipe.start is None else Path(recipe.start)
    gold = [] if recipe.start_pairs else gold_pairs(recipe, work.held_out)
    pairs = joined_pairs([*_labelled_and_made(recipe, work), *gold, *given])
    return _fit_student(recipe, work, start, pairs, recipe.pretrain, folder, recipe.start_share)


def run_finetune(recipe: Recipe, work: Workspace, folder: Path) -> dict[str, Any]:
    """Fit the student to the gold pairs (twice), some of the other pairs, and identical texts.

    With no epochs it is the pretrained one.
    """
    if not recipe.finetune.epochs:
        _copy_stage(work.folder("pretrain"), folder)
        return {"pairs": 0}
    return _fit_student(
        recipe, work, work.folder("pretrain"), finetuning_pairs(recipe, work), recipe.finetune, folder
    )


def _copy_stage(source: Path, folder: Path) -> None:
    """Copy the files of a finished stage, without its record."""
    shutil.copytree(source, folder, dirs_exist_ok=True)
    (folder / "done.json").unlink()


def finetuning_pairs(recipe: Recipe, work: Workspace) -> TrainingPairs:
    """The pairs of fine-tuning: gold pairs twice, some labelled and generated pairs, and identical texts.

    Gold scores of near-copies also lower the scores of equal texts, unless equal texts are in the training.
    So each gold text is paired with itself, and so are twice as many other texts: those with the lowest
    scores by the pretrained student, among all sentences and copies of them with other numbers and words.
    """
    gold = gold_pairs(recipe, work.held_out)
    labelled, made = _labelled_and_made(recipe, work)
    rows = random.Random(recipe.seed).sample(range(len(made)), round(recipe.replay * len(made)))
    again = [taken(labelled, range(min(recipe.labelled_again, len(labelled)))), taken(made, rows)]
    # STS-B's splits share sentences; only pairs of its train split may have them.
    same = [text for pairs in gold for text in pairs.texts if not work.held_out.has_sentence(text)]
    mined = mined_texts(work.folder("pairs"))
    copies = with_other_digits(mined, 4, seed=5) + with_another_word(mined, seed=6)
    pool = mined + [text for text in copies if not work.held_out.has_sentence(text)]
    own = PairScorer(work.folder("pretrain"), threads=torch.get_num_threads()).score([(t, t) for t in pool])
    same += [pool[i] for i in np.argsort(own, kind="stable")[: 2 * len(same)]]
    check_leakage(same, same, work.held_out, "identical texts")
    return joined_pairs([*2 * gold, *again, TrainingPairs.of(same, same, [1.0] * len(same))])


def _labelled_and_made(recipe: Recipe, work: Workspace) -> list[TrainingPairs]:
    pairs = work.folder("pairs")
    labelled = labelled_pairs(pairs, work.folder("labels"))
    made = [generated_pairs(recipe, mined_texts(pairs), work.held_out)]
    if recipe.start is not None:
        made += further_pairs(recipe, work, recipe.start)
    return [labelled, joined_pairs(made)]


def run_calibrate(recipe: Recipe, work: Workspace, folder: Path) -> dict[str, Any]:
    """Scale the student's logits to gold scores, if that lowers the calibration error."""
    _copy_stage(work.folder("finetune"), folder)
    model, tokenizer = teacher.cross_encoder(folder)
    sets = dev_sets(recipe)
    fitted = scaling(model, tokenizer, joined_pairs(gold_pairs(recipe, work.held_out)), sets["STS-B dev"])
    rescale(model, fitted["slope"], fitted["bias"])
    model.save_pretrained(folder)
    return {**fitted, **_agreement(model, tokenizer, sets)}


def scaling(model: Any, tokenizer: Any, gold: TrainingPairs, dev: TrainingPairs) -> dict[str, float]:
    """Fit the scale of a student's logits to gold scores; its training scores were mostly a teacher's.

    Args:
        model: The student.
        tokenizer: Its tokenizer.
        gold: The pairs to fit slope and bias to.
        dev: The pairs on which they must lower the calibration error; otherwise they are 1 and 0.

    Returns:
        "slope", "bias", and the calibration error on dev without and with scaling.
    """

    def logits(pairs: TrainingPairs) -> np.ndarray:
        scores = predict(model, tokenizer, pairs, precision="fp32").astype(np.float64)
        values: np.ndarray = logit(np.clip(scores, 1e-6, 1 - 1e-6))
        return values

    slope, bias = slope_and_bias(logits(gold), gold.scores)
    on_dev = logits(dev)
    errors = [evaluation.calibration_error(expit(z), dev.scores) for z in (on_dev, slope * on_dev + bias)]
    if errors[1] >= errors[0]:
        slope, bias = 1.0, 0.0
    return {"slope": slope, "bias": bias, "dev error as it was": errors[0], "dev error scaled": errors[1]}


def run_evaluate(recipe: Recipe, work: Workspace, folder: Path) -> dict[str, Any]:
    """Report on dev, test and the probes, scored with ``PairScorer``."""
    score = PairScorer(work.folder("calibrate"), threads=torch.get_num_threads()).score
    results: dict[str, Any] = {}
    test = read_scored_pairs(recipe.stsb.format(split="test"), options=recipe.read)
    sets = dev_sets(recipe) | {"STS-B test": test}
    for name, gold in sets.items():
        results[name] = evaluation.report_on_gold(score, gold)
    dev = sets["STS-B dev"]
    results["probes"] = evaluation.report_on_probes(score, dev.texts)
    results["robustness"] = evaluation.report_on_robustness(score)
    sizes = (25,) if recipe.size == "tiny" else (25, 250)
    results["length"] = report_on_length(score, dev.texts, sizes)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    figures = {
        name: [round(results[name][key], 4) for key in ("pearson", "spearman")]
        for name in results
        if "pearson" in results[name]
    }
    return {**figures, "ranking": results["probes"]["ranking"]}


def run_export(recipe: Recipe, work: Workspace, folder: Path) -> dict[str, Any]:
    """Write the checkpoint folder with its model card."""
    model = AutoModelForSequenceClassification.from_pretrained(work.folder("calibrate"), dtype=torch.float32)
    results = json.loads((work.folder("evaluate") / "results.json").read_text(encoding="utf-8"))
    noted = {name: work.result(name) or {} for name in work.stages if name != "export"}
    text = card.model_card(
        f"beam-sts-{recipe.size}",
        {
            "parameters": parameter_count(model),
            "max_length": SIZES[recipe.size].max_length,
            "data": data_notes(recipe),
            "stages": {
                name: ", ".join(
                    f"{key} {shown_value(value)}"
                    for key, value in figures.items()
                    if key not in ("fingerprint", "losses")
                )
                for name, figures in noted.items()
                if name != "evaluate"
            },
            "seed": recipe.seed,
            "hardware": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
            "settings": settings(recipe),
        },
        results,
        _results_of_seeds(recipe, work),
    )
    card.export_checkpoint(model, work.folder("vocabulary"), folder, text)
    size = (folder / "model.safetensors").stat().st_size
    return {"parameters": parameter_count(model), "bytes": size}


def _results_of_seeds(recipe: Recipe, work: Workspace) -> dict[int, dict[str, Any]]:
    """The results of all seeds that were evaluated in this folder with the same recipe otherwise."""
    found: dict[int, dict[str, Any]] = {}
    for folder in sorted(work.root.glob(f"evaluate-{recipe.size}-*")):
        seed = int(folder.name.rpartition("-")[2])
        if work.of(replace(recipe, seed=seed)).result("evaluate") is not None:
            found[seed] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return found


def shown_value(value: Any) -> str:
    """A figure in the form of the model card."""
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{key} {shown_value(item)}" for key, item in value.items()) + ")"
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 1 else f"{round(value, 4):g}"
    return str(value)
