"""What a deduplication learns of its texts before it judges any: their languages and their boilerplate.

Both are found in a sample that follows from the texts alone, so that one machine and every runner learn the
same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_sts.candidates.form import plain, plain_texts
from beam_sts.dedup.boilerplate import Boilerplate, boilerplate_sample
from beam_sts.scoring.languages import SAMPLE, Languages, languages_of, sampled

_SHOWN, _CHARACTERS = 3, 200  # of the boilerplate


@dataclass(frozen=True)
class Learnt:
    """What was found; ``languages`` None: not looked at; ``shown``: boilerplate, and the texts with it.

    ``form``: boilerplate is of texts in plain form.
    """

    boilerplate: Boilerplate = field(default_factory=Boilerplate.none)
    languages: Languages | None = None
    form: bool = False
    shown: tuple[tuple[str, int], ...] = ()

    @property
    def foreign(self) -> bool:
        """Whether the model does not know languages of the texts."""
        return bool(self.languages and self.languages.unknown)

    def own(self, texts: pa.Array | pa.ChunkedArray) -> pa.Array:
        """The texts without boilerplate."""
        return self.boilerplate.own_texts(plain_texts(texts) if self.form else texts)

    def record(self) -> dict[str, Any]:
        """As the summary has it."""
        return {
            "languages": self.languages.record() if self.languages else None,
            "boilerplate": {
                "runs": len(self.boilerplate.hashes),
                "shown": [{"text": text, "texts": texts} for text, texts in self.shown],
            },
        }


@dataclass(frozen=True)
class Learning:
    """What is to be learnt: ``boilerplate``, ``languages``, or one of them; ``form``: of plain forms."""

    boilerplate: bool = True
    languages: bool = True
    form: bool = False

    def __bool__(self) -> bool:
        return self.boilerplate or self.languages

    def sample(self, hashes: NDArray[np.uint64], texts: int, characters: int) -> NDArray[np.bool_]:
        """Which of n texts are looked at.

        Args:
            hashes: of them, or of some.
            texts: how many there are.
            characters: that they have together.
        """
        if not self:
            return np.zeros(len(hashes), bool)
        if self.boilerplate:
            return boilerplate_sample(hashes, texts, characters)
        return sampled(hashes, texts, SAMPLE)

    def of(
        self, texts: Sequence[str], hashes: NDArray[np.uint64], every: int, known: Sequence[str] = ()
    ) -> Learnt:
        """Learn from a sample.

        Args:
            texts: those of ``sample``, in any order.
            hashes: of them, shape (n,).
            every: how many texts there are.
            known: languages that the model knows; none: it does not say.
        """
        texts = [plain(text) for text in texts] if self.form else texts
        boilerplate = Boilerplate.of(texts) if self.boilerplate else Boilerplate.none()
        few = np.flatnonzero(sampled(hashes, every, SAMPLE)).tolist()
        owned = boilerplate.own([texts[at] for at in few])
        languages = languages_of(owned, known) if self.languages else None
        return Learnt(boilerplate, languages, self.form, _shown(boilerplate, [texts[at] for at in few]))


def learn(
    learning: Learning,
    texts: pa.Array | pa.ChunkedArray,
    hashes: NDArray[np.uint64],
    known: Sequence[str] = (),
) -> Learnt:
    """Learn from all n texts of a corpus on one machine; the arguments are those of :class:`Learning`."""
    if not learning:
        return Learnt()
    characters = int(pc.sum(pc.utf8_length(texts)).as_py() or 0)
    chosen = np.flatnonzero(learning.sample(hashes, len(texts), characters))
    found = texts.take(pa.array(chosen)).to_pylist()
    return learning.of(found, hashes[chosen], len(texts), known)


def learnt_lines(summary: Mapping[str, Any]) -> list[str]:
    """What a summary says about the texts that a user should know."""
    lines = []
    if warning := (summary["languages"] or {}).get("warning"):
        lines.append(warning)
    if shown := summary["boilerplate"]["shown"]:
        lines.append(f"boilerplate does not count as likeness, such as {shown[0]['text'][:60]!r}")
    return lines


def _shown(boilerplate: Boilerplate, texts: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """The boilerplate of most characters in some texts: its beginning, and how many of them have it."""
    counts = Counter(
        span for spans in boilerplate.spans(texts) for span in {" ".join(s.split()) for s in spans}
    )
    order = sorted(counts.items(), key=lambda one: (-one[1] * len(one[0]), one[0]))
    return tuple((text[:_CHARACTERS], count) for text, count in order[:_SHOWN])
