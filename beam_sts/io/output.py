"""The output folder: what is committed in it, and how a slice is committed. ``claim`` controls access to it.

::

    DIR/scores/part-000000.parquet    (or .jsonl, .csv) all input columns plus the score, in row order
    DIR/matches/part-000000.parquet   the rows at or above the threshold, when there is one
    DIR/rejected/part-000000.parquet  file, row, reason, record, line
    DIR/report.html                   the report
    DIR/summary.json                  written last
    DIR/_run/run.json                 the fingerprint of the run: input, model, settings
    DIR/_run/records/part-000000.json counts of one slice, and size, rows and digest of each of its shards
    DIR/_run/scored/                  dedup with Beam: scores of candidates, until the run is finished
    DIR/_run/lock                     held by the running process; on an object store, exists during a run
    DIR/_run/earlier/                 --overwrite on a disk: the earlier run, until this run writes a file

A slice is committed by its shard in the first folder, which is written after all its other files. It counts
as done if all of its shards match its record. Every file is written in one step, so a killed or repeated
attempt leaves no partial file.
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
"""The folder of scores that a run keeps until it is finished."""
SHARD_FOLDERS = ("scores", "matches", "rejected")
OURS = frozenset((*SHARD_FOLDERS, "_run", "summary.json", "report.html", "README.md"))
"""The names that a run uses at the top of its folder, besides the folders of its shards."""
_ENDINGS = "|".join((*OUTPUT_FORMATS, "json", "html"))
EARLIER = "earlier"
"""The folder in _run/ to which --overwrite moves an earlier run."""
_TEMPORARY = re.compile(r"\..+\.\w+\.\d+\.[0-9a-f]{8}")
"""What ``publish`` calls a file that is not complete: its name, a process and eight random digits."""
_NO_COUNTS = ("of", "shards")
_RECORDS_AT_ONCE = 1 << 13  # about 80 MB; the folder of the shards is listed once per batch
_SHARD = re.compile(rf"part-(\d+)\.(?:{_ENDINGS})")


@dataclass(frozen=True)
class OutputFolder:
    """An output folder, local or remote. It has no state, so that it can be sent to workers.

    ``form`` is the format of the shards; ``csv_safe`` is as for ``encode``. ``folders`` are the folders of
    the shards; a shard in the first of them marks its slice as committed. ``storage`` has the options of the
    stores for workers. ``lease`` is the right to write, which is checked before each file. ``earlier`` says
    whether an earlier run, which this one replaces, is still kept aside.
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
        """The output folder of a path or URL."""
        return cls(normal_path(path).rstrip("/"), form, csv_safe, folders, storage or StorageOptions())

    def path(self, *parts: str) -> str:
        """The path of a file or folder within the output folder."""
        return "/".join([self.root, *parts])

    def shard(self, folder: str, index: int) -> str:
        """The path of a shard. Six digits sort by name up to a million shards."""
        return self.path(folder, f"part-{index:06d}.{self.form}")

    def committed(self) -> set[int]:
        """The indices of the slices whose commit marker exists."""
        return set(self.numbers(self.folders[0]))

    def whole(
        self, of: Mapping[int, Any], *, kind: str = "part", verify: bool = False
    ) -> tuple[dict[int, dict[str, Any]], dict[int, str]]:
        """Find out which slices are complete.

        Args:
            of: the identity of each slice, as given to ``commit``, by index.
            kind: the kind of the records.
            verify: compare all bytes of the shards.

        Returns:
            The records of the complete slices, and the faults of the others, by index.
        """
        found = read_records([self.record(index, kind) for index in of])
        records: dict[int, dict[str, Any]] = {}
        wrong: dict[int, str] = {}
        for (index, wanted), record in zip(of.items(), found, strict=True):
            if record is None:
                wrong[index] = f"{self.record(index, kind)} is missing or damaged"
            elif record.get("of") != wanted:
                wrong[index] = f"{self.record(index, kind)} belongs to another slice"
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
        """Whether a slice is complete and its commit marker exists."""
        fs, inside = file_system(self.shard(self.folders[0], part.index))
        return bool(fs.exists(inside)) and part.index in self.whole({part.index: slice_identity(part)})[0]

    def resume(self, slices: Iterable[Slice], *, verify: bool) -> tuple[set[int], set[int]]:
        """Find the slices that an earlier run committed.

        Damaged slices lose their commit marker, so that workers write them again.

        Args:
            slices: the slices of the input.
            verify: compare all bytes of the shards.

        Returns:
            The indices of the complete slices, and of the damaged ones.
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
        """Write shards and their record. The record comes before the last shard, which is the commit marker.

        Args:
            index: the index of the slice.
            shards: the shards, by folder.
            record: counts; the identity and the description of the shards are added to it.
            of: the identity of the content, for JSON. It differs for other slices and other pairs.
            kind: the kind of the record, with which its name starts.
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
        """Delete shards of a folder, and their records of a kind."""
        if self.lease:
            self.lease.check()
        for number in numbers:
            for path in (self.shard(folder, number), self.record(number, kind)):
                fs, inside = file_system(path)
                with contextlib.suppress(FileNotFoundError):
                    fs.rm_file(inside)

    def has_record(self, index: int, kind: str = "part") -> bool:
        """Whether a record exists."""
        fs, inside = file_system(self.record(index, kind))
        return bool(fs.exists(inside))

    def record(self, index: int, kind: str = "part") -> str:
        """The path of a record."""
        return self.path("_run", "records", f"{kind}-{index:06d}.json")

    def records(self, indices: Iterable[int]) -> Iterator[dict[str, Any]]:
        """The counts in the records of committed slices, some at a time.

        Raises:
            UserError: a record is missing or damaged.
        """
        paths = [self.record(index) for index in indices]
        for path, record in zip(paths, read_records(paths), strict=True):
            if record is None:
                raise UserError(
                    f"{path}: is missing or damaged. Run the same command again to write it again."
                )
            yield {name: value for name, value in record.items() if name not in _NO_COUNTS}

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write a JSON file at the top of the folder."""
        self.write_text(name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def write_text(self, name: str, content: str) -> None:
        """Write a text file at the top of the folder."""
        self._publish(self.path(name), content.encode())

    def _publish(self, path: str, data: bytes) -> None:
        if self.lease:
            self.lease.check()
        if self.earlier:
            self._drop_earlier()
        publish(path, data)

    def local_path(self, *parts: str) -> Path:
        """The path of a file or folder within an output folder on a local disk."""
        return Path(file_system(self.path(*parts))[1])

    def has_shards(self) -> bool:
        """Whether a run has committed anything besides rejected rows."""
        return any(self.numbers(folder) for folder in (*self.folders, SCORED) if folder != "rejected")

    def finish(self, schemas: dict[str, pa.Schema]) -> None:
        """Make sure that each folder has at least one shard, and delete the leftovers of killed attempts."""
        for folder, schema in schemas.items():
            numbers = self.numbers(folder)
            if numbers in ([], [0]):
                empty = self._encode(schema.empty_table())
                # A shard with rows is longer, so a short one is the empty shard, perhaps damaged.
                if not numbers or self._size(self.shard(folder, 0)) <= len(empty):
                    self._publish(self.shard(folder, 0), empty)
        self.drop_temporaries()

    def _size(self, path: str) -> int:
        fs, inside = file_system(path)
        return int(fs.info(inside)["size"])

    def numbers(self, folder: str) -> list[int]:
        """The numbers of the shards in a folder."""
        matches = (_SHARD.fullmatch(Path(entry).name) for entry in self.entries(folder))
        return [int(match.group(1)) for match in matches if match]

    def entries(self, *parts: str) -> list[str]:
        """The entries of the output folder, or of a folder in it."""
        fs, inside = file_system(self.path(*parts) if parts else self.root)
        fs.invalidate_cache()
        try:
            entries: list[str] = fs.ls(inside, detail=False)
        except FileNotFoundError:
            return []
        return entries

    def _drop_earlier(self) -> None:
        """Delete the earlier run that was moved aside, in one step for other processes."""
        aside, dropped = (self.local_path("_run", name) for name in (EARLIER, f"{EARLIER}.dropped"))
        with contextlib.suppress(OSError):  # another worker has done it
            aside.replace(dropped)
        shutil.rmtree(dropped, ignore_errors=True)

    def clear(self) -> None:
        """Delete all files of a run except its lock."""
        pages = ("summary.json", "report.html", "README.md")
        for name in (*self.folders, SCORED, "_run/records", *pages, RUN_FILE):
            fs, inside = file_system(self.path(name))
            if fs.exists(inside):
                fs.rm(inside, recursive=True)

    def drop_temporaries(self) -> None:
        """Delete the incomplete files that killed attempts left."""
        for folder in ("", *self.folders, "_run", "_run/records", SCORED):
            for entry in self.entries(*folder.split("/")) if folder else self.entries():
                if _TEMPORARY.fullmatch(Path(entry).name):
                    fs, _ = file_system(self.root)
                    with contextlib.suppress(FileNotFoundError):
                        fs.rm(entry)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Convert an error of the file system to a user error about --output."""
        try:
            yield
        except OSError as error:
            raise UserError(f"--output {self.root}: cannot be written: {error}") from error
