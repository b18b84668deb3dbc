"""Every example in a docstring of the package gives what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import beam_sts

MODULES = [
    module.name
    for module in pkgutil.walk_packages(beam_sts.__path__, "beam_sts.")
    if not module.name.endswith("__main__")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(found) > 50
