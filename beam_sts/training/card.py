"""Write a checkpoint folder: weights, config, tokenizer, checksums and the model card."""

# ruff: noqa: E501  (a page of prose)

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import PreTrainedModel

CHECKSUMS = "SHA256SUMS"
CHECKED = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def export_checkpoint(model: PreTrainedModel, tokenizer_folder: Path, folder: Path, card: str) -> None:
    """Write the checkpoint that this project and ``sentence_transformers.CrossEncoder`` load.

    Args:
        model: The trained student.
        tokenizer_folder: Where tokenizer.json and tokenizer_config.json lie.
        folder: Where to write; made if missing.
        card: Text of the model card.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.config.architectures = [type(model).__name__]
    model.config.dtype = torch.float32
    model.config.save_pretrained(folder)
    weights = {name: tensor.detach().float().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer_folder / name, folder / name)
    (folder / "README.md").write_text(card, encoding="utf-8")
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors writes files that only their owner can read
    write_checksums(folder)


def write_checksums(folder: Path) -> None:
    """Write SHA256SUMS (the format of ``sha256sum -c``) over the files that decide a checkpoint's scores."""
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}" for name in CHECKED]
    (folder / CHECKSUMS).write_text("\n".join(lines) + "\n", encoding="utf-8")


def verify_checksums(folder: Path) -> None:
    """Compare a checkpoint's files with its SHA256SUMS.

    Args:
        folder: A checkpoint folder that has SHA256SUMS.

    Raises:
        ValueError: A file is missing or differs, naming it with both sums.
    """
    for line in (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines():
        expected, name = line.split(maxsplit=1)
        path = folder / name
        if not path.is_file():
            raise ValueError(f"{path} is missing, but {CHECKSUMS} lists it; install the package again")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != expected:
            raise ValueError(
                f"{path} has SHA-256 {found}, {CHECKSUMS} says {expected}; install the package again"
            )


def model_card(name: str, facts: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    """Write the model card.

    Args:
        name: Name of the checkpoint.
        facts: What went in: "parameters", "max_length", "data" (Markdown), "stages" (name -> text), "seed",
            "hardware", "settings" (JSON).
        results: Reports of :mod:`beam_sts.training.evaluation` by set name, and "probes".

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
        f"A cross-encoder of {facts['parameters']:,} parameters that scores how alike two English texts are, from 0 "
        f"to 1. Architecture BERT-hash with rotary positions; a pair may have {facts['max_length']:,} tokens.",
        "```python\nimport beam_sts\nfrom sentence_transformers import CrossEncoder\n\n"
        'CrossEncoder("path/to/this/folder").predict([("A man plays a guitar.", "Someone plays the guitar.")])\n```',
        "## Results",
        "| set | Pearson | Spearman | pairs | calibration error | order swap |\n|---|---|---|---|---|---|\n"
        + "\n".join(rows),
    ]
    probes = results.get("probes")
    if probes:
        ranking = "\n".join(f"| {kind} | {value:.3f} |" for kind, value in probes["ranking"].items())
        parts += [
            "Probes (`beam_sts.training.probes`): share of facts whose paraphrase scores above a near-copy with "
            "another fact.",
            "| class | accuracy |\n|---|---|\n" + ranking,
            length_table(results.get("length", [])),
            f"Identical texts score {probes['identical']['mean']:.3f} in the mean (lowest "
            f"{probes['identical']['lowest']:.3f}); unrelated texts {probes['unrelated']['median']:.3f} in the median.",
        ]
    parts += [
        "## Training",
        "\n".join(f"- **{stage}**: {text}" for stage, text in facts["stages"].items()),
        f"Seed {facts['seed']}; {facts['hardware']}. The settings of `python -m pipelines.train all` (commands: "
        "docs/training.md):",
        f"```json\n{facts['settings']}\n```",
        "## Data",
        facts["data"],
        "No pair of STS-B dev or test, in either order, was trained on, and outside STS-B's own train split no "
        "sentence of them (checked by `beam_sts.training.honesty` in every stage). Every choice was made on dev.",
        "## Limits",
        "English only. Scores follow the STS Benchmark's scale and annotators. A model of this size knows words better "
        "than the world: paraphrases without common or related words score too low, and texts that share most words "
        "but differ in one fact score higher than people would give them; the probes above say how often the order "
        "is still right.",
    ]
    return "\n\n".join(parts) + "\n"


def length_table(rows: Sequence[Mapping[str, float]]) -> str:
    """Scores of documents against edited copies, a row for each length, a column for each share of edits."""
    if not rows:
        return ""
    shares = list(dict.fromkeys(row["share"] for row in rows))
    lines = [
        "Documents against copies in which a share of the sentences is another (mean score; in brackets how far the "
        "means at the start, middle and end of the document lie apart).",
        "",
        "| sentences | " + " | ".join(f"{share:.0%}" for share in shares) + " |",
        "|---|" + "---|" * len(shares),
    ]
    for size in dict.fromkeys(row["sentences"] for row in rows):
        cells = [f"{row['score']:.3f} ({row['spread']:.3f})" for row in rows if row["sentences"] == size]
        lines.append(f"| {size} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
