"""A text is removed only in favour of one with its content: kinds of texts in which content could be lost."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_sts import deduplicate
from beam_sts.dedup.facts.texts import compare_texts
from beam_sts.dedup.verdicts import MAX_LOST, bars_of

POST = (
    "I have been trying to compile the driver on an older machine for two days now. The build stops in "
    "the middle of the second stage and prints a warning about a header that it cannot find, although the "
    "package is installed and the path is right. Has anyone seen this before, and is there a way around "
    "it that does not need a newer compiler? The machine belongs to the department, so I can not change "
    "much on it. The administrator comes by on some mornings and would install a package if I knew which "
    "one to ask for."
)
QUOTED = "\n".join(f"> {line}." for line in POST.split(". "))
REPLY = "The header moved to another package in the spring. Ask for the kernel headers, then clean the tree."
LICENCE = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and "
    "associated documentation files, to deal in the software without restriction, including without "
    "limitation the rights to use, copy, modify, merge, publish, distribute and sell copies of it, subject "
    "to the following conditions: the above notice shall be included in all copies of the software."
)
SECOND = "Parts of the parser come from another project. These may not be sold without its written consent."
CHANGES = "\n".join(
    f"- The {what} no longer stops when the file is empty."
    for what in ("reader", "writer", "parser", "printer", "loader", "checker", "builder", "viewer")
)
NEW_CHANGE = "- The installer asks before it removes the old settings of the user."
STORY = (
    "The ferry left the island an hour late, since the harbour had frozen over in the night and men "
    "with poles broke the ice around the hull. Nobody on board complained. Children ran along the "
    "rail and counted gulls; their parents drank coffee from paper cups below. Near the mainland a "
    "tug came out, turned in front of the bow and went ahead until the channel was open again, "
    "slowly, with its lamps on although it was noon."
)
PLAIN = {"candidates": ("exact", "minhash"), "minhash_similarity": 0.4, "threads": 1, "threshold": 0.7}


SHAPES = {
    "post": (POST, REPLY),
    "quoted": (QUOTED, "You are right, and the fan of the old one is loud as well, so do buy another."),
    "licence": (LICENCE, SECOND),
    "changelog": (CHANGES, NEW_CHANGE),
    "truncated": (STORY[:240], STORY[240:]),
}


@pytest.mark.parametrize("keep", ["first", "longest", "shortest", "central"])
@pytest.mark.parametrize("longer_first", [False, True])
def test_the_longer_text_stays(keep, longer_first):
    longer = [f"{short}\n{added}" for short, added in SHAPES.values()]
    shorter = [short for short, _ in SHAPES.values()]
    kept = deduplicate([*longer, *shorter] if longer_first else [*shorter, *longer], keep=keep, **PLAIN).kept
    assert set(longer) <= set(kept)
    if keep == "longest":  # and the others are removed: their content is in the survivor
        assert kept == longer


def test_two_replies_to_one_post_stay():
    other = (
        "You should not compile it at all: the archive of the department has a copy that was built in May."
    )
    texts = [f"{QUOTED}\n{REPLY}", f"{QUOTED}\n{other}", f"{QUOTED}\n{REPLY} "]
    assert deduplicate(texts, **PLAIN).kept == texts[:2]


def test_a_receipt_says_what_is_lost_and_none_bars_nothing():
    longer = f"{POST} {REPLY}"
    loose = deduplicate([POST, longer], keep="first", max_lost=None, **PLAIN)
    assert [row["lost"] for row in loose.removed] == [
        pytest.approx(len(REPLY), abs=2)
    ]  # except for full stops
    assert deduplicate([POST, longer], keep="first", **PLAIN).removed == []
    (pair,) = deduplicate([POST, longer], **PLAIN).pairs
    assert (pair["lost_a"], pair["lost_b"]) == (0, pytest.approx(len(REPLY), abs=2))


SOME = ["river", "stone", "green", "table", "walks", "under", "bright", "morning", "light", "old"]
WORDS = st.lists(st.sampled_from(SOME), min_size=8)


@given(WORDS, WORDS, st.integers(0, 8))
def test_what_is_added_is_lost_one_way_alone(words, added, place):
    text = " ".join(words)
    longer = " ".join([*words[:place], *added, *words[place:]])
    column = pa.array([text], pa.large_string()), pa.array([longer], pa.large_string())
    ((_, lost),) = compare_texts(*column, "none")
    ((_, turned),) = compare_texts(*column[::-1], "none")
    assert lost == turned[::-1]
    assert lost == (0, len(" ".join(added)) + 1)


@given(st.integers(0, 5000), st.integers(0, 200), st.integers(0, 200))
def test_bars_are_monotone_in_what_is_lost(size, one, more):
    sizes = np.array([size]), np.array([size])
    few, many = (
        bars_of(np.zeros(1, bool), np.array([[lost, 0]], np.int32), sizes, MAX_LOST)[0]
        for lost in (one, one + more)
    )
    assert few <= many
    assert few == 0 or one > 12
