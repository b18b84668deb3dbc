"""Former names of modules still work, with a warning."""

import importlib

import pytest

OLD = {
    "beam_sts.corpus.candidates": ("MinHash", "exact_keys", "normalise", "blocking_keys"),
    "beam_sts.corpus.buckets": ("bucket_pairs", "union_pairs"),
    "beam_sts.corpus.neighbours": ("neighbours", "lexical_neighbours"),
    "beam_sts.corpus.given": ("given_pairs",),
    "beam_sts.corpus.propose": ("propose", "Proposal"),
    "beam_sts.transforms.candidates": ("KeyTexts", "BucketCandidates", "MergeCandidates", "JoinTexts"),
    "beam_sts.transforms.nearest": ("StaticVectors", "LexicalCandidates"),
    "beam_sts.transforms.propose": ("GivenCandidates", "ProposeCandidates"),
    "beam_sts.transforms.dedup": ("DeduplicateTexts", "DeduplicatedTexts"),
    "beam_sts.transforms.mine": ("MinePairs", "MinedRows"),
    "beam_sts.transforms.score": ("ScorePairs",),
    "beam_sts.transforms.handler": ("CrossEncoderModelHandler",),
}


@pytest.mark.parametrize(("old", "name"), [(old, name) for old, names in OLD.items() for name in names])
def test_an_old_name_goes_on_with_a_warning(old, name):
    module = importlib.import_module(old)
    with pytest.warns(DeprecationWarning, match=f"{old}.{name} has moved to beam_sts"):
        found = getattr(module, name)
    assert found.__module__.startswith(
        ("beam_sts.candidates", "beam_sts.dedup", "beam_sts.mining", "beam_sts.pairs")
    )


def test_a_name_that_never_was_is_no_attribute():
    module = importlib.import_module("beam_sts.corpus.buckets")
    with pytest.raises(AttributeError, match=r"beam_sts\.corpus\.buckets.*nothing_of_it"):
        _ = module.nothing_of_it
