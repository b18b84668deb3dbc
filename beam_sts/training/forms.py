"""Pairs of a sentence and the same sentence in another form.

Typos, abbreviations, contractions, mark-up, letter case, and texts of letters that a student hardly knows,
beside themselves. Beside each misspelt or marked-up copy there is a copy with another word, because a
student must not take a form for a fact, nor a fact for a form.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

from beam_sts.training.grammars import read_words
from beam_sts.training.replacements import WORD

_DATA = read_words("forms")
Pair = tuple[str, str, float]


def _forms_of(name: str) -> tuple[dict[str, str], re.Pattern[str]]:
    forms = dict(entry.split(" | ") for entry in _DATA[name])
    longest = sorted(forms, key=lambda one: (-len(one), one))
    # Without regard to case, since a sentence may begin with one.
    return (
        {long.lower(): short for long, short in forms.items()},
        re.compile(rf"\b({'|'.join(map(re.escape, longest))})\b", re.IGNORECASE),
    )


_SHORT, _SHORT_PATTERN = _forms_of("short")
_JOINED, _JOINED_PATTERN = _forms_of("joined")


@dataclass(frozen=True)
class FormTargets:
    """The scores of the rules.

    Attributes:
        same: The same text in another form.
        typo: Loss of the score by each misspelt word.
        identical: A text and itself.
        word: A copy with another word.
    """

    same: float = 0.97
    typo: float = 0.03
    identical: float = 1.0
    word: float = 0.6


def form_pairs(
    sentences: Sequence[str], count: int, seed: int, targets: FormTargets | None = None
) -> list[Pair]:
    """Generate pairs of every form in turn.

    Args:
        sentences: Open sentences.
        count: How many pairs, at most.
        seed: Seed of the choices.
        targets: Scores by rule.

    Returns:
        (first text, second text, score) triples.
    """
    targets = targets or FormTargets()
    rng = random.Random(seed)
    pairs: list[Pair] = []
    for turn in range(8 * count if sentences else 0):
        if len(pairs) >= count:
            break
        text = rng.choice(sentences)
        kind = turn % 8
        if kind < 3:
            typos = rng.randint(1, 3)
            copy = misspelt(text, rng, typos)
            pairs += _beside(text, copy, 1 - targets.typo * typos, sentences, targets, rng)
        elif kind == 3:
            pairs += _beside(text, marked_up(text, rng), targets.same, sentences, targets, rng)
        elif kind == 4:
            pairs += [(text, copy, targets.same) for copy in [shortened(text, rng)] if copy != text]
        elif kind == 5:
            pairs += [(text, copy, targets.same) for copy in [contracted(text, rng)] if copy != text]
        elif kind == 6:
            pairs.append((text, rng.choice((text.upper(), text.lower(), text.title())), targets.identical))
        else:
            foreign = unreadable(rng)
            pairs.append((foreign, foreign, targets.identical))
    return pairs[:count]


def _beside(
    text: str, copy: str, score: float, sentences: Sequence[str], targets: FormTargets, rng: random.Random
) -> list[Pair]:
    if copy == text:
        return []
    pairs = [(text, copy, score)]
    words, others = list(WORD.finditer(text)), WORD.findall(rng.choice(sentences))
    long = [word for word in words if len(word.group()) > 4]
    new = [word for word in others if len(word) > 4]
    if len(words) >= 4 and long and new and rng.random() < 0.5:
        old, other = rng.choice(long), rng.choice(new)
        if old.group().lower() != other.lower():
            pairs.append((text, text[: old.start()] + other + text[old.end() :], targets.word))
    return pairs


def misspelt(text: str, rng: random.Random, count: int) -> str:
    """Misspell some words of at least four letters, each once.

    A letter is dropped, doubled, replaced, added or exchanged with the next one.
    """
    words = [word for word in WORD.finditer(text) if len(word.group()) > 3 and word.group().isascii()]
    for word in sorted(rng.sample(words, min(count, len(words))), key=lambda word: -word.start()):
        old = word.group()
        at, letter = rng.randrange(len(old) - 1), rng.choice(string.ascii_lowercase)
        start, end = old[:at], old[at + 1 :]
        new = rng.choice(
            (
                start + end,
                start + old[at] + old[at:],
                start + letter + end,
                start + old[at] + letter + end,
                start + end[:1] + old[at] + end[1:],
            )
        )
        text = text[: word.start()] + new + text[word.end() :]
    return text


def marked_up(text: str, rng: random.Random) -> str:
    """Add tags or the marks of Markdown, wiki text or a quoted mail."""
    words = text.split(" ")
    at = rng.randrange(len(words))
    tag = rng.choice(_DATA["tags"].split())
    kind = rng.randrange(7)
    if kind == 0:
        attribute = rng.choice(("", f' id="n{rng.randint(1, 99)}"', ' class="main"', ' href="/index.html"'))
        return f"<{tag}{attribute}>{text}</{tag}>"
    if kind == 1:
        words[at] = f"<{tag}>{words[at]}</{tag}>"
    elif kind == 2:
        mark = rng.choice(("*", "**", "_", "`", "''", "'''", "~~"))
        words[at] = f"{mark}{words[at]}{mark}"
    elif kind == 3:
        words[at] = rng.choice(("[{}](page{}.html)", "[[{}|{}]]", "[{}]({})")).format(
            words[at], rng.randint(1, 99)
        )
    elif kind == 4:
        return rng.choice(("# ", "## ", "- ", "* ", "> ", "1. ", ">> ", "== ")) + text
    elif kind == 5:
        return rng.choice(("&nbsp;", "&#160;", "<br>", "<br/>", "\\n")).join(text.split(" ", 1))
    else:
        return f"<{tag}><b>{words[0]}</b> {' '.join(words[1:])}</{tag}>"
    return " ".join(words)


def shortened(text: str, rng: random.Random) -> str:
    """Abbreviate up to two words or phrases; the text itself if it has none."""
    return _replaced(text, _SHORT, _SHORT_PATTERN, rng)


def contracted(text: str, rng: random.Random) -> str:
    """Contract up to two verbs; the text itself if it has none.

    >>> contracted("He is not here.", random.Random(0))
    "He's not here."
    """
    return _replaced(text, _JOINED, _JOINED_PATTERN, rng)


def _replaced(text: str, forms: dict[str, str], pattern: re.Pattern[str], rng: random.Random) -> str:
    found = list(pattern.finditer(text))
    for match in sorted(rng.sample(found, min(2, len(found))), key=lambda match: -match.start()):
        new = forms[match.group().lower()]
        if match.group()[0].isupper():
            new = new[0].upper() + new[1:]
        text = text[: match.start()] + new + text[match.end() :]
    return text


def unreadable(rng: random.Random) -> str:
    """A text of random letters of one script."""
    first, last = rng.choice(_DATA["scripts"])
    words = (
        "".join(chr(rng.randint(first, last)) for _ in range(rng.randint(1, 8)))
        for _ in range(rng.randint(1, 12))
    )
    return " ".join(words)
