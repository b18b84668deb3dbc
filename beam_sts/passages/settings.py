"""The settings of passages, for the command, the transform, Beam YAML and Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from beam_sts.checks import flag, name, one_of, optional, share, whole
from beam_sts.errors import UserError
from beam_sts.examples import MOST_EXAMPLES
from beam_sts.passages.units import UNITS
from beam_sts.settings import Settings, setting

P = TypeVar("P", bound="PassageSettings")
CONTAINED = 0.69
REMOVE = ("row", "passage", "nothing")


@dataclass(frozen=True, kw_only=True)
class PassageSettings(Settings):
    """What is searched for inside the rows, and what happens to a row that has it."""

    contains: bool = setting(
        False,
        "with --against: search for the rows of that input inside the rows of this one, at any position "
        "(decontamination); without it: remove rows that longer rows contain",
        flag,
    )
    unit: str = setting(
        "document",
        "compare lines, sentences or paragraphs instead of whole rows, and find repeated ones; with "
        "--contains, search for those of --against",
        choices=UNITS,
    )
    contained: float | None = setting(
        None,
        "with --contains: lowest score of a passage: the fraction of an item's words that it has in order "
        f"(default: {CONTAINED}; without --against 1, all of them)",
        optional(share),
        metavar="T",
    )
    unit_words: int = setting(5, "with --unit: the fewest words of a unit", whole(1), metavar="N")
    repeats: int = setting(
        2, "with --unit: how often a unit must occur to count as repeated", whole(2), metavar="N"
    )
    remove: str | None = setting(
        None,
        "what to remove: the row that has a passage, only the passage, or nothing (default: row with "
        "--contains, otherwise passage)",
        optional(one_of(*REMOVE)),
        metavar="row|passage|nothing",
    )

    def for_inputs(self: P, *, against: bool) -> P:
        """The settings for an input with or without another one to compare against.

        Without it, a row that is removed must be whole in the longer one, so that no text is lost.
        """
        return self if self.contained is not None or against else replace(self, contained=1.0)

    @property
    def least(self) -> float:
        """The lowest score of a passage."""
        return CONTAINED if self.contained is None else self.contained

    @property
    def wanted(self) -> bool:
        """Whether to search for passages instead of comparing whole rows."""
        return self.contains or self.unit != "document"

    @property
    def removes(self) -> str:
        """What to remove: ``row``, ``passage`` or ``nothing``."""
        return self.remove or ("row" if self.contains else "passage")

    def check_together(self, label: Callable[[str], str]) -> None:
        """Refuse ``remove`` without a search for passages."""
        if self.remove and not self.wanted:
            raise UserError(f"{label('remove')} {self.remove}: needs {label('contains')} or {label('unit')}.")


@dataclass(frozen=True, kw_only=True)
class RemovePassagesSettings(PassageSettings):
    """The settings of ``RemovePassages`` and ``remove_passages``."""

    id: str = setting("id", "field of distinct ids: all integers, all texts or all bytes", name)
    text: str = setting("text", "field of the texts", name)
    within: bool = setting(False, "with unit and against: also compare the input with itself", flag)
    report_examples: int = setting(
        5, "passages that the report shows; 0 for no texts", whole(0, MOST_EXAMPLES), metavar="N"
    )

    def check_together(self, label: Callable[[str], str]) -> None:
        """Check that the settings ask for passages."""
        super().check_together(label)
        if not self.wanted:
            raise UserError(
                f"give {label('contains')} or a {label('unit')}; to compare whole rows, use deduplication."
            )
