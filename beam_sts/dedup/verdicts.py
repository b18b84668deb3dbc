"""The results of comparing pairs of texts, as columns: scores, bounds, differing facts, lost characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.arrays import IntArray
from beam_sts.dedup.facts.difference import turn
from beam_sts.dedup.representatives import BOTH
from beam_sts.errors import UserError

RULES = ("model", "cascade", "identical", "blend", "bound", "form", "barred")
"""How the score of a pair was found: by the model, by the second model, from equal texts, as a mean of the
model's score and the overlap, or from texts that are equal in plain form. ``bound`` and ``barred``: there is
no score, since the pair cannot reach the threshold whatever the model says, or since it is no duplicate
whatever its score: its texts differ in a fact, or each has too much that the other lacks."""
FORMS = ("plain", "none")
NOT_COMPARED = -1
"""The lost characters of a pair whose facts were not compared, since its score is below all thresholds."""
ALWAYS_LOST = 12
"""Lost characters that are allowed for any text: one word."""

MaxLost = tuple[int, float] | None
"""The most characters, and the largest fraction, of a removed text that its representative may lack."""
MAX_LOST: MaxLost = (40, 0.03)
Sizes = tuple[IntArray, IntArray]
"""The characters of the first and of the second text of each pair."""


@dataclass(frozen=True)
class Verdicts:
    """The results for n pairs.

    ``scores``: float32 (n,), NaN if there is none. ``rules``: (n,), indices into ``RULES``. ``bounds``:
    float32 (n,), the highest score that a pair without a score can reach, otherwise NaN. ``differs``: (n,)
    texts, the facts in which the texts differ, otherwise null. ``lost``: int32 (n, 2), the characters that
    each text has and the other lacks, or ``NOT_COMPARED``. ``bars``: uint8 (n,), as in ``PairScores``.
    """

    scores: NDArray[np.float32]
    rules: NDArray[np.int8]
    bounds: NDArray[np.float32]
    differs: pa.Array
    lost: NDArray[np.int32]
    bars: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def identical(cls, pairs: int) -> Verdicts:
        """The results for pairs of equal texts."""
        return cls(
            np.ones(pairs, np.float32),
            np.full(pairs, RULES.index("identical"), np.int8),
            np.full(pairs, np.nan, np.float32),
            pa.nulls(pairs, pa.string()),
            np.zeros((pairs, 2), np.int32),
            np.zeros(pairs, np.uint8),
        )

    @property
    def guarded(self) -> NDArray[np.bool_]:
        """Whether the texts of each pair differ in a fact."""
        return np.asarray(self.differs.is_valid())

    @property
    def bounded(self) -> NDArray[np.bool_]:
        """Whether each pair has no score since it cannot reach the threshold."""
        bounded: NDArray[np.bool_] = self.rules == RULES.index("bound")
        return bounded

    @property
    def barred(self) -> NDArray[np.bool_]:
        """Whether each pair has no score since it is no duplicate whatever its score."""
        barred: NDArray[np.bool_] = self.rules == RULES.index("barred")
        return barred

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Whether scoring failed for each pair."""
        failed: NDArray[np.bool_] = np.isnan(self.scores) & ~self.bounded & ~self.barred
        return failed

    @property
    def reach(self) -> NDArray[np.float32]:
        """The score of each pair, or else its bound; NaN if scoring failed."""
        reach: NDArray[np.float32] = np.where(np.isnan(self.scores), self.bounds, self.scores)
        return reach

    @property
    def parted(self) -> NDArray[np.bool_]:
        """Whether each text of a pair has too much that the other lacks, without a difference in facts."""
        parted: NDArray[np.bool_] = (self.bars == BOTH) & ~self.guarded
        return parted

    def counts(self) -> dict[str, int]:
        """The number of pairs of each of these kinds, as in the summary."""
        return {
            f"pairs_{name}": int(getattr(self, name).sum())
            for name in ("bounded", "failed", "guarded", "parted")
        }

    def at(self, rows: NDArray[Any] | slice) -> Verdicts:
        """The results for some of the pairs, by index, mask or slice."""
        taken = np.arange(len(self))[rows]
        return Verdicts(
            *(self.scores[rows], self.rules[rows], self.bounds[rows], self.differs.take(pa.array(taken))),
            *(self.lost[rows], self.bars[rows]),
        )

    def turned(self, which: NDArray[np.bool_]) -> Verdicts:
        """The results with the two ends of some pairs swapped."""
        if not which.any():
            return self
        lost = np.where(which[:, None], self.lost[:, ::-1], self.lost)
        bars = np.where(which, ((self.bars & 1) << 1) | (self.bars >> 1), self.bars).astype(np.uint8)
        shown = zip(self.differs.to_pylist(), which.tolist(), strict=True)
        differs = pa.array([turn(text) if text and turns else text for text, turns in shown], pa.string())
        return replace(self, lost=lost, bars=bars, differs=differs)

    def bound(self, rows: NDArray[np.int64], bounds: NDArray[np.float32], rule: str) -> None:
        """Store, in place, that some pairs have no score by a rule, and the scores that they can reach."""
        self.scores[rows], self.bounds[rows], self.rules[rows] = np.nan, bounds, RULES.index(rule)

    def with_bars(self, sizes: Sizes, most: MaxLost) -> Verdicts:
        """The results with the bars that ``bars_of`` computes for these arguments."""
        return replace(self, bars=bars_of(self.guarded, self.lost, sizes, most))

    @classmethod
    def join(cls, parts: Sequence[Verdicts]) -> Verdicts:
        """Concatenate results."""
        parts = parts or [cls.identical(0)]
        numbers = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("scores", "rules", "bounds", "lost", "bars")
        }
        return cls(**numbers, differs=pa.concat_arrays([part.differs for part in parts]))

    def columns(self) -> dict[str, pa.Array]:
        """The columns of ``pairs/``."""
        unread = self.lost[:, 0] == NOT_COMPARED
        return {
            "score": pa.array(self.scores, mask=np.isnan(self.scores)),
            "rule": pa.array(RULES).take(pa.array(self.rules)),
            "bound": pa.array(self.bounds, mask=np.isnan(self.bounds)),
            "differs": self.differs,
            "lost_a": pa.array(self.lost[:, 0], mask=unread),
            "lost_b": pa.array(self.lost[:, 1], mask=unread),
        }

    @classmethod
    def read(cls, table: pa.Table, sizes: Sizes, most: MaxLost) -> Verdicts:
        """Read results from the output of ``columns``. The other arguments are those of ``bars_of``."""
        table = table.select(VERDICT.names).cast(VERDICT).combine_chunks()
        columns = {name: _one(table.column(name)) for name in VERDICT.names}
        scores, bounds = (
            columns[name].to_numpy(zero_copy_only=False).astype(np.float32) for name in ("score", "bound")
        )
        rules = np.array([RULES.index(name) for name in columns["rule"].to_pylist()], np.int8)
        unread = NOT_COMPARED
        lost = np.stack([columns[name].fill_null(unread).to_numpy() for name in ("lost_a", "lost_b")], axis=1)
        bars = np.zeros(len(table), np.uint8)
        return cls(scores, rules, bounds, columns["differs"], lost, bars).with_bars(sizes, most)


def _one(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays([pa.nulls(0, column.type), *column.chunks])


VERDICT = pa.schema(
    [
        *(("score", pa.float32()), ("rule", pa.string()), ("bound", pa.float32()), ("differs", pa.string())),
        *(("lost_a", pa.int32()), ("lost_b", pa.int32())),
    ]
)


def read_max_lost(text: str) -> Any:
    """Parse ``CHARS,SHARE``. Gives None for ``none``, and the text itself if it is neither.

    >>> read_max_lost("100,0.1"), read_max_lost("none")
    ((100, 0.1), None)
    """
    if text == "none":
        return None
    characters, _, part = text.partition(",")
    try:
        return int(characters), float(part)
    except ValueError:  # the rule of the setting reports it
        return text


def check_max_lost(what: str, value: Any) -> None:
    """Check that a value is a number of characters and a fraction, or None.

    Raises:
        UserError: it is not.
    """
    if value is None:
        return
    pair = isinstance(value, tuple | list) and len(value) == 2 and not any(isinstance(v, bool) for v in value)
    if not (
        pair
        and isinstance(value[0], int)
        and value[0] >= 0
        and isinstance(value[1], int | float)
        and 0 <= value[1] <= 1
    ):
        raise UserError(
            f"{what} {value!r}: must be a number of characters and a fraction from 0 to 1, such as 100,0.1, "
            "or none."
        )


def bars_of(
    guarded: NDArray[np.bool_], lost: NDArray[np.int32], sizes: Sizes, most: MaxLost
) -> NDArray[np.uint8]:
    """Which text of each pair must not be removed in favour of the other.

    Neither is removed if they differ in a fact. A text is not removed if it has more that the other lacks
    than ``most`` allows, in characters and as a fraction of it. ``ALWAYS_LOST`` characters are always
    allowed.

    >>> lost, sizes = np.array([[300, 0]], np.int32), (np.array([900]), np.array([600]))
    >>> bars_of(np.array([False]), lost, sizes, (100, 0.1)).tolist()
    [1]
    """
    bars: NDArray[np.uint8] = np.where(guarded, BOTH, 0).astype(np.uint8)
    if most is not None:
        for side, bit in ((0, 1), (1, 2)):
            allowed = np.minimum(most[0], np.maximum(ALWAYS_LOST, most[1] * sizes[side]))
            bars |= np.where(lost[:, side] > allowed, bit, 0).astype(np.uint8)
    return bars
