"""One HTML page about a run: what happened, what was found, what to make of it, what it cost.

``score_page`` and the other functions turn a summary into a ``Page`` of ``Section``s, built from the pieces
of ``beam_sts.report.pieces``; ``render`` makes one self-contained HTML file of it. All of it is pure: plain
values in, a string out.

Charts are SVG of a few shapes, drawn here instead of by a plotting library. matplotlib fixes colours and
type size when it draws, so its pictures neither follow dark mode nor stay readable on a phone, and a run
would need it. Vega-Lite is 800 KB of JavaScript in every report, and the page would run scripts beside
untrusted texts. This page has no script at all, and a content security policy that forbids any.
"""

from beam_sts.report.page import Page, Section, render

__all__ = ["Page", "Section", "render"]
