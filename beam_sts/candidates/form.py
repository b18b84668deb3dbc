"""The plain form of a text, which ignores differences of formatting. Pure functions.

These are removed or unified, in this order: HTML tags, entities (``&amp;``), zero-width characters and
direction marks, Unicode compatibility forms (NFKC: full-width letters and digits, ligatures; a superscript
digit after a digit becomes ``^2``), variants of quotation marks and dashes, and runs of white space. Case is
kept. Only comparisons use the plain form; texts are written unchanged.
"""

from __future__ import annotations

import html
import re
import unicodedata

import pyarrow as pa

_BLOCKS = "address|article|aside|blockquote|br|dd|div|dl|dt|figcaption|figure|footer|form|h[1-6]|header|hr|li"
_BLOCKS += (
    "|main|nav|ol|option|p|pre|section|table|tbody|td|tfoot|th|thead|tr|ul|html|body|head|title|meta|link|img"
)
_INLINE = (
    "a|abbr|acronym|b|bdi|bdo|big|cite|code|del|dfn|em|font|i|ins|kbd|label|mark|q|s|samp|small|span|strike"
)
_INLINE += "|strong|sub|sup|time|tt|u|var|wbr|center"
# Tags contain neither '<' nor '>', so each character is examined a bounded number of times.
_BLOCK_TAG = re.compile(rf"</?(?:{_BLOCKS})(?:\s[^<>]*)?/?>|<!--[^<>]*-->", re.IGNORECASE)
_INLINE_TAG = re.compile(rf"</?(?:{_INLINE})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_LINK = re.compile(r"""\b(?:href|src)\s{0,4}=\s{0,4}["']?([^"'\s<>]{1,400})""", re.IGNORECASE)
_RAISED = re.compile("(?<=[0-9])(?=[\u00b2\u00b3\u00b9\u2070\u2074-\u2079])")

_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
)
_INVISIBLE += "\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufe0e\ufe0f\ufeff"
_PLAIN = str.maketrans(
    {
        **dict.fromkeys(_INVISIBLE),
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc\u00b4\u2039\u203a", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb\u300c\u300d\u300e\u300f", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-"),
    }
)


def lines_of_form(text: str) -> str:
    r"""The plain form of a text, with its line breaks.

    >>> lines_of_form("<p>\u201cA&nbsp;cat\u201d<br>\uff12\u200b\uff10 km</p>").split()
    ['"A', 'cat"', '20', 'km']
    """
    if "<" in text:
        text = _INLINE_TAG.sub("", _BLOCK_TAG.sub("\n", text))
    if "&" in text:
        text = _ENTITY.sub(lambda found: html.unescape(found.group()), text)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _RAISED.sub("^", text).translate(_PLAIN)).translate(_PLAIN)
    return text


def plain_form(text: str) -> str:
    r"""The plain form of a text on one line. Texts with equal plain forms differ in formatting only.

    >>> plain_form("It\u2019s  <b>bold</b> &amp; \uff22\uff29\uff27") == plain_form("It's bold & BIG")
    True
    """
    return " ".join(lines_of_form(text).split())


def links(text: str) -> tuple[str, ...]:
    """The sorted link targets in the HTML tags of a text. Different targets are more than formatting."""
    return tuple(sorted(_LINK.findall(text))) if "<" in text else ()


def plain_texts(texts: pa.Array | pa.ChunkedArray) -> pa.Array:
    """``plain_form`` for each of n texts, as ``large_string``. Null stays null."""
    forms = [None if text is None else plain_form(text) for text in texts.to_pylist()]
    return pa.array(forms, pa.large_string())
