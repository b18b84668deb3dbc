"""Every example in a docstring of the package gives the stated result."""

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


ADAPTERS = "beam_sts.integrations."  # for harnesses, which are not dependencies


def _module(name):
    if name.startswith(ADAPTERS):
        pytest.importorskip(name.removeprefix(ADAPTERS))
    return importlib.import_module(name)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    modules = [importlib.import_module(name) for name in MODULES if not name.startswith(ADAPTERS)]
    found = [test for module in modules for test in finder.find(module) if test.examples]
    assert len(found) > 50
