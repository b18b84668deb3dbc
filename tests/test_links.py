"""Messages point to nothing that a user of the wheel has not got."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_no_message_names_a_page_of_the_sources():
    found = []
    for path in [*ROOT.glob("beam_sts/**/*.py"), *ROOT.glob("pipelines/*.py")]:
        name = path.relative_to(ROOT).as_posix()
        # What generates pages of the sources, and the model card, which lies beside them.
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
