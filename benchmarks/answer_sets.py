"""Right and wrong answers generated from openly licensed texts, for ``benchmarks.answers``.

Each set has references, right answers (the reference within a longer answer, paraphrased, with other words
around it, its list reordered, its number in another format) and wrong ones (another fact of the same kind, a
negation, the answer to another question, a sentence of the same domain). A document belongs to the dev part
or the test part as a whole.
"""

from __future__ import annotations

import random
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

SENTENCES = Path(__file__).parents[2] / "shared" / "data" / "sentences" / "open_sentences.parquet"
LONG = range(16, 41)
"""Least and most words of a long answer."""


@dataclass(frozen=True)
class Answer:
    """An answer, its reference, and whether it is right; ``kind`` says how it was generated."""

    answer: str
    reference: str
    right: bool
    kind: str


Document = tuple[str, list[str]]
Maker = Callable[[list[Document], random.Random], Iterator[Answer]]

FRAMES = (
    "Sure! {} I hope this helps.",
    "Based on the text, the answer is as follows: {}",
    "{} Let me know if you need anything else.",
    "That is a good question. As far as I know: {}",
    "This is what the passage that you gave me says. {} It says nothing else.",
)
_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"]
_FACT = re.compile(r"(?<![\w.,])\d[\d,]*(?:\.\d+)?(?![\w,.]*\d)")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}(?: [A-Z][a-z]{2,})*")
_VERB = re.compile(r"\b(is|are|was|were|can|will|has been|have been|should|must)\b")
_UNITS = {"km": "m", "sq km": "sq mi", "percent": "years", "%": " years", "million": "billion", "m": "km"}
_UNIT = re.compile(r"(?<=\d) (sq km|km|m|million)\b")


def documents(source: str, part: str) -> list[Document]:
    """The texts of a source by document, in order, of the ``dev`` or the ``test`` half."""
    table = pq.read_table(
        SENTENCES, columns=["text", "doc_id"], filters=pc.field("source") == source, partitioning=None
    )
    found: dict[str, list[str]] = defaultdict(list)
    for text, name in zip(table["text"].to_pylist(), table["doc_id"].to_pylist(), strict=True):
        found[name].append(text)
    return [each for each in found.items() if half(source, each[0]) == part]


def half(source: str, name: str) -> str:
    """The part of a document, which is that of its book, family of packages or neighbourhood of words."""
    whole = {
        "openstax_textbooks": name.partition("/")[0],
        "debian_descriptions": re.split(r"[-\d.+]", name)[0][:6],
        "wordnet_glosses": name[:-5],
        "sgd_dialogues": name.partition("_")[0],
    }
    key = whole.get(source, name)
    return ("dev", "test")[zlib.crc32(key.encode()) % 2]


def words(text: str) -> int:
    return len(text.split())


def untokenised(text: str) -> str:
    """A text without the spaces that a tokeniser added."""
    text = text.replace("-LRB-", "(").replace("-RRB-", ")")
    text = re.sub(r"\s*''\s*|(?<!\w)' | '(?!\w)", " ", text)
    text = re.sub(r" ([,.;:!?)]|'s|n't|'re)(?= |$)", r"\1", re.sub(r"\s+", " ", text))
    return re.sub(r"(\w) - (\w)", r"\1-\2", text).strip()


def cased(text: str) -> str:
    """A text as a sentence, with a capital and a full stop."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def framed(text: str, rng: random.Random, around: Iterable[str] = ()) -> str | None:
    """A text in a chatty frame, with further sentences, so that it has 16 to 40 words."""
    answer = rng.choice(FRAMES).format(cased(text))
    for more in around:
        if words(answer) >= LONG.start:
            break
        answer = f"{answer} {cased(more)}"
    return answer if words(answer) in LONG else None


def other_number(number: str, rng: random.Random) -> str:
    """Another number with the same count of digits and the same format."""
    while True:
        digits = [c if not c.isdigit() else rng.choice("123456789") for c in number]
        if (made := "".join(digits)) != number:
            return made


def other_format(text: str) -> str:
    """A text with its numbers in another format: 7 and seven, 1,500 and 1500, 5% and 5 percent."""
    text = re.sub(r"(\d)\s?%", r"\1 percent", text) if "%" in text else text.replace(" percent", "%")
    if re.search(r"\d,\d{3}\b", text):
        return re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = re.sub(r"(?<![\w.,:/-])\d{5,}(?![\w.:/-])", lambda m: f"{int(m[0]):,}", text)
    text = re.sub(
        r"(?<![\w.,:/$€£-])\d{1,2}(?![\w.,:/%-])",
        lambda m: _WORDS[int(m[0])] if int(m[0]) < len(_WORDS) else m[0],
        text,
    )
    return (
        re.sub(rf"\b({'|'.join(_WORDS[2:])})\b(?!-)", lambda m: str(_WORDS.index(m[0])), text)
        if not re.search(r"\d", text)
        else text
    )


def negated(text: str) -> str | None:
    """The sentence with its first verb negated, or without its negation."""
    if re.search(r"\bnot\b ", text):
        return re.sub(r"\bnot\b ", "", text, count=1)
    if re.search(r"n't|\bno\b|never|none", text) or not _VERB.search(text):
        return None
    return _VERB.sub(
        lambda m: {"can": "cannot"}.get(m[0], m[0].replace(" ", " not ") if " " in m[0] else f"{m[0]} not"),
        text,
        count=1,
    )


class Names:
    """Names of other documents, to replace a right one."""

    def __init__(self, found: Iterable[Document]) -> None:
        self.all = [m[0] for _, texts in found for text in texts[:6] for m in _NAME.finditer(text)]

    def altered(self, text: str, fact: str | None, rng: random.Random) -> str | None:
        """The text with a fact replaced by another of its kind; None if it has none."""
        if fact is None:
            facts = [m[0] for m in _FACT.finditer(text)] + [m[0] for m in _NAME.finditer(text)]
            if not facts:
                return None
            fact = rng.choice(facts)
        if fact not in text:
            return None
        if fact[0].isdigit():
            return text.replace(fact, other_number(fact, rng))
        for _ in range(20):
            other = rng.choice(self.all)
            if (
                other not in text
                and not set(other.split()) & set(fact.split())
                and words(other) == words(fact)
            ):
                return text.replace(fact, other)
        return None


def fact_of(reference: str, answer: str, rng: random.Random) -> str | None:
    """A number or a name that both texts have."""
    facts = [m[0] for pattern in (_FACT, _NAME) for m in pattern.finditer(reference)]
    both = [fact for fact in facts if re.search(rf"(?<!\w){re.escape(fact)}(?!\w)", answer)]
    return rng.choice(both) if both else None


def _split(found: list[Document]) -> Iterator[tuple[str, str, str]]:
    """Sentences of Wikipedia, each with two sentences that together have the same meaning."""
    for _, texts in found:
        if len(texts) == 3:
            yield tuple(map(untokenised, texts))  # type: ignore[misc]


def wikipedia_contained(found: list[Document], rng: random.Random) -> Iterator[Answer]:
    """A short sentence as reference; the sentence that people merged from it and another as answer."""
    names, before = Names([(n, list(map(untokenised, t))) for n, t in found]), ""
    for long, first, second in _split(found):
        reference = min(first, second, key=words)
        if words(long) not in LONG or words(reference) > 14:
            continue
        yield Answer(long, reference, True, "contained")
        if (
            wrong := names.altered(long, fact_of(reference, long, rng) or "", rng)
            if fact_of(reference, long, rng)
            else None
        ):
            yield Answer(wrong, reference, False, "other fact")
        elif before:
            yield Answer(before, reference, False, "other question")
        before = long


def wikipedia_paraphrase(found: list[Document], rng: random.Random) -> Iterator[Answer]:
    """A sentence as reference; the two sentences that people split it into as answer."""
    names, before = Names([(n, list(map(untokenised, t))) for n, t in found]), ""
    for long, first, second in _split(found):
        reference = f"{first} {second}"
        yield Answer(long, reference, True, "paraphrase")
        fact = fact_of(reference, long, rng)
        wrongs = [
            (names.altered(long, fact, rng) if fact else None, "other fact"),
            (negated(long), "negation"),
        ]
        text, kind = rng.choice(wrongs)
        if text:
            yield Answer(text, reference, False, kind)
        elif before:
            yield Answer(before, reference, False, "other question")
        before = long


def _sentences(texts: list[str]) -> list[str]:
    return [
        text
        for text in texts
        if text.endswith(".") and text[:1].isupper() and not re.search(r"[(]|http", text)
    ]


def textbook_contained(found: list[Document], rng: random.Random) -> Iterator[Answer]:
    """A short sentence of a textbook as reference; the passage that contains it as answer."""
    names = Names(found)
    for _, texts in found:
        good = _sentences(texts)
        if len(good) < 12:
            continue
        for at in rng.sample(range(2, len(good) - 2), 2):
            reference, before, after = good[at], good[at - 1], good[at + 1]
            for passage in (f"{before} {reference}", f"{reference} {after}"):
                if words(reference) in range(4, 16) and words(passage) in LONG:
                    yield Answer(passage, reference, True, "contained")
                    made = [
                        (names.altered(reference, None, rng), "other fact"),
                        (negated(reference), "negation"),
                        (good[at - 2], "same domain"),
                    ]
                    text, kind = rng.choice([(t, k) for t, k in made if t and t != reference])
                    yield Answer(passage.replace(reference, text), reference, False, kind)
                    break


def short_facts(found: list[Document], rng: random.Random) -> Iterator[Answer]:
    """A name or a number as reference; the sentence that states it as answer."""
    names = Names(found)
    for _, texts in found:
        good = [text for text in _sentences(texts) if words(text) in LONG]
        rng.shuffle(good)
        for text, other in zip(good[:6:2], good[1:6:2], strict=False):
            facts = [m[0] for m in _FACT.finditer(text)] + [m[0] for m in _NAME.finditer(text)]
            if not facts:
                continue
            reference = rng.choice(facts)
            yield Answer(text, reference, True, "contained")
            wrong = names.altered(text, reference, rng) if rng.random() < 0.7 else other
            if wrong and reference not in wrong:
                yield Answer(wrong, reference, False, "other question" if wrong == other else "other fact")


def textbook_numbers(found: list[Document], rng: random.Random) -> Iterator[Answer]:
    """A sentence with a number as reference; the same with the number in another format as answer."""
    for _, texts in found:
        good = [t for t in _sentences(texts) if words(t) in range(5, 22) and other_format(t) != t]
        for text in good[:3]:
            facts = [m[0] for m in _FACT.finditer(text)]
            right = framed(other_format(text), rng) if rng.random() < 0.5 else other_format(text)
            if not facts or not right:
                continue
            wrong = text.replace(fact := rng.choice(facts), other_number(fact, rng))
            if other_format(wrong) == other_format(text):
                continue
            wrong = rng.choice([wrong, other_format(wrong), framed(wrong, rng) or wrong])
            yield Answer(right, text, True, "number format")
            yield Answer(wrong, text, False, "other number")


def country_measures(found: list[Document], rng: random.Random) -> Iterator[Answer]:
    """A measure of a country; with other words around it, in another format, with another number or unit."""
    for _, texts in found:
        good = [t for t in texts if words(t) in range(2, 11) and _UNIT.search(t) and "note" not in t]
        for text in sorted(set(good))[:8]:
            fact = rng.choice([m[0] for m in _FACT.finditer(text)] or [""])
            if not fact:
                continue
            right = other_format(text) if rng.random() < 0.5 else text
            if answer := framed(right, rng):
                yield Answer(answer, text, True, "extra words")
            else:
                yield (
                    Answer(right, text, True, "number format")
                    if right != text
                    else Answer(f"It is {text}.", text, True, "extra words")
                )
            wrongs = [
                text.replace(fact, other_number(fact, rng)),
                _UNIT.sub(lambda m: f" {_UNITS[m[1]]}", text),
            ]
            at = rng.randrange(2)
            wrong = framed(wrongs[at], rng) or f"It is {wrongs[at]}."
            yield Answer(wrong, text, False, ("other number", "other unit")[at])


def country_lists(found: list[Document], rng: random.Random) -> Iterator[Answer]:
    """A list; the same reordered, without an item, or with an item of another list."""
    every: list[list[str]] = []
    for _, texts in found:
        for text in dict.fromkeys(texts):
            plain = re.sub(r" \(\d{4}.*\)$", "", text)
            items = [item.strip() for item in plain.split(",")]
            if len(items) in range(3, 8) and not re.search(r"[.;:\d]", plain) and max(map(words, items)) <= 3:
                every.append(items)
    for items in every:
        reference = ", ".join(items)
        mixed = rng.sample(items, len(items))
        yield Answer(_listed(mixed, rng), reference, True, "reordered list")
        other = rng.choice(every)
        fresh = [item for item in other if item not in items]
        if not fresh:
            continue
        kept = rng.sample(items, len(items) // 2)
        kind = rng.choice(["other list", "other items"])
        wrong = fresh if kind == "other list" else kept + fresh[: len(items) - len(kept)]
        yield Answer(_listed(rng.sample(wrong, len(wrong)), rng), reference, False, kind)


def _listed(items: list[str], rng: random.Random) -> str:
    if rng.random() < 0.3:
        return "\n".join(f"- {item}" for item in items)
    text = ", ".join(items[:-1]) + f" and {items[-1]}" if len(items) > 1 else items[0]
    return rng.choice(
        ["The main ones are {}.", "There are several: {}. This is all I know of it.", "{}"]
    ).format(text)


def definitions(found: list[Document], rng: random.Random) -> Iterator[Answer]:
    """The definition of a word; the same within an explanation, or that of a related word."""
    before = ""
    for _, texts in found[::5]:
        gloss = texts[0]
        if words(gloss) not in range(5, 20) or len(texts) > 3:
            continue
        example = [f"For example: {text}" for text in texts[1:2]]
        if answer := framed(gloss, rng, example):
            yield Answer(answer, gloss, True, "contained")
        if before and (answer := framed(before, rng, example)):
            yield Answer(answer, gloss, False, "same domain")
        before = gloss


def explanations(found: list[Document], rng: random.Random) -> Iterator[Answer]:
    """Explanations of the same inference by two people."""
    before: list[str] = []
    for _, texts in found:
        if len(texts) != 5:
            continue
        said = [untokenised(text) for text in texts[2:]]
        if min(map(words, said)) >= 5:
            yield Answer(said[1], said[0], True, "paraphrase")
            if before:
                yield Answer(before[1], said[0], False, "same domain")
        before = said


def dialogues(found: list[Document], rng: random.Random) -> Iterator[Answer]:
    """Booking requests; with other words and numbers spelled out, or with another detail."""
    names = Names(found)
    last = ""
    for _, texts in found:
        good = [t for t in texts if words(t) in range(6, 22) and _NAME.search(t) and not t.endswith("?")]
        for text in good[:1]:
            right = framed(other_format(text), rng)
            wrongs = [
                (names.altered(text, None, rng), "other fact"),
                (last, "other question"),
                (negated(text), "negation"),
            ]
            wrong, kind = rng.choice([each for each in wrongs if each[0]] or [("", "")])
            last = text
            if right and wrong and (answer := framed(wrong, rng)):
                yield Answer(right, text, True, "extra words")
                yield Answer(answer, text, False, kind)


def packages(found: list[Document], rng: random.Random) -> Iterator[Answer]:
    """The summary of a package; its description, or that of a package with a similar name."""
    before = ""
    for _, texts in found[::3]:
        if len(texts) < 3:
            continue
        answer = " ".join(cased(t) for t in texts[1:4])
        answer = " ".join(answer.split()[: rng.choice(LONG)])
        if words(answer) in LONG and words(texts[0]) >= 4:
            yield Answer(answer, texts[0], True, "paraphrase")
            if before:
                yield Answer(before, texts[0], False, "same domain")
            before = answer


SETS: dict[str, tuple[str, Maker]] = {
    "Wikipedia, contained": ("wikipedia_wikisplit_part", wikipedia_contained),
    "Wikipedia, paraphrase": ("wikipedia_wikisplit_part", wikipedia_paraphrase),
    "textbooks, contained": ("openstax_textbooks", textbook_contained),
    "textbooks, short facts": ("openstax_textbooks", short_facts),
    "textbooks, numbers": ("openstax_textbooks", textbook_numbers),
    "countries, short facts": ("cia_factbook", short_facts),
    "countries, measures": ("cia_factbook", country_measures),
    "countries, lists": ("cia_factbook", country_lists),
    "definitions": ("wordnet_glosses", definitions),
    "explanations": ("esnli_dev_test", explanations),
    "dialogues": ("sgd_dialogues", dialogues),
    "packages": ("debian_descriptions", packages),
}


def answers(name: str, part: str, most: int = 2000) -> list[Answer]:
    """At most ``most`` answers of a set's part, the same at each call."""
    source, make = SETS[name]
    rng = random.Random(zlib.crc32(f"{name} {part}".encode()))
    found = documents(source, part)
    made = list(dict.fromkeys(make(found, rng)))
    return made if len(made) <= most else rng.sample(made, most)
