"""Detects programs among texts, and compares what they do, without comments, docstrings and layout."""

from __future__ import annotations

import re

_LINE = re.compile(
    r"\s*(?:@\w|(?:async\s+)?(?:def|function|fn|func)\s+\w"
    r"|(?:class|if|elif|for|while|with|switch|match|case|except|catch|struct|enum|impl)\b[^\n]*[:{(,]\s*$"
    r"|(?:else|try|finally|do)\b\s*[:{]|(?:return|raise|yield|import|assert|throw|await|del|const|let|var)\b"
    r"|from\s+\S+\s+import\b|(?:pass|break|continue)\s*;?$"
    r"|[\w.\[\]'\"*,\t ]{1,80}\s*[-+*/|&]?=(?!=)\s*\S"  # an assignment
    r"|[^\n]*\w[(\[][^\n]*[)\]},;:]\s*$|[^\n]*\w\($"  # a call
    r"|[^\n]*[;{}]\s*$|[)\]}]+[,:;]?\s*$|[rbfuRBFU]{0,2}[\"'].*[\"'][,)]?\s*$"
    r"|[\w.*:\[\]|='\" \t-]{1,80},\s*$)"
)
_SAID = re.compile(
    r"\"\"\".*?(?:\"\"\"|\Z)|'''.*?(?:'''|\Z)|/\*.*?(?:\*/|\Z)"
    r"|(?P<kept>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')|(?:(?<!\S)#|^[ \t]*//|(?<=[;{}])[ \t]*//)[^\n]*",
    re.DOTALL | re.MULTILINE,
)
_LEAST_LINES = 3
_SHARE = 0.6
_LONGEST = 100_000
_BLANK = re.compile(r"\s+")
_COMMA = re.compile(r",(?=[)\]}])")
_AROUND = 30


def program_of(text: str) -> str:
    r"""Returns the code of a program: its characters without comments, docstrings, blanks and quotes.

    Empty if most lines of the text are not code.

    >>> program_of("def add(a, b):\n    # the sum\n    c = a + b\n    return c\n")
    'defadd(a,b):c=a+breturnc'
    >>> program_of("We saw it.\nThen, the day after,\nwe came (late) to town.")
    ''
    """
    if text.count("\n") + 1 < _LEAST_LINES or "(" not in text or len(text) > _LONGEST:
        return ""
    bare = _SAID.sub(lambda found: found["kept"] or "", text)
    lines = [line for line in bare.split("\n") if line.strip()]
    written = sum(_LINE.match(line[:400]) is not None for line in lines)
    if len(lines) < _LEAST_LINES - 1 or written < _SHARE * len(lines):
        return ""
    return _COMMA.sub("", _BLANK.sub("", bare).replace("'", '"'))


def other_program(one: str, two: str) -> tuple[str, str] | None:
    """Returns the first difference of two programs; None if there is none.

    >>> other_program("returna+b", "returna-b")
    ('returna+b', 'returna-b')
    """
    if one == two:
        return None
    met = zip(one, two, strict=False)
    at = next((at for at, (x, y) in enumerate(met) if x != y), min(len(one), len(two)))
    start = max(0, at - _AROUND)
    return one[start : at + _AROUND], two[start : at + _AROUND]
