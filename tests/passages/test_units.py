import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.passages.units import UNITS, cut, occurrences, split_units, units_of


@given(st.text(alphabet="ab .!?\n\r\t\u3002\u2028", max_size=60), st.sampled_from(UNITS))
def test_units_are_in_order_without_white_space_at_their_ends_and_have_all_the_rest(text, unit):
    spans = split_units(text, unit)
    rest, at = "", 0
    for start, stop in spans:
        assert at <= start < stop
        assert text[start:stop] == text[start:stop].strip()
        rest, at = rest + text[at:start], stop
    assert not any(char.isalnum() for char in rest + text[at:])


@pytest.mark.parametrize(
    ("unit", "text", "parts"),
    [
        ("line", "one\ntwo\r\n\n three ", ["one", "two", "three"]),
        ("paragraph", "one\ntwo\n \nthree\r\n\r\nfour", ["one\ntwo", "three", "four"]),
        ("sentence", 'He said "no!" Then 3.5 went.\nEnd', ['He said "no!', "Then 3.5 went.", "End"]),
        ("sentence", "\u4f60\u597d\u3002\u518d\u89c1\u3002", ["\u4f60\u597d\u3002", "\u518d\u89c1\u3002"]),
        ("document", "  all of it\n", ["all of it"]),
    ],
)
def test_texts_are_split(unit, text, parts):
    assert [text[start:stop] for start, stop in split_units(text, unit)] == parts


@given(st.text(alphabet="ab \n", max_size=40), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9))))
def test_a_cut_text_has_what_is_outside_the_spans(text, places):
    spans = [(min(start, len(text)), min(start + length, len(text))) for start, length in places]
    left = cut(text, spans)
    kept = [char for at, char in enumerate(text) if not any(a <= at < b for a, b in spans)]
    assert [char for char in left if not char.isspace()] == [char for char in kept if not char.isspace()]


def test_the_first_of_equal_units_is_named_across_parts():
    parts = [
        units_of(["Buy now, while it lasts!\nOther words are on this line."], "line", 4),
        units_of(["> buy NOW while it lasts"], "line", 4),
    ]
    parts[1] = type(parts[1])(parts[1].row + 1, parts[1].start, parts[1].stop, parts[1].key)
    found = occurrences(parts)
    assert found.of.tolist() == [0, 1, 0]
    assert found.count.tolist() == [2, 1, 2]
