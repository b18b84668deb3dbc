"""The tokens of a text, each in a normal form, with the kind of fact it states."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

PLAIN, NUMBER, UNIT, DATE, CODE, ADDRESS, NEGATION, QUANTITY, SIGN = range(9)
FIGURES = frozenset((NUMBER, UNIT, DATE, CODE))
KINDS = ("word", "number", "unit", "date", "code", "address", "negation", "quantity", "sign")

NOTHING, LINE, ITEM, SENTENCE = range(4)
"""What separates a token from the one before it: only blanks, the end of a line, a separator of list items,
or the end of a sentence or paragraph."""


class Token(NamedTuple):
    """A token: its normal form, its kind, its position in the plain text, and its separator.

    ``glued``: attached to the previous token. ``part``: part of a compound. ``named``: a name, or a rare
    word.
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
    """The facts of a text. ``text`` is its plain form, to which the positions of tokens refer.

    ``program``: the code, if the text is a program.
    """

    text: str
    tokens: list[Token]
    keys: list[str] = field(repr=False)
    links: tuple[str, ...] = ()
    program: str = ""

    def shown(self, start: int, stop: int) -> str:
        """The tokens from ``start`` to ``stop`` as written in the text."""
        return " ".join(self.text[self.tokens[start].start : self.tokens[stop - 1].end].split())
