"""The installable packages: the wheel, the sdist, and the package that Beam builds for its workers."""

import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import beam_sts
from beam_sts.cli import example
from beam_sts.cli.main import VERBS
from beam_sts.models.checksums import verify_digest

ROOT = Path(__file__).parents[1]
EMBEDDED = [path.relative_to(ROOT).as_posix() for path in (ROOT / "beam_sts/models/embedded").glob("*/*")]
# In a separate environment outside the checkout: import, find the files, score without a network.
PROBE = """
import sys, pathlib
import beam_sts
home = pathlib.Path(beam_sts.__file__).parent
assert home.is_relative_to(sys.argv[1]), home
assert (home / "py.typed").exists()
(score,) = beam_sts.PairScorer().score([("A cat sits.", "A cat sits.")])
assert 0 <= score <= 1, score
from beam_sts.scoring.engine.library import installed_library
print("scored with", "NumPy" if installed_library() is None else "the engine")
"""


def check(command, **options):
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, timeout=600, **options
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Wheel and sdist. The wheel is built from the sdist, so it lacks what the sdist lacks."""
    folder = tmp_path_factory.mktemp("dist")
    check([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT])
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def test_the_example_is_packaged_and_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert example.PAIRS.read_bytes() == (ROOT / "examples/pairs.jsonl").read_bytes()
    assert example.main([]) == 0
    assert "62 pairs" in capsys.readouterr().out
    assert (tmp_path / "pairs.jsonl").read_bytes() == example.PAIRS.read_bytes()
    assert example.main([]) == 0  # the same file: nothing is lost
    (tmp_path / "pairs.jsonl").write_text("mine")
    assert example.main([]) == 2
    assert (tmp_path / "pairs.jsonl").read_text() == "mine"
    assert example.main(["--output", "a/new/folder.jsonl"]) == 0  # as the outputs of all commands
    assert example.main(["--output", "pairs.jsonl/below/a/file.jsonl"]) == 2


def test_every_public_name_is_listed():
    assert set(beam_sts.__all__) <= set(dir(beam_sts))


@pytest.mark.slow
def test_two_builds_are_equal_byte_for_byte(tmp_path):
    engine = sys.platform == "linux" and platform.machine() == "x86_64" and shutil.which("gcc")
    kinds = ("sdist", "x86_64" if engine else "pure")
    dated = {**os.environ, "SOURCE_DATE_EPOCH": "1750000000"}
    builds = []
    for name in ("one", "two"):
        check(
            [sys.executable, "-m", "scripts.wheels", tmp_path / name, "--only", *kinds], cwd=ROOT, env=dated
        )
        builds.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert len(builds[0]) == 2
    assert builds[0] == builds[1]


def test_one_version_everywhere():
    stated = check([sys.executable, "setup.py", "--version"], cwd=ROOT).split()[-1]
    assert beam_sts.__version__ == stated
    newest = re.search(r"^## \[(\d.*?)\]", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert newest[1] == stated


@pytest.mark.slow
def test_wheel_and_sdist_carry_everything(built):
    wheel, sdist = built
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
        metadata = archive.read(next(name for name in in_wheel if name.endswith("/METADATA"))).decode()
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    modules = [
        path.relative_to(ROOT).as_posix()
        for top in ("beam_sts", "pipelines")
        for path in (ROOT / top).rglob("*.py")
    ]
    wanted = {"beam_sts/py.typed", *EMBEDDED, *modules}
    assert any(name.endswith("beam-sts-nano/model.safetensors") for name in wanted)
    assert wanted <= in_wheel
    engine = ROOT / "beam_sts" / "scoring" / "engine"
    wanted |= {path.relative_to(ROOT).as_posix() for path in (*engine.glob("*.c"), *engine.glob("*.h"))}
    assert wanted | {"setup.py", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"} <= in_sdist
    if (ROOT / ".git").exists():  # all that the tests need
        tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
        assert set(tracked.stdout.splitlines()) <= in_sdist
    if shutil.which("cc"):
        library = "beam_sts/scoring/engine/native.library"
        assert {library, f"{library}.sha256"} <= in_wheel
    assert not any(name.endswith((".library", ".sha256")) for name in in_sdist)
    tops = {name.split("/")[0] for name in in_wheel if ".dist-info/" not in name}
    assert tops == {"beam_sts", "pipelines"}
    licences = {name.partition(".dist-info/licenses/")[2] for name in in_wheel}
    assert {"LICENSE", "LICENSES/CC-BY-SA-4.0.txt", "NOTICE"} <= licences
    assert not re.search(r"\]\((?!https?:|#)", metadata), "a link of the description dies on PyPI"
    for line in (
        "License-Expression: MIT AND CC-BY-SA-4.0",
        "Requires-Python: >=3.10",
        "Provides-Extra: test",
    ):
        assert line in metadata.splitlines()


@pytest.mark.slow
def test_the_wheel_works_outside_the_checkout(built, tmp_path):
    target = tmp_path / "site"
    check([sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", target, built[0]])
    assert "scored with" in probe(target)


@pytest.mark.slow
def test_the_wheel_works_beside_another_package_called_pipelines(built, tmp_path):
    """Users' repositories may have such a folder, which takes precedence over site-packages."""
    target = tmp_path / "site"
    check([sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", target, built[0]])
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/__init__.py").write_text("raise RuntimeError('the pipelines of another project')")
    env = {"PYTHONPATH": str(target), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin", "HOME": str(target)}
    readme = (ROOT / "README.md").read_text().partition("<!-- wheel-commands")[2]
    install, *first = readme.partition("```bash\n")[2].partition("```")[0].splitlines()
    assert install == "pip install beam_sts"
    assert len(first) == 2
    options = ["--input", ROOT / "examples/pairs.jsonl", "--output", "out", "--direct_running_mode=in_memory"]
    for command in ([sys.executable, "-m", "beam_sts"], [sys.executable, target / "bin/beam-sts"]):
        assert "beam-sts VERB" in check([*command, "--help"], cwd=tmp_path, env=env)
        check([*command, "score", *options, "--overwrite"], cwd=tmp_path, env=env)
    for line in first:
        check([sys.executable, target / "bin/beam-sts", *line.split()[1:]], cwd=tmp_path, env=env)
    assert (tmp_path / "scored/report.html").exists()
    assert (tmp_path / "out/summary.json").exists()


def test_beam_sts_never_imports_pipelines():
    for path in (ROOT / "beam_sts").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) pipelines\b", path.read_text(), flags=re.MULTILINE), path


@pytest.mark.slow
@pytest.mark.parametrize("compiler", [shutil.which("cc"), "/bin/false"])
def test_it_installs_with_a_compiler_and_without_one(built, tmp_path, compiler):
    if compiler is None:
        pytest.skip("no C compiler (cc)")
    target = tmp_path / "site"
    offline = ["--no-deps", "--no-index", "--no-build-isolation"]
    install = [sys.executable, "-m", "pip", "install", *offline, "--target", target, built[1]]
    check(install, env={**os.environ, "CC": compiler})
    what = "NumPy" if compiler == "/bin/false" else "the engine"
    assert probe(target) == f"scored with {what}\n"


@pytest.mark.slow
def test_an_index_gets_wheels_for_every_system(tmp_path):
    """Two kinds of wheels; the test of arm64's is below."""
    if sys.platform != "linux" or platform.machine() != "x86_64" or not shutil.which("gcc"):
        pytest.skip("wheels for Linux on x86-64 are built there, with gcc")
    names = {}
    for kind in ("x86_64", "pure"):
        check([sys.executable, "-m", "scripts.wheels", tmp_path / kind, "--only", kind], cwd=ROOT)
        (wheel,) = (tmp_path / kind).iterdir()
        names[kind] = wheel.name
        target = tmp_path / f"site-{kind}"
        check([sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", target, wheel])
        assert probe(target) == f"scored with {'NumPy' if kind == 'pure' else 'the engine'}\n"
    assert re.fullmatch(r"beam_sts-[\d.]+-cp310-abi3-manylinux\w+_x86_64[\w.]*\.whl", names["x86_64"])
    assert re.fullmatch(r"beam_sts-[\d.]+-py3-none-any\.whl", names["pure"])


# Loads a library and calls the functions that describe it.
CALL = """
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
int main(int count, char **arguments) {
    void *library = dlopen(arguments[count - 1], RTLD_NOW);
    if (!library) return fprintf(stderr, "%s\\n", dlerror()), 1;
    int64_t (*version)(void) = (int64_t (*)(void))dlsym(library, "beam_sts_version");
    int64_t (*level)(void) = (int64_t (*)(void))dlsym(library, "beam_sts_level");
    int64_t (*panel)(int64_t) = (int64_t (*)(int64_t))dlsym(library, "beam_sts_panel");
    void *forward = dlsym(library, "beam_sts_forward");
    if (!version || !level || !panel || !forward) return fprintf(stderr, "a function is missing\\n"), 1;
    printf("%d %d %d\\n", (int)version(), (int)level(), (int)panel(level()));
    return 0;
}
"""


@pytest.mark.slow
def test_the_engine_of_arm64_is_compiled_and_runs(tmp_path):
    """The cross-compiled library is loaded by qemu's user mode, which calls the functions without a model."""
    tools = ("aarch64-linux-gnu-gcc", "qemu-aarch64")
    if missing := [tool for tool in tools if not shutil.which(tool)]:
        pytest.skip(f"not installed: {', '.join(missing)} (Debian: gcc-aarch64-linux-gnu, qemu-user)")
    check([sys.executable, "-m", "scripts.wheels", tmp_path, "--only", "aarch64"], cwd=ROOT)
    (wheel,) = tmp_path.iterdir()
    assert re.fullmatch(r"beam_sts-[\d.]+-cp310-abi3-manylinux\w+_aarch64[\w.]*\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    library = tmp_path / "beam_sts/scoring/engine/native.library"
    verify_digest(library)
    (tmp_path / "call.c").write_text(CALL)
    check(["aarch64-linux-gnu-gcc", tmp_path / "call.c", "-o", tmp_path / "call", "-ldl"])
    said = check(["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", tmp_path / "call", library])
    version, level, panel = map(int, said.split())
    assert version > 0
    assert level >= 0
    assert panel > 0


@pytest.mark.slow
def test_beam_builds_a_worker_package_from_setup_file(tmp_path):
    """The package that Beam's stager makes for ``--setup_file`` is installed as on a worker."""
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.stager import Stager

    options = PipelineOptions(["--setup_file", str(ROOT / "setup.py"), "--sdk_location", "container"])
    staged = Stager.create_job_resources(options, str(tmp_path / "staging"), populate_requirements_cache=None)
    files = {artifact.role_payload and path_of(artifact).name: path_of(artifact) for artifact in staged}
    (package,) = [path for path in files.values() if path.name.endswith(".tar.gz")]
    target = tmp_path / "site"
    offline = ["--no-deps", "--no-index", "--no-build-isolation"]
    check([sys.executable, "-m", "pip", "install", *offline, "--target", target, package])
    assert "scored with" in probe(target)


def path_of(artifact):
    from apache_beam.portability.api import beam_runner_api_pb2

    return Path(beam_runner_api_pb2.ArtifactFilePayload.FromString(artifact.type_payload).path)


def probe(target):
    env = {"PYTHONPATH": str(target), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin", "HOME": str(target)}
    return check([sys.executable, "-c", PROBE, target], cwd=target, env=env)


@pytest.mark.parametrize("command", [*VERBS, "main"])
def test_help_says_what_the_command_does(command):
    said = check([sys.executable, "-m", f"pipelines.{command}", "--help"], cwd=ROOT)
    assert said.startswith("usage:")
    assert "--" in said
