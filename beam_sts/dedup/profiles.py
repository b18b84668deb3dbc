"""Profiles: settings that suit a kind of text better than the defaults (docs/experiments/dedup.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_RECORDS: Mapping[str, Any] = {
    "candidates": ("exact", "minhash", "lexical"),
    "minhash_similarity": 0.5,
    "guard": "none",
    "max_lost": None,
    "boilerplate": "counted",
}

PROFILES: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "records": {
        **_RECORDS,
        "neighbours": 20,
        "linkage": "average",
        "model_share": 0.5,
        "threshold": 0.46,
    },
    "matches": {**_RECORDS, "neighbours": 10, "one_to_one": True, "threshold": 0.3},
    "logs": {
        "minhash_similarity": 0.4,
        "guard": "none",
        "max_lost": None,
        "boilerplate": "counted",
        "threshold": 0.5,
    },
}
"""Settings by profile: ``records`` within one table, ``matches`` between two tables without duplicates,
``logs`` for lines of one event each, whose numbers and names do not matter."""


def with_profile(given: Mapping[str, Any]) -> dict[str, Any]:
    """The given settings, with those of the profile for settings that are not given.

    >>> with_profile({"profile": "matches", "threshold": 0.4})["threshold"]
    0.4
    """
    return {**PROFILES.get(str(given.get("profile")), {}), **given}
