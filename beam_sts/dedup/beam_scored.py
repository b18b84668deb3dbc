"""Scores of candidates, stored in shards during a run with Beam, so that a killed run need not repeat them.

The pairs of a shard are scored together and in order, so that stored scores equal those that would be
computed. Retried bundles use the stored scores too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from beam_sts.dedup.beam_verify import ShingleWeights, Verify
from beam_sts.dedup.learnt import Learnt
from beam_sts.dedup.verdicts import Verdicts
from beam_sts.dedup.verify import Scoring, Verified, characters
from beam_sts.io.committed import content_digest
from beam_sts.io.files import file_system
from beam_sts.io.output import SCORED, OutputFolder

_KIND = "scored"  # kind of the records


@dataclass(frozen=True)
class KeptScores:
    """Where scores are stored: in a folder of the run's output."""

    output: OutputFolder

    @classmethod
    def of(cls, output: OutputFolder) -> KeptScores:
        """Returns the folder of a run."""
        return cls(replace(output, form="parquet"))

    def read(self, number: int, keys: str) -> pa.Table | None:
        """Read the stored results of a shard. None if it is missing or has a different digest."""
        if number not in self.output.whole({number: keys}, kind=_KIND, verify=True)[0]:
            return None
        fs, path = file_system(self.output.shard(SCORED, number))
        return pq.read_table(pa.BufferReader(fs.cat_file(path)))

    def write(self, number: int, keys: str, found: Verdicts) -> None:
        """Commit the results of a shard."""
        self.output.commit(number, {SCORED: pa.table(found.columns())}, {}, of=keys, kind=_KIND)

    def drop(self) -> None:
        """Delete all stored scores, since the run is finished."""
        self.output.drop(SCORED, self.output.numbers(SCORED), _KIND)
        fs, path = file_system(self.output.path(SCORED))
        if fs.exists(path):
            fs.rm(path, recursive=True)


class VerifyKept(Verify):
    """Like :class:`Verify`. Stored scores of a shard are not computed again."""

    def __init__(
        self,
        kept: KeptScores,
        scoring: Scoring,
        each: int = 0,
        blank: bool = False,
        most: int | None = None,
    ) -> None:
        super().__init__(scoring, each, blank, most)
        self._kept = kept

    def _of_shard(
        self, number: int, rows: list[Any], learnt: Learnt, words: ShingleWeights | None
    ) -> tuple[Verified, list[str], int]:
        texts = [pa.array([row[at] for row in rows], pa.large_string()) for at in (2, 3)]
        sources = [row[4] for row in rows]
        ends = pa.array([repr(row[:2]) for row in rows], pa.large_string())
        keys = content_digest(ends, *texts, pa.array(sources, pa.string()))
        table = self._kept.read(number, keys)
        if table is not None:
            sizes = characters(texts[0]), characters(texts[1])
            return Verified(Verdicts.read(table, sizes, self._scoring.max_lost)), sources, len(rows)
        found, *_ = super()._of_shard(number, rows, learnt, words)
        self._kept.write(number, keys, found.verdicts)
        return found, sources, 0
