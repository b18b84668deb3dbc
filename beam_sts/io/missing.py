"""Why a pattern matches no readable file: what exists instead, and the way out."""

from __future__ import annotations

import contextlib
import difflib
import glob
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from fsspec.implementations.local import LocalFileSystem

_COMPRESSED = (".gz", ".bz2", ".zst", ".zip", ".xz")
_NAMES_SHOWN = 3


def readable(suffixes: Iterable[str]) -> str:
    """The endings of readable files, with compressed endings summarised.

    >>> readable((".parquet", ".csv", ".csv.gz"))
    '.parquet, .csv; lines also as .gz, .bz2 or .zst'
    """
    plain = [ending for ending in suffixes if not ending.endswith(_COMPRESSED)]
    return f"{', '.join(plain)}; lines also as .gz, .bz2 or .zst"


def why_nothing(fs: Any, inside: str, pattern: str, suffixes: tuple[str, ...]) -> str:
    """The message for a pattern that matches no file.

    Args:
        fs: the file system of the pattern.
        inside: the pattern within it.
        pattern: the pattern as the user gave it.
        suffixes: the endings of readable files, with the dot.
    """
    if pattern[:1] in ("'", '"') and pattern[-1:] == pattern[:1]:
        return "the quotes are part of this name, since some shells pass them on. Leave them out."
    if isinstance(fs, LocalFileSystem) and "\\" in pattern:
        return "no file matches: folders are separated by / here, not by \\."
    try:
        if fs.isdir(inside):
            return _of_folder(fs, inside, suffixes)
        if glob.has_magic(inside):
            return _of_pattern(fs, inside, pattern, suffixes)
        return _of_path(fs, inside)
    except OSError as error:
        return f"no file matches, and the folder cannot be listed: {error}"


def _of_folder(fs: Any, folder: str, suffixes: tuple[str, ...]) -> str:
    files = [path[len(folder) :].lstrip("/") for path in fs.find(folder)]
    if not files:
        return "this folder is empty. Check that it is the right one."
    hidden = [name for name in files if name.endswith(suffixes)]
    if hidden:
        return (
            f"no file matches: {_count(hidden, 'readable file')} in this folder, such as {hidden[0]!r}, but "
            "names that begin with . or _ are skipped, as are files in folders with such names. Name the "
            "files directly, or rename them."
        )
    return (
        f"no file matches: {_count(files, 'file')} in this folder, but none of a readable type "
        f"({_endings(files)}). Readable: {readable(suffixes)}."
    )


def _of_pattern(fs: Any, inside: str, pattern: str, suffixes: tuple[str, ...]) -> str:
    folders = fs.glob(inside)
    if folders:
        return (
            f"no file matches: {_count(folders, 'folder')} and no file. Name the files in it: "
            f"'{pattern.rstrip('/')}/**/*{suffixes[0]}'."
        )
    parts = PurePosixPath(inside).parts
    plain = next(at for at, part in enumerate(parts) if glob.has_magic(part))
    folder = str(PurePosixPath(*parts[:plain])) if plain else ""
    if folder and not fs.isdir(folder):
        return _of_path(fs, folder)
    names = [PurePosixPath(path).name for path in fs.ls(folder, detail=False)]
    return f"no file matches. {_in_words(folder or '.', names)}"


def _of_path(fs: Any, path: str) -> str:
    local = isinstance(fs, LocalFileSystem)
    if local and os.path.islink(path):  # noqa: PTH114  one test for str paths of fsspec
        return f"is a link to {str(Path(path).readlink())!r}, which does not exist."
    if not local:  # ``exists`` hides errors; ``info`` raises them
        with contextlib.suppress(FileNotFoundError):
            fs.info(path)
    ancestors = [str(parent) for parent in PurePosixPath(path).parents if str(parent) not in (".", "/")]
    above = next((parent for parent in ancestors if fs.exists(parent)), "/" if local else "")
    if not above:
        return "no file matches: there is no such bucket or folder."
    if not fs.isdir(above):
        return f"no file matches: {above} is a file, not a folder."
    if local and not os.access(above, os.R_OK | os.X_OK):
        return f"no file matches: this process may not list {above} (permission denied)."
    missing = PurePosixPath(path).relative_to(above).parts
    names = [PurePosixPath(each).name for each in fs.ls(above, detail=False)]
    near = difflib.get_close_matches(missing[0], names, n=_NAMES_SHOWN)
    what = "no folder" if len(missing) > 1 else "no file or folder"
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else f" {_in_words(above, names)}"
    return f"no file matches: there is {what} {missing[0]!r} in {above}.{hint}"


def _in_words(folder: str, names: list[str]) -> str:
    if not names:
        return f"{folder} is empty."
    some = ", ".join(repr(name) for name in sorted(names)[:_NAMES_SHOWN])
    return f"{folder} contains {len(names):,}: {some}{', ...' if len(names) > _NAMES_SHOWN else ''}."


def _count(things: list[str], what: str) -> str:
    return f"there is 1 {what}" if len(things) == 1 else f"there are {len(things):,} {what}s"


def _endings(files: list[str]) -> str:
    counts = Counter(PurePosixPath(name).suffix or "no ending" for name in files)
    return ", ".join(f"{count:,} {ending}" for ending, count in counts.most_common(_NAMES_SHOWN))
