"""Access to an output folder: one run at a time, and only a run that continues the one in the folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from beam_sts.errors import UserError
from beam_sts.io.committed import RUN_FILE, read_record
from beam_sts.io.files import file_system, is_local
from beam_sts.io.fingerprint import deciding, refusal
from beam_sts.io.lease import hold
from beam_sts.io.output import EARLIER, OURS, OutputFolder


@contextlib.contextmanager
def claim(
    folder: OutputFolder, fingerprint: dict[str, Any], *, overwrite: bool, takeover: bool = False
) -> Iterator[OutputFolder]:
    """Lock the folder for a run. A refused run changes nothing, and a failed run without shards is removed.

    Args:
        folder: the output folder.
        fingerprint: as for ``prepare_folder``.
        overwrite: as for ``prepare_folder``.
        takeover: as for ``lock``.

    Yields:
        The folder with its lease.

    Raises:
        UserError: as for ``lock`` and ``prepare_folder``, or the folder was removed during the run.
    """
    with folder.writing():
        _check(folder, fingerprint, overwrite=overwrite)
    made = _missing_folders(folder.path("_run")) if is_local(folder.root) else []
    with lock(folder, takeover=takeover) as held:
        with folder.writing():
            if is_local(folder.root):
                _put_back(held)
                if _check(held, fingerprint, overwrite=overwrite):
                    held = replace(held, earlier=_put_aside(held))
        prepare_folder(replace(held, earlier=False), fingerprint, overwrite=overwrite)
        try:
            yield held
        except Exception as error:
            # A store that fails would be asked in vain, for minutes.
            if held.lease and (is_local(folder.root) or isinstance(error, FileNotFoundError)):
                held.lease.check_folder()
            _leave(held, made)
            raise


@contextlib.contextmanager
def lock(folder: OutputFolder, *, takeover: bool = False) -> Iterator[OutputFolder]:
    """Lock the folder against a second run.

    Args:
        folder: the output folder.
        takeover: on an object store, replace the lease that a killed run left.

    Yields:
        The folder with its lease. Writing through it fails after another run has taken over.

    Raises:
        UserError: another process holds the lock, or the folder cannot be written.
    """
    with contextlib.ExitStack() as held:
        with folder.writing():
            _check_folder(folder)
            lease = held.enter_context(hold(folder.path("_run", "lock"), folder.root, takeover=takeover))
        yield replace(folder, lease=lease)


def prepare_folder(folder: OutputFolder, fingerprint: dict[str, Any], *, overwrite: bool) -> None:
    """Make the folder the output of this run, or check that it already is.

    Args:
        folder: the output folder.
        fingerprint: what the output depends on (input, model, settings, versions), as JSON values by name.
        overwrite: delete the output of an earlier run, but never other files.

    Raises:
        UserError: the folder cannot be written, or contains other files or the output of another run.
    """
    with folder.writing():
        if _check(folder, fingerprint, overwrite=overwrite):
            folder.clear()
        folder.drop_temporaries()
        folder.write_json(RUN_FILE, fingerprint)


def _check(folder: OutputFolder, fingerprint: dict[str, Any], *, overwrite: bool) -> bool:
    """Check that the run may use the folder. Returns whether its contents must be deleted first."""
    _check_folder(folder)
    names = {Path(entry).name for entry in folder.entries()}
    strangers = sorted(name for name in names - {*OURS, *folder.folders} if not name.startswith("."))
    if strangers:
        raise UserError(
            f"--output {folder.root}: contains other files ({', '.join(strangers[:3])}). "
            "Give a new or empty folder."
        )
    before = _fingerprint(folder)
    if before is None:
        if names & set(folder.folders):
            raise UserError(
                f"--output {folder.root}: contains shards, but not the file that says of which run "
                f"({RUN_FILE}). Give a new or empty folder."
            )
        return False
    same = deciding(before) == deciding(fingerprint)
    if same and not overwrite:
        return False
    if not overwrite and (before.get("pipeline") != fingerprint["pipeline"] or folder.has_shards()):
        raise UserError(f"--output {folder.root}: {refusal(before, fingerprint)}")
    if not same and folder.lease and folder.lease.taken_over:
        raise UserError(
            f"--output {folder.root}: --takeover needs the same input, model and settings, since "
            "the run that held this folder may still be writing. Give another folder."
        )
    return True


def _check_folder(folder: OutputFolder) -> None:
    fs, inside = file_system(folder.root)
    if fs.exists(inside) and not fs.isdir(inside):
        raise UserError(f"--output {folder.root}: is a file, not a folder.")


def _fingerprint(folder: OutputFolder) -> dict[str, Any] | None:
    """The fingerprint of the run in the folder; empty if it is damaged, None if there is none."""
    fs, inside = file_system(folder.path(RUN_FILE))
    return read_record(folder.path(RUN_FILE)) or {} if fs.exists(inside) else None


def _leave(folder: OutputFolder, made: list[Path]) -> None:
    """Remove a run that has committed nothing, so that a corrected command can use the folder."""
    with contextlib.suppress(OSError, UserError):
        if folder.lease:
            folder.lease.check()
        if folder.has_shards():
            return
        folder.clear()
        if is_local(folder.root):
            _put_back(folder)
            folder.local_path("_run", "lock").unlink(missing_ok=True)
            for path in made:
                path.rmdir()


def _put_aside(folder: OutputFolder) -> bool:
    """Move the output of an earlier run aside, on a local disk. Returns whether there was any."""
    there = [folder.local_path(name) for name in sorted({Path(entry).name for entry in folder.entries()})]
    there = [path for path in there if path.name != "_run" and not path.name.startswith(".")]
    there += [path for path in map(folder.local_path, ("_run/records", RUN_FILE)) if path.exists()]
    aside = folder.local_path("_run", EARLIER)
    for path in there:
        aside.mkdir(exist_ok=True)
        path.replace(aside / path.name)
    return bool(there)


def _put_back(folder: OutputFolder) -> None:
    """Undo ``_put_aside``, also for a run that was killed before it wrote anything."""
    aside = folder.local_path("_run", EARLIER)
    if not aside.is_dir():
        return
    folder.clear()
    inner = {Path(name).name: name for name in ("_run/records", RUN_FILE)}
    for path in sorted(aside.iterdir()):
        path.replace(folder.local_path(inner.get(path.name, path.name)))
    aside.rmdir()


def _missing_folders(path: str) -> list[Path]:
    """The missing ones among a local folder and its parents, the deepest first."""
    deepest = Path(file_system(path)[1])
    return [each for each in (deepest, *deepest.parents) if not each.exists()]
