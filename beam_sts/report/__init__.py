"""Reports: one HTML page about a run, with its outcome, its findings, advice and costs.

``score_page`` and the other functions turn a summary into a ``Page`` of ``Section``s, built from the pieces
of ``beam_sts.report.pieces``. ``render`` turns it into one self-contained HTML file. All functions are pure:
plain values in, a string out.

Charts are SVG of a few shapes, drawn by this package and not by a plotting library. matplotlib fixes colours
and font sizes when it draws, so its images neither follow dark mode nor stay readable on a phone, and every
run would need it. Vega-Lite would add 800 KB of JavaScript to every report, and scripts would run on a page
with untrusted texts. This page has no script, and a content security policy that forbids scripts.
"""

from beam_sts.report.page import Page, Section, render

__all__ = ["Page", "Section", "render"]
