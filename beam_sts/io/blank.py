"""Blank texts. One rule for columns and for single texts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

SPACES = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
"""The characters that ``str.strip`` removes. Arrow's trim lacks the four separators from U+001C."""


def is_blank(text: str) -> bool:
    r"""Whether a text is empty or consists of white space.

    >>> is_blank("\x1c \u3000"), is_blank(" a")
    (True, False)
    """
    return not text.strip(SPACES)


def blank_rows(texts: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
    r"""``is_blank`` for each text of a column without nulls.

    >>> blank_rows(pa.array(["\x1c \u3000", " a"])).tolist()
    [True, False]
    """
    return np.asarray(pc.equal(pc.binary_length(pc.utf8_trim(texts, characters=SPACES)), 0), bool)
