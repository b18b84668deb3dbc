"""The folder of a training's stages; a stage that is finished with the same settings is not run again."""

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
from beam_sts.training.recipe import SIZES, Recipe, told
from beam_sts.training.sets import second_dev_pairs, texts_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """One stage: a function that fills a folder.

    Attributes:
        name: Its name on the command line.
        run: Fills the folder it is given and returns what is logged.
        fields: Fields of the recipe that decide its result.
        needs: Stages whose results it reads.
        own: Fields that its folder's name carries, so that sizes and seeds share the stages before.
    """

    name: str
    run: Callable[[Recipe, Workspace, Path], dict[str, Any]]
    fields: tuple[str, ...]
    needs: tuple[str, ...] = ()
    own: tuple[str, ...] = ()


class Workspace:
    """A folder of stage results.

    Args:
        root: The folder; made if missing.
        recipe: What to train.
        stages: All of them by name, in order.
        device: Where models run while they are fitted, embed and label.
    """

    def __init__(self, root: Path, recipe: Recipe, stages: Mapping[str, Stage], device: str = "cpu") -> None:
        if recipe.size not in SIZES:
            raise DataError(f"unknown size {recipe.size!r}; choose from {', '.join(SIZES)}")
        self.root = root
        self.recipe = recipe
        self.stages = stages
        self.device = device
        self._held_out: HeldOut | None = None

    def of(self, recipe: Recipe) -> Workspace:
        """The same folder for another recipe."""
        return Workspace(self.root, recipe, self.stages, self.device)

    def folder(self, name: str) -> Path:
        """Where a stage's results lie."""
        own = (str(getattr(self.recipe, key)) for key in self.stages[name].own)
        return self.root / "-".join([name, *own])

    def fingerprint(self, name: str) -> str:
        """Digest of all that decides a stage's result."""
        stage = self.stages[name]
        values = told(self.recipe)
        decides = {key: values[key] for key in (*stage.fields, *({"read"} & values.keys()))}
        decides["needs"] = [self.fingerprint(needed) for needed in stage.needs]
        return hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def result(self, name: str) -> dict[str, Any] | None:
        """What a finished stage noted, or None if it is not finished with these settings."""
        marker = self.folder(name) / "done.json"
        try:
            noted: dict[str, Any] = json.loads(marker.read_bytes())
        except (FileNotFoundError, ValueError):  # cut short, as by a full disk
            return None
        return noted if noted.get("fingerprint") == self.fingerprint(name) else None

    def run(self, name: str, alone: bool = False) -> dict[str, Any]:
        """Run a stage unless it is finished, and before it what it needs.

        Args:
            name: The stage.
            alone: Refuse to run what it needs.

        Returns:
            What the stage noted: fingerprint, seconds and its own figures.

        Raises:
            DataError: ``alone``, and a stage before is not finished.
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
        begun = time.monotonic()
        with _begun(folder):
            figures = self.stages[name].run(self.recipe, self, folder)
        noted = {
            "fingerprint": self.fingerprint(name),
            "seconds": round(time.monotonic() - begun, 1),
            **figures,
        }
        (folder / "done.json").write_text(json.dumps(noted, indent=1, default=str) + "\n", encoding="utf-8")
        said = {key: value for key, value in figures.items() if key != "losses"}
        logger.info("%s: done in %.0f s: %s", name, noted["seconds"], said)
        return noted

    @property
    def held_out(self) -> HeldOut:
        """Pairs and sentences of STS-B's dev and test and of the second dev set."""
        if self._held_out is None:
            splits = [
                read_scored_pairs(self.recipe.stsb.format(split=split), options=self.recipe.read)
                for split in ("dev", "test")
            ]
            splits += [second_dev_pairs(self.recipe)] if self.recipe.second_dev else []
            self._held_out = HeldOut.of(*(zip(*texts_of(pairs), strict=True) for pairs in splits))
        return self._held_out


@contextmanager
def _begun(folder: Path) -> Iterator[None]:
    """A stage's folder while it runs, not marked as finished; as it was if that fails and wrote nothing."""
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
                path.rmdir()  # raises where something is in it
        raise


def _files(folder: Path) -> list[tuple[str, int, int]]:
    return [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.iterdir())]
