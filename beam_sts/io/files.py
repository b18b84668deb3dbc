"""Files on any fsspec file system: finding, identifying and writing them."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.registry import known_implementations

from beam_sts.errors import UserError
from beam_sts.io.missing import why_nothing
from beam_sts.io.storage import refuse_secrets

_HTTP = ("http", "https")
_EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gcs"),
    **dict.fromkeys(("abfs", "abfss", "az", "adl"), "azure"),
    **dict.fromkeys(_HTTP, "http"),
}
"""The extra that installs the file system of a protocol."""

_PROTOCOL = re.compile(r"([\w.+:-]{2,})://")  # one letter is a drive
_ALMOST = re.compile(r"\s*([\w+.-]{2,}|):/")  # pathlib makes s3:/bucket of s3://bucket
_LOCAL = {"file", "local"}
_WRAPPERS = {
    *("zip", "tar", "libarchive", "reference", "dir", "generic"),
    *("simplecache", "filecache", "blockcache", "cached", "asyncwrapper", "async_wrapper"),
}
"""Protocols whose files are in another file, so that their names alone do not say where they are."""

# Temporary errors: of a store (s3fs uses the first two), of the network, and of exhausted system resources.
_PASSING = {
    errno.EBUSY,
    errno.EIO,
    errno.EAGAIN,
    errno.ETIMEDOUT,
    errno.ECONNRESET,
    errno.ECONNREFUSED,
    errno.ECONNABORTED,
    errno.EPIPE,
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.ESTALE,
    errno.ENOMEM,
    errno.EMFILE,
    errno.ENFILE,
}

# Properties that show whether a file has changed, by store: entity tags, hashes, modification times.
_STAMPS = (
    *("ETag", "etag", "md5Hash", "content_md5", "blob_id", "mtime", "LastModified", "created"),
    *("Content-MD5", "Last-Modified"),  # of web servers
)


@dataclass(frozen=True)
class InputFile:
    """A file, with an identity that changes when the file changes.

    ``identity`` is the entity tag of an object store, or the modification time.
    """

    path: str
    size: int
    identity: str


def file_system(path: str) -> tuple[Any, str]:
    """The file system of a path or URL, and the path within it.

    fsspec would read ``::`` as a chain of file systems, and would cut a name such as ``part::1.csv`` there.
    Here ``::`` is a part of the name.

    Raises:
        UserError: the scheme is unknown, its package is not installed, a secret is in the URL, or the URL is
            a chain of file systems.
    """
    refuse_secrets(path)
    check_name(path)
    found = _PROTOCOL.match(path)
    protocol = found[1] if found else "file"
    almost = None if found else _ALMOST.match(path)
    if almost and (not almost[1] or almost[1] in known_implementations):
        raise UserError(
            f"{path!r}: is not a URL, and would be a file or folder below this folder. Write "
            f"{almost[1] or 's3'}://, without a space before it."
        )
    rest = path[found.end() :] if found else path
    nothing = not rest.strip("/" if protocol not in _LOCAL else "")
    if nothing or (found and protocol in _EXTRAS and rest.startswith("/")):
        raise UserError(f"{path}: names no bucket, host or folder after {protocol}://.")
    first, chained, _ = protocol.partition("::")
    if chained or first in _WRAPPERS:
        raise UserError(
            f"{path}: is a file system within another ({first}), which is not read. Give the path or URL of "
            "the file itself; unpack an archive first."
        )
    try:
        made = fsspec.get_filesystem_class(protocol)
        fs = fsspec.filesystem(protocol, **made._get_kwargs_from_urls(path))
        inside: str = fs._strip_protocol(path)
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        way = f" Get it with: pip install 'beam_sts[{extra}]'" if extra else ""
        raise UserError(f"{path}: {str(error).rstrip('.')}.{way}") from error
    except ValueError as error:
        raise UserError(
            f"{path}: {error}. Give a local path, or a URL of a protocol that fsspec knows, such as s3://, "
            "gs://, abfs://, hf:// or https://."
        ) from error
    return fs, inside


def protocols(fs: Any) -> set[str]:
    """The names of the protocol of a file system, such as ``s3`` and ``s3a``."""
    return {fs.protocol} if isinstance(fs.protocol, str) else {*fs.protocol}


def check_name(path: str) -> None:
    """Check that a path is valid text, since it is written to summaries, reports and rejected rows.

    Raises:
        UserError: its bytes are not UTF-8, or it has a null character, which no file system takes.
    """
    if "\0" in path:
        raise UserError(f"{path!a}: has a null character.")
    if not is_utf8(path):
        raise UserError(f"{path!a}: the bytes of this name are not UTF-8. Rename it.")


def is_utf8(name: str) -> bool:
    """Whether a name or an argument is valid text; Python gives bytes that are not UTF-8 as surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def find_files(pattern: str, suffixes: tuple[str, ...], flag: str = "--input") -> list[InputFile]:
    """The files of a pattern, a folder or a single path, sorted by name.

    Args:
        pattern: a local path or an fsspec URL, in which ``*``, ``?``, ``[...]`` and ``**`` match. A folder
            stands for all files below it that have one of the suffixes and are not hidden (by a leading ``.``
            or ``_``).
        suffixes: the endings of readable files, with the dot.
        flag: the option that gives the pattern, for messages.

    Raises:
        UserError: nothing matches, or a folder cannot be listed.
    """
    fs, inside = file_system(pattern)
    try:
        if isinstance(fs, LocalFileSystem):
            _check_folders(inside)
        if fs.isdir(inside):
            paths = [p for p in fs.find(inside) if p.endswith(suffixes) and not _hidden(p[len(inside) :])]
        elif fs.exists(inside):
            paths = [inside]
        else:
            paths = [p for p in fs.glob(inside) if not fs.isdir(p)]
    except OSError as error:
        raise fault_of_file(error, f"{flag} {pattern}: cannot be listed: {error}") from error
    if not paths:
        raise UserError(f"{flag} {pattern}: {why_nothing(fs, inside, pattern, suffixes)}")
    files = [_describe(fs, path, _name(fs, path, pattern)) for path in sorted(paths)]
    for file in files:
        _check_parts(fs, file)
    return files


def check_apart(pattern: str, files: list[InputFile], output: str) -> None:
    """Check that the output will not be read as input.

    Raises:
        UserError: an input file is in the output folder, or the output folder is where input is searched.
    """
    root = normal_path(output).rstrip("/") + "/"
    for file in files:
        if file.path.startswith(root):
            raise UserError(f"--output {output}: the input {file.path} is inside it. Give another folder.")
    fs, inside = file_system(pattern)
    searched = inside.partition("**")[0].rpartition("/")[0] if "**" in inside else inside
    if ("**" in inside or fs.isdir(inside)) and root.startswith(
        _name(fs, searched, pattern).rstrip("/") + "/"
    ):
        raise UserError(
            f"--output {output}: is inside a folder that --input {pattern} searches, so the next run would "
            "read the output of this one. Give another folder."
        )


def _hidden(relative: str) -> bool:
    return any(part.startswith((".", "_")) for part in relative.split("/"))


def _check_folders(pattern: str) -> None:
    """Check that each local folder of a pattern can be listed, since fsspec silently skips the others.

    Raises:
        OSError: a folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise error

    if "**" in pattern or os.path.isdir(pattern):  # noqa: PTH112
        top = pattern.partition("**")[0].rpartition("/")[0] if "**" in pattern else pattern
        existing = top if os.path.isdir(top) else None  # noqa: PTH112
        for _, folders, _ in os.walk(existing, onerror=refuse) if existing else ():
            folders[:] = [name for name in folders if not _hidden(name) and name != "lost+found"]
        return
    for folder in glob.glob(os.path.dirname(pattern)):  # noqa: PTH120, PTH207
        if os.path.isdir(folder) and not os.access(folder, os.R_OK | os.X_OK):  # noqa: PTH112
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)


def fault_of_file(error: Exception, message: str) -> UserError:
    """Convert an error that occurred while a file was read to a user error with the message.

    Raises:
        OSError: the error itself if it may be temporary, so that the runner can retry.
    """
    if isinstance(error, OSError) and error.errno in _PASSING:
        raise error
    return UserError(message)


def _describe(fs: Any, inside: str, name: str) -> InputFile:
    check_name(inside)
    try:
        info = fs.info(inside)
    except OSError as error:
        raise fault_of_file(error, f"{name}: cannot be read: {error}") from error
    if info["type"] != "file":
        raise UserError(f"{name}: is a pipe, a device or a socket. Save it as a file first.")
    if info.get("size") is None:
        raise UserError(f"{name}: the server does not say its size. Download it, and give the copy.")
    stamp = next((value for key in _STAMPS if (value := info.get(key))), "")
    return InputFile(name, int(info["size"]), str(stamp))


def _check_parts(fs: Any, file: InputFile) -> None:
    """Check that a web server sends parts of a file, since slices are read from where they begin.

    Raises:
        UserError: it sends whole files only.
    """
    if file.size < 2 or protocols(fs).isdisjoint(_HTTP):
        return
    try:
        with fs.open(file.path, "rb") as stream:
            stream.seek(file.size - 1)
            stream.read(1)
    except ValueError as error:
        raise UserError(
            f"{file.path}: the server does not send parts of a file (range requests). Download the file, and "
            "give the copy."
        ) from error


def identify(path: str) -> InputFile:
    """The current identity of a file, from its store instead of a cached listing.

    Raises:
        UserError: the file cannot be read.
    """
    fs, inside = file_system(path)
    fs.invalidate_cache()
    return _describe(fs, inside, _name(fs, inside, path))


def normal_path(path: str) -> str:
    """The normal form of a path: absolute if local, with its protocol, host and account otherwise.

    Raises:
        UserError: as for ``file_system``.
    """
    return _name(*file_system(path), path)


def _name(fs: Any, inside: str, url: str) -> str:
    """The name by which ``file_system`` finds a file again.

    Args:
        fs: the file system of ``url``.
        inside: the path within it.
        url: the file, or the folder or pattern that contains it.

    Raises:
        UserError: there is no such name.
    """
    if isinstance(fs, LocalFileSystem):
        return inside
    protocol, _, rest = url.partition("://")
    authority = rest.partition("/")[0]
    # fsspec drops what precedes the path: the host of sftp://host/a, the account of abfs://box@account/a,
    # the repository of github://owner:name@branch/a.
    for name in (
        str(fs.unstrip_protocol(inside)),
        f"{protocol}://{authority}/{inside.lstrip('/')}",
        f"{protocol}://{authority}/{inside.partition('/')[2]}",
    ):
        with contextlib.suppress(UserError, TypeError, ValueError):
            if file_system(name) == (fs, inside):
                return name
    raise UserError(f"{url}: the files of this file system have no names by which they are found again.")


def is_local(path: str) -> bool:
    """Whether a path is on the local file system of this machine."""
    return isinstance(file_system(path)[0], LocalFileSystem)


def publish(path: str, data: bytes) -> None:
    """Write a whole file in one step, so that readers see either nothing or all of it.

    A local file is written to a temporary file, synced to disk and renamed. An object store gets all bytes in
    one request.
    """
    fs, inside = file_system(path)
    if not isinstance(fs, LocalFileSystem):
        fs.pipe_file(inside, data)
        return
    target = Path(inside)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(target)  # "No space left on device" does not name the device
        raise
