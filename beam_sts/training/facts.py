"""Pairs that differ in a written value, in the order of clauses, or in one small word.

The near-copies have the words of the anchor, or all but one, so a student of word overlap scores them as
equal. Half of the pairs have the same meaning in another form. Most texts are open sentences, alone or with a
value attached, so that a student meets the values in many contexts; others are short frames
(``words/facts.json``), in which a value is most of the text.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from beam_sts.training.grammars import capitalised, read_words
from beam_sts.training.senses import sense_drawn
from beam_sts.training.values import TrainingValue, makers

_DATA = read_words("facts")
Pair = tuple[str, str, float]
_FRAMES: dict[str, list[list[str]]] = {
    kind: [line.split(" | ") for line in lines] for kind, lines in _DATA["frames"].items()
}
_CLAUSES = [line.split(" | ") for line in _DATA["clauses"]]
_PROGRAMS = [line.split(" | ", 1) for line in _DATA["programs"]]
_IDENTIFIERS: list[str] = _DATA["identifiers"].split()
_ATTACHED: list[str] = _DATA["attached"]
_SHORT: dict[str, list[str]] = {"s": _DATA["subjects"], "d": _DATA["doings"]}
_THINGS: list[str] = _DATA["things"]
_DEEDS = [line.split(" | ") for line in _DATA["deeds"]]
_PARTIES: list[str] = _DATA["parties"].split()
_CLAUSE = re.compile(
    r"(?:The|He|She|They|We|My|His|Her|A|I|It|Tom|Mary|Our|Your|This|That)\b[^.,;:!?\"()]+\."
)
_WORD = re.compile(r"[a-z]{3,9}")
_CAPITAL = re.compile(r"(?<=[a-z] )[A-Z][a-z]{3,}")


@dataclass(frozen=True)
class FactTargets:
    """The scores of the rules.

    Attributes:
        same: The same fact in another form or wording.
        attached: A sentence with another value attached or none, or another small word in a short sentence.
        lost: Loss of the score by another small word, times the number of words.
        changed: A short text with another value, or another small word.
        swapped: Exchanged clauses.
        program: The same computation with other names.
        event: The same event in a log, with other identifiers.
        others: Another event with the same identifiers.
    """

    same: float = 0.96
    attached: float = 0.7
    lost: float = 3.5
    changed: float = 0.57
    swapped: float = 0.55
    program: float = 0.85
    event: float = 0.8
    others: float = 0.3


def fact_pairs(
    sentences: Sequence[str], count: int, seed: int, targets: FactTargets | None = None
) -> list[Pair]:
    """Generate pairs of every class in turn.

    Args:
        sentences: Open sentences, at least one.
        count: How many pairs, at most.
        seed: Seed of the choices.
        targets: Scores by rule.

    Returns:
        (first text, second text, score) triples.
    """
    targets = targets or FactTargets()
    rng = random.Random(seed)
    some = rng.sample(list(sentences), min(20_000, len(sentences)))
    words = sorted({word for text in some for word in _WORD.findall(text)}) or ["home"]
    surnames = sorted({name for text in some for name in _CAPITAL.findall(text)} | {"Smith", "Jones"})
    clauses = [text for text in sentences if _CLAUSE.fullmatch(text) and 3 <= len(text.split()) <= 8]
    short = [text for text in sentences if len(text) < 120]
    rules: list[Callable[[], list[Pair]]] = []
    for kind, make in makers(words, surnames).items():
        rules += (1 + (kind in ("date", "unit"))) * [_of_value(kind, make, short, targets, rng)]
    if len(clauses) > 1:
        rules += 3 * [lambda: _of_clauses(clauses, targets, rng)]
    rules += 4 * [lambda: _of_small_words(rng.choice(sentences), targets, rng)]
    rules += 4 * [lambda: _of_senses(targets, rng)]
    rules += 2 * [lambda: _of_program(targets, rng)]
    rules += 2 * [lambda: _of_event(targets, rng)]
    if short:
        rules.append(lambda: _of_log(short, targets, rng))
    pairs: list[Pair] = []
    for turn in range(4 * count):
        if len(pairs) >= count or not sentences:
            break
        pairs += rules[turn % len(rules)]()
    return [(one, two, 1.0 if one == two else score) for one, two, score in pairs[:count]]


def _of_value(
    kind: str,
    make: Callable[[random.Random], TrainingValue],
    short: Sequence[str],
    targets: FactTargets,
    rng: random.Random,
) -> Callable[[], list[Pair]]:
    def pairs() -> list[Pair]:
        value = make(rng)
        if short and rng.random() < 0.4:
            frame, sentence = rng.choice(_ATTACHED), rng.choice(short)
            anchor, same, other = (
                frame.format(s=sentence, x=x) for x in (value.text, value.same, value.other)
            )
            if rng.random() < 0.25:  # a lost value is another meaning too
                other = sentence
            return [(anchor, same, targets.same), (anchor, other, targets.attached)]
        if rng.random() < 0.15:
            return [(value.text, value.same, targets.same), (value.text, value.other, targets.changed)]
        first, second = rng.sample(rng.choice(_FRAMES[kind]), 2)
        again, written = rng.choice(((second, value.text), (first, value.same), (second, value.same)))
        thing = rng.choice(_THINGS)
        one, same, other = (
            capitalised(frame.format(x=x, s=thing))
            for frame, x in ((first, value.text), (again, written), (first, value.other))
        )
        return [(one, same, targets.same), (one, other, targets.changed)]

    return pairs


def _of_clauses(clauses: Sequence[str], targets: FactTargets, rng: random.Random) -> list[Pair]:
    if rng.random() < 0.5:  # short clauses of one form, whose words are in no other place
        a, b = (
            f"the {who} {did}" for who, did in zip(*(rng.sample(_SHORT[k], 2) for k in "sd"), strict=True)
        )
    else:
        a, b = (_inside(text) for text in rng.sample(list(clauses), 2))
    first, second = rng.sample(rng.choice(_CLAUSES), 2)
    anchor, same, other = (
        capitalised(frame.format(a=x, b=y)) for frame, x, y in ((first, a, b), (second, a, b), (first, b, a))
    )
    return [(anchor, same, targets.same), (anchor, other, targets.swapped)]


def _inside(sentence: str) -> str:
    """A sentence as a clause: without its point, its first word as within a sentence."""
    first, _, rest = sentence.rstrip(".").partition(" ")
    return f"{first if first in ('I', 'Tom', 'Mary') else first.lower()} {rest}"


def _rules_of(entries: Sequence[str]) -> dict[str, list[str]]:
    """Each side of an entry, and what it may be replaced by."""
    rules: dict[str, list[str]] = {}
    for entry in entries:
        one, two = entry.split(" | ")
        rules.setdefault(one, []).append(two)
        rules.setdefault(two, []).append(one)
    return rules


def _pattern(rules: dict[str, list[str]]) -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(map(re.escape, sorted(rules, key=lambda one: (-len(one), one))))})\b")


_SWAPPED, _KEPT = _rules_of(_DATA["swapped"]), _rules_of(_DATA["kept"])
_PATTERNS = tuple((rules, _pattern(rules)) for rules in (_SWAPPED, _KEPT))


def _of_small_words(sentence: str, targets: FactTargets, rng: random.Random) -> list[Pair]:
    """A quantifier, modal verb, negation or conjunction changed, and one word replaced by a synonym."""
    pairs: list[Pair] = []
    # The less, the longer the sentence: its other statements are the same.
    other = max(targets.attached, 1 - targets.lost / max(1, sentence.count(" ")))
    for (rules, pattern), target in zip(_PATTERNS, (other, targets.same), strict=True):
        found = list(pattern.finditer(sentence))
        if found:
            match = rng.choice(found)
            new = rng.choice(rules[match.group()])
            pairs.append((sentence, sentence[: match.start()] + new + sentence[match.end() :], target))
    return pairs


def _of_senses(targets: FactTargets, rng: random.Random) -> list[Pair]:
    anchor, same, other = sense_drawn(rng)
    return [(anchor, same, targets.same), (anchor, other, targets.changed)]


def _of_program(targets: FactTargets, rng: random.Random) -> list[Pair]:
    text, other = rng.sample(rng.choice(_PROGRAMS), 2)
    names = [
        rng.choice(("{}", "{}", "{}_{}", "{}{}", "get_{}")).format(*rng.sample(_IDENTIFIERS, 2))
        for _ in range(6)
    ]
    first, second = (dict(zip("abc", names[at : at + 3], strict=True)) for at in (0, 3))
    anchor = text.format(**first)
    return [
        (anchor, text.format(**second), targets.program),
        (anchor, other.format(**first), targets.changed),
    ]


def _of_log(short: Sequence[str], targets: FactTargets, rng: random.Random) -> list[Pair]:
    """A sentence as an event, with identifiers."""
    event, another = (
        (text.rstrip(".") for text in rng.sample(list(short), 2)) if len(short) > 1 else (short[0], "")
    )
    form = rng.choice(_DATA["logs"])
    return _logged([form.replace("{event}", _literal(text)) for text in (event, another)], targets, rng)


def _of_event(targets: FactTargets, rng: random.Random) -> list[Pair]:
    """An event of a machine, with identifiers: another one differs in a word."""
    form, deeds = rng.choice(_DATA["events"]), rng.sample(rng.choice(_DEEDS), 2)
    party = rng.choice(_PARTIES)
    return _logged([form.replace("{deed}", deed).replace("{party}", party) for deed in deeds], targets, rng)


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _logged(forms: Sequence[str], targets: FactTargets, rng: random.Random) -> list[Pair]:
    """The first of two forms with two sets of identifiers, and both forms with the same set."""
    level, part = rng.choice(_DATA["levels"].split()), rng.choice(_DATA["parts"].split())
    dated, seconds, mark = rng.random() < 0.6, rng.random() < 0.5, rng.choice(" T")
    digits, bits = rng.randint(1, 5), rng.choice((16, 32))

    def ids() -> dict[str, str]:
        hour, minute, second = rng.randrange(24), rng.randrange(60), rng.randrange(60)
        day = f"20{rng.randint(10, 29)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}{mark}"
        return {
            "time": day * dated + f"{hour:02}:{minute:02}" + f":{second:02}" * seconds,
            "n": str(rng.randrange(10**digits)),
            "m": str(rng.randrange(256)),
            "id": f"{rng.getrandbits(bits):0{bits // 4}x}",
        }

    first, second = ids(), ids()
    one, same, other = (
        form.format(level=level, part=part, **values)
        for form, values in ((forms[0], first), (forms[0], second), (forms[1], first))
    )
    return [(one, same, targets.event), (one, other, targets.others)]
