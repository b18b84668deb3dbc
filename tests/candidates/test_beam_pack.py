"""Packed elements: all of them, under their keys, in pieces that a runner accepts."""

from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st

from beam_sts.candidates import beam_pack
from beam_sts.candidates.beam_pack import Pack, in_list, packed_if_many, pieces, unpacked

VALUES = st.tuples(st.text(max_size=30), st.none() | st.floats(0, 1))
ELEMENTS = st.lists(st.tuples(st.integers(0, 5), VALUES))


def packed(elements):
    """The pieces of one bundle by their keys."""
    pack = Pack()
    pack.start_bundle()
    made = [piece for one in elements for piece in pack.process(one)]
    made += [one.value for one in pack.finish_bundle()]
    assert not list(pack.finish_bundle())  # an instance that is kept holds nothing
    pieces = defaultdict(list)
    for key, piece in made:
        pieces[key].append(piece)
    return pieces


@given(ELEMENTS, st.sampled_from([100, 1 << 18]), st.sampled_from([300, 1 << 22]))
def test_every_element_comes_back_under_its_key(elements, of_key, of_all):
    before = beam_pack._OF_KEY, beam_pack._OF_ALL
    beam_pack._OF_KEY, beam_pack._OF_ALL = of_key, of_all
    try:
        pieces = packed(elements)
    finally:
        beam_pack._OF_KEY, beam_pack._OF_ALL = before
    found = [(key, element) for key, some in pieces.items() for element in unpacked(some)]
    assert Counter(found) == Counter(elements)


def test_texts_that_resemble_each_other_take_a_tenth():
    text = "The quick brown fox jumps over the lazy dog while the town sleeps in the rain. " * 9
    elements = [(number % 7, (f"{text} {number}", 0.5)) for number in range(20_000)]
    pieces = [piece for some in packed(elements).values() for piece in some]
    assert sum(map(len, pieces)) < len(text) * len(elements) / 10
    assert max(map(len, pieces)) < 1 << 20


def test_what_waits_is_bounded_for_any_number_of_keys():
    pack = Pack()
    pack.start_bundle()
    for number in range(50_000):
        list(pack.process((number, ("a" * 1000, None))))
        assert sum(map(len, pack._waiting.values())) * 1064 <= beam_pack._OF_ALL


@given(st.lists(VALUES, max_size=200), st.sampled_from([0, 100, 1 << 11, 1 << 30]))
def test_pieces_have_the_elements_in_order_compressed_or_not(elements, small):
    before = beam_pack._SMALL
    beam_pack._SMALL = small
    try:
        made = list(pieces(elements))
    finally:
        beam_pack._SMALL = before
    assert list(unpacked(made)) == elements


@given(st.lists(VALUES, max_size=200))
def test_many_elements_are_one_piece_and_few_stay_a_list(elements):
    found = packed_if_many(elements)
    assert isinstance(found, bytes) == (len(elements) > 64)
    assert in_list(found) == elements
