import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.report.pieces import (
    Bar,
    Step,
    _differences,
    area,
    bars,
    columns,
    facts,
    fold,
    funnel,
    pairs,
    parts,
    table,
    text,
)

ATTACK = "<script>alert('1')</script>\"x"


def test_every_piece_escapes_what_it_is_given():
    bar = Bar(0, 1, 5, ATTACK)
    axis = {"unit": ATTACK, "axis": ATTACK, "ticks": [(0.5, ATTACK)]}
    example = {"text_a": ATTACK, "text_b": ATTACK + "y", "file": ATTACK, "row": 1, "score": 0.5}
    made = [
        funnel([Step(ATTACK, 3, remark=ATTACK)]),
        bars([bar], label=ATTACK, mark=(0.4, ATTACK), **axis),
        area([1, 2], label=ATTACK, **axis),
        parts([(ATTACK, 1, "good", ATTACK)], label=ATTACK),
        table([ATTACK], [[ATTACK]], label=ATTACK),
        facts({ATTACK: ATTACK}),
        fold(ATTACK, text(ATTACK)),
        pairs([example, {**example, "score": None, "reason": ATTACK, "line": ATTACK}], label=ATTACK),
    ]
    for html in made:
        assert "<script" not in html
        assert "&lt;script" in html
        assert not re.search(r'="[^"]*<', html)  # no attribute was closed by a value


@pytest.mark.parametrize("counts", [[1], [1, 2], [0, 0], [3, 1, 2], [150]])
def test_the_axis_of_counts_has_whole_ticks(counts):
    named = [(str(at), count, "", "good") for at, count in enumerate(counts)]
    html = str(columns(named, label="", unit="", axis=""))
    ticks = re.findall(r'<span style="bottom: [^>]*>([^<]*)<', html)
    assert len(ticks) > 1
    assert all(tick.isdigit() for tick in ticks)


def test_the_axis_of_other_numbers_may_have_fractions():
    html = str(bars([Bar(0, 1, 0.5, "")], label="", unit="", axis="", ticks=[]))
    assert ">0.4<" in html


@given(st.text("ab <&.", max_size=30), st.text("ab <&.", max_size=30))
def test_marked_differences_lose_nothing(a, b):
    sides = _differences(a, b)
    assert ["".join(piece for piece, _ in side) for side in sides] == [a, b]
    shared = ["".join(piece for piece, own in side if not own) for side in sides]
    assert shared[0] == shared[1]


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=60))
def test_bars_stay_inside_their_chart(values):
    size = 1 / len(values)
    drawn = [Bar(i * size, (i + 1) * size, value, str(value)) for i, value in enumerate(values)]
    html = bars(drawn, label="l", unit="u", axis="a", ticks=[])
    rects = re.findall(r'x="([\d.]+)%" width="([\d.]+)%" y="(-?[\d.]+)%" height="([\d.]+)%"', html)
    assert len(rects) == sum(value > 0 for value in values)
    for x, width, y, height in (map(float, rect) for rect in rects):
        assert -0.01 <= x <= x + width <= 100.01
        assert 0 <= y <= 100
        assert y + height == pytest.approx(100, abs=0.01)
        assert height > 0


def test_bars_that_could_not_be_seen_get_a_log_scale_which_is_named():
    def chart(*values):
        return bars([Bar(0, 1, v, "") for v in values], label="l", unit="pairs", axis="a", ticks=[])

    assert "pairs, log scale" in chart(1_000_000, 3, 2)
    assert "log scale" not in chart(100, 50, 20)


@pytest.mark.parametrize("values", [[], [0, 0], [0.001, 0.002], [1e9] * 60])
def test_an_area_has_finite_coordinates(values):
    html = area(values, label="l", unit="u", axis="a", ticks=[(0, "0")])
    assert "nan" not in html
    assert "inf" not in html


def test_an_empty_and_a_null_text_are_told_apart():
    html = pairs([{"text_a": "", "text_b": None, "file": "f", "row": 0, "reason": "null"}], label="l")
    assert "<i>empty</i>" in html
    assert "<i>null</i>" in html
