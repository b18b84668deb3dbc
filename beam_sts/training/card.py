"""Write a checkpoint folder: weights, config, tokenizer, checksums and the model card."""

# ruff: noqa: E501  (a page of prose)

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import PreTrainedModel

from beam_sts.models.checksums import write_checksums
from beam_sts.training import vocabulary


def export_checkpoint(model: PreTrainedModel, tokenizer_folder: Path, folder: Path, card: str) -> None:
    """Write the checkpoint that this project and ``sentence_transformers.CrossEncoder`` load.

    Args:
        model: The trained student.
        tokenizer_folder: Folder of tokenizer.json and tokenizer_config.json.
        folder: Folder to write; created if missing.
        card: Text of the model card.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.config.architectures = [type(model).__name__]
    model.config.dtype = torch.float32
    model.config.save_pretrained(folder)
    weights = {name: tensor.detach().float().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    for name in vocabulary.FILES:
        shutil.copyfile(tokenizer_folder / name, folder / name)
    (folder / "README.md").write_text(card, encoding="utf-8")
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors writes files that only the owner can read
    write_checksums(folder)


def model_card(
    name: str,
    facts: Mapping[str, Any],
    results: Mapping[str, Any],
    seeds: Mapping[int, Mapping[str, Any]] | None = None,
) -> str:
    """Write the model card.

    Args:
        name: Name of the checkpoint.
        facts: Facts on the training: "parameters", "max_length", "data" (Markdown), "stages" (name -> text),
            "seed", "hardware", "settings" (JSON).
        results: Reports of :mod:`beam_sts.training.evaluation` by the name of the set, and "probes".
        seeds: The same results for each trained seed, by seed.

    Returns:
        Markdown with the hub's metadata block.
    """
    rows = [
        f"| {key} | {value['pearson']:.4f} | {value['spearman']:.4f} | {value['pairs']} "
        f"| {value['calibration_error']:.3f} | {value['order_swap']:.4f} |"
        for key, value in results.items()
        if isinstance(value, Mapping) and "pearson" in value
    ]
    parts = [
        "---\nlanguage: en\nlicense: cc-by-sa-4.0\nlibrary_name: sentence-transformers\npipeline_tag: text-ranking\n---",
        f"# {name}",
        f"A cross-encoder of {facts['parameters']:,} parameters that scores how similar two English texts are, from 0 to 1. Architecture BERT-hash with rotary positions; a pair may have {facts['max_length']:,} tokens.",
        "```python\nimport beam_sts\nfrom sentence_transformers import CrossEncoder\n\n"
        'CrossEncoder("path/to/this/folder").predict([("A man plays a guitar.", "Someone plays the guitar.")])\n```',
        "## Results",
        "| set | Pearson | Spearman | pairs | calibration error | order swap |\n|---|---|---|---|---|---|\n"
        + "\n".join(rows),
        seeds_table(seeds or {}),
        reliability_table(results),
    ]
    probes = results.get("probes")
    if probes:
        ranking = "\n".join(f"| {kind} | {value:.3f} |" for kind, value in probes["ranking"].items())
        parts += [
            "Probes (`beam_sts.training.probes`): share of facts whose paraphrase scores above a near-copy with "
            "another fact.",
            "| class | accuracy |\n|---|---|\n" + ranking,
            robustness_table(results.get("robustness", {})),
            length_table(results.get("length", [])),
            f"Identical texts score {probes['identical']['mean']:.3f} on average (lowest "
            f"{probes['identical']['lowest']:.3f}, {probes['identical']['under_0.97']:.2%} of them under 0.97); the median of unrelated texts is {probes['unrelated']['median']:.3f}.",
        ]
    parts += [
        "## Training",
        "\n".join(f"- **{stage}**: {text}" for stage, text in facts["stages"].items()),
        f"Seed {facts['seed']}; {facts['hardware']}. The settings of `python -m pipelines.train all` (commands: "
        "docs/training.md):",
        f"```json\n{facts['settings']}\n```",
        "## Data",
        facts["data"],
        "The training data has no pair of STS-B dev or test, in either order, and outside STS-B's train split no "
        "sentence of them (`beam_sts.training.leakage` checks it in every stage).",
        "## Limits",
        "English only. Scores follow the STS Benchmark's scale and annotators. A model of this size has little world "
        "knowledge: paraphrases without common or related words score too low, and texts that share most words "
        "but differ in one fact score higher than people would give them; the probes above say how often the order "
        "is still right.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def seeds_table(seeds: Mapping[int, Mapping[str, Any]]) -> str:
    """Mean and range over seeds of each set's correlations and each probe class's accuracy.

    Args:
        seeds: Results by seed.
    """
    if len(seeds) < 2:
        return ""
    runs = list(seeds.values())
    figures = {
        f"{name}, {key}": [run[name][key] for run in runs]
        for name, value in runs[0].items()
        if isinstance(value, Mapping) and "pearson" in value
        for key in ("pearson", "spearman")
    }
    for kind in runs[0]["probes"]["ranking"]:
        figures[f'probe "{kind}"'] = [run["probes"]["ranking"][kind] for run in runs]
    figures["identical, lowest"] = [run["probes"]["identical"]["lowest"] for run in runs]
    figures["unrelated, median"] = [run["probes"]["unrelated"]["median"] for run in runs]
    rows = [
        f"| {name} | {sum(values) / len(values):.4f} | {min(values):.4f} | {max(values):.4f} |"
        for name, values in figures.items()
    ]
    listed = ", ".join(map(str, sorted(seeds)))
    return f"Over seeds {listed}:\n\n| figure | mean | lowest | highest |\n|---|---|---|---|\n" + "\n".join(
        rows
    )


def reliability_table(results: Mapping[str, Any]) -> str:
    """A table of mean score and mean gold score in each tenth of the scores, for STS-B dev and test."""
    tables = {
        name: {row["from"]: row for row in results[name]["reliability"]}
        for name in ("STS-B dev", "STS-B test")
        if name in results
    }
    if not tables:
        return ""
    lines = [
        "Calibration: mean score and mean gold score of the pairs by tenth of the score.",
        "",
        "| scores | " + " | ".join(f"{name}: pairs | score | gold" for name in tables) + " |",
        "|---|" + "---|" * 3 * len(tables),
    ]
    for begin in sorted({begin for table in tables.values() for begin in table}):
        cells = []
        for table in tables.values():
            row = table.get(begin)
            cells += (
                [f"{row['pairs']}", f"{row['score']:.3f}", f"{row['gold']:.3f}"] if row else ["0", "", ""]
            )
        lines.append(f"| {begin:.1f} to {begin + 0.1:.1f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def robustness_table(report: Mapping[str, Mapping[str, float]]) -> str:
    """A table of the probes of facts and forms, of the half for reports."""
    if not report:
        return ""
    lines = [
        "Probes of facts and forms (`beam_sts.training.robustness`), the half for reports: share of texts of the same meaning that score above a near-copy of another meaning, mean score of the same meaning, and share of the near-copies at 0.9 or more.",
        "",
        "| class | triples | ranked right | same, mean | other at 0.9 or more |",
        "|---|---|---|---|---|",
    ]
    for kind, row in report.items():
        figures = " | ".join(f"{row[name]:.2f}" for name in ("right", "same", "other_high"))
        lines.append(f"| {kind} | {row['triples']} | {figures} |")
    return "\n".join(lines)


def length_table(rows: Sequence[Mapping[str, float]]) -> str:
    """A table of the scores of documents against edited copies, by length and share of edits."""
    if not rows:
        return ""
    shares = list(dict.fromkeys(row["share"] for row in rows))
    lines = [
        "Documents against copies in which a share of the sentences is replaced (mean score; in brackets the spread of the means for edits at the start, middle and end of the document).",
        "",
        "| sentences | " + " | ".join(f"{share:.0%}" for share in shares) + " |",
        "|---|" + "---|" * len(shares),
    ]
    for size in dict.fromkeys(row["sentences"] for row in rows):
        cells = [f"{row['score']:.3f} ({row['spread']:.3f})" for row in rows if row["sentences"] == size]
        lines.append(f"| {size} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
