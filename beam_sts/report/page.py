"""The report page: a title, a verdict, figures and sections, rendered to one HTML file."""

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
    """A section of the page; ``shows``, ``read`` and ``act`` say what it shows, how to read it, what to do.

    ``body`` is HTML from ``beam_sts.report.pieces``, which escape their values.
    """

    anchor: str
    title: str
    body: Markup
    shows: str = ""
    read: str = ""
    act: str = ""


@dataclass(frozen=True)
class Note:
    """A point that needs attention: a sentence, and the section with details."""

    text: str
    anchor: str


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes:
        title: the command and its input.
        verdict: the outcome in one sentence.
        figures: the main numbers: name, value, remark.
        sections: the sections in reading order.
        notes: points that need attention.
        foot: how the page was made.
    """

    title: str
    verdict: str
    figures: Sequence[tuple[str, str, str]]
    sections: Sequence[Section]
    notes: Sequence[Note] = ()
    foot: str = ""
    language: str = field(default="en")


_OPTION = re.compile(r"--[a-z_]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def render(page: Page) -> str:
    """The page as one HTML file: no script, nothing loaded from anywhere.

    >>> html = render(Page("Scored <1>", "All well.", [("scored", "1", "")], []))
    >>> "Scored &lt;1&gt;" in html, "<script" in html
    (True, False)
    """
    html = environment().get_template("page.html").render(page=page)
    # HTML forbids control characters, and a terminal that shows the file would interpret them.
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", html)


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The Jinja templates of this package; everything that is not marked as HTML is escaped."""
    # Imported late, because workers import this package only for examples and never render.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("beam_sts.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["options"] = options
    return made


def options(text: str) -> Markup:
    """Escape a text and mark its options, so that no line ends within one.

    >>> print(options("raise --test_share <1>"))
    raise <span class="option">--test_share</span> &lt;1&gt;
    """
    from markupsafe import Markup, escape

    return Markup(_OPTION.sub(r'<span class="option">\g<0></span>', str(escape(text))))


def macro(name: str, **values: Any) -> Markup:
    """The HTML of a macro of ``pieces.html``, with the values escaped."""
    from markupsafe import Markup

    module: Any = environment().get_template("pieces.html").module
    return Markup(getattr(module, name)(**values))
