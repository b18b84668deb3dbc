"""Which rows are one distinct text: by a plain computation, and in bundles as Beam groups them."""

from collections import defaultdict

import apache_beam as beam
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.arrays import best_of_groups, sort_rank
from beam_sts.candidates.beam_pack import in_list, pieces
from beam_sts.candidates.keys import hash128
from beam_sts.dedup.beam_texts import Row, TextInfo, _ByText, _JoinGroups
from beam_sts.dedup.distinct import Grouping, distinct_texts
from beam_sts.io.blank import is_blank

# Rows: text, side, the value that decides which row is best. Their ids are their numbers, in another order.
ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", " ", ""]), st.integers(0, 1), st.integers(0, 3)), max_size=25
)
GROUPINGS = st.builds(Grouping, st.booleans(), st.booleans(), st.booleans())


def ident(at):
    return at * 7 % 101


def grouped(rows, rule):
    """The texts of the pure function: (side, first id), best row, number of rows, and the ids of the rows."""
    names = [(side, ident(at)) for at, (_, side, _) in enumerate(rows)]
    keys = [(value, *name) for (_, _, value), name in zip(rows, names, strict=True)]
    side = np.array([side for _, side, _ in rows], np.int8)
    blank = np.array([is_blank(text) for text, _, _ in rows], bool)
    made = distinct_texts(rule, hash128(text for text, _, _ in rows), side, blank, sort_rank(names))
    best = best_of_groups(made.of_row, sort_rank(keys))
    members = [sorted(names[row] for row in np.flatnonzero(made.of_row == text)) for text in range(len(made))]
    found = zip(made.row.tolist(), best.tolist(), made.rows.tolist(), members, strict=True)
    return {names[first]: (keys[at], count, rows_of) for first, at, count, rows_of in found}


@given(ROWS, GROUPINGS)
def test_rows_are_grouped_as_by_a_plain_computation(rows, rule):
    wanted = defaultdict(list)
    for at, (text, side, _) in enumerate(rows):
        left_out = is_blank(text) and not rule.compare_blank
        alone = left_out or not rule.by_text or (side == 0 and not rule.within)
        wanted[text, side, at if alone else -1].append((side, ident(at)))
    found = grouped(rows, rule)
    assert sorted(sorted(ids) for ids in wanted.values()) == sorted(ids for *_, ids in found.values())
    assert all(first == ids[0] and count == len(ids) for first, (_, count, ids) in found.items())


@given(ROWS, GROUPINGS, st.integers(1, 9))
def test_bundles_make_the_texts_of_the_whole(rows, rule, size):
    elements = [
        ((side, ident(at)), Row(None, text, (value, side, ident(at))))
        for at, (text, side, value) in enumerate(rows)
    ]
    sent = defaultdict(list)
    for start in range(0, len(elements), size):
        step = _ByText(rule, 3)
        step.start_bundle()
        found = [one for element in elements[start : start + size] for one in step.process(element)]
        for shard, group in found + [one.value for one in step.finish_bundle()]:
            sent[shard] += pieces([group])
    assert all(shard in range(3) for shard in sent)
    made, members = {}, defaultdict(list)
    for shard in sent.items():
        for one in _JoinGroups(rule).process(shard):
            if not isinstance(one, beam.pvalue.TaggedOutput):
                name, info = one
                assert name not in made
                made[name] = TextInfo(*info).best, info.rows, members[name]
            elif one.tag == "members":
                members[one.value[0]] += in_list(one.value[1][0])
    for ids in members.values():
        ids.sort()
    assert made == grouped(rows, rule)
