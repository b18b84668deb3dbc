"""The known models by name: their properties and their accuracy.

``python -m beam_sts.models`` prints the table of the documentation. Any other cross-encoder with one label
and a supported architecture can be loaded too. The list serves only for advice.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EMBEDDED = Path(__file__).parent / "embedded"


@dataclass(frozen=True)
class ModelInfo:
    """A cross-encoder for semantic textual similarity.

    Attributes:
        name: what to pass as ``model``.
        architecture: family of the encoder.
        parameters: count of parameters, rounded if its authors round it.
        context: limit for a pair, in tokens, special tokens included.
        pearson: Pearson correlation on the STS Benchmark test set, as its authors state it.
        spearman: the rank correlation on the same set; None if the authors state none.
        licence: the licence if it is known; otherwise see the model's page.
        embedded: whether it is included in the package.
    """

    name: str
    architecture: str
    parameters: int
    context: int
    pearson: float | None = None
    spearman: float | None = None
    licence: str | None = None
    embedded: bool = False


PUBLISHED = (
    ModelInfo("dleemiller/ModernCE-large-sts", "ModernBERT", 395_000_000, 8192, 0.9256, 0.9215),
    ModelInfo("dleemiller/CrossGemma-sts-300m", "Gemma 3 text", 303_000_000, 2048, 0.9175, 0.9135),
    ModelInfo("dleemiller/ModernCE-base-sts", "ModernBERT", 149_000_000, 8192, 0.9162, 0.9122),
    ModelInfo("cross-encoder/stsb-roberta-large", "RoBERTa", 355_000_000, 512, 0.9147),
    ModelInfo("dleemiller/EttinX-sts-m", "ModernBERT", 149_000_000, 8192, 0.9143, 0.9102),
    ModelInfo("dleemiller/NeoCE-sts", "NeoBERT", 250_000_000, 4096, 0.9124, 0.9087),
    ModelInfo("dleemiller/EttinX-sts-s", "ModernBERT", 68_000_000, 8192, 0.9004, 0.8926),
    ModelInfo("cross-encoder/stsb-distilroberta-base", "RoBERTa", 82_000_000, 512, 0.8792),
    ModelInfo("dleemiller/EttinX-sts-xs", "ModernBERT", 32_000_000, 8192, 0.8763, 0.8689),
    ModelInfo("dleemiller/EttinX-sts-xxs", "ModernBERT", 17_000_000, 8192, 0.8414, 0.8311),
    ModelInfo("dleemiller/sts-bert-hash-nano", "BERT-hash", 969_761, 512, 0.7904, 0.7743, "MIT"),
    ModelInfo("dleemiller/sts-bert-hash-pico", "BERT-hash", 448_417, 512, 0.7595, 0.7474, "MIT"),
)


def embedded_models() -> list[str]:
    """The names of the models in the package."""
    return sorted(file.parent.name for file in EMBEDDED.glob("*/config.json"))


def known_models() -> list[ModelInfo]:
    """The known models: the embedded ones, then the published ones, the most accurate first."""
    return [*(_embedded_info(EMBEDDED / name) for name in embedded_models()), *PUBLISHED]


def cached_models() -> list[ModelInfo]:
    """The cross-encoders in the local Hugging Face cache, sorted by name. There is no network access.

    A checkpoint counts as a cross-encoder if its config is that of a sequence classifier with one label, or
    if it has ``modules.json`` and its settings name ``CrossEncoder``. It may still fail to load.
    """
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        return []
    found = []
    for repository in sorted(repositories, key=lambda repo: str(repo.repo_id)):
        revisions = sorted(repository.revisions, key=lambda revision: revision.last_modified)
        if repository.repo_type == "model" and revisions:
            info = _cached_info(str(repository.repo_id), Path(revisions[-1].snapshot_path))
            found += [info] if info else []
    return found


def _cached_info(name: str, folder: Path) -> ModelInfo | None:
    def read(file: str) -> dict[str, Any]:
        try:
            content = json.loads((folder / file).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    config = read("config.json")
    labels = config.get("num_labels") or len(
        config.get("id2label") or "ab"
    )  # transformers' default is two labels
    classifies = any(
        str(one).endswith("ForSequenceClassification") for one in config.get("architectures", ())
    )
    sentence = read("config_sentence_transformers.json").get("model_type") == "CrossEncoder"
    if not config or not (sentence or (classifies and labels == 1)):
        return None
    known = next((info for info in PUBLISHED if info.name == name), None)
    return known or ModelInfo(
        name,
        str(config.get("model_type", "unknown")),
        count_parameters(folder),
        int(config.get("max_position_embeddings") or 0),
    )


def count_parameters(folder: Path) -> int:
    """Count of the numbers in a folder's safetensors files, from their headers; 0 if there are no files."""
    from safetensors import safe_open

    total = 0
    for file in folder.rglob("*.safetensors"):
        with safe_open(file, "np") as weights:
            total += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return total


def _embedded_info(folder: Path) -> ModelInfo:
    """The properties of an embedded model, from its config, weights and model card."""
    config = json.loads((folder / "config.json").read_text())
    card = (folder / "README.md").read_text(encoding="utf-8")
    figures = re.search(r"^\| STS-B test \| ([\d.]+) \| ([\d.]+) \|", card, re.MULTILINE)
    licence = re.search(r"^license: (\S+)$", card, re.MULTILINE)
    return ModelInfo(
        folder.name,
        {"bert_hash": "BERT-hash"}.get(config["model_type"], config["model_type"]),
        count_parameters(folder),
        config["max_position_embeddings"],
        float(figures[1]) if figures else None,
        float(figures[2]) if figures else None,
        licence[1].upper() if licence else None,
        embedded=True,
    )


def did_you_mean(name: str) -> str | None:
    """The known model with the most similar name, with or without its owner; None if none is similar.

    >>> did_you_mean("ModernCE-base-sts")
    'dleemiller/ModernCE-base-sts'
    """
    names = [*embedded_models(), *(info.name for info in PUBLISHED)]
    by_key = {key.lower(): full for full in reversed(names) for key in (full, full.rpartition("/")[2])}
    wanted = name.partition("@")[0].lower()
    for spelling in (wanted, wanted.rpartition("/")[2]):
        near = difflib.get_close_matches(spelling, by_key, n=1, cutoff=0.75)
        if near and by_key[near[0]] != name:
            return by_key[near[0]]
    return None


def markdown_table() -> str:
    """The models as a Markdown table.

    Pearson and Spearman are correlations on the STS Benchmark test set, as the authors state them.
    """
    lines = [
        "| model | architecture | parameters | context | Pearson | Spearman | licence |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for info in known_models():
        name = f"`{info.name}` (embedded)" if info.embedded else f"`{info.name}`"
        figures = ["–" if value is None else f"{value:.4f}" for value in (info.pearson, info.spearman)]
        lines.append(
            f"| {name} | {info.architecture} | {_rounded(info.parameters)} | {info.context:,} | "
            f"{figures[0]} | {figures[1]} | {info.licence or 'see its page'} |"
        )
    return "\n".join(lines)


def _rounded(parameters: int) -> str:
    return f"{parameters / 1e6:.0f}M" if parameters >= 10_000_000 else f"{parameters / 1e6:.2f}M"
