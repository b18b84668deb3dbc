"""Documents, comments, docstrings and messages are in plain technical English."""

from pathlib import Path

import pytest

from scripts import prose

ROOT = Path(__file__).parents[1]


def test_documents_and_code_have_no_faults():
    assert [fault for path in prose.files() for fault in prose.faults(path)] == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Fine.\n\nIt stands here.", 3),
        ("Twenty drawn by lot.", 1),
        ("Use it, e.g. here.", 1),
        ("- one\n- " + "word " * 51, 2),
        ("```bash\nsurely\n```\nSurely.", 4),
        ("It is very unique.", 1),  # proselint's
    ],
)
def test_a_fault_of_a_document_is_found(text, line):
    assert [found for found, _ in prose.in_document(text)] == [line]


@pytest.mark.parametrize(
    "text", ["`surely`", "[page](docs/anew.md)", "What it stands for.", "- " + "word " * 49, "<!-- anew -->"]
)
def test_code_links_and_comments_of_documents_are_left_alone(text):
    assert list(prose.in_document(text)) == []


def test_of_code_comments_docstrings_and_messages_are_read():
    code = '"""It stands."""\nx = 1  # anew\ny = "surely this is one"\nsurely = "surely"\n'
    assert sorted(line for line, _ in prose.in_code(code)) == [1, 2, 3]
    assert sorted(line for line, _ in prose.in_code(code, strings=False)) == [1, 2]


def test_commands_that_were_wrapped_into_one_line_are_found():
    code = '"""Run.\n\n    python -m one  # quick python -m one\n    --all\n"""\n'
    assert [line for line, _ in prose.in_code(code)] == [3]
