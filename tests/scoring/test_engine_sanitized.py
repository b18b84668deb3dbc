"""The engine with sanitizers, and on another processor by emulation."""

import os
import platform
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

import beam_sts

ROOT = Path(__file__).parents[2]
SOURCE = Path(beam_sts.__file__).parent / "scoring" / "engine" / "engine.c"
COMPILER = shutil.which("cc")
FLAGS = ["-O1", "-g", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
AMX_IN_C = ["-include", str(Path(__file__).with_name("tiles_in_c.h"))]


def _runtime(name):
    """The sanitizer's library, which must be loaded before Python."""
    if COMPILER is None:
        pytest.skip("no C compiler (cc)")
    found = subprocess.run([COMPILER, f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    path = found.stdout.strip()
    if not Path(path).is_absolute():
        pytest.skip(f"the compiler has no {name}")
    return path


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory):
    """A library with the address and undefined-behaviour sanitizers, and the environment that it needs.

    Sanitizers do not see what AMX's instructions read, and few CPUs have them, so AMX runs in C.
    """
    preloaded = [_runtime("libasan.so"), _runtime("libubsan.so")]
    library = tmp_path_factory.mktemp("sanitized") / "engine.so"
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    amx = AMX_IN_C if platform.machine() == "x86_64" else []
    command = [COMPILER, *FLAGS, *sanitizers, *amx, str(SOURCE), "-o", str(library), "-lm"]
    subprocess.run(command, check=True)
    env = {
        **os.environ,
        "LD_PRELOAD": ":".join(preloaded),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=99",
        "PYTHONMALLOC": "malloc",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    return library, env


def _fuzz(sanitized, seconds, seed):
    library, env = sanitized
    command = [sys.executable, "-m", "tests.scoring.fuzz_engine", str(library), str(seconds), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=env)
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-2000:]
    assert int(done.stdout.split()[0]) > 0


def test_random_models_and_micro_batches_under_sanitizers(sanitized):
    _fuzz(sanitized, 20, 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_more_of_them(sanitized, seed):
    _fuzz(sanitized, 200, seed)


def test_the_sanitizer_sees_a_read_beyond_a_buffer(sanitized, tmp_path):
    """A control: an engine that reads beyond a part of its scratch memory by one row is detected."""
    broken = tmp_path / "engine"
    shutil.copytree(SOURCE.parent, broken, ignore=shutil.ignore_patterns("*.py", "*.library*", "__pycache__"))
    source = (broken / "engine.c").read_text()
    wrong = source.replace("{&s->hidden, tokens + SLACK, 4 * hidden}", "{&s->hidden, tokens - 1, 4 * hidden}")
    assert wrong != source
    (broken / "engine.c").write_text(wrong)
    library = tmp_path / "broken.so"
    flags = [*FLAGS, "-fsanitize=address"]
    subprocess.run([COMPILER, *flags, str(broken / "engine.c"), "-o", str(library), "-lm"], check=True)
    command = [sys.executable, "-m", "tests.scoring.fuzz_engine", str(library), "20"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=sanitized[1])
    assert done.returncode == 99
    assert "use-after-poison" in done.stderr


def test_threads_that_share_a_model_race_for_nothing(tmp_path):
    """Run every instruction set and type of this CPU under the thread sanitizer, and compare the bits."""
    _runtime("libtsan.so")
    driver = Path(__file__).with_name("engine_driver.c")
    flags = ["-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=thread", "-DTHREADS=4"]
    program = tmp_path / "threads"
    command = [
        COMPILER,
        *flags,
        "-I",
        str(SOURCE.parent),
        str(driver),
        "-o",
        str(program),
        "-lm",
        "-lpthread",
    ]
    subprocess.run(command, check=True)
    ran = 0
    for arguments in product("01", "0123", "012"):
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
        if "unexpected memory mapping" in done.stderr:
            pytest.skip("the thread sanitizer does not run with this kernel's addresses")
        if done.returncode != 3:  # 3: this CPU has no such instructions
            assert (done.returncode, done.stderr) == (0, ""), arguments
            ran += 1
    assert ran >= 2


@pytest.mark.parametrize("rotary", ["0", "1"])
def test_amx_gives_the_logits_of_avx512(tmp_path, rotary):
    """AMX runs in C, so that any CPU with AVX-512 can test it."""
    if COMPILER is None or platform.machine() != "x86_64":
        pytest.skip("needs cc, and an x86-64 CPU")
    driver, program = Path(__file__).with_name("engine_driver.c"), tmp_path / "driver"
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", *AMX_IN_C, "-I", str(SOURCE.parent)]
    subprocess.run([COMPILER, *flags, str(driver), "-o", str(program), "-lm"], check=True)

    def logits(level, kind):
        done = subprocess.run([program, rotary, level, kind], capture_output=True, text=True, check=False)
        if done.returncode == 3:
            pytest.skip("the CPU has no AVX-512 with BF16 and VNNI")
        assert (done.returncode, done.stderr) == (0, "")
        return [float(line) for line in done.stdout.split()]

    bfloat16, int8 = "12"
    assert logits("3", int8) == logits("2", int8)
    assert logits("3", bfloat16) == pytest.approx(logits("2", bfloat16), abs=5e-5)


@pytest.mark.slow
@pytest.mark.parametrize("rotary", ["0", "1"])
def test_arm64_gives_the_logits_of_x86(tmp_path, rotary):
    """Cross-compiled, and run by emulation: NEON through the compiler's portable vectors."""
    cross, emulator = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64-static")
    if None in (COMPILER, cross, emulator):
        pytest.skip(
            "needs cc, and Debian's gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user-static"
        )
    driver = Path(__file__).with_name("engine_driver.c")
    flags = ["-O3", "-Wall", "-Wextra", "-Werror", "-I", str(SOURCE.parent), str(driver)]
    subprocess.run([COMPILER, *flags, "-o", str(tmp_path / "here"), "-lm"], check=True)
    subprocess.run([cross, *flags, "-static", "-o", str(tmp_path / "there"), "-lm"], check=True)
    here, there = (
        [
            float(line)
            for line in subprocess.run([*command, rotary], capture_output=True, check=True).stdout.split()
        ]
        for command in ([tmp_path / "here"], [emulator, tmp_path / "there"])
    )
    assert len(here) == 20
    assert max(map(abs, here)) > 0.5
    assert here == pytest.approx(there, abs=1e-5)
