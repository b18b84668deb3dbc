"""Comparison of fingerprints, which describe everything that a run's output depends on."""

from __future__ import annotations

import json
import re
from typing import Any

from beam_sts.io.committed import RUN_FILE

NAMES = "names"
"""The part of a fingerprint that names models, for messages. The digest of a model decides, not its name."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_SHOWN = 12  # digits of a digest
_FILE = re.compile(r"(\w+)\[(\d+)\]\.(\w+)")  # of a list of input files
_WHAT = {
    "content": "has other contents",
    "size": "has another size",
    "identity": "was written again, or touched",
    "path": "",
}


def deciding(fingerprint: dict[str, Any]) -> dict[str, Any]:
    """A fingerprint without the names that do not decide."""
    return {key: value for key, value in fingerprint.items() if key != NAMES}


def refusal(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Why the output of an earlier run cannot be continued by this one, and the way out."""
    if not before:
        return f"its {RUN_FILE} is damaged. Give another folder, or --overwrite to start again."
    if before.get("pipeline") != now["pipeline"]:
        return (
            f"contains the output of {before.get('pipeline')!r}. "
            "Give another folder, or --overwrite to delete it."
        )
    old, new = _flatten(deciding(before)), _flatten(deciding(now))
    changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    found = list(dict.fromkeys(_difference(key, before, now, old.get(key), new.get(key)) for key in changed))
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    differences = "; ".join(found[:3]) + more
    if {key.partition(".")[0] for key in changed} == {"versions"}:
        return (
            f"was made with other versions: {differences}. Install those to continue it, give another "
            "folder, or --overwrite to start again."
        )
    return (
        f"was made with other settings: {differences}. Give another folder, the same settings to "
        "continue it, or --overwrite to start again."
    )


def _difference(key: str, before: dict[str, Any], now: dict[str, Any], was: Any, value: Any) -> str:
    """One difference in words.

    Args:
        key: the dotted name of what differs.
        before: the fingerprint of the earlier run.
        now: that of this run.
        was: the earlier value.
        value: the value now.
    """
    names = (each.get(NAMES, {}).get(key) for each in (before, now))
    old, new = (_short(each, name) for each, name in zip((was, value), names, strict=True))
    file = _FILE.fullmatch(key)
    if not file:
        return f"{key.removeprefix('settings.').removeprefix('versions.')} was {old}, is {new}"
    role, place = file[1], int(file[2])
    earlier, later = ((each.get(role) or [])[place : place + 1] for each in (before, now))
    if earlier and later and earlier[0]["path"] == later[0]["path"]:
        which = next(name for name in _WHAT if earlier[0].get(name) != later[0].get(name))
        return f"{role} file {later[0]['path']} {_WHAT[which]}"
    first, second = (each[0]["path"] if each else "missing" for each in (earlier, later))
    return f"{role} file {place + 1} was {first}, is {second}"


def _flatten(value: Any, name: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {
            k: v
            for key, item in value.items()
            for k, v in _flatten(item, f"{name}.{key}" if name else key).items()
        }
    if isinstance(value, list):
        return {
            k: v for index, item in enumerate(value) for k, v in _flatten(item, f"{name}[{index}]").items()
        }
    return {name: value}


def _short(value: Any, name: str | None) -> str:
    """A value as JSON, cut; a model as its name with the first digits of its digest."""
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        digits = f"{value[:_SHOWN]}..."
        return f"{name} ({digits})" if name else digits
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
