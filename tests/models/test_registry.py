"""The list of known models, and its table in the documentation."""

import re
import runpy
from pathlib import Path

import pytest

from beam_sts.models.checkpoint import load_checkpoint
from beam_sts.models.registry import PUBLISHED, did_you_mean, embedded_models, known_models, markdown_table

ROOT = Path(__file__).parents[2]


def test_the_documentations_table_is_current():
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    table = re.search(r"<!-- models: .*? -->\n(.*?)\n<!-- /models -->", page, re.DOTALL)[1]
    assert table == markdown_table(), "run python -m beam_sts.models and paste its output into docs/models.md"


def test_the_module_prints_the_table(capsys):
    runpy.run_module("beam_sts.models", run_name="__main__")
    assert capsys.readouterr().out.strip() == markdown_table()


def test_the_twelve_published_models_are_there_the_most_accurate_first():
    assert len(PUBLISHED) == 12
    figures = [info.pearson for info in PUBLISHED]
    assert figures == sorted(figures, reverse=True)


def test_embedded_models_say_what_their_files_say():
    embedded = [info for info in known_models() if info.embedded]
    assert [info.name for info in embedded] == embedded_models()
    for info in embedded:
        checkpoint = load_checkpoint(info.name)
        assert sum(p.numel() for p in checkpoint.model().parameters()) == info.parameters
        assert checkpoint.max_length == info.context
        assert 0.5 < info.spearman < info.pearson < 1
        assert info.licence


@pytest.mark.parametrize("name", ["", "x", "qwertyuiop", "beam-sts-nano", "dleemiller/ModernCE-base-sts"])
def test_what_is_known_or_near_nothing_gets_no_hint(name):
    assert did_you_mean(name) is None
