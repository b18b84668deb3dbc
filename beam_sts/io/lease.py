"""One writer at a time: a kernel lock on a local disk, a lease on an object store. Neither asks a clock."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

from beam_sts.errors import UserError
from beam_sts.io.files import file_system, is_local


@contextlib.contextmanager
def hold(path: str, folder: str, *, takeover: bool = False) -> Iterator[None]:
    """Hold a folder against a second writer.

    Args:
        path: the lock's file. The kernel frees a local one when its process ends, however it ends. On an
            object store it is made by a conditional write, which one writer wins; a killed writer leaves it.
        folder: the folder as the user named it, for messages.
        takeover: replace the lease that a killed writer left.

    Raises:
        UserError: another process holds the folder.
        OSError: the lock cannot be written.
    """
    with _kernel_lock(path, folder) if is_local(path) else _lease(path, folder, takeover):
        yield


@contextlib.contextmanager
def _kernel_lock(path: str, folder: str) -> Iterator[None]:
    file = Path(file_system(path)[1])
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            stream.seek(0)
            holder = stream.read().strip() or "another process"
            raise UserError(
                f"--output {folder}: {holder} is writing there. Wait for it or give another folder."
            ) from error
        stream.seek(0)
        stream.truncate()
        stream.write(_self())
        stream.flush()
        yield


@contextlib.contextmanager
def _lease(path: str, folder: str, takeover: bool) -> Iterator[None]:
    fs, inside = file_system(path)
    mine = json.dumps({"holder": _self(), "token": uuid.uuid4().hex}).encode()
    try:
        fs.pipe_file(inside, mine, mode="overwrite" if takeover else "create")
    except FileExistsError as error:
        held = fs.cat_file(inside)
        if held != mine:  # it is ours when the store's first answer was lost and the write was tried again
            raise UserError(
                f"--output {folder}: {json.loads(held)['holder']} is writing there, or was killed. Wait for "
                "it or give another folder; if it is dead, go on with --takeover."
            ) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if fs.cat_file(inside) == mine:
                fs.rm_file(inside)


def _self() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"
