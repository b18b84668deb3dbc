"""The page: a title, a verdict, a few figures, and sections; rendered to one HTML file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


@dataclass(frozen=True)
class Section:
    """A part of the page; ``shows``, ``read`` and ``act`` say what it shows, how to read it, what to do.

    ``body`` is made by ``beam_sts.report.pieces``, which escape what they are given.
    """

    anchor: str
    title: str
    body: Markup
    shows: str = ""
    read: str = ""
    act: str = ""


@dataclass(frozen=True)
class Note:
    """Something the reader should know of first: a sentence, and the section that has more."""

    text: str
    anchor: str


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes:
        title: what ran on what.
        verdict: the outcome in one sentence.
        figures: the numbers people look for first: name, value, remark.
        sections: in reading order.
        notes: what needs a look; none is good news.
        foot: how the page was made.
    """

    title: str
    verdict: str
    figures: Sequence[tuple[str, str, str]]
    sections: Sequence[Section]
    notes: Sequence[Note] = ()
    foot: str = ""
    language: str = field(default="en")


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def render(page: Page) -> str:
    """The page as one HTML file: no script, nothing loaded from anywhere.

    >>> html = render(Page("Scored <1>", "All well.", [("scored", "1", "")], []))
    >>> "Scored &lt;1&gt;" in html, "<script" in html
    (True, False)
    """
    html = environment().get_template("page.html").render(page=page)
    # HTML has no place for control letters, and a terminal that shows the file would obey them.
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", html)


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Jinja's templates of this package, with everything escaped that is not marked as HTML."""
    # Imported late: workers import this package for its examples and never render.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("beam_sts.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def macro(name: str, **values: Any) -> Markup:
    """Call a macro of ``pieces.html``: its HTML, with the values escaped."""
    from markupsafe import Markup

    module: Any = environment().get_template("pieces.html").module
    return Markup(getattr(module, name)(**values))
