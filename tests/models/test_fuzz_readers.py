"""Thousands of damaged checkpoints; the faults that this found are cases of ``test_hostile.py``."""

import pytest

from tests.models.fuzz_readers import fuzz


@pytest.mark.slow
def test_damaged_checkpoints_are_refused_or_scored():
    """``python -m pytest -m slow tests/models/test_fuzz_readers.py``.

    Longer, with other seeds: ``python -m tests.models.fuzz_readers SECONDS SEED FOLDER_OF_FAULTS``.
    """
    outcomes, faults = fuzz(60, seed=1)
    assert faults == []
    assert outcomes["UserError"] > 20
    assert outcomes["scored"] > 0
