"""The folder of a training's stages. A stage that is finished with the same settings does not run again."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beam_sts.training.data import DataError, read_scored_pairs
from beam_sts.training.leakage import HeldOut
from beam_sts.training.recipe import SIZES, Recipe, values_of
from beam_sts.training.robustness import all_probes
from beam_sts.training.sets import second_dev_pairs, texts_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """One stage: a function that fills a folder.

    Attributes:
        name: Its name on the command line.
        run: Fills a folder and returns the record of the stage.
        fields: Fields of the recipe that its result depends on.
        needs: Stages whose results it reads.
        own: Fields in the name of its folder, so that sizes and seeds share the earlier stages.
    """

    name: str
    run: Callable[[Recipe, Workspace, Path], dict[str, Any]]
    fields: tuple[str, ...]
    needs: tuple[str, ...] = ()
    own: tuple[str, ...] = ()


class Workspace:
    """A folder of stage results.

    Args:
        root: The folder; created if missing.
        recipe: The recipe.
        stages: All stages by name, in order.
        device: The torch device of fitted models, encoders and teachers.
    """

    def __init__(self, root: Path, recipe: Recipe, stages: Mapping[str, Stage], device: str = "cpu") -> None:
        if recipe.size not in SIZES:
            raise DataError(f"unknown size {recipe.size!r}; choose from {', '.join(SIZES)}")
        for option in ("changed", "forms", "start_pairs"):
            count = getattr(recipe, option)
            if count and recipe.start is None:
                raise DataError(f"--{option} {count} needs a checkpoint to start from: set --start")
        self.root = root
        self.recipe = recipe
        self.stages = stages
        self.device = device
        self._held_out: HeldOut | None = None

    def of(self, recipe: Recipe) -> Workspace:
        """The same folder for another recipe."""
        return Workspace(self.root, recipe, self.stages, self.device)

    def folder(self, name: str) -> Path:
        """The folder of a stage's results."""
        own = (str(getattr(self.recipe, key)) for key in self.stages[name].own)
        return self.root / "-".join([name, *own])

    def fingerprint(self, name: str) -> str:
        """The digest of everything that a stage's result depends on."""
        stage = self.stages[name]
        values = values_of(self.recipe)
        decides = {key: values[key] for key in (*stage.fields, *({"read"} & values.keys()))}
        decides["needs"] = [self.fingerprint(needed) for needed in stage.needs]
        return hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def result(self, name: str) -> dict[str, Any] | None:
        """The record of a finished stage, or None if it is not finished with these settings."""
        marker = self.folder(name) / "done.json"
        try:
            noted: dict[str, Any] = json.loads(marker.read_bytes())
        except (FileNotFoundError, ValueError):  # truncated, such as by a full disk
            return None
        return noted if noted.get("fingerprint") == self.fingerprint(name) else None

    def run(self, name: str, alone: bool = False) -> dict[str, Any]:
        """Run a stage and the stages that it needs, unless they are finished.

        Args:
            name: The stage.
            alone: Whether to refuse to run the stages that it needs.

        Returns:
            The record of the stage: fingerprint, seconds and its figures.

        Raises:
            DataError: ``alone`` is set, and a stage that it needs is not finished.
        """
        noted = self.result(name)
        if noted is not None:
            logger.info("%s: finished before, skipped (%s)", name, self.folder(name))
            return noted
        for needed in self.stages[name].needs:
            if alone and self.result(needed) is None:
                raise DataError(f"stage {name!r} needs {needed!r} first; run it, or use the stage 'all'")
            self.run(needed)
        folder = self.folder(name)
        logger.info("%s: started (%s)", name, folder)
        started = time.monotonic()
        with _started(folder):
            figures = self.stages[name].run(self.recipe, self, folder)
        noted = {
            "fingerprint": self.fingerprint(name),
            "seconds": round(time.monotonic() - started, 1),
            **figures,
        }
        (folder / "done.json").write_text(json.dumps(noted, indent=1, default=str) + "\n", encoding="utf-8")
        shown = {key: value for key, value in figures.items() if key != "losses"}
        logger.info("%s: done in %.0f s: %s", name, noted["seconds"], shown)
        return noted

    @property
    def held_out(self) -> HeldOut:
        """The pairs and sentences of STS-B's dev and test sets, of the second dev set and of the probes."""
        if self._held_out is None:
            splits = [
                read_scored_pairs(self.recipe.stsb.format(split=split), options=self.recipe.read)
                for split in ("dev", "test")
            ]
            splits += [second_dev_pairs(self.recipe)] if self.recipe.second_dev else []
            sets = [zip(*texts_of(pairs), strict=True) for pairs in splits]
            probes = ((t.anchor, other) for t in all_probes() for other in (t.paraphrase, t.other))
            self._held_out = HeldOut.of(*sets, probes)
        return self._held_out


@contextmanager
def _started(folder: Path) -> Iterator[None]:
    """A context with a stage's folder marked as unfinished; restored if the stage fails before it writes."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / "done.json"
    finished = marker.read_bytes() if marker.is_file() else None
    marker.unlink(missing_ok=True)
    before = _files(folder)
    try:
        yield
    except BaseException:
        with suppress(OSError):
            if finished is not None and _files(folder) == before:
                marker.write_bytes(finished)
            for path in made:
                path.rmdir()  # raises if the folder is not empty
        raise


def _files(folder: Path) -> list[tuple[str, int, int]]:
    return [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.iterdir())]
