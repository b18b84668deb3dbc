"""The plain form: differences that do not count when texts are compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.candidates.form import lines_of_form, links, plain_form


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("ＡＢＣ １２３", "ABC 123"),
        ("zero\u200bwidth\u2060 and soft\u00adhyphen", "zerowidth and softhyphen"),
        ("<p>A <b>bold</b> word</p>", "A bold word"),
        ("<div class='x'>one</div><div>two</div>", "one two"),
        ("Tom &amp; Jerry &#8212; &lt;ok&gt;", "Tom & Jerry - <ok>"),
        ("\u201cIt\u2019s\u201d \u2014 he said", '"It\'s" - he said'),
        ("a\t\n  b\u00a0c ", "a b c"),
        ("ﬁne", "fine"),
        ("नमस्ते\u200d दुनिया", "नमस्ते दुनिया"),
    ],
)
def test_form_does_not_count(text, other):
    assert plain_form(text) == plain_form(other)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("10²", "102"),
        ("a < b and c > d", "a  d"),
        ("vector<int>", "vector"),
        ("US", "us"),
        ("x & y", "x y"),
        ("&foo", "foo"),
    ],
)
def test_what_is_no_form_counts(text, other):
    assert plain_form(text) != plain_form(other)


def test_links_of_tags():
    assert links('<a href="http://b.org/2">x</a><img src=a.png>') == ("a.png", "http://b.org/2")
    assert links("href=http://b.org") == ()


@given(st.text())
def test_any_text(text):
    once = plain_form(text)
    assert once == " ".join(lines_of_form(text).split())
    assert plain_form(f"  {text}\n") == once
