"""An extension of griffe that shows the examples of a docstring (``>>>``) as code on the documentation site.

Without an ``Examples:`` section, which the docstrings do not have, Markdown renders ``>>>`` as a quotation.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object


class DocstringExamples(Extension):
    """Encloses paragraphs of examples in code fences."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite an object's docstring."""
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    r"""Enclose the examples of a docstring in code fences.

    >>> print(fenced("Add one.\n\n>>> add(1)\n2"))
    Add one.
    <BLANKLINE>
    ```python
    >>> add(1)
    2
    ```
    """
    code = lambda found: f"```python\n{found[1].rstrip()}\n```\n"  # noqa: E731
    return re.sub(r"(?m)^(>>> (?:.+\n?)+)", code, text).rstrip()
