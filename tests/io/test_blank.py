import sys

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.io.blank import SPACES, blank_rows, is_blank


def test_white_space_is_that_of_python():
    assert "".join(chr(at) for at in range(sys.maxunicode + 1) if chr(at).isspace()) == SPACES


def test_every_character_alone_is_blank_in_a_column_as_it_is_in_an_element():
    characters = [chr(at) for at in range(0x3100) if not 0xD800 <= at < 0xE000]
    assert blank_rows(pa.array(characters)).tolist() == [is_blank(one) for one in characters]
    assert sum(map(is_blank, characters)) == len(SPACES)


@given(st.lists(st.text(st.sampled_from(SPACES + "a\u200b\0"))))
def test_texts_of_white_space_are_blank(texts):
    column = pa.chunked_array([pa.array(texts, pa.large_string())])
    assert blank_rows(column).tolist() == [not text.strip() for text in texts] == list(map(is_blank, texts))
