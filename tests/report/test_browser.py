"""The report in a real browser: three widths, light and dark, print, hostile texts, an accessibility audit.

Needs ``pip install 'beam_sts[browser]'`` and an installed Chromium or Chrome; skipped without.
"""

import json
import shutil

import pytest

from beam_sts.cli import dedup, evaluate, mine, train
from tests.checkpoints import SENTENCES
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


@pytest.fixture(scope="module", params=["score", "dedup", "mine", "evaluate", "train"])
def report(request, tiny, tmp_path_factory):
    folder, model = tmp_path_factory.mktemp(request.param), ["--model", str(tiny), "--quiet"]
    if request.param == "score":
        return runs.scored(folder, tiny) / "report.html"
    if request.param == "train":
        assert train.main(["all", "--smoke", "--work_dir", str(folder), "--quiet"]) == 0
        return folder / "report.html"
    texts = [*SENTENCES, *SENTENCES, *(text + " today" for text in SENTENCES), *runs.HOSTILE]
    rows = [
        {"id": at, "text": text, "text1": text, "text2": texts[at - 1], "mark": at % 5, "by": "<b>x</b>"}
        for at, text in enumerate(texts)
    ]
    source = folder / "in <img src=x onerror=alert(1)>.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    out = ["--output", str(folder / "out"), "--text", "text", *model]
    if request.param == "evaluate":
        flags = ["--score", "mark", "--group", "by", "--report", str(folder / "out" / "report.html")]
        assert evaluate.main(["--input", str(source), *flags, *model]) == 0
    elif request.param == "dedup":
        assert dedup.main(["--input", str(source), *out, "--id", "id", "--threshold", "0.5"]) == 0
    else:
        assert mine.main(["--input", str(source), *out, "--test_share", "0.4"]) == 0
    return folder / "out" / "report.html"


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
        # The page and its empty icon are all that is loaded.
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
    assert page.title().split()[0] in ("Scored", "Deduplicated", "Mined", "Evaluated", "Trained")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    if width == 820 and page.title().startswith("Deduplicated"):
        assert page.evaluate("document.documentElement.scrollHeight") <= 6_000
    for chart in filter(lambda chart: chart.is_visible(), page.query_selector_all(".chart")):
        box = chart.bounding_box()
        assert box["width"] > 250
        assert box["height"] > 150
    for hit in page.get_by_text("<script>").all():
        assert hit.is_visible() or hit.locator("xpath=ancestor::details").count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_audit_finds_nothing(open_page, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the extra 'browser'")
    page = open_page(390, scheme)
    # The audit is a script of the browser's user, not of the page, whose policy would forbid it.
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
