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
        word: A copy of a short text with another word.
        lost: Loss of the score of a copy with another word, times the number of words.
    """

    same: float = 0.97
    typo: float = 0.03
    identical: float = 1.0
    word: float = 0.55
    lost: float = 2.5


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
        kind = turn % 11
        if kind > 7 or kind < 3:
            typos = rng.choice((1, 2, 2, 3))
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
    words, others = list(WORD.finditer(text)), list(WORD.finditer(rng.choice(sentences)))
    # If there are names, another name: like a misspelt word, it has letters that are rarely together.
    names, new_names = (_names(found) for found in (words, others))
    if names and new_names and rng.random() < 0.7:
        words, long, new = words[:4], names, new_names
    else:
        long, new = ([word for word in found if len(word.group()) > 4] for found in (words, others))
    if len(words) >= 4 and long and new and rng.random() < 0.6:
        old, other = rng.choice(long), rng.choice(new).group()
        if old.group().lower() != other.lower():
            # The less, the longer the text: one word of twenty is no other meaning.
            score = max(targets.word, 1 - targets.lost / len(WORD.findall(text)))
            pairs.append((text, text[: old.start()] + other + text[old.end() :], score))
    return pairs


def _names(words: Sequence[re.Match[str]]) -> list[re.Match[str]]:
    """Capitalised words within a sentence."""
    return [word for word in words[1:] if word.group()[0].isupper()]


def misspelt(text: str, rng: random.Random, count: int) -> str:
    """Misspell some words of at least four letters, each once; but no names, because these would be others.

    A letter is dropped, doubled, replaced, added or exchanged with the next one; rarely the first one.
    """
    words = list(WORD.finditer(text))
    words = [
        word
        for word in words
        if len(word.group()) > 3 and word.group().isascii() and word not in _names(words)
    ]
    for word in sorted(rng.sample(words, min(count, len(words))), key=lambda word: -word.start()):
        old = word.group()
        at = rng.randrange(rng.random() < 0.85, len(old) - 1)
        letter = rng.choice(string.ascii_lowercase)
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
