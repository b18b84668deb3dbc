"""docs/options.md lists the options of the commands."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_page_of_options_is_current():
    pytest.importorskip("sentence_transformers")  # needed for the options of train
    from beam_sts.cli.option_tables import document

    page = (ROOT / "docs/options.md").read_text(encoding="utf-8")
    assert page == document(), "run: python -m beam_sts.cli.option_tables docs/options.md"
