"""Which rows are one distinct text. Pure functions of rows, all or some of them.

One machine groups all rows at once. Beam groups those of a bundle, and then joins the groups of all bundles
that have the same text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import IntArray, group_rows, inverse
from beam_sts.candidates.propose import Proposal


@dataclass(frozen=True)
class Grouping:
    """The rule by which rows are one distinct text: equal texts of the same input.

    ``by_text``: group rows at all; otherwise each row is a distinct text. ``compare_blank``: blank texts are
    compared like others. ``within``: rows of the input itself are compared with each other; otherwise they
    are not grouped either.
    """

    by_text: bool = True
    compare_blank: bool = False
    within: bool = True

    @classmethod
    def of(cls, proposal: Proposal, *, against: bool, compare_blank: bool) -> Grouping:
        """The rule that belongs to sources of candidates. ``against``: there is another input."""
        return cls(proposal.by_text, compare_blank, not against or proposal.within)

    def left_out(self, blank: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which texts are not compared, from those that are blank."""
        return blank & (not self.compare_blank)

    def alone(self, side: NDArray[np.integer], blank: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which rows are not grouped with others, from their sides and whether they are blank."""
        alone: NDArray[np.bool_] = (
            self.left_out(blank) | (not self.by_text) | ((side == 0) & (not self.within))
        )
        return alone


@dataclass(frozen=True)
class DistinctTexts:
    """The distinct texts to compare, numbered by their ids, whatever the order of the rows.

    So equal rows give equal candidates. ``of_row`` has shape (rows,), the others (texts,). ``row`` is the row
    with the smallest id, ``rows`` the number of rows, and ``blank`` marks texts that are not compared.
    """

    of_row: IntArray
    row: IntArray
    rows: IntArray
    side: NDArray[np.int8]
    blank: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.row)


def distinct_texts(
    grouping: Grouping,
    hashes: NDArray[np.uint64],
    side: NDArray[np.int8],
    blank: NDArray[np.bool_],
    id_rank: IntArray,
) -> DistinctTexts:
    """Group n rows by text.

    Args:
        grouping: the rule.
        hashes: of the texts, shape (n, 2).
        side: 0 or 1, the input of each row, shape (n,).
        blank: whether each text is blank, shape (n,).
        id_rank: the rank of each row by its id, shape (n,).
    """
    columns = (hashes[:, 0], hashes[:, 1], side)
    group, first = group_rows(columns, id_rank, grouping.alone(side, blank))
    by_id = np.argsort(id_rank[first])
    of_row, row = inverse(by_id)[group], first[by_id]
    rows = np.bincount(of_row, minlength=len(row))
    return DistinctTexts(of_row, row, rows, side[row], grouping.left_out(blank)[row])
