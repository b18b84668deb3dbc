"""One writer at a time: a kernel lock on a local disk, a lease on an object store. Neither asks a clock.

The lock's file holds a token that its writer drew. Workers look at it before each file they publish, so a
writer that was taken over stops at its next one. What it has under way lands all the same, and is harmless:
who takes a run over has its settings, and equal settings give equal bytes.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from beam_sts.errors import UserError
from beam_sts.io.files import file_system, is_local

_TRIES, _PAUSE = 4, 0.05  # of the lock, seconds between them


@dataclass(frozen=True)
class Lease:
    """The right to write to a folder, as its workers carry it.

    ``path`` is the lock's file, ``folder`` the folder as the user named it, ``taken_over`` whether another
    writer held it before, ``process`` the holder's number.
    """

    path: str
    folder: str
    token: str
    taken_over: bool = False
    process: int = 0

    def check(self) -> None:
        """See that the lease still is its holder's, and that a local holder is alive.

        Raises:
            UserError: another process took it over, it was given back, or the folder was removed.
            OSError: the lock cannot be read.
        """
        held = _read(self.path)
        if held.get("token") == self.token and not self._is_orphaned():
            return
        raise UserError(f"--output {self.folder}: {self._reason(held)} This process wrote no more.")

    def _reason(self, held: dict[str, str]) -> str:
        if "holder" in held and held.get("token") != self.token:
            return f"{held['holder']} has taken this run over."
        fs, inside = file_system(self.path)
        if is_local(self.path) and fs.exists(inside):
            return "the run that this process worked for has ended."
        if is_local(self.path) or not fs.exists(f"{inside.rpartition('/')[0]}/run.json"):
            return "the folder, or its _run/, was removed while this run wrote to it."
        return "this run has ended, or another run, done by now, has taken this run over."

    def _is_orphaned(self) -> bool:
        """Whether the holder has died: a local lock is free then. The holder itself need not ask."""
        if not is_local(self.path) or self.process == os.getpid():
            return False
        with contextlib.suppress(OSError), Path(file_system(self.path)[1]).open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
        return False


@contextlib.contextmanager
def hold(path: str, folder: str, *, takeover: bool = False) -> Iterator[Lease]:
    """Hold a folder against a second writer.

    Args:
        path: the lock's file. The kernel frees a local one when its process ends, however it ends. On an
            object store it is made by a conditional write, which one writer wins; a killed writer leaves it.
        folder: the folder as the user named it, for messages.
        takeover: replace the lease that a killed writer left.

    Raises:
        UserError: another process holds the folder, or the store has no conditional write.
        OSError: the lock cannot be written.
    """
    with _kernel_lock(path, folder) if is_local(path) else _store_lease(path, folder, takeover) as lease:
        yield lease


@contextlib.contextmanager
def _kernel_lock(path: str, folder: str) -> Iterator[Lease]:
    file = Path(file_system(path)[1])
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+") as stream:
        for tries_left in reversed(range(_TRIES)):
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if tries_left:  # a worker of a dead run may hold it while it asks whether its run lives
                    time.sleep(_PAUSE)
                    continue
                holder = _read(path).get("holder", "another process")
                raise UserError(
                    f"--output {folder}: {holder} is writing there. Wait for it or give another folder."
                ) from error
        if not (file.exists() and os.path.samestat(os.fstat(stream.fileno()), file.stat())):
            # Its holder dropped it, with a run that was refused, after it was opened here.
            raise UserError(f"--output {folder}: another process has just left it. Run the command again.")
        token, content = _draw()
        stream.seek(0)
        stream.truncate()
        stream.write(content)
        stream.flush()
        try:
            yield Lease(path, folder, token, process=os.getpid())
        finally:
            stream.truncate(0)  # a worker that outlives this process stops


@contextlib.contextmanager
def _store_lease(path: str, folder: str, takeover: bool) -> Iterator[Lease]:
    fs, inside = file_system(path)
    token, content = _draw()
    taken_over = False
    try:
        fs.pipe_file(inside, content.encode(), mode="create")
    except (NotImplementedError, ValueError) as error:
        raise UserError(
            f"--output {folder}: this kind of store cannot be written so that a second run is kept out. "
            "Write to a local folder, s3://, gs:// or abfs://, and copy it there."
        ) from error
    except FileExistsError as error:
        held = _read(path)
        # It is ours when the store's first answer was lost and the write was tried again.
        taken_over = held.get("token") != token
        if taken_over and not takeover:
            holder = held.get("holder", "another process")
            raise UserError(
                f"--output {folder}: {holder} is writing there, or was killed. Wait for it or give another "
                "folder; if it is dead, go on with --takeover."
            ) from error
        if taken_over:
            fs.pipe_file(inside, content.encode())
    lease = Lease(path, folder, token, taken_over)
    try:
        yield lease
    finally:
        with contextlib.suppress(OSError, UserError):
            lease.check()
            fs.rm_file(inside)


def _draw() -> tuple[str, str]:
    token = uuid.uuid4().hex
    return token, json.dumps({"holder": f"process {os.getpid()} on {socket.gethostname()}", "token": token})


def _read(path: str) -> dict[str, str]:
    """What the lock's file says; nothing where it is absent or half written."""
    fs, inside = file_system(path)
    try:
        found = json.loads(fs.cat_file(inside))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
