"""Sentences beside copies with a small edit, for the scores of the model that a training starts from.

Pairs made by rule teach that one other value changes the meaning. Without these copies a student learns from
them that any other word does, and forgets what it knew of small edits. The copies have no score by rule: most
edits do not change the meaning by a known amount. Values and the small words of the other rules are not
edited: the start has high scores for these copies too, which are what it must unlearn.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from beam_sts.dedup.facts import tables
from beam_sts.training.facts import Pair
from beam_sts.training.grammars import read_words

_WORD = re.compile(r"\b[a-z]{2,12}\b")
_DATA = read_words("small_edits")
_COMMON: list[str] = _DATA["common"].split()  # often added by people
_BEFORE_PHRASES = frozenset(_DATA["prepositions"].split())
_PLAIN = frozenset(_DATA["plain"].split())  # say little without another word
_SMALL = {word for entry in read_words("facts")["swapped"] for word in _WORD.findall(entry)}
_FACTS = (_SMALL - _PLAIN).union(tables.ONES, tables.TENS, tables.MAGNITUDES, tables.MONTHS)
_DIGIT = re.compile(r"\d")
_Edit = Callable[[list[str]], list[str]]
GOLD_SHARE = 0.6
"""Share of the copies that are of gold sentences."""


def small_edits(sentences: Sequence[str], gold: int, count: int, seed: int) -> list[tuple[str, str]]:
    """Draw sentences and edit a copy of each.

    A word is dropped, added, exchanged with the next one, or replaced, by any other word or by one of similar
    spelling. Or a phrase moves to the front, or up to four words are dropped.

    Args:
        sentences: The sentences, the gold ones first.
        gold: How many gold sentences there are.
        count: How many pairs, at most.
        seed: Seed of the choices.

    Returns:
        (sentence, copy) pairs.

    >>> small_edits(["A man plays the guitar in a bar."], 1, 1, seed=0)
    [('A man plays the guitar in a bar.', 'A man plays the in a bar.')]
    """
    rng = random.Random(seed)
    words_of_others = _words_of_some(sentences, rng)
    alike = _alike_in_spelling(words_of_others)
    edits: list[_Edit] = [
        *_edits_of_a_word(words_of_others, rng),
        lambda words: _respelt(words, alike, rng),
        lambda words: _exchanged(words, rng),
        lambda words: _without(words, rng.randint(2, min(4, len(words) - 1)), rng),
    ]
    pairs: list[tuple[str, str]] = []
    for _ in range(8 * count if sentences else 0):
        if len(pairs) >= count:
            break
        own = gold and (gold == len(sentences) or rng.random() < GOLD_SHARE)
        text = sentences[rng.randrange(gold) if own else rng.randrange(gold, len(sentences))]
        words = text.split(" ")
        if 3 <= len(words) <= 40:
            edited = rng.choice(edits)(words)
            copy = " ".join(edited)
            if copy not in ("", text) and not _changes_a_fact(words, edited):
                pairs.append((text, copy))
    return pairs


def edited_sides(pairs: Sequence[Pair], sentences: Sequence[str], share: float, seed: int) -> list[Pair]:
    """Copies of pairs with a small edit of one of their texts.

    Args:
        pairs: (first text, second text, score) triples.
        sentences: Sentences whose words may be added.
        share: Share of the pairs to copy.
        seed: Seed of the choices.

    Returns:
        The copies, with the scores of their pairs.

    >>> edited_sides([("He will go home.", "He may go home.", 0.5)], ["Go now."], 1.0, seed=0)
    [('He will go home.', 'He may home.', 0.5)]
    """
    rng = random.Random(seed)
    edits = _edits_of_a_word(_words_of_some(sentences, rng), rng)
    copies: list[Pair] = []
    for *texts, score in pairs:
        if rng.random() < share:
            side = rng.randrange(2)
            words = texts[side].split(" ")
            if 3 <= len(words) <= 40:
                edited = " ".join(rng.choice(edits)(words))
                if edited not in texts:
                    texts[side] = edited
                    copies.append((texts[0], texts[1], score))
    return copies


def _words_of_some(sentences: Sequence[str], rng: random.Random) -> list[str]:
    some = rng.sample(list(sentences), min(20_000, len(sentences)))
    return [word for text in some for word in _WORD.findall(text)] or list(_COMMON)


def _edits_of_a_word(others: Sequence[str], rng: random.Random) -> list[_Edit]:
    return [
        lambda words: _without(words, 1, rng),
        lambda words: _added(words, others, rng),
        lambda words: _replaced(words, others, rng),
        lambda words: _moved(words, rng),
    ]


def _changes_a_fact(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether a dropped or added word has a digit, or is one of the small words of the other rules.

    >>> _changes_a_fact("He has 3 old cats".split(), "He has old cats".split())
    True
    """
    one, two = (Counter(word.lower().strip(",.;:!?") for word in words) for words in (before, after))
    return any(word in _FACTS or _DIGIT.search(word) for word in (one - two) + (two - one))


def _without(words: list[str], count: int, rng: random.Random) -> list[str]:
    at = rng.randrange(len(words) - count + 1)
    return words[:at] + words[at + count :]


def _added(words: list[str], others: Sequence[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(words))
    return [*words[:at], rng.choice(_COMMON if rng.random() < 0.6 else others), *words[at:]]


def _replaced(words: list[str], others: Sequence[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(words))
    return [*words[:at], rng.choice(others), *words[at + 1 :]]


def _alike_in_spelling(words: Sequence[str]) -> dict[str, list[str]]:
    """Words of at least four letters that occur twice or more, by what remains of them without a letter.

    >>> _alike_in_spelling("witch ditch witch ditch this thin".split())["itch"]
    ['ditch', 'witch']
    """
    groups: dict[str, list[str]] = {}
    for word, times in sorted(Counter(words).items()):
        if times > 1 and len(word) > 3:
            for rest in _without_a_letter(word):
                groups.setdefault(rest, []).append(word)
    return groups


def _without_a_letter(word: str) -> list[str]:
    return sorted({word[:at] + word[at + 1 :] for at in range(len(word))})


def _respelt(words: list[str], alike: Mapping[str, Sequence[str]], rng: random.Random) -> list[str]:
    """One word is replaced by one of similar spelling: unlike a misspelt word it has another meaning."""
    found = [
        (at, other)
        for at, word in enumerate(words)
        if len(word) > 3
        for rest in _without_a_letter(word)
        for other in alike.get(rest, ())
        if other != word
    ]
    if not found:
        return words
    at, other = rng.choice(found)
    return [*words[:at], other, *words[at + 1 :]]


def _exchanged(words: list[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(words) - 1)
    return [*words[:at], words[at + 1], words[at], *words[at + 2 :]]


def _moved(words: list[str], rng: random.Random) -> list[str]:
    """The words from a preposition on come first; the capital and the full stop stay in their places."""
    starts = [at for at, word in enumerate(words) if at and word.lower() in _BEFORE_PHRASES]
    if not starts:
        return words
    at = rng.choice(starts)
    head, tail = words[:at], words[at:]
    end = tail[-1][-1:] if tail[-1][-1:] in (".", "?", "!") else ""
    tail[-1] = tail[-1].removesuffix(end)
    tail[0] = tail[0][:1].upper() + tail[0][1:]
    head[0] = head[0][:1].lower() + head[0][1:]
    head[-1] += end
    return tail + head
