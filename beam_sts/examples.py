"""The few rows that a report shows: chosen in every slice, then merged over all slices. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

LONGEST_TEXT = 240
LONGEST_BYTES = 4 * (LONGEST_TEXT + 2)  # hold as many characters, whichever
MOST_EXAMPLES = 50  # of a kind: a report stays small, whatever the input
_BEFORE, _AFTER = 60, 40  # characters that a pair shows of what is before and after its first difference
MOST_BYTES = 4_000_000  # of a text in which that is sought
_TENTHS = 10
# Control characters, and marks that turn the direction of what follows: shown as what they are.
_ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

Example = dict[str, Any]
"""``kind``, ``file``, ``row``, ``text_a``, ``text_b``; then ``score``, or ``reason`` and ``line``."""


def choose_rows(
    scores: NDArray[np.float32],
    marked: dict[str, NDArray[np.int64]],
    *,
    threshold: float | None,
    each: int,
    logits: bool = False,
) -> dict[str, list[int]]:
    """Choose scored rows to show: by kind, their indices.

    Args:
        scores: of the rows, shape (n,), NaN where a row failed.
        marked: rows of the kinds that scoring marks, such as ``truncated``.
        threshold: in the scores' own unit; with it, the rows nearest to it are chosen too.
        each: rows of a kind.
        logits: whether scores are logits, which a sigmoid brings to 0 to 1.

    Returns:
        ``tenth-0`` (scores of 0 to 0.1) to ``tenth-9``, one row each; ``below`` and ``above`` the threshold;
        and the marked kinds. Of rows with the same score only the first counts.

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
        # In float32, as the matches are cut.
        border = int(np.searchsorted(values, np.float32(threshold), side="left"))
        chosen["below"] = good[first[max(0, border - each) : border][::-1]].tolist()
        chosen["above"] = good[first[border : border + each]].tolist()
    for kind, rows in marked.items():
        chosen[kind] = rows[np.isin(rows, good)][:each].tolist()
    return {kind: rows for kind, rows in chosen.items() if rows}


def shorten(text: str | bytes | None) -> str | None:
    r"""The beginning of a text, as UTF-8 whatever it holds.

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
    """Both texts of a pair, short: from their beginnings, or from a little before their first difference.

    So what tells them apart is never cut off.

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
            start = one.find(" ", start, same) + 1 or start  # at a word, where there is one
            one, two = (f"…{text[start:]}" for text in (one, two))
    return shorten(one), shorten(two)


def merge_examples(slices: Iterable[list[Example]], *, each: int) -> dict[str, list[Example]]:
    """The examples of all slices by kind, at most ``each`` of a kind and, of rejected rows, of a reason.

    The first ones in row order; for ``below`` and ``above`` the nearest to the threshold. A pair of texts is
    shown once.

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
    """A reason without what is particular to its row: the line's number, a token count, an error's details.

    >>> reason_kind("line 7: not valid JSON: Expecting value"), reason_kind("too long: 9,000 tokens")
    ('not valid JSON', 'too long')
    """
    head, _, tail = reason.partition(": ")
    return tail.partition(":")[0] if head.startswith("line ") and tail else head.partition(":")[0]


def _same(one: Example, other: Example) -> bool:
    return all(one.get(name) == other.get(name) for name in ("text_a", "text_b", "line")) and (
        one.get("text_a") is not None or one.get("line") is not None
    )
