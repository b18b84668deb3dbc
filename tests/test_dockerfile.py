"""The Dockerfile is linted and executed: every step runs in an empty virtual environment."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from string import Template

import pytest

ROOT = Path(__file__).parents[1]


def instructions():
    """(instruction, rest) of each Dockerfile line, comments dropped and continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n", " ", text).splitlines()
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines if line.strip())]


def test_the_instructions_are_those_that_the_run_below_knows():
    assert {name for name, _ in instructions()} == {
        "ARG",
        "FROM",
        "WORKDIR",
        "COPY",
        "RUN",
        "ENV",
        "ENTRYPOINT",
    }
    assert ("ENTRYPOINT", '["/opt/apache/beam/boot"]') in instructions()


def test_what_is_copied_passes_dockerignore():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {source for name, rest in instructions() if name == "COPY" for source in rest.split()[:-1]}
    assert copied == kept
    assert all((ROOT / source).exists() for source in copied)


def test_hadolint_finds_nothing():
    tool = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if tool is None:
        pytest.skip("hadolint is not installed (the test extra brings it on x86-64 only)")
    files = [ROOT / "Dockerfile", ROOT / "flex_template" / "Dockerfile"]
    done = subprocess.run([tool, "--no-color", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_every_step_runs_in_a_bare_environment(tmp_path):
    """WORKDIR, COPY, ARG, ENV and RUN work as in an image, below ``tmp_path`` instead of ``/``.

    The base image provides two things: a separate Python, and Beam in the version of its tag.
    """
    # Only the source of torch is changed, because not every machine can reach PyTorch's index.
    build_args = {"TORCH_INDEX_URL": os.environ.get("TORCH_INDEX_URL", pip_index())}
    python = tmp_path / "venv" / "bin" / "python"
    venv.create(tmp_path / "venv", with_pip=True)
    image_env = {"PATH": f"{python.parent}:/usr/bin:/bin", "HOME": str(tmp_path)}
    image_env |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    args, workdir = {}, tmp_path

    def expand(text):
        return Template(text).substitute(args | image_env)

    for name, rest in instructions():
        if name == "ARG":
            key, _, default = rest.partition("=")
            args[key] = build_args.get(key, args.get(key, default))
        elif name == "FROM":
            image, _, tag = expand(rest).partition(":")
            assert re.fullmatch(r"apache/beam_python3\.\d+_sdk", image)
            run([python, "-m", "pip", "install", "-q", f"apache-beam=={tag}"], image_env, tmp_path)
        elif name == "WORKDIR":
            workdir = tmp_path / rest.lstrip("/")
            workdir.mkdir(parents=True, exist_ok=True)
        elif name == "COPY":
            copy(*rest.split(), into=workdir)
        elif name == "ENV":
            image_env |= dict(pair.split("=", 1) for pair in shlex.split(expand(rest)))
        elif name == "RUN":
            run(["/bin/sh", "-c", rest], image_env | args, workdir)

    code = "import beam_sts, apache_beam; print(apache_beam.__version__, beam_sts.__file__)"
    version, file = run([python, "-c", code], image_env, tmp_path).split()[-2:]
    assert version == args["BEAM_VERSION"]
    assert Path(file).is_relative_to(tmp_path / "venv")
    assert image_env["HF_HUB_OFFLINE"] == "1"


def copy(*paths, into):
    *sources, target = paths
    for source in sources:
        path = ROOT / source
        if path.is_dir():
            shutil.copytree(path, into / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, into / target)


def run(command, env, cwd):
    done = subprocess.run(
        [str(part) for part in command],
        env=env,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}"
    return done.stdout


def pip_index():
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True
    )
    return done.stdout.strip() or "https://pypi.org/simple"
