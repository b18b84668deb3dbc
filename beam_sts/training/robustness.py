"""Probes of robustness: is another fact told from another form?

Each class has triples of an anchor, a text that means the same, and a near-copy that does not. Classes of
facts change one fact and nothing else, most with the same words or characters in another order. Classes of
form change everything but the meaning. ``logs`` and ``code`` ask for the kind of event and for the
computation.

The training pairs (:mod:`beam_sts.training.facts`, :mod:`beam_sts.training.forms`) share no frame, no
sentence and no list of open classes of words with the probes. Closed classes, such as the units and the
names of the months, are the same for both, because there are no others. Tests compare both.

A half of the frames and sentences of each class, "dev", may decide about training; "test" only reports.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from beam_sts.training.grammars import capitalised, read_words
from beam_sts.training.probe_values import MAKERS, ProbeValue
from beam_sts.training.probes import ProbeTriple, probe_triples

FACTS = (
    "number", "scale", "date", "unit", "code", "phone", "url", "name", "clause", "role", "quantifier",
    "modality", "negation",
)  # fmt: skip
"""Classes whose near-copy states another fact."""
FORMS = (
    "typos", "abbreviation", "contraction", "mark-up", "full-width", "synonym", "identical", "program", "log",
)  # fmt: skip
"""Classes whose second text is the anchor in another form."""
HALVES = ("dev", "test")
HIGH = 0.9
"""A changed fact must not score as high as this."""

_FACTS: dict[str, Any] = read_words("probe_facts")
_FORMS: dict[str, Any] = read_words("probe_forms")
_Texts = tuple[str, str, str]


def robustness_triples(half: str | None = None, per_class: int = 100, seed: int = 11) -> list[ProbeTriple]:
    """Build the probe set, which depends only on the arguments.

    Args:
        half: "dev" or "test"; None: both.
        per_class: How many distinct triples of each class and half are wanted; a class may have fewer.
        seed: Seed of the choices.

    Raises:
        ValueError: There is no such half.
    """
    if half is not None and half not in HALVES:
        raise ValueError(f"half is {half!r}, but it must be one of {', '.join(HALVES)}")
    triples: list[ProbeTriple] = []
    for kind in (*FACTS, *FORMS):
        for index, name in enumerate(HALVES):
            if half in (None, name):
                # A generator for each class and half, so that a change of one leaves the others as they are.
                rng = random.Random(f"{seed} {kind} {name}")
                sources = _sources(kind)[index::2]
                found: dict[_Texts, None] = {}
                for attempt in range(4 * per_class):
                    if len(found) == per_class:
                        break
                    found[_DRAW[kind](sources[attempt % len(sources)], rng)] = None
                triples += [ProbeTriple(kind, *drawn) for drawn in found]
    return triples


def robustness_report(
    triples: Sequence[ProbeTriple], same: np.ndarray, other: np.ndarray
) -> dict[str, dict[str, Any]]:
    """Results by class.

    Args:
        triples: The probe set.
        same: Scores of (anchor, paraphrase), float[n].
        other: Scores of (anchor, other), float[n].

    Returns:
        For each class: triples, the share ranked right, the mean and the lowest score of the same meaning,
        the mean score of another meaning and the share of these at :data:`HIGH` or more.
    """
    kinds = np.array([triple.kind for triple in triples])
    rows: dict[str, dict[str, Any]] = {}
    for kind in dict.fromkeys(kinds.tolist()):
        here = kinds == kind
        rows[kind] = {
            "triples": int(here.sum()),
            "right": float((same[here] > other[here]).mean()),
            "same": float(same[here].mean()),
            "lowest": float(same[here].min()),
            "other": float(other[here].mean()),
            "other_high": float((other[here] >= HIGH).mean()),
        }
    return rows


def all_probes() -> list[ProbeTriple]:
    """The triples of all probes, whose texts no training pair may have."""
    return [*probe_triples(), *robustness_triples()]


def _sources(kind: str) -> list[Any]:
    """The frames or sentences of a class, in a fixed order."""
    if kind == "program":
        return list(_FORMS["code"])
    if kind == "identical":
        return list(_FORMS["scripts"])
    for place in (_FACTS["value"], _FACTS["swap"], _FACTS["opposite"], _FORMS):
        if kind in place:
            return list(place[kind])
    return list(_FORMS["sentences"])


def _split(line: str, mark: str = " | ") -> list[str]:
    return [part.strip() for part in line.split(mark)]


def _two(wordings: Sequence[str], rng: random.Random) -> tuple[str, str]:
    first, second = rng.sample(list(wordings), 2)
    return first, second


def _value_drawn(make: Callable[[random.Random], ProbeValue]) -> Callable[[str, random.Random], _Texts]:
    def draw(line: str, rng: random.Random) -> _Texts:
        first, second = _two(_split(line), rng)
        value = make(rng)
        # Another wording, another form of the value, or both.
        again, same = rng.choice(((second, value.text), (first, value.same), (second, value.same)))
        if (again, same) == (first, value.text):
            again = second
        return _sentence(first, value.text), _sentence(again, same), _sentence(first, value.other)

    return draw


def _sentence(frame: str, value: str) -> str:
    text = frame.format(x=value)
    return capitalised(text) if frame[0] != "{" else text


def _name(rng: random.Random) -> ProbeValue:
    given, surnames = _FACTS["fills"]["given"], _FACTS["fills"]["surname"]
    (first, other), (last, changed) = rng.sample(given, 2), rng.sample(surnames, 2)
    name = f"{first} {last}"
    return ProbeValue(name, name, rng.choice((f"{other} {last}", f"{first} {changed}")))


def _swap_drawn(kind: str) -> Callable[[str, random.Random], _Texts]:
    def draw(line: str, rng: random.Random) -> _Texts:
        first, second = _two(_split(line), rng)
        a, b = rng.sample(_FACTS["fills"][kind], 2)
        drawn = (first.format(a=a, b=b), second.format(a=a, b=b), first.format(a=b, b=a))
        one, two, three = map(capitalised, drawn)
        return one, two, three

    return draw


def _opposite(line: str, rng: random.Random) -> _Texts:
    wordings, opposites = (_split(part) for part in _split(line, "||"))
    at = rng.randrange(len(wordings))
    return wordings[at], wordings[1 - at], opposites[at]


_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def _with_typos(text: str, rng: random.Random, count: int = 2) -> str:
    """Misspell words of at least five letters, each once."""
    words = list(re.finditer(r"[A-Za-z]{5,}", text))
    for word in sorted(rng.sample(words, min(count, len(words))), key=lambda word: -word.start()):
        old = word.group()
        at = rng.randrange(1, len(old) - 1)
        row = next((row for row in _KEYS if old[at].lower() in row), _KEYS[0])
        near = row[(row.find(old[at].lower()) + 1) % len(row)]
        new = rng.choice(
            (
                old[:at] + old[at + 1] + old[at] + old[at + 2 :],
                old[:at] + old[at + 1 :],
                old[:at] + old[at] + old[at:],
                old[:at] + near + old[at + 1 :],
            )
        )
        text = text[: word.start()] + new + text[word.end() :]
    return text


def _marked_up(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    at = rng.randrange(1, len(words) - 1)
    tag = rng.choice(("b", "em", "code"))
    link = words.copy()
    link[at] = f"[{words[at]}](https://example.org/{rng.randint(1, 99)})"
    tagged = words.copy()
    tagged[at] = f"<{tag}>{words[at]}</{tag}>"
    starred = words.copy()
    starred[at] = f"**{words[at]}**"
    quoted = "&nbsp;".join(words[:3])
    return rng.choice(
        (
            f"<p>{' '.join(tagged)}</p>",
            f"# {' '.join(starred)}",
            f"* {' '.join(link)}",
            f'<div class="text">{" ".join(words)}</div>',
            f"&gt; {quoted} {' '.join(words[3:])}",
        )
    )


_WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)} | {0x20: 0x3000}


def _wide(text: str, rng: random.Random) -> str:
    return text.translate(_WIDE)


def _same(text: str, rng: random.Random) -> str:
    return text


def _form_drawn(change: Callable[[str, random.Random], str]) -> Callable[[str, random.Random], _Texts]:
    def draw(line: str, rng: random.Random) -> _Texts:
        text, other = _split(line)
        return text, change(text, rng), other

    return draw


def _written(line: str, rng: random.Random) -> _Texts:
    anchor, same, other = _split(line)
    return anchor, same, other


def _program(line: str, rng: random.Random) -> _Texts:
    text, other = _split(line)
    names = rng.sample(_FORMS["identifiers"], 6)
    first, second = (dict(zip("fab", names[at : at + 3], strict=True)) for at in (0, 3))
    return text.format(**first), text.format(**second), other.format(**first)


def _log(line: str, rng: random.Random) -> _Texts:
    text, other = _split(line)

    def ids() -> dict[str, Any]:
        day = f"2024-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
        time = f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}"
        ids = {"n": rng.randint(11, 9_999), "h": f"{rng.getrandbits(32):08x}", "m": rng.randint(11, 99)}
        return {"t": f"{day}T{time}", **ids}

    first, second = ids(), ids()
    return text.format(**first), text.format(**second), other.format(**first)


_DRAW: dict[str, Callable[[str, random.Random], _Texts]] = {
    **{kind: _value_drawn(make) for kind, make in MAKERS.items()},
    "name": _value_drawn(_name),
    "clause": _swap_drawn("clause"),
    "role": _swap_drawn("role"),
    **dict.fromkeys(("quantifier", "modality", "negation"), _opposite),
    "typos": _form_drawn(_with_typos),
    "mark-up": _form_drawn(_marked_up),
    "full-width": _form_drawn(_wide),
    "identical": _form_drawn(_same),
    **dict.fromkeys(("abbreviation", "contraction", "synonym"), _written),
    "program": _program,
    "log": _log,
}


def probe_pairs(triples: Sequence[ProbeTriple], same: bool) -> Iterator[tuple[str, str]]:
    """The pairs to score: of the same meaning, or of another one."""
    for triple in triples:
        yield triple.anchor, triple.paraphrase if same else triple.other
