"""What a text is made of when its facts are read: tokens in one spelling each. No functions that read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

PLAIN, NUMBER, UNIT, DATE, CODE, ADDRESS, NEGATION, QUANTITY, SIGN = range(9)
FIGURES = frozenset((NUMBER, UNIT, DATE, CODE))
KINDS = ("word", "number", "unit", "date", "code", "address", "negation", "quantity", "sign")

NOTHING, LINE, ITEM, SENTENCE = range(4)
"""What separates a token from the one before it: nothing but blanks, the end of a line, what separates the
items of a list, the end of a sentence or a paragraph."""


class Token(NamedTuple):
    """A token: its spelling, kind, place in the plain text, and what parts it from the one before.

    ``glued``: written together with the one before it. ``part``: of something written together. ``named``: a
    name, or a word that few know.
    """

    key: str
    kind: int
    start: int
    end: int
    parted: int = NOTHING
    glued: bool = False
    part: bool = False
    named: bool = False


@dataclass(frozen=True)
class Facts:
    """What a text says. ``text`` is its plain form, which the places of the tokens are in.

    ``program``: what it does, if it is a program.
    """

    text: str
    tokens: list[Token]
    keys: list[str] = field(repr=False)
    links: tuple[str, ...] = ()
    program: str = ""

    def shown(self, start: int, stop: int) -> str:
        """The tokens from ``start`` to ``stop`` as they are written."""
        return " ".join(self.text[self.tokens[start].start : self.tokens[stop - 1].end].split())
