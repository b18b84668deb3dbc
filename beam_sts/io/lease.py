"""One writer at a time: a kernel lock on a local disk, a lease on an object store. No clock is used.

The lock file contains a random token of its writer. Workers compare it before each file that they write, so a
writer that was replaced stops at its next file. A file that it is just writing does no harm: only a run with
equal settings can take over, and equal settings give equal bytes.
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
from beam_sts.io.files import file_system, is_local, protocols

_CONDITIONAL = {"s3", "gs", "abfs", "memory"}  # protocols of stores with conditional writes
_TRIES, _PAUSE = 4, 0.05  # attempts to get the lock, and seconds between them


@dataclass(frozen=True)
class Lease:
    """The right to write to a folder, in a form that is sent to workers.

    ``path`` is the lock file, and ``folder`` the output folder as the user named it. ``taken_over`` says
    whether another writer held the lease before. ``process`` is the process id of the holder.
    """

    path: str
    folder: str
    token: str
    taken_over: bool = False
    process: int = 0

    def check(self) -> None:
        """Check that the holder still has the lease and, for a local lock, that its process is alive.

        Raises:
            UserError: another process took over, the lease was released, or the folder was removed.
            OSError: the lock cannot be read.
        """
        held = _read(self.path)
        if held.get("token") == self.token and not self._is_orphaned():
            return
        raise UserError(f"--output {self.folder}: {self._reason(held)} This process has stopped writing.")

    def check_folder(self) -> None:
        """Check that the folder is still there. Any error of a run without its folder is due to that.

        Raises:
            UserError: the folder was removed.
        """
        with contextlib.suppress(OSError):  # an error of a store says nothing about the folder
            if self._is_removed():
                self.check()

    def _is_removed(self) -> bool:
        fs, inside = file_system(self.path)
        return not fs.exists(inside if is_local(self.path) else f"{inside.rpartition('/')[0]}/run.json")

    def _reason(self, held: dict[str, str]) -> str:
        if "holder" in held and held.get("token") != self.token:
            return f"{held['holder']} has taken this run over."
        if self._is_removed():
            return "the folder, or its _run/, was removed while this run wrote to it."
        if is_local(self.path):
            return "the run that this process worked for has ended."
        return "this run has ended, or another run has taken this run over and is finished."

    def _is_orphaned(self) -> bool:
        """Whether the process of the holder has died, which frees a local lock."""
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
        path: the lock file. A local lock is released by the kernel when its process ends in any way. On an
            object store, the file is created by a conditional write, which only one writer wins. A killed
            writer leaves it.
        folder: the folder as the user named it, for messages.
        takeover: replace the lease that a killed writer left.

    Yields:
        The lease.

    Raises:
        UserError: another process holds the folder, or the store has no conditional writes.
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
                if tries_left:  # a worker of a dead run may hold it while it checks whether its run is alive
                    time.sleep(_PAUSE)
                    continue
                holder = _read(path).get("holder", "another process")
                raise UserError(
                    f"--output {folder}: {holder} is writing there. Wait for it or give another folder."
                ) from error
        if not (file.exists() and os.path.samestat(os.fstat(stream.fileno()), file.stat())):
            # Between opening and locking, another process has deleted the file, together with a refused run.
            raise UserError(f"--output {folder}: another process has just released it. Run this again.")
        token, content = _draw()
        stream.seek(0)
        stream.truncate()
        stream.write(content)
        stream.flush()
        try:
            yield Lease(path, folder, token, process=os.getpid())
        finally:
            stream.truncate(0)  # workers that outlive this process stop


@contextlib.contextmanager
def _store_lease(path: str, folder: str, takeover: bool) -> Iterator[Lease]:
    fs, inside = file_system(path)
    unconditional = UserError(
        f"--output {folder}: this kind of store has no conditional writes, so a second run cannot be kept "
        "out. Write to a local folder, s3://, gs:// or abfs://, and copy the output there."
    )
    # Other file systems of fsspec may ignore the mode of a write, as that for web servers does.
    if protocols(fs).isdisjoint(_CONDITIONAL):
        raise unconditional
    token, content = _draw()
    taken_over = False
    try:
        fs.pipe_file(inside, content.encode(), mode="create")
    except (NotImplementedError, ValueError) as error:
        raise unconditional from error
    except FileExistsError as error:
        held = _read(path)
        # It is our own token if the first response of the store was lost and the write was retried.
        taken_over = held.get("token") != token
        if taken_over and not takeover:
            holder = held.get("holder", "another process")
            raise UserError(
                f"--output {folder}: {holder} is writing there, or was killed. Wait for it or give another "
                "folder. If it was killed, continue with --takeover."
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
    """The contents of the lock file; empty if it is absent or incomplete."""
    fs, inside = file_system(path)
    try:
        found = json.loads(fs.cat_file(inside))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
