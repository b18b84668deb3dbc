"""Build sdist and wheel, the same bytes each time: ``python scripts/build_packages.py dist``.

Times of files are those of the last commit, or of SOURCE_DATE_EPOCH where it is set. The wheel is built from
the sdist. The compiled part is the same with the same compiler.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
_EARLIEST = 315_532_800  # 1980, the first year of a zip archive: of a tree without commits


def epoch() -> int:
    """Seconds that files of the packages are dated with."""
    stated = os.environ.get("SOURCE_DATE_EPOCH")
    if stated is None:
        command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
        stated = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return int(stated or _EARLIEST)


def normalise(sdist: Path, at: int) -> None:
    """Rewrite an sdist with members in order, of one date, owner and mode."""
    packed = io.BytesIO()
    with (
        tarfile.open(sdist) as source,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as target,
    ):
        for member in sorted(source.getmembers(), key=lambda member: member.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = at, 0, 0, "", ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.pax_headers = {}
            target.addfile(member, source.extractfile(member) if member.isfile() else None)
    sdist.write_bytes(gzip.compress(packed.getvalue(), mtime=at))


def main(folder: str) -> None:
    """Build both into a folder."""
    at = epoch()
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(at)}
    # Offline where the build's needs are installed, as in .[test]; elsewhere build gets them.
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder]
    subprocess.run([*build, "--sdist", str(ROOT)], env=env, check=True)
    sdist = max(Path(folder).glob("beam_sts-*.tar.gz"), key=lambda path: path.stat().st_mtime)
    normalise(sdist, at)
    with tarfile.open(sdist) as archive:
        (top,) = {name.split("/")[0] for name in archive.getnames()}
        unpacked = Path(folder, ".build")
        archive.extractall(unpacked, filter="data")
    subprocess.run([*build, "--wheel", str(unpacked / top)], env=env, check=True)
    shutil.rmtree(unpacked)


if __name__ == "__main__":
    main(*sys.argv[1:])
