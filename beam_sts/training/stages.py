"""The stages of training, each resumable: finished with the same inputs and settings, it is not run again."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import random
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import logit
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import beam_sts.models.bert_hash  # noqa: F401  registers the student's architecture
from beam_sts.scoring.scorer import PairScorer
from beam_sts.training import card, evaluation, mining, teacher, vocabulary
from beam_sts.training.calibration import rescale, slope_and_bias
from beam_sts.training.data import DataError, read_scored_pairs
from beam_sts.training.fit import FitSettings, ScoredPairs, fit, predict
from beam_sts.training.honesty import HeldOut, check_pairs, drop_held_out
from beam_sts.training.long_texts import report_on_length
from beam_sts.training.parts import in_parts
from beam_sts.training.recipe import GOLD_RANKS, SIZES, Recipe, data_notes, settings
from beam_sts.training.sets import (
    dev_sets,
    gold_pairs,
    identical_pairs,
    joined,
    labelled_pairs,
    made_pairs,
    mined_texts,
    order_pairs,
    pairs_with_replaced_words,
    role_pairs,
    second_dev_pairs,
    sentence_pool,
    taken,
    texts_of,
)
from beam_sts.training.student import matching_start, mean_of_weights, parameter_count

logger = logging.getLogger(__name__)
CROSS = "cross"  # the teacher's cross-encoder, in the teacher's folder


@dataclass(frozen=True)
class Stage:
    """One stage: a function that fills a folder.

    Attributes:
        name: Its name on the command line.
        run: Fills the folder it is given and returns what is logged.
        fields: Fields of the recipe that decide its result.
        needs: Stages whose results it reads.
        own: Fields that its folder's name carries, so that sizes and seeds share the stages before.
    """

    name: str
    run: Callable[[Recipe, Workshop, Path], dict[str, Any]]
    fields: tuple[str, ...]
    needs: tuple[str, ...] = ()
    own: tuple[str, ...] = ()


class Workshop:
    """A folder of stage results.

    Args:
        root: The folder; made if missing.
        recipe: What to train.
        device: Where models run while they are fitted, embed and label.
    """

    def __init__(self, root: Path, recipe: Recipe, device: str = "cpu") -> None:
        if recipe.size not in SIZES:
            raise DataError(f"unknown size {recipe.size!r}; choose from {', '.join(SIZES)}")
        self.root = root
        self.recipe = recipe
        self.device = device
        self._held_out: HeldOut | None = None

    def folder(self, name: str) -> Path:
        """Where a stage's results lie."""
        return self.root / "-".join([name, *(str(getattr(self.recipe, key)) for key in STAGES[name].own)])

    def fingerprint(self, name: str) -> str:
        """Digest of all that decides a stage's result."""
        stage = STAGES[name]
        values = asdict(self.recipe) | {"start_seed": self.recipe.start_seed}
        told = {key: values[key] for key in stage.fields}
        told["needs"] = [self.fingerprint(needed) for needed in stage.needs]
        return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def result(self, name: str) -> dict[str, Any] | None:
        """What a finished stage noted, or None if it is not finished with these settings."""
        marker = self.folder(name) / "done.json"
        if not marker.is_file():
            return None
        noted: dict[str, Any] = json.loads(marker.read_text(encoding="utf-8"))
        return noted if noted["fingerprint"] == self.fingerprint(name) else None

    def run(self, name: str, alone: bool = False) -> dict[str, Any]:
        """Run a stage unless it is finished, and before it what it needs.

        Args:
            name: The stage.
            alone: Refuse to run what it needs.

        Returns:
            What the stage noted: fingerprint, seconds and its own figures.

        Raises:
            DataError: ``alone``, and a stage before is not finished.
        """
        noted = self.result(name)
        if noted is not None:
            logger.info("%s: finished before, skipped (%s)", name, self.folder(name))
            return noted
        for needed in STAGES[name].needs:
            if alone and self.result(needed) is None:
                raise DataError(f"stage {name!r} needs {needed!r} first; run it, or use the stage 'all'")
            self.run(needed)
        folder = self.folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "done.json").unlink(missing_ok=True)
        logger.info("%s: started (%s)", name, folder)
        begun = time.monotonic()
        figures = STAGES[name].run(self.recipe, self, folder)
        noted = {
            "fingerprint": self.fingerprint(name),
            "seconds": round(time.monotonic() - begun, 1),
            **figures,
        }
        (folder / "done.json").write_text(json.dumps(noted, indent=1, default=str) + "\n", encoding="utf-8")
        said = {key: value for key, value in figures.items() if key != "losses"}
        logger.info("%s: done in %.0f s: %s", name, noted["seconds"], said)
        return noted

    @property
    def held_out(self) -> HeldOut:
        """Pairs and sentences of STS-B's dev and test and of the second dev set."""
        if self._held_out is None:
            splits = [read_scored_pairs(self.recipe.stsb.format(split=split)) for split in ("dev", "test")]
            splits += [second_dev_pairs(self.recipe)] if self.recipe.second_dev else []
            self._held_out = HeldOut.of(*(zip(*texts_of(pairs), strict=True) for pairs in splits))
        return self._held_out


def run_vocabulary(recipe: Recipe, work: Workshop, folder: Path) -> dict[str, Any]:
    """Train the vocabulary on the sentences and compute the first values of the token table."""
    size = SIZES[recipe.size]
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
    np.save(folder / "table.npy", vocabulary.token_table(vectors, counts, size.projections, seed=0))
    return {"texts": len(texts), "entries": len(pieces)}


def run_teacher(recipe: Recipe, work: Workshop, folder: Path) -> dict[str, Any]:
    """Fit a sentence encoder to the gold pairs, unless the recipe brings a teacher."""
    source = recipe.teacher_encoder or recipe.encoder
    if recipe.teacher is not None or source is None:
        return {"teacher": Path(recipe.teacher).name if recipe.teacher else "none"}
    pairs = joined(gold_pairs(recipe, work.held_out))
    teacher.fit_teacher(Path(source), pairs, recipe.teacher_fit, folder, recipe.teacher_frozen, work.device)
    if recipe.teacher_cross:
        teacher.fit_cross_encoder(Path(source), pairs, recipe.teacher_cross_fit, folder / CROSS, work.device)
    embed = teacher.embedder(_encoders(recipe, work), work.device)
    teacher.fit_scale(embed(pairs.texts), pairs, folder)
    figures: dict[str, Any] = {}
    for name, gold in dev_sets(recipe).items():
        alone = teacher.similarities(embed(gold.texts), gold.left, gold.right, folder)
        figures[name] = evaluation.agreement(alone, gold.scores)
        if recipe.teacher_cross:
            crossed = predict(*teacher.cross_encoder(folder / CROSS, work.device), gold)
            figures[f"{name}, cross-encoder"] = evaluation.agreement(crossed, gold.scores)
            both = teacher.mean_of_logits(alone, crossed)
            figures[f"{name}, mean of both"] = evaluation.agreement(both, gold.scores)
    return figures


def _encoders(recipe: Recipe, work: Workshop) -> list[Path]:
    """The sentence encoders that find and score pairs."""
    if recipe.teacher is None and (recipe.teacher_encoder or recipe.encoder):
        return [work.folder("teacher"), *map(Path, recipe.teacher_also)]
    return [Path(recipe.encoder)] if recipe.encoder else []


def run_pairs(recipe: Recipe, work: Workshop, folder: Path) -> dict[str, Any]:
    """Embed the sentences and draw neighbours."""
    pool, gold = sentence_pool(recipe, work.held_out)
    encoders = _encoders(recipe, work)
    if not encoders or not recipe.pairs:
        vectors = np.random.default_rng(0).standard_normal((len(pool), 16)).astype(np.float16)
    else:
        embed = teacher.embedder(encoders, work.device)
        owner = work.fingerprint("pairs")
        size = 4_096 if work.device == "cpu" else 131_072
        vectors = in_parts(folder, owner, len(pool), lambda rows: embed(pool[rows.start : rows.stop]), size)
    own = mining.neighbour_pairs(
        vectors[:gold], seed=0, ranks=GOLD_RANKS, random_share=0.7, device=work.device
    )
    rest = mining.neighbour_pairs(vectors, seed=0, device=work.device)
    rest = rest[~(rest < gold).all(axis=1)]
    # Whoever takes only the first ones takes as many of either kind.
    mixed = np.random.default_rng(0).permutation(np.concatenate([own, rest[: len(own)]]), axis=0)
    pairs = np.concatenate([mixed, rest[len(own) :]])
    first, second = ([pool[i] for i in pairs[:, side]] for side in (0, 1))
    check_pairs(first, second, work.held_out, "mined pairs")
    np.save(folder / "pairs.npy", pairs)
    np.save(folder / "vectors.npy", vectors)
    (folder / "texts.json").write_text(json.dumps(pool, ensure_ascii=False), encoding="utf-8")
    return {"texts": len(pool), "gold texts": gold, "pairs": len(pairs), "between gold texts": len(own)}


def run_labels(recipe: Recipe, work: Workshop, folder: Path) -> dict[str, Any]:
    """Score the pairs with the teacher."""
    pairs = np.load(work.folder("pairs") / "pairs.npy")[: recipe.pairs]
    if not len(pairs):
        np.save(folder / "scores.npy", np.zeros(0, np.float32))
        return {"pairs": 0}
    if recipe.teacher is not None:
        scores = _cross_encoder_scores(Path(recipe.teacher), work, folder, pairs)
    elif recipe.teacher_encoder or recipe.encoder:
        vectors = np.load(work.folder("pairs") / "vectors.npy")
        scores = teacher.similarities(vectors, pairs[:, 0], pairs[:, 1], work.folder("teacher"))
        if recipe.teacher_cross:
            crossed = _cross_encoder_scores(work.folder("teacher") / CROSS, work, folder, pairs)
            scores = teacher.mean_of_logits(scores, crossed)
    else:
        raise DataError("no teacher: give --encoder (fitted on the gold pairs) or --teacher (used as it is)")
    np.save(folder / "scores.npy", scores)
    return {"pairs": len(scores), "quantiles": np.quantile(scores, (0.05, 0.5, 0.95)).round(3).tolist()}


def _cross_encoder_scores(source: Path, work: Workshop, folder: Path, pairs: np.ndarray) -> np.ndarray:
    texts = mined_texts(work.folder("pairs"))
    model, tokenizer = teacher.cross_encoder(source, work.device)
    size, tokens = (4_096, 8_192) if work.device == "cpu" else (262_144, 65_536)

    def scores(rows: range) -> np.ndarray:
        left, right = pairs[rows.start : rows.stop].T
        asked = ScoredPairs(texts, left, right, np.zeros(len(rows), np.float32))
        return predict(model, tokenizer, asked.compact(), tokens_per_batch=tokens)

    # Parts stay good while pairs and teacher are the same, however many are asked for.
    owner = " ".join(map(work.fingerprint, STAGES["labels"].needs))
    return in_parts(folder, owner, len(pairs), scores, size)


def _labelled(work: Workshop) -> ScoredPairs:
    return labelled_pairs(work.folder("pairs"), work.folder("labels"))


def _made(recipe: Recipe, work: Workshop) -> ScoredPairs:
    return made_pairs(recipe, mined_texts(work.folder("pairs")), work.held_out)


def _fit_student(
    recipe: Recipe, work: Workshop, start: Path | None, pairs: ScoredPairs, how: FitSettings, folder: Path
) -> dict[str, Any]:
    tokenizer = AutoTokenizer.from_pretrained(work.folder("vocabulary"), local_files_only=True)
    if start is None:
        table = np.load(work.folder("vocabulary") / "table.npy")
        config = SIZES[recipe.size].config()
        config.vocab_size = len(table)
        model = matching_start(config, table, recipe.seed)
    else:
        model = AutoModelForSequenceClassification.from_pretrained(
            start, dtype=torch.float32, use_safetensors=True
        )
    sets = dev_sets(recipe)

    def on_dev(current: torch.nn.Module) -> dict[str, dict[str, float]]:
        return {
            name: evaluation.agreement(predict(current, tokenizer, gold, precision="fp32"), gold.scores)
            for name, gold in sets.items()
        }

    model.to(work.device)
    how = replace(how, seed=recipe.seed)
    losses: list[tuple[int, float]] = []
    seconds = fit(model, tokenizer, pairs, how, lambda current: str(on_dev(current)), 1000, losses=losses)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(work.folder("vocabulary") / name, folder / name)
    return {"pairs": len(pairs), "fit_seconds": round(seconds, 1), **on_dev(model), "losses": losses}


def run_pretrain(recipe: Recipe, work: Workshop, folder: Path) -> dict[str, Any]:
    """Fit the student, from the matching start, to labelled, made, gold and given pairs together."""
    given = []
    for source in recipe.scored:
        pairs = read_scored_pairs(source)
        given.append(taken(pairs, drop_held_out(*texts_of(pairs), work.held_out)))
        check_pairs(*texts_of(given[-1]), work.held_out, source)
    pairs = joined([_labelled(work), _made(recipe, work), *gold_pairs(recipe, work.held_out), *given])
    return _fit_student(replace(recipe, seed=recipe.start_seed), work, None, pairs, recipe.pretrain, folder)


def _finetuning_pairs(recipe: Recipe, work: Workshop, replay: float) -> tuple[list[ScoredPairs], ScoredPairs]:
    """What all of fine-tuning sees, and a share of the rest, in random order."""
    others = joined([_labelled(work), _made(recipe, work)])
    order = random.Random(recipe.seed).sample(range(len(others)), round(replay * len(others)))
    again = [
        *gold_pairs(recipe, work.held_out),
        pairs_with_replaced_words(recipe, mined_texts(work.folder("pairs")), work.held_out),
        # Word order is learnt last and forgotten first: all of its facts are seen again.
        role_pairs(recipe, work.held_out),
    ]
    return again, taken(others, order)


def run_finetune(recipe: Recipe, work: Workshop, folder: Path) -> dict[str, Any]:
    """Fit the student to gold pairs, texts with words replaced and role facts, beside a share of the rest."""
    again, replayed = _finetuning_pairs(recipe, work, recipe.replay)
    pairs = joined([*again, replayed])
    figures = _fit_student(recipe, work, work.folder("pretrain"), pairs, recipe.finetune, folder)
    if recipe.polish.epochs:
        same = identical_pairs(recipe, mined_texts(work.folder("pairs")), work.held_out)
        pairs = joined([*again, same, taken(replayed, range(len(replayed) // 4))])
        del figures["losses"]
        figures = {
            "before polish": figures,
            **_fit_student(recipe, work, folder, pairs, recipe.polish, folder),
        }
    return figures


def run_order(recipe: Recipe, work: Workshop, folder: Path) -> dict[str, Any]:
    """Fit another student, from pretraining too, to word order and long documents besides."""
    if not recipe.swaps:
        return {"pairs": 0}
    again, replayed = _finetuning_pairs(recipe, work, recipe.order_replay)
    made = order_pairs(recipe, mined_texts(work.folder("pairs")), work.held_out)
    pairs = joined([*again, made, replayed])
    return _fit_student(recipe, work, work.folder("pretrain"), pairs, recipe.order, folder)


def run_merge(recipe: Recipe, work: Workshop, folder: Path) -> dict[str, Any]:
    """Take the mean of the weights of both students, then scale the logits to the gold pairs."""
    shutil.copytree(work.folder("finetune"), folder, dirs_exist_ok=True)
    (folder / "done.json").unlink()
    if recipe.swaps:
        students = (work.folder("finetune"), work.folder("order"))
        mean_of_weights(students, (1 - recipe.order_share, recipe.order_share), folder)
    return _calibrate(folder, joined(gold_pairs(recipe, work.held_out))) | _on_dev(recipe, folder)


def _on_dev(recipe: Recipe, folder: Path) -> dict[str, Any]:
    model, tokenizer = teacher.cross_encoder(folder)
    return {
        name: evaluation.agreement(predict(model, tokenizer, gold, precision="fp32"), gold.scores)
        for name, gold in dev_sets(recipe).items()
    }


def _calibrate(folder: Path, gold: ScoredPairs) -> dict[str, float]:
    """Scale the logits of a fitted student to the gold pairs' scores: its targets were mostly a teacher's."""
    model, tokenizer = teacher.cross_encoder(folder)
    scores = np.clip(predict(model, tokenizer, gold, precision="fp32").astype(np.float64), 1e-6, 1 - 1e-6)
    slope, bias = slope_and_bias(logit(scores), gold.scores)
    rescale(model, slope, bias)
    model.save_pretrained(folder)
    return {"slope": slope, "bias": bias}


def run_evaluate(recipe: Recipe, work: Workshop, folder: Path) -> dict[str, Any]:
    """Report on dev, test and the probes, scoring as users do."""
    score = PairScorer(work.folder("merge"), threads=torch.get_num_threads()).score
    results: dict[str, Any] = {}
    sets = dev_sets(recipe) | {"STS-B test": read_scored_pairs(recipe.stsb.format(split="test"))}
    for name, gold in sets.items():
        results[name] = evaluation.report_on_gold(score, gold)
    dev = sets["STS-B dev"]
    results["probes"] = evaluation.report_on_probes(score, dev.texts)
    sizes = (25,) if recipe.size == "tiny" else (25, 250)
    results["length"] = report_on_length(score, dev.texts, sizes)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    figures = {
        name: [round(results[name][key], 4) for key in ("pearson", "spearman")]
        for name in results
        if "pearson" in results[name]
    }
    return {**figures, "ranking": results["probes"]["ranking"]}


def run_export(recipe: Recipe, work: Workshop, folder: Path) -> dict[str, Any]:
    """Write the checkpoint folder with its model card."""
    model = AutoModelForSequenceClassification.from_pretrained(work.folder("merge"), dtype=torch.float32)
    results = json.loads((work.folder("evaluate") / "results.json").read_text(encoding="utf-8"))
    noted = {name: work.result(name) or {} for name in STAGES if name != "export"}
    text = card.model_card(
        f"beam-sts-{recipe.size}",
        {
            "parameters": parameter_count(model),
            "max_length": SIZES[recipe.size].max_length,
            "data": data_notes(recipe),
            "stages": {
                name: ", ".join(
                    f"{key} {plain(value)}"
                    for key, value in figures.items()
                    if key not in ("fingerprint", "losses")
                )
                for name, figures in noted.items()
                if name != "evaluate"
            },
            "seed": recipe.seed,
            "pretrain_seed": recipe.pretrain_seed,
            "hardware": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
            "settings": settings(recipe),
        },
        results,
        _results_of_seeds(recipe, work),
    )
    card.export_checkpoint(model, work.folder("vocabulary"), folder, text)
    size = (folder / "model.safetensors").stat().st_size
    return {"parameters": parameter_count(model), "bytes": size}


def _results_of_seeds(recipe: Recipe, work: Workshop) -> dict[int, dict[str, Any]]:
    """Results of every seed that was evaluated in this folder with the same recipe otherwise."""
    found: dict[int, dict[str, Any]] = {}
    for folder in sorted(work.root.glob(f"evaluate-{recipe.size}-*")):
        seed = int(folder.name.rpartition("-")[2])
        if Workshop(work.root, replace(recipe, seed=seed)).result("evaluate") is not None:
            found[seed] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return found


def plain(value: Any) -> str:
    """A figure as the card shows it."""
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{key} {plain(item)}" for key, item in value.items()) + ")"
    return f"{value:.4f}" if isinstance(value, float) and abs(value) < 1 else str(value)


_GOLD = ("stsb", "gold", "gold_skip", "second_dev")
_DATA = (*_GOLD, "sentences", "sentence_limit", "source_limits", "encoder")
STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage("vocabulary", run_vocabulary, (*_DATA, "size"), (), ("size",)),
        Stage("teacher", run_teacher,
              (*_GOLD, "encoder", "teacher_encoder", "teacher_also", "teacher", "teacher_fit",
               "teacher_frozen", "teacher_cross", "teacher_cross_fit")),
        Stage("pairs", run_pairs, _DATA, ("teacher",)),
        Stage("labels", run_labels, ("pairs",), ("pairs", "teacher")),
        Stage("pretrain", run_pretrain,
              ("size", "start_seed", "scored", "edits", "facts", "roles", "identical", "documents",
               "pretrain"),
              ("vocabulary", "labels"), ("size", "start_seed")),
        Stage("finetune", run_finetune, ("seed", "finetune", "replay", "replaced", "polish"),
              ("pretrain",), ("size", "seed")),
        Stage("order", run_order, ("seed", "order", "order_replay", "replaced", "swaps"),
              ("pretrain",), ("size", "seed")),
        Stage("merge", run_merge, ("order_share",), ("finetune", "order"), ("size", "seed")),
        Stage("evaluate", run_evaluate, (), ("merge",), ("size", "seed")),
        Stage("export", run_export, (), ("evaluate",), ("size", "seed")),
    )
}  # fmt: skip
