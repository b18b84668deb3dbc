"""The few rows that a report shows, chosen in each slice and then merged over all slices. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

LONGEST_TEXT = 240
LONGEST_BYTES = 4 * (LONGEST_TEXT + 2)  # enough for that many characters of any script
MOST_EXAMPLES = 50  # of one kind, so that a report stays small
_BEFORE, _AFTER = 60, 40  # characters shown before and after the first difference of a pair
MOST_BYTES = 4_000_000  # of a text that are searched for the first difference
_TENTHS = 10
# Control characters and marks that change the direction of text are shown as escape sequences.
_ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

Example = dict[str, Any]
"""Has ``kind``, ``file``, ``row``, ``text_a`` and ``text_b``, and ``score`` or ``reason`` and ``line``."""


def choose_rows(
    scores: NDArray[np.float32],
    marked: dict[str, NDArray[np.int64]],
    *,
    threshold: float | None,
    each: int,
    logits: bool = False,
) -> dict[str, list[int]]:
    """Choose the scored rows that a report shows.

    Args:
        scores: the score of each row, shape (n,), NaN where scoring failed.
        marked: indices of the rows that scoring marks, by kind, such as ``truncated``.
        threshold: in the unit of the scores. If given, the rows nearest to it are chosen too.
        each: the most rows of one kind.
        logits: whether scores are logits. A sigmoid maps them to 0 to 1.

    Returns:
        Row indices by kind: ``tenth-0`` (scores from 0 to 0.1) to ``tenth-9``, one row each; ``below`` and
        ``above`` the threshold; and the marked kinds. Of rows with equal scores only the first is chosen.

    >>> choose_rows(np.array([0.91, 0.2, 0.79, 0.95], np.float32), {}, threshold=0.8, each=1)
    {'tenth-2': [1], 'tenth-7': [2], 'tenth-9': [0], 'below': [2], 'above': [0]}
    """
    if not each:
        return {}
    unit = 1 / (1 + np.exp(-scores.astype(np.float64))) if logits else scores.astype(np.float64)
    good = np.flatnonzero(np.isfinite(unit))
    tenths = np.clip((unit[good] * _TENTHS).astype(int), 0, _TENTHS - 1)
    found, first = np.unique(tenths, return_index=True)
    chosen = {f"tenth-{tenth}": [int(good[at])] for tenth, at in zip(found, first, strict=True)}
    if threshold is not None:
        values, first = np.unique(scores[good], return_index=True)
        # Compared in float32, as in the selection of matches.
        border = int(np.searchsorted(values, np.float32(threshold), side="left"))
        chosen["below"] = good[first[max(0, border - each) : border][::-1]].tolist()
        chosen["above"] = good[first[border : border + each]].tolist()
    for kind, rows in marked.items():
        chosen[kind] = rows[np.isin(rows, good)][:each].tolist()
    return {kind: rows for kind, rows in chosen.items() if rows}


def shorten(text: str | bytes | None) -> str | None:
    r"""The beginning of a text, always valid UTF-8, with control characters escaped.

    >>> shorten(b"caf\xc3\xa9 \xff")
    'café �'
    """
    if text is None:
        return None
    if isinstance(text, bytes):
        text = text[:LONGEST_BYTES].decode("utf-8", "replace")
    text = text[: LONGEST_TEXT + 1].encode("utf-8", "replace").decode()
    text = _ACTING.sub(lambda letter: letter[0].encode("unicode_escape").decode(), text)
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1].rstrip() + "…"


def shorten_pair(first: str | bytes | None, second: str | bytes | None) -> tuple[str | None, str | None]:
    """Shorten both texts of a pair without cutting off what distinguishes them.

    Each text is cut to its beginning, or to a passage around their first difference if that is too far in.

    >>> one, other = shorten_pair("word " * 100 + "red", "word " * 100 + "blue")
    >>> one[:6], one[-8:], other[-9:]
    ('…word ', 'word red', 'word blue')
    """
    if first is None or second is None:
        return shorten(first), shorten(second)
    one, two = (
        text.decode("utf-8", "replace") if isinstance(text, bytes) else text for text in (first, second)
    )
    if max(len(one), len(two)) > LONGEST_TEXT and one != two:
        differ = (at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b)
        same = next(differ, min(len(one), len(two)))
        if same > LONGEST_TEXT - _AFTER:
            start = same - _BEFORE
            start = one.find(" ", start, same) + 1 or start  # at the start of a word, if there is one
            one, two = (f"…{text[start:]}" for text in (one, two))
    return shorten(one), shorten(two)


def merge_examples(slices: Iterable[list[Example]], *, each: int) -> dict[str, list[Example]]:
    """Merge the examples of all slices, at most ``each`` of a kind, and of a reason for rejected rows.

    The first examples in row order are kept; for ``below`` and ``above``, those nearest to the threshold. A
    pair of texts is shown once.

    >>> merge_examples([[{"kind": "above", "score": 0.9}], [{"kind": "above", "score": 0.8}]], each=1)
    {'above': [{'kind': 'above', 'score': 0.8}]}
    """
    groups: dict[tuple[str, str], list[Example]] = {}
    for found in slices:
        for example in found:
            kind = example["kind"]
            group = groups.setdefault((kind, reason_kind(example.get("reason", ""))), [])
            if any(_same(example, other) for other in group):
                continue
            group.append(example)
            if kind in ("below", "above"):
                group.sort(key=lambda one: one["score"], reverse=kind == "below")
            del group[1 if kind.startswith("tenth-") else each :]
    merged: dict[str, list[Example]] = {}
    for (kind, _), group in sorted(groups.items()):
        merged.setdefault(kind, []).extend(group)
    return merged


def reason_kind(reason: str) -> str:
    """A reason without the details of its row: the line number, a token count, the details of an error.

    >>> reason_kind("line 7: not valid JSON: Expecting value"), reason_kind("too long: 9,000 tokens")
    ('not valid JSON', 'too long')
    """
    head, _, tail = reason.partition(": ")
    return tail.partition(":")[0] if head.startswith("line ") and tail else head.partition(":")[0]


def _same(one: Example, other: Example) -> bool:
    return all(one.get(name) == other.get(name) for name in ("text_a", "text_b", "line")) and (
        one.get("text_a") is not None or one.get("line") is not None
    )
