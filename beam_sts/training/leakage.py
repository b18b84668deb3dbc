"""Keeps held-out texts out of training: a match of any normalised pair or sentence is an error."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_NOT_WORD = re.compile(r"[\W_]+")


class HeldOutTextError(ValueError):
    """Training data has a pair or a sentence of an evaluation set."""


def plain_words(text: str) -> str:
    """Lower-case a text and remove accents, punctuation and repeated spaces, for comparison.

    Returns:
        The normalised text; empty for a text of punctuation only.
    """
    plain = text.lower()
    if not plain.isascii():
        decomposed = unicodedata.normalize("NFKD", plain)
        plain = "".join(character for character in decomposed if not unicodedata.combining(character))
    return _NOT_WORD.sub(" ", plain).strip()


@dataclass(frozen=True)
class HeldOut:
    """The pairs and sentences that no training stage may see.

    Attributes:
        pairs: Normalised pairs, each as a set of one or two texts, so that order does not matter.
        sentences: Normalised sentences, none of them empty.
    """

    pairs: frozenset[frozenset[str]]
    sentences: frozenset[str]

    @classmethod
    def of(cls, *sets: Iterable[tuple[str, str]]) -> HeldOut:
        """Hold out every pair and every sentence of evaluation sets."""
        pairs = {frozenset((plain_words(a), plain_words(b))) for pairs in sets for a, b in pairs}
        return cls(frozenset(pairs), frozenset(text for pair in pairs for text in pair if text))

    def has_sentence(self, text: str) -> bool:
        """Whether a sentence is held out; a text without words never is."""
        return plain_words(text) in self.sentences


def check_leakage(
    first: Sequence[str], second: Sequence[str], held_out: HeldOut, source: str, sentences: bool = True
) -> None:
    """Check that training pairs have no held-out pair or sentence.

    Args:
        first: First texts.
        second: Second texts, as many.
        held_out: What must not occur.
        source: Name of the data, for the message.
        sentences: Whether single held-out sentences are refused too. Only STS-B's own train split may switch
            this off: as published, it shares sentences with its dev and test splits.

    Raises:
        HeldOutTextError: A row has one; the message names the first such row and the way out.
    """
    normalised = _normalised(first, second)
    for row, (a, b) in enumerate(zip(first, second, strict=True)):
        if frozenset((normalised[a], normalised[b])) in held_out.pairs:
            raise HeldOutTextError(
                f"{source}: row {row} is a held-out evaluation pair: {a!r} / {b!r}; "
                "drop it with drop_held_out()"
            )
        for text in (a, b) if sentences else ():
            if normalised[text] in held_out.sentences:
                raise HeldOutTextError(
                    f"{source}: row {row} has the held-out evaluation sentence {text!r}; "
                    "drop it with drop_held_out()"
                )


def drop_held_out(
    first: Sequence[str], second: Sequence[str], held_out: HeldOut, sentences: bool = True
) -> list[int]:
    """The rows that :func:`check_leakage` accepts.

    Args:
        first: First texts.
        second: Second texts, as many.
        held_out: What must not occur.
        sentences: Whether single held-out sentences are refused too.

    Returns:
        Indices of the rows to keep, in order.
    """
    normalised = _normalised(first, second)
    out = held_out.sentences if sentences else frozenset()
    kept = []
    for row, texts in enumerate(zip(first, second, strict=True)):
        pair = frozenset(normalised[text] for text in texts)
        if pair not in held_out.pairs and not pair & out:
            kept.append(row)
    return kept


def _normalised(*sides: Sequence[str]) -> dict[str, str]:
    return {text: plain_words(text) for text in set().union(*sides)}
