"""Messages refer only to things that a user of the wheel has."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_no_message_names_a_page_of_the_sources():
    found = []
    for path in [*ROOT.glob("beam_sts/**/*.py"), *ROOT.glob("pipelines/*.py")]:
        name = path.relative_to(ROOT).as_posix()
        # Modules that generate pages of the sources, and the model card next to them.
        if name in {
            "beam_sts/cli/option_tables.py",
            "beam_sts/io/format_tables.py",
            "beam_sts/training/card.py",
        }:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documented = {
            id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)
        }  # docstrings, for people who read the sources
        texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        found += [
            f"{name}:{node.lineno}"
            for node in texts
            if id(node) not in documented and re.search(r"\bdocs/\w+\.md", str(node.value))
        ]
    assert found == []


def test_the_address_of_the_repository_stands_in_one_place():
    from beam_sts.links import REPOSITORY

    assert not REPOSITORY.endswith("/")
    assert "links.py" in (ROOT / "setup.py").read_text()


PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
_CODE = re.compile(r"^( *)```.*?^\1```$|`[^`\n]*`", re.S | re.M)
_LINK = re.compile(r"\]\(([^()\s]+)\)")


def _anchors(page):
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.S | re.M), re.M
    )
    plain = [re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", one)) for one in headings]
    return {re.sub(r"\s+", "-", one.strip().lower()) for one in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_link_is_dead(page):
    dead = []
    for target in _LINK.findall(_CODE.sub("", page.read_text("utf-8"))):
        name, _, anchor = target.partition("#")
        if re.match(r"https?:|mailto:", name):
            continue
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            dead.append(target)
    assert dead == []
