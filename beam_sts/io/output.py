"""The output folder: who may write to it, what is committed in it, how a slice is committed.

::

    DIR/scores/part-000000.parquet    (or .jsonl, .csv) all input columns plus the score, in row order
    DIR/matches/part-000000.parquet   the rows at or above the threshold, when there is one
    DIR/rejected/part-000000.parquet  file, row, reason, record, line
    DIR/report.html                  the run, to look at
    DIR/summary.json                 written last
    DIR/_run/run.json                the run's fingerprint: input, model, settings
    DIR/_run/records/part-000000.json counts of one slice
    DIR/_run/lock                    held by the running process; on an object store, there while one runs

A slice is committed by its score shard, written after everything else of the slice. Every file is published
in one step, so a killed or doubled attempt leaves nothing half done.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from beam_sts.errors import UserError
from beam_sts.io.encode import OUTPUT_FORMATS, encode
from beam_sts.io.files import file_system, normal_path, publish
from beam_sts.io.lease import Lease, hold
from beam_sts.io.storage import StorageOptions

SHARD_FOLDERS = ("scores", "matches", "rejected")
_OURS = {*SHARD_FOLDERS, "_run", "summary.json", "report.html"}
_ENDINGS = "|".join((*OUTPUT_FORMATS, "json", "html"))
_TEMPORARY = re.compile(rf"\..+\.({_ENDINGS})\.\d+\.[0-9a-f]{{8}}")
_SHARD = re.compile(rf"part-(\d+)\.(?:{_ENDINGS})")


@dataclass(frozen=True)
class OutputFolder:
    """An output folder, local or remote. Holds no state, so that it travels to the workers.

    ``form`` is the format of its shards, ``csv_safe`` as for ``encode``. ``folders`` are those of its shards;
    a shard in the first marks its slice as committed. ``storage`` takes the stores' options to the workers,
    ``lease`` the right to write, which is looked at before every file.
    """

    root: str
    form: str = "parquet"
    csv_safe: bool = False
    folders: tuple[str, ...] = SHARD_FOLDERS
    storage: StorageOptions = field(default_factory=StorageOptions, compare=False)
    lease: Lease | None = field(default=None, compare=False)

    @classmethod
    def at(
        cls,
        path: str,
        form: str = "parquet",
        *,
        csv_safe: bool = False,
        folders: tuple[str, ...] = SHARD_FOLDERS,
        storage: StorageOptions | None = None,
    ) -> OutputFolder:
        """The folder of a path or URL."""
        return cls(normal_path(path).rstrip("/"), form, csv_safe, folders, storage or StorageOptions())

    def path(self, *parts: str) -> str:
        """Path of something in the folder."""
        return "/".join([self.root, *parts])

    def shard(self, folder: str, index: int) -> str:
        """Path of a shard; six digits sort by name up to a million shards."""
        return self.path(folder, f"part-{index:06d}.{self.form}")

    def committed(self) -> set[int]:
        """Indices of the slices that are done."""
        return set(self.numbers(self.folders[0]))

    def is_committed(self, index: int) -> bool:
        """Whether one slice is done."""
        fs, inside = file_system(self.shard(self.folders[0], index))
        return bool(fs.exists(inside))

    def write_table(self, folder: str, index: int, table: pa.Table) -> None:
        """Publish one shard."""
        self._publish(self.shard(folder, index), encode(table, self.form, csv_safe=self.csv_safe))

    def write_record(self, index: int, record: dict[str, Any]) -> None:
        """Publish the counts of one slice."""
        self._publish(self.path("_run", "records", f"part-{index:06d}.json"), json.dumps(record).encode())

    def records(self, indices: Iterable[int]) -> list[dict[str, Any]]:
        """The counts of committed slices."""
        fs, _ = file_system(self.root)
        paths = [self.path("_run", "records", f"part-{index:06d}.json") for index in indices]
        return [json.loads(fs.cat_file(file_system(path)[1])) for path in paths]

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Publish a JSON file at the top of the folder."""
        self.write_text(name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def write_text(self, name: str, content: str) -> None:
        """Publish a text file at the top of the folder."""
        self._publish(self.path(name), content.encode())

    def _publish(self, path: str, data: bytes) -> None:
        if self.lease:
            self.lease.check()
        publish(path, data)

    def prepare(self, fingerprint: dict[str, Any], *, overwrite: bool) -> None:
        """Make the folder this run's own, or see that it already is.

        Args:
            fingerprint: what the output depends on: input, model, settings; JSON values by name.
            overwrite: drop what an earlier run left; never what is not a run's.

        Raises:
            UserError: the folder cannot be written, holds something else or another run's output.
        """
        with self._writing():
            self._check_folder()
            names = {Path(entry).name for entry in self._list()}
            strangers = sorted(name for name in names - {*_OURS, *self.folders} if not name.startswith("."))
            if strangers:
                raise UserError(
                    f"--output {self.root}: holds something else ({', '.join(strangers[:3])}). "
                    "Give a new or empty folder."
                )
            before = self._fingerprint()
            if before is None and names & set(self.folders):
                raise UserError(
                    f"--output {self.root}: holds shards but not the run they belong to "
                    "(_run/run.json). Give a new or empty folder."
                )
            if overwrite and before != fingerprint and self.lease and self.lease.taken_over:
                raise UserError(
                    f"--output {self.root}: --takeover goes on with the same input, model and settings; "
                    "the run that held this folder may still be writing its own. Give another folder."
                )
            if before is not None and (overwrite or before.get("pipeline") != fingerprint["pipeline"]):
                if not overwrite:
                    raise UserError(
                        f"--output {self.root}: holds a run of pipelines.{before.get('pipeline')}. "
                        "Give another folder, or --overwrite to drop it."
                    )
                self._clear()
            elif before is not None and before != fingerprint:
                raise UserError(
                    f"--output {self.root}: was made with other settings: "
                    f"{_differences(before, fingerprint)}. Give another folder, the same settings to go on "
                    "with it, or --overwrite to start anew."
                )
            self._drop_temporaries()
            self.write_json("_run/run.json", fingerprint)

    @contextlib.contextmanager
    def lock(self, *, takeover: bool = False) -> Iterator[OutputFolder]:
        """Hold the folder against a second run.

        Args:
            takeover: on an object store, replace the lease that a killed run left.

        Yields:
            The folder with the lease: who writes through it stops when another run takes this one over.

        Raises:
            UserError: another process holds the folder, or it cannot be written.
        """
        with contextlib.ExitStack() as held:
            with self._writing():
                self._check_folder()
                lease = held.enter_context(hold(self.path("_run", "lock"), self.root, takeover=takeover))
            yield replace(self, lease=lease)

    def finish(self, schemas: dict[str, pa.Schema]) -> None:
        """Give every shard folder at least one shard, perhaps empty, and drop what killed attempts left."""
        for folder, schema in schemas.items():
            if not self.numbers(folder):
                self.write_table(folder, 0, schema.empty_table())
        self._drop_temporaries()

    def numbers(self, folder: str) -> list[int]:
        """Numbers of the shards in a folder."""
        matches = (_SHARD.fullmatch(Path(entry).name) for entry in self._list(folder))
        return [int(match.group(1)) for match in matches if match]

    def _list(self, *parts: str) -> list[str]:
        fs, inside = file_system(self.path(*parts) if parts else self.root)
        fs.invalidate_cache()
        try:
            entries: list[str] = fs.ls(inside, detail=False)
        except FileNotFoundError:
            return []
        return entries

    def _fingerprint(self) -> dict[str, Any] | None:
        fs, inside = file_system(self.path("_run", "run.json"))
        if not fs.exists(inside):
            return None
        loaded: dict[str, Any] = json.loads(fs.cat_file(inside))
        return loaded

    def _check_folder(self) -> None:
        fs, inside = file_system(self.root)
        if fs.exists(inside) and not fs.isdir(inside):
            raise UserError(f"--output {self.root}: is a file, not a folder.")

    def _clear(self) -> None:
        for name in (*self.folders, "_run/records", "summary.json", "report.html", "_run/run.json"):
            fs, inside = file_system(self.path(name))
            if fs.exists(inside):
                fs.rm(inside, recursive=True)

    def _drop_temporaries(self) -> None:
        for folder in ("", *self.folders, "_run", "_run/records"):
            for entry in self._list(*folder.split("/")) if folder else self._list():
                if _TEMPORARY.fullmatch(Path(entry).name):
                    fs, _ = file_system(self.root)
                    with contextlib.suppress(FileNotFoundError):
                        fs.rm(entry)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(f"--output {self.root}: cannot be written: {error}") from error


def _differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """What differs between two fingerprints, by dotted name, at most three of them."""
    old, new = _flatten(before), _flatten(now)
    changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    parts = [f"{key} was {_short(old.get(key))}, is {_short(new.get(key))}" for key in changed[:3]]
    return "; ".join(parts) + (f"; and {len(changed) - 3} more" if len(changed) > 3 else "")


def _flatten(value: Any, name: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {
            k: v
            for key, item in value.items()
            for k, v in _flatten(item, f"{name}.{key}" if name else key).items()
        }
    if isinstance(value, list):
        return {
            k: v for index, item in enumerate(value) for k, v in _flatten(item, f"{name}[{index}]").items()
        }
    return {name: value}


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
