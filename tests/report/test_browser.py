"""The report in a real browser: three widths, light and dark, print, hostile texts, an accessibility audit.

Needs ``pip install 'beam_sts[browser]'`` and an installed Chromium or Chrome; skipped without.
"""

import shutil

import pytest

from tests.report import runs

pytestmark = pytest.mark.slow
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra 'browser'")
    if CHROMIUM is None:
        pytest.skip("no chromium or google-chrome on the PATH")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tiny, tmp_path_factory):
    return runs.scored(tmp_path_factory.mktemp("run"), tiny) / "report.html"


@pytest.fixture
def open_page(browser, report):
    pages = []

    def open_page(width=820, scheme="light"):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        pages.append(page)
        page.said = []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("dialog", lambda dialog: page.said.append(dialog.message))
        page.on("request", lambda request: page.said.append(request.url))
        page.goto(report.as_uri())
        # The page itself and its empty icon are all that it loads.
        page.said = [text for text in page.said if text not in (report.as_uri(), "data:,")]
        return page

    yield open_page
    for page in pages:
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 820, 1440])
def test_it_fits_says_nothing_and_runs_nothing(open_page, width, scheme):
    page = open_page(width, scheme)
    assert page.said == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.title().startswith("Scored pairs of")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    for chart in page.query_selector_all(".chart"):
        box = chart.bounding_box()
        assert box["width"] > 250
        assert box["height"] > 150
    for hit in page.get_by_text("<script>").all():
        assert hit.is_visible() or hit.locator("xpath=ancestor::details").count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_audit_finds_nothing(open_page, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the extra 'browser'")
    page = open_page(390, scheme)
    # The audit is a script of the browser's owner, not of the page: the page's policy would forbid it.
    context = page.context.browser.new_context(bypass_csp=True, color_scheme=scheme)
    audited = context.new_page()
    audited.goto(page.url)
    audited.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    found = axe.Axe().run(audited)
    context.close()
    assert [(v["id"], [n["html"] for n in v["nodes"]][:3]) for v in found.response["violations"]] == []


def test_it_prints(open_page, tmp_path):
    page = open_page()
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    pdf = (tmp_path / "report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert 2 <= pdf.count(b"/Type /Page\n") <= 15
