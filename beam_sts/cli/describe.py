"""Descriptions of the input and the model, for summaries and reports."""

from __future__ import annotations

import hashlib
import json
import sys
import unicodedata
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import beam_sts
from beam_sts.io.files import InputFile
from beam_sts.io.fingerprint import NAMES, deciding
from beam_sts.io.reading import InputPlan
from beam_sts.models.checkpoint import Checkpoint
from beam_sts.models.registry import count_parameters, known_models

_FILES_SHOWN = 20
_DECIDING = ("numpy", "pyarrow", "tokenizers", "torch", "transformers")


def input_identity(plan: InputPlan) -> list[dict[str, Any]]:
    """The identity of the input files, for the fingerprint."""
    return [
        {"path": file.path, "size": file.size, "identity": file.identity, "content": content}
        for file, content in zip(plan.files, plan.contents, strict=True)
    ]


def model_names(**models: Checkpoint | None) -> dict[str, dict[str, str]]:
    """The names of models by their keys in the fingerprint, as its part that does not decide."""
    return {NAMES: {key: model.name for key, model in models.items() if model}}


def versions_of(*packages: str) -> dict[str, str | None]:
    """Versions on which texts, candidates, scores or bytes depend, for the fingerprint. None: not installed.

    Args:
        packages: names of distributions, besides those that matter in every run.
    """
    found: dict[str, str | None] = {"beam_sts": beam_sts.__version__, "unicode": unicodedata.unidata_version}
    return found | {name: version_of(name) for name in (*_DECIDING, *packages)}


def version_of(package: str) -> str | None:
    """The version of a distribution, without importing it. None: not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def shown_versions(*packages: str) -> dict[str, str | None]:
    """The versions of this package and of others (or of ``python``), for summaries."""
    python = sys.version.split()[0]
    found = {name: python if name == "python" else version_of(name) for name in packages}
    return {"beam_sts": beam_sts.__version__, **found}


def describe_input(pattern: str, files: Sequence[InputFile]) -> dict[str, Any]:
    """A short description of the input, whatever its number of files."""
    return {
        "pattern": pattern,
        "files": len(files),
        "bytes": sum(file.size for file in files),
        "first": [{"path": file.path, "size": file.size} for file in files[:_FILES_SHOWN]],
    }


def describe_model(checkpoint: Checkpoint) -> dict[str, Any]:
    """A description of the model, with published figures if it is a known one."""
    known = next((info for info in known_models() if info.name == checkpoint.name.partition("@")[0]), None)
    return {
        "name": checkpoint.name,
        "sha256": checkpoint.fingerprint,
        "architecture": checkpoint.config.model_type,
        "parameters": count_parameters(checkpoint.path),
        "max_length": checkpoint.max_length,
        "pearson": known and known.pearson,
        "spearman": known and known.spearman,
        "licence": known and known.licence,
    }


def digest(fingerprint: dict[str, Any]) -> str:
    """The SHA-256 of a fingerprint, as 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(deciding(fingerprint), sort_keys=True).encode()).hexdigest()
