"""The settings of passages, each written once: for the command, the transform, YAML and Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from beam_sts.checks import flag, name, one_of, optional, share, whole
from beam_sts.errors import UserError
from beam_sts.examples import MOST_EXAMPLES
from beam_sts.passages.units import UNITS
from beam_sts.settings import Settings, setting

CONTAINED = 0.7
REMOVE = ("row", "passage", "nothing")


@dataclass(frozen=True, kw_only=True)
class PassageSettings(Settings):
    """What is looked for inside the rows, and what becomes of a row that has it."""

    contains: bool = setting(
        False,
        "with --against: look for the rows of that input inside the rows of this one, wherever they are: "
        "decontamination",
        flag,
    )
    unit: str = setting(
        "document",
        "compare lines, sentences or paragraphs of the rows instead of whole rows: repeated ones are found; "
        "with --contains, those of --against are looked for",
        choices=UNITS,
    )
    contained: float = setting(
        CONTAINED,
        "with --contains: least score of a passage: share of an item's words that it has in order",
        share,
        metavar="T",
    )
    unit_words: int = setting(5, "with --unit: words that a unit must have", whole(1), metavar="N")
    repeats: int = setting(
        2, "with --unit: how often a unit must be there to be a repeated one", whole(2), metavar="N"
    )
    remove: str | None = setting(
        None,
        "what to remove: the row that has a passage, the passage alone, or nothing (default: row with "
        "--contains, else passage)",
        optional(one_of(*REMOVE)),
        metavar="row|passage|nothing",
    )

    @property
    def wanted(self) -> bool:
        """Whether passages are looked for, not whole rows compared."""
        return self.contains or self.unit != "document"

    @property
    def removes(self) -> str:
        """``row``, ``passage`` or ``nothing``."""
        return self.remove or ("row" if self.contains else "passage")

    def check_together(self, said: Callable[[str], str]) -> None:
        """``remove`` goes with passages."""
        if self.remove and not self.wanted:
            raise UserError(
                f"{said('remove')} {self.remove}: goes with {said('contains')} or {said('unit')}."
            )

    def check_inputs(self, said: Callable[[str], str], *, against: bool) -> None:
        """Check what goes with another input.

        Raises:
            UserError: naming the setting.
        """
        if self.contains and not against:
            raise UserError(
                f"{said('contains')}: goes with {said('against')}, the input whose rows are looked for."
            )


@dataclass(frozen=True, kw_only=True)
class RemovePassagesSettings(PassageSettings):
    """The settings of ``RemovePassages`` and ``remove_passages``."""

    id: str = setting("id", "field of distinct ids: all integers, all texts or all bytes", name)
    text: str = setting("text", "field of the texts", name)
    within: bool = setting(False, "with unit and against: also compare the input with itself", flag)
    report_examples: int = setting(
        5, "passages that the report shows; 0: no text", whole(0, MOST_EXAMPLES), metavar="N"
    )

    def check_together(self, said: Callable[[str], str]) -> None:
        """Something is looked for."""
        super().check_together(said)
        if not self.wanted:
            raise UserError(
                f"give {said('contains')} or a {said('unit')}; whole rows are compared by deduplication."
            )
