"""The Python examples of README and docs run as they stand; the site's pages are all there."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(
    r"(?:<!-- (?P<mark>(?:not run|needs): [^>]*?) -->\n)?```python\n(?P<code>.*?)^```", re.S | re.M
)
PAGES = ("index", "thresholds", "answers", "frames", "from_semhash")
EXAMPLES = [
    pytest.param(found["code"], found["mark"] or "", id=f"{page}-{number}")
    for page in PAGES
    for number, found in enumerate(BLOCK.finditer((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")))
]


@pytest.mark.parametrize(("code", "mark"), EXAMPLES)
def test_python_examples_run(code, mark, tmp_path, monkeypatch):
    kind, _, what = mark.partition(": ")
    compile(code, "example", "exec")
    if kind == "not run":
        return
    if kind == "needs" and importlib.util.find_spec(what) is None:
        pytest.skip(f"{what} is not installed")
    monkeypatch.chdir(tmp_path)
    exec(code, {"__name__": "example"})


def test_the_site_names_pages_that_are_there_once_each():
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())

    def pages(entry):
        if isinstance(entry, str):
            return [entry]
        return [
            page for value in (entry.values() if isinstance(entry, dict) else entry) for page in pages(value)
        ]

    named = pages(config["nav"])
    assert len(named) == len(set(named))
    assert set(named) <= {path.name for path in (ROOT / "docs").glob("*.md")}
