"""What a deduplication learns from its texts before it compares them: their languages and boilerplate.

Both are found in a sample that depends on the texts alone, so one machine and every runner learn the same.
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

from beam_sts.candidates.form import plain_form, plain_texts
from beam_sts.candidates.keys import text_blocks
from beam_sts.dedup.boilerplate import Boilerplate, boilerplate_sample
from beam_sts.io.spill import take_texts
from beam_sts.scoring.languages import SAMPLE, Languages, languages_of, sampled

EFFECT = (
    "a blend leaves the model out, so the overlap alone decides; under --rule model its scores mean little"
)
"""The effect of texts in languages that the model does not know."""
_SHOWN, _CHARACTERS = 3, 200  # pieces of boilerplate that a summary shows, and characters of each


@dataclass(frozen=True)
class Learnt:
    """What was learnt. ``languages`` is None if not examined; ``shown`` has boilerplate with its text counts.

    ``form``: texts are used in plain form.
    """

    boilerplate: Boilerplate = field(default_factory=Boilerplate.none)
    languages: Languages | None = None
    form: bool = False
    shown: tuple[tuple[str, int], ...] = ()

    @property
    def foreign(self) -> bool:
        """Whether texts are in languages that the model does not know."""
        return bool(self.languages and self.languages.unknown)

    def own(self, texts: pa.Array | pa.ChunkedArray) -> pa.Array:
        """The texts in plain form and without boilerplate."""
        return self.boilerplate.own_texts(plain_texts(texts) if self.form else texts)

    def record(self) -> dict[str, Any]:
        """The entry in the summary."""
        return {
            "languages": self.languages.record(EFFECT) if self.languages else None,
            "boilerplate": {
                "runs": len(self.boilerplate.hashes),
                "shown": [{"text": text, "texts": texts} for text, texts in self.shown],
            },
        }


@dataclass(frozen=True)
class Learning:
    """What to learn: ``boilerplate``, ``languages`` or both. ``form``: learn from texts in plain form."""

    boilerplate: bool = True
    languages: bool = True
    form: bool = False

    def __bool__(self) -> bool:
        return self.boilerplate or self.languages

    def sample(self, hashes: NDArray[np.uint64], texts: int, characters: int) -> NDArray[np.bool_]:
        """Which texts are in the sample.

        Args:
            hashes: the hashes of all n texts, or of some.
            texts: the number of all texts.
            characters: the number of characters of all texts.
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
            texts: the texts that ``sample`` chose, in any order.
            hashes: their hashes, shape (n,).
            every: the number of texts in the corpus.
            known: the languages that the model knows; empty if it does not say.
        """
        texts = [plain_form(text) for text in texts] if self.form else texts
        boilerplate = Boilerplate.of(texts) if self.boilerplate else Boilerplate.none()
        few = np.flatnonzero(sampled(hashes, every, SAMPLE)).tolist()
        owned = boilerplate.own([texts[at] for at in few])
        languages = languages_of(owned, known) if self.languages else None
        return Learnt(boilerplate, languages, self.form, _shown(boilerplate, [texts[at] for at in few]))


def learn(
    learning: Learning,
    texts: pa.Array,
    hashes: NDArray[np.uint64],
    known: Sequence[str] = (),
) -> Learnt:
    """Learn from all n texts of a corpus, on one machine. The arguments are as in :class:`Learning`."""
    if not learning:
        return Learnt(form=learning.form)
    characters = sum(int(pc.sum(pc.utf8_length(part)).as_py() or 0) for _, part in text_blocks(texts))
    chosen = np.flatnonzero(learning.sample(hashes, len(texts), characters))
    found = take_texts(texts, chosen).to_pylist()
    return learning.of(found, hashes[chosen], len(texts), known)


def learnt_lines(summary: Mapping[str, Any]) -> list[str]:
    """The messages to the user in a summary about what was learnt."""
    lines = []
    if warning := (summary["languages"] or {}).get("warning"):
        lines.append(warning)
    if shown := summary["boilerplate"]["shown"]:
        lines.append(f"boilerplate is not counted as similarity, such as {shown[0]['text'][:60]!r}")
    return lines


def _shown(boilerplate: Boilerplate, texts: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """The boilerplate with the most characters in some texts: its start, and the number of texts with it."""
    counts = Counter(
        span for spans in boilerplate.spans(texts) for span in {" ".join(s.split()) for s in spans}
    )
    order = sorted(counts.items(), key=lambda one: (-one[1] * len(one[0]), one[0]))
    return tuple((text[:_CHARACTERS], count) for text, count in order[:_SHOWN])
