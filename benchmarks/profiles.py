"""Which rule and threshold suit which kind of text, and what the model adds to the overlap.

    python -m benchmarks.profiles edited --kinds DIR      # pages, functions, descriptions, sentences, news
    python -m benchmarks.profiles logs --loghub FOLDER    # lines of logs, by event

`edited`: DIR has corpora of `benchmarks.kinds`. Texts are copied with edits that keep the meaning, and as
many with edits that change it (another fact, statement or part). The threshold of each rule is that of the
best F1 on one half of the texts; precision (of what is removed) and recall (of the copies with the same
meaning) are those of the other half.

`logs`: FOLDER has Loghub's `*_structured.csv`, whose lines (`Content`) are labelled by event (`EventId`).
A removal is right if its survivor is of the same event; all lines but one of each event should be
removed. The threshold is chosen on every second system and measured on the others.
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
import random
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beam_sts import deduplicate
from beam_sts.dedup.overlap import Overlap
from beam_sts.dedup.representatives import BOTH
from beam_sts.dedup.settings import DedupSettings
from benchmarks import light_edits

Edit = Callable[[str, random.Random], str | None]
EACH = 240
THRESHOLDS = [round(0.5 + 0.02 * step, 2) for step in range(25)]
RULES: dict[str, dict[str, Any]] = {
    "default": {},
    "overlap alone": {"model_share": 0.0},
    "model alone": {"rule": "model"},
    "no guard": {"guard": "none"},
}
FREE = ("really", "still", "perhaps", "indeed", "actually", "clearly", "therefore", "quietly")


def _a_word(text: str, change: Callable[[str], str | None], rng: random.Random, wanted: str) -> str | None:
    places = list(re.finditer(wanted, text))
    rng.shuffle(places)
    for found in places[:20]:
        changed = change(found.group())
        if changed is not None and changed != found.group():
            return text[: found.start()] + changed + text[found.end() :]
    return None


def _free(text: str, rng: random.Random) -> str | None:
    return _a_word(text, lambda word: f" {rng.choice(FREE)}{word}", rng, r" [a-z]{3,} ")


def _misspelt(text: str, rng: random.Random) -> str | None:
    def change(word: str) -> str | None:
        at = rng.randrange(1, len(word) - 2)
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :] if light_edits.is_free(word) else None

    return _a_word(text, change, rng, r"\b[a-z]{6,}\b")


def _number(text: str, rng: random.Random) -> str | None:
    return _a_word(text, lambda digits: str(int(digits) + rng.randint(1, 8)), rng, r"\b[0-9]{1,6}\b")


def _negated(text: str, rng: random.Random) -> str | None:
    return _a_word(text, lambda verb: f"{verb}not ", rng, r" (?:is|are|was|can|will|should) (?!not)")


def _name(text: str, rng: random.Random) -> str | None:
    names = ["Hartmann", "Okafor", "Lindqvist", "Tremblay", "Moreau", "Castellan"]
    return _a_word(text, lambda name: " " + rng.choice(names), rng, r"(?<=[a-z,]) [A-Z][a-z]{3,}\b")


def _cut(text: str, rng: random.Random) -> str | None:
    """The text without its last tenth."""
    words = text.split(" ")
    return " ".join(words[: -len(words) // 10]) if len(words) > 60 else None


def _banner(text: str, rng: random.Random) -> str | None:
    return (
        rng.choice(
            (
                "We use cookies to make this site better. Accept or decline.\n",
                "Skip to content\nHome\nSearch\n",
                "You are reading an archived copy of this page.\n",
            )
        )
        + text
    )


def _comment(text: str, rng: random.Random) -> str | None:
    lines = text.split("\n")
    at = rng.randrange(1, len(lines))
    inside = "\n".join(lines[:at]).count('"""') % 2 or "'''" in text
    indent = re.match(r"\s*", lines[at])[0]  # type: ignore[index]
    said = rng.choice(("TODO: tidy this up", "see the notes of the last review", "noqa"))
    return None if inside else "\n".join([*lines[:at], f"{indent}# {said}", *lines[at:]])


def _layout(text: str, rng: random.Random) -> str | None:
    return text.replace("    ", "\t") if rng.random() < 0.5 else text.replace("'", '"')


def _identifier(text: str, rng: random.Random) -> str | None:
    body = text.partition("\n")[2]
    changed = _a_word(
        body, lambda word: rng.choice(("other", "value", "result")), rng, r"\b[a-z_]{4,}(?=[,.)\]])"
    )
    return None if changed is None else text[: len(text) - len(body)] + changed


_TURNED = {
    "==": "!=",
    "!=": "==",
    " + ": " - ",
    " - ": " + ",
    " and ": " or ",
    " or ": " and ",
    "True": "False",
    "False": "True",
    " is None": " is not None",
    " < ": " > ",
    " not in ": " in ",
    "[0]": "[-1]",
}


def _operator(text: str, rng: random.Random) -> str | None:
    body = text.partition("\n")[2]
    changed = _a_word(body, _TURNED.get, rng, "|".join(re.escape(sign) for sign in _TURNED))
    return None if changed is None else text[: len(text) - len(body)] + changed


def _statement(text: str, rng: random.Random) -> str | None:
    lines = text.split("\n")
    places = [at for at in range(1, len(lines)) if re.match(r"\s+[\w.]+(?: = |\()[^#]*$", lines[at])]
    if not places or len(lines) < 6:
        return None
    at = rng.choice(places)
    return "\n".join([*lines[:at], *lines[at + 1 :]])


def _program(text: str) -> str:
    """The syntax tree of a function without docstrings; empty if the function cannot be parsed."""
    try:
        tree = ast.parse(textwrap.dedent(text if text[:1].isspace() else " " * 4 + text))
    except (SyntaxError, ValueError):
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


def _does_other(edit: Edit) -> Edit:
    """The edit, limited to copies that change the syntax tree of a function."""

    def changed(text: str, rng: random.Random) -> str | None:
        copy = edit(text, rng)
        return copy if copy is not None and _program(copy) != _program(text) != "" else None

    return changed


def _part(text: str, rng: random.Random) -> str | None:
    """The text with a sentence that names another part of a package."""
    said = ("This package contains the development files.", "This package contains the documentation.",
            "This package provides the debugging symbols.", "These are the Python bindings.")  # fmt: skip
    return f"{text.rstrip()}\n{rng.choice(said)}"


_SAYING_SAME: dict[str, Edit] = {"free": _free, "misspelt": _misspelt, "case": light_edits.case}
_OTHER: dict[str, Edit] = {"number": _number, "negated": _negated, "name": _name}
EDITS: dict[str, tuple[dict[str, Edit], dict[str, Edit]]] = {
    "pages": ({**_SAYING_SAME, "cut": _cut, "banner": _banner}, _OTHER),
    "news": ({**_SAYING_SAME, "cut": _cut}, _OTHER),
    "functions": (
        {"comment": _comment, "layout": _layout},
        {
            name: _does_other(edit)
            for name, edit in (
                ("identifier", _identifier),
                ("operator", _operator),
                ("statement", _statement),
            )
        },
    ),
    "descriptions": (_SAYING_SAME, {**_OTHER, "part": _part}),
    "sentences": (
        {**_SAYING_SAME, "punctuation": light_edits.punctuation, "synonym": light_edits.synonym},
        _OTHER,
    ),
}


def pairs_of(kind: str, texts: list[str]) -> list[tuple[str, str, bool]]:
    """Pairs of a text and an edited copy, with whether both say the same."""
    rng, made = random.Random(kind), list[tuple[str, str, bool]]()
    for same, edits in zip((True, False), EDITS[kind], strict=True):
        for name, edit in edits.items():
            found = 0
            for text in rng.sample(texts, len(texts)):
                copy = edit(text, rng)
                if copy is not None and copy != text:
                    made.append((text, copy, same))
                    found += 1
                if found == EACH // len(edits):
                    break
            assert found, name
    return made


def scored(pairs: list[tuple[str, str, bool]], **settings: Any) -> tuple[Any, Any]:
    """The score of each pair, and whether the guard or lost text prevents a removal."""
    chosen = DedupSettings(threads=1, score_all=True, **settings)
    one, two = (pa.array([pair[at] for pair in pairs], pa.large_string()) for at in (0, 1))
    texts = pa.chunked_array([one, two]).combine_chunks().unique()
    overlap = Overlap.learn(texts) if chosen.blend else None
    found = chosen.scoring().verifier(overlap).verify(one, two).verdicts
    return found.scores, found.bars == BOTH


def measured(scores: Any, barred: Any, same: Any, threshold: float) -> dict[str, float]:
    gone = (scores >= np.float32(threshold)) & ~barred
    right = int((gone & same).sum())
    precision, recall = right / max(1, int(gone.sum())), right / int(same.sum())
    f1 = 2 * precision * recall / max(1e-9, precision + recall)
    return {"precision": round(precision, 3), "recall": round(recall, 3), "f1": round(f1, 3)}


def edited(folder: Path, kinds: Sequence[str]) -> Iterator[dict[str, Any]]:
    for kind in kinds:
        texts = pq.read_table(folder / f"{kind}.parquet")["text"].to_pylist()
        texts = sorted({text for text in texts if 30 < len(text) < 2000})
        random.Random(29).shuffle(texts)
        halves = [pairs_of(kind, half) for half in (texts[:4000:2], texts[1:4000:2])]
        same = [np.array([pair[2] for pair in half]) for half in halves]
        for name, settings in RULES.items():
            found = [scored(half, **settings) for half in halves]
            best = max(THRESHOLDS, key=lambda at: (measured(*found[0], same[0], at)["f1"], at))
            at_best = measured(*found[1], same[1], best)
            row = {"kind": kind, "pairs": len(halves[1]), "rule": name, "threshold": best, **at_best}
            if not settings:
                row["at 0.9"] = measured(*found[1], same[1], 0.9)
            yield row


def logs(folder: Path) -> Iterator[dict[str, Any]]:
    systems = {}
    for file in sorted(folder.rglob("*_structured.csv")):
        with file.open(encoding="utf-8", errors="replace", newline="") as lines:
            rows = [(row["Content"], row["EventId"]) for row in csv.DictReader(lines)]
        systems[file.parent.name] = rows
    cuts = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    ways: dict[str, dict[str, Any]] = {
        "default": {},
        "no guard": LOGS,
        "no guard, overlap alone": {**LOGS, "model_share": 0.0},
    }
    for name, settings in ways.items():
        found: dict[float, list[tuple[int, int, int]]] = {cut: [] for cut in cuts}
        for rows in systems.values():
            texts, events = [text for text, _ in rows], [event for _, event in rows]
            table = pa.table({"id": list(range(len(texts))), "text": texts})
            done = deduplicate(table, id="id", threshold=cuts[0], languages="ignored", threads=1, **settings)
            for cut in cuts:
                gone = done.at(cut).removed.to_pylist()
                right = sum(events[row["id"]] == events[row["survivor"]] for row in gone)
                found[cut].append((right, len(gone), len(rows) - len(set(events))))
        half = {cut: [_shares(of[first::2]) for first in (0, 1)] for cut, of in found.items()}
        best = max(cuts, key=lambda cut: half[cut][0]["f1"])
        yield {"kind": "logs", "rule": name, "threshold": best, **half[best][1], "at 0.9": half[0.9][1]}


LOGS = {
    "guard": "none",
    "max_lost": None,
    "boilerplate": "counted",
    "minhash_similarity": 0.4,
    "keep": "first",
}


def _shares(counts: list[tuple[int, int, int]]) -> dict[str, float]:
    """Means over systems."""
    precision = float(np.mean([right / max(1, gone) for right, gone, _ in counts]))
    recall = float(np.mean([right / max(1, wanted) for right, _, wanted in counts]))
    f1 = 2 * precision * recall / max(1e-9, precision + recall)
    return {"precision": round(precision, 3), "recall": round(recall, 3), "f1": round(f1, 3)}


def main() -> None:
    p = argparse.ArgumentParser(prog="python -m benchmarks.profiles", description=__doc__)
    p.add_argument("part", choices=("edited", "logs"))
    p.add_argument("--kinds", type=Path)
    p.add_argument("--only", nargs="+", choices=tuple(EDITS), default=tuple(EDITS), help="kinds of edited")
    p.add_argument("--loghub", type=Path)
    own = p.parse_args()
    for row in edited(own.kinds, own.only) if own.part == "edited" else logs(own.loghub):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
