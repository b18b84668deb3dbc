"""The output folder: what is committed in it, how a slice is committed. ``claim`` says who may write to it.

::

    DIR/scores/part-000000.parquet    (or .jsonl, .csv) all input columns plus the score, in row order
    DIR/matches/part-000000.parquet   the rows at or above the threshold, when there is one
    DIR/rejected/part-000000.parquet  file, row, reason, record, line
    DIR/report.html                  the run, to look at
    DIR/summary.json                 written last
    DIR/_run/run.json                the run's fingerprint: input, model, settings
    DIR/_run/records/part-000000.json counts of one slice, and size, rows and digest of each of its shards
    DIR/_run/scored/                 of dedup by Beam: scores of candidates, until the run is done
    DIR/_run/lock                    held by the running process; on an object store, there while one runs
    DIR/_run/earlier/                of --overwrite on a disk: the earlier run, until this one writes a file

A slice is committed by its score shard, written after everything else of the slice, and counts as done where
all of its shards are as its record has them. Every file is published in one step, so a killed or doubled
attempt leaves nothing half done.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from beam_sts.errors import UserError
from beam_sts.io.committed import (
    RUN_FILE,
    damage,
    describe,
    read_records,
    record_text,
    slice_identity,
)
from beam_sts.io.encode import OUTPUT_FORMATS, encode
from beam_sts.io.files import file_system, normal_path, publish
from beam_sts.io.lease import Lease
from beam_sts.io.slices import Slice
from beam_sts.io.storage import StorageOptions

SCORED = "_run/scored"
"""Folder of scores that a run keeps until it is done, besides its shards."""
SHARD_FOLDERS = ("scores", "matches", "rejected")
OURS = frozenset((*SHARD_FOLDERS, "_run", "summary.json", "report.html", "README.md"))
"""What is a run's at the top of its folder, besides the folders of its shards."""
_ENDINGS = "|".join((*OUTPUT_FORMATS, "json", "html"))
EARLIER = "earlier"
"""Folder in _run/ of what a run with --overwrite puts aside."""
_TEMPORARY = re.compile(rf"\..+\.({_ENDINGS})\.\d+\.[0-9a-f]{{8}}")
_NO_COUNTS = ("of", "shards")
_RECORDS_AT_ONCE = 1 << 13  # some 80 MB; for each so many the folder of the shards is listed
_SHARD = re.compile(rf"part-(\d+)\.(?:{_ENDINGS})")


@dataclass(frozen=True)
class OutputFolder:
    """An output folder, local or remote. Holds no state, so that it travels to the workers.

    ``form`` is the format of its shards, ``csv_safe`` as for ``encode``. ``folders`` are those of its shards;
    a shard in the first marks its slice as committed. ``storage`` takes the stores' options to the workers,
    ``lease`` the right to write, which is looked at before every file. ``earlier`` says that a run which
    this one replaces is still there, put aside.
    """

    root: str
    form: str = "parquet"
    csv_safe: bool = False
    folders: tuple[str, ...] = SHARD_FOLDERS
    storage: StorageOptions = field(default_factory=StorageOptions, compare=False)
    lease: Lease | None = field(default=None, compare=False)
    earlier: bool = field(default=False, compare=False)

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
        """Indices of the slices whose marker is there."""
        return set(self.numbers(self.folders[0]))

    def whole(
        self, of: Mapping[int, Any], *, kind: str = "part", verify: bool = False
    ) -> tuple[dict[int, dict[str, Any]], dict[int, str]]:
        """What of some slices is done: their records by index, and what is wrong with the others' records.

        Args:
            of: what each slice must be of, as ``commit`` was told.
            kind: of the records.
            verify: compare all bytes of the shards.
        """
        found = read_records([self.record(index, kind) for index in of])
        records: dict[int, dict[str, Any]] = {}
        wrong: dict[int, str] = {}
        for (index, wanted), record in zip(of.items(), found, strict=True):
            if record is None:
                wrong[index] = f"{self.record(index, kind)} is missing or damaged"
            elif record.get("of") != wanted:
                wrong[index] = f"{self.record(index, kind)} is of something else"
            else:
                records[index] = record
        shards = {index: self._shards_of(record) for index, record in records.items()}
        damaged = damage({path: s for part in shards.values() for path, s in part.items()}, verify=verify)
        for index, part in shards.items():
            reasons = [f"{path} {damaged[path]}" for path in part if path in damaged]
            if reasons:
                del records[index]
                wrong[index] = reasons[0]
        return records, wrong

    def is_whole(self, part: Slice) -> bool:
        """Whether one slice is done, its marker there."""
        fs, inside = file_system(self.shard(self.folders[0], part.index))
        return bool(fs.exists(inside)) and part.index in self.whole({part.index: slice_identity(part)})[0]

    def resume(self, slices: Iterable[Slice], *, verify: bool) -> tuple[set[int], set[int]]:
        """Indices of the slices that an earlier run committed: those that are whole, and the damaged ones.

        What is damaged loses its marker, so that workers make it again.

        Args:
            slices: of the input.
            verify: compare all bytes of the shards.
        """
        there = self.committed()
        left = (part for part in slices if part.index in there)
        done, damaged = set[int](), set[int]()
        while some := list(islice(left, _RECORDS_AT_ONCE)):
            records, wrong = self.whole({part.index: slice_identity(part) for part in some}, verify=verify)
            self.drop(self.folders[0], wrong, "part")
            done |= records.keys()
            damaged |= wrong.keys()
        return done, damaged

    def _shards_of(self, record: dict[str, Any]) -> dict[str, Any]:
        return {self.path(name): shard for name, shard in record["shards"].items()}

    def commit(
        self,
        index: int,
        shards: Mapping[str, pa.Table],
        record: dict[str, Any],
        *,
        of: Any = None,
        kind: str = "part",
    ) -> None:
        """Publish shards and their record, which comes before the last of them: the commit marker.

        Args:
            index: of the slice.
            shards: by folder.
            record: counts; takes what is true of the shards besides.
            of: what the shards are of, as JSON; another slice or other pairs give another value.
            kind: of the record, whose name it begins.
        """
        data = {self.shard(folder, index): self._encode(table) for folder, table in shards.items()}
        described = {
            path.removeprefix(f"{self.root}/"): describe(content, len(table))
            for (path, content), table in zip(data.items(), shards.values(), strict=True)
        }
        noted = record_text({**record, "of": of, "shards": described}).encode()
        files = [*data.items()]
        for path, content in [*files[:-1], (self.record(index, kind), noted), *files[-1:]]:
            self._publish(path, content)

    def _encode(self, table: pa.Table) -> bytes:
        return encode(table, self.form, csv_safe=self.csv_safe)

    def drop(self, folder: str, numbers: Iterable[int], kind: str) -> None:
        """Drop shards of a folder, and their records of that kind."""
        if self.lease:
            self.lease.check()
        for number in numbers:
            for path in (self.shard(folder, number), self.record(number, kind)):
                fs, inside = file_system(path)
                with contextlib.suppress(FileNotFoundError):
                    fs.rm_file(inside)

    def has_record(self, index: int, kind: str = "part") -> bool:
        """Whether a record is there."""
        fs, inside = file_system(self.record(index, kind))
        return bool(fs.exists(inside))

    def record(self, index: int, kind: str = "part") -> str:
        """Path of a record."""
        return self.path("_run", "records", f"{kind}-{index:06d}.json")

    def records(self, indices: Iterable[int]) -> Iterator[dict[str, Any]]:
        """The counts of committed slices, some at a time.

        Raises:
            UserError: a record is missing or damaged.
        """
        paths = [self.record(index) for index in indices]
        for path, record in zip(paths, read_records(paths), strict=True):
            if record is None:
                raise UserError(
                    f"{path}: is missing or damaged. Run the same command again to make it again."
                )
            yield {name: value for name, value in record.items() if name not in _NO_COUNTS}

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Publish a JSON file at the top of the folder."""
        self.write_text(name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def write_text(self, name: str, content: str) -> None:
        """Publish a text file at the top of the folder."""
        self._publish(self.path(name), content.encode())

    def _publish(self, path: str, data: bytes) -> None:
        if self.lease:
            self.lease.check()
        if self.earlier:
            self._drop_earlier()
        publish(path, data)

    def local_path(self, *parts: str) -> Path:
        """Path of something in a folder on a disk."""
        return Path(file_system(self.path(*parts))[1])

    def has_shards(self) -> bool:
        """Whether a run has committed something; rows that it rejected are no such thing."""
        return any(self.numbers(folder) for folder in (*self.folders, SCORED) if folder != "rejected")

    def finish(self, schemas: dict[str, pa.Schema]) -> None:
        """Give every shard folder at least one shard, perhaps empty, and drop what killed attempts left."""
        for folder, schema in schemas.items():
            numbers = self.numbers(folder)
            if numbers in ([], [0]):
                empty = self._encode(schema.empty_table())
                # No shard with rows is so short: it is the empty one, perhaps damaged.
                if not numbers or self._size(self.shard(folder, 0)) <= len(empty):
                    self._publish(self.shard(folder, 0), empty)
        self.drop_temporaries()

    def _size(self, path: str) -> int:
        fs, inside = file_system(path)
        return int(fs.info(inside)["size"])

    def numbers(self, folder: str) -> list[int]:
        """Numbers of the shards in a folder."""
        matches = (_SHARD.fullmatch(Path(entry).name) for entry in self.entries(folder))
        return [int(match.group(1)) for match in matches if match]

    def entries(self, *parts: str) -> list[str]:
        """What is in the folder, or in one of its folders."""
        fs, inside = file_system(self.path(*parts) if parts else self.root)
        fs.invalidate_cache()
        try:
            entries: list[str] = fs.ls(inside, detail=False)
        except FileNotFoundError:
            return []
        return entries

    def _drop_earlier(self) -> None:
        """Drop what was put aside, in one step: another process sees all of it or nothing."""
        aside, dropped = (self.local_path("_run", name) for name in (EARLIER, f"{EARLIER}.dropped"))
        with contextlib.suppress(OSError):  # another worker was first
            aside.replace(dropped)
        shutil.rmtree(dropped, ignore_errors=True)

    def clear(self) -> None:
        """Drop all that a run leaves, but for its lock."""
        pages = ("summary.json", "report.html", "README.md")
        for name in (*self.folders, SCORED, "_run/records", *pages, RUN_FILE):
            fs, inside = file_system(self.path(name))
            if fs.exists(inside):
                fs.rm(inside, recursive=True)

    def drop_temporaries(self) -> None:
        """Drop the files that killed attempts left half written."""
        for folder in ("", *self.folders, "_run", "_run/records", SCORED):
            for entry in self.entries(*folder.split("/")) if folder else self.entries():
                if _TEMPORARY.fullmatch(Path(entry).name):
                    fs, _ = file_system(self.root)
                    with contextlib.suppress(FileNotFoundError):
                        fs.rm(entry)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Make an error of the file system one of --output."""
        try:
            yield
        except OSError as error:
            raise UserError(f"--output {self.root}: cannot be written: {error}") from error
