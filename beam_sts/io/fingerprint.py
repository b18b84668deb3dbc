"""Comparison of fingerprints, which describe everything that a run's output depends on."""

from __future__ import annotations

import json
from typing import Any

from beam_sts.io.committed import RUN_FILE


def refusal(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Why the output of an earlier run cannot be continued by this one, and the way out."""
    if not before:
        return f"its {RUN_FILE} is damaged. Give another folder, or --overwrite to start again."
    if before.get("pipeline") != now["pipeline"]:
        return (
            f"contains the output of {before.get('pipeline')!r}. "
            "Give another folder, or --overwrite to delete it."
        )
    differences = _differences(before, now)
    if {key.partition(".")[0] for key in _changed_keys(before, now)} == {"versions"}:
        return (
            f"was made with other versions: {differences}. Install those to continue it, give another "
            "folder, or --overwrite to start again."
        )
    return (
        f"was made with other settings: {differences}. Give another folder, the same settings to "
        "continue it, or --overwrite to start again."
    )


def _changed_keys(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    old, new = _flatten(before), _flatten(now)
    return [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]


def _differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """At most three differences between two fingerprints, by dotted name."""
    old, new, changed = _flatten(before), _flatten(now), _changed_keys(before, now)
    parts = [f"{key} was {_short(old.get(key))}, is {_short(new.get(key))}" for key in changed[:3]]
    return "; ".join(parts) + (f"; and {len(changed) - 3} more" if len(changed) > 3 else "")


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


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
