"""The report in a real browser: quiet, quick, reachable by keyboard, readable at two widths.

Screenshots are kept below pytest's temporary folder (`--basetemp DIR` to choose it): look at them.
"""

import re

import pytest

from tests.browser.chromium import Chromium, binary
from tests.unit.summary.builder import WITHIN, method, record
from tests.unit.summary.report.report_data import page, rows_kept, with_examples

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(binary() is None, reason="needs Chromium (Debian: apt install chromium)"),
]
WIDTHS = (1280, 400)
OUTSIDE = """
[...document.querySelectorAll("body *")]
  .filter((e) => !e.closest(".scroll, svg, .skip, .unseen"))
  .filter((e) => { const r = e.getBoundingClientRect();
                   return r.width > 0 && (r.right > innerWidth + 1 || r.left < -1); })
  .map((e) => e.tagName + "." + e.className + ": " + e.textContent.slice(0, 60))
"""
CUT = """
[...document.querySelectorAll("details.examples svg")].flatMap((svg) => {
  const whole = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text, image, rect")]
    .filter((n) => { const r = n.getBoundingClientRect();
                     return r.right > whole.right + 1 || r.left < whole.left - 1
                            || r.bottom > whole.bottom + 1; })
    .map((n) => n.outerHTML.slice(0, 120));
})
"""
FOCUS = "document.activeElement.getAttribute('href') || document.activeElement.tagName"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium = Chromium(tmp_path_factory.mktemp("profile"))
    yield chromium
    chromium.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page()[0], encoding="utf-8")
    return path


@pytest.fixture
def opened(browser, report):
    browser.size(1280)
    browser.open(report.as_uri())
    return browser


def test_it_opens_within_two_seconds_and_asks_for_nothing(browser, report):
    browser.size(1280)
    browser.open("about:blank")
    assert browser.open(report.as_uri()) < 2.0
    assert browser.complaints() == []
    assert browser.requests() == [report.as_uri()]


def test_complaints_are_seen(browser, tmp_path):
    """A planted error: a page whose script throws and whose picture is missing."""
    wrong = tmp_path / "wrong.html"
    wrong.write_text("<img src=gone.png><script>nothing()</script>")
    browser.open(wrong.as_uri())
    said = " ".join(browser.complaints())
    assert "nothing is not defined" in said
    assert "gone.png" in " ".join(browser.requests())


@pytest.mark.parametrize("width", WIDTHS)
def test_text_never_leaves_the_page(browser, report, tmp_path, width):
    browser.size(width)
    browser.open(report.as_uri())
    browser.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run(OUTSIDE) == []
    browser.picture(tmp_path / f"open{width}.png", whole=False)
    browser.run("document.querySelectorAll('details').forEach((d) => { d.open = false; })")
    browser.picture(tmp_path / f"closed{width}.png")
    smallest = browser.run(
        "Math.min(...[...document.querySelectorAll('td, dd, p, li')]"
        ".map((e) => parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert smallest >= 12


def test_the_table_scrolls_in_its_own_box(browser, report):
    browser.size(400)
    browser.open(report.as_uri())
    box = "document.querySelector('.grid5').closest('.scroll')"
    assert browser.run(f"{box}.scrollWidth > {box}.clientWidth")
    browser.run(f"{box}.scrollLeft = 300")
    assert browser.run(f"{box}.scrollLeft") == 300
    assert (
        browser.run("document.querySelector('.grid5 th[scope=row]').getBoundingClientRect().x") >= 0
    )


def test_every_cell_is_reached_by_tab_in_order_and_opens(opened):
    wanted = opened.run("[...document.querySelectorAll('.grid5 a')].map((a) => a.hash)")
    assert len(wanted) == 36
    found = []
    for _ in range(60):
        opened.press("Tab")
        found.append(opened.run(FOCUS))
    assert [f for f in found if f in wanted] == wanted
    opened.run("document.querySelector('.grid5 a[href=\"#t0-privacy-fairness\"]').focus()")
    cell = "document.getElementById('t0-privacy-fairness')"
    assert not opened.run(f"{cell}.open")
    opened.press("Enter")
    opened.until(f"{cell}.open && {cell}.contains(document.activeElement)")
    assert opened.run(f"{cell}.getBoundingClientRect().top >= 0")
    opened.press("Escape")
    assert opened.run(FOCUS) == "#t0-privacy-fairness"
    assert opened.complaints() == []


def with_tables(ident):
    """Rows of a table whose names are as long as names get."""
    return rows_kept(sum(map(ord, ident)), sides=4, places=12, pictures=False)


@pytest.fixture(scope="module")
def table_report(tmp_path_factory):
    """Examples of a table: twelve features, one of which has a very long name."""
    names = ["a_rather_long_name_of_a_feature_that_somebody_gave", *(f"x{j}" for j in range(11))]
    values = [["Married-civ-spouse-or-something-longer", *["+0.00"] * 11]] * 3
    records = [
        with_examples(r, (names, values)) for r in (record(), record(method("lime"), noise=WITHIN))
    ]
    path = tmp_path_factory.mktemp("tables") / "report.html"
    path.write_text(page(records, load=with_tables)[0], encoding="utf-8")
    return path


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", ["report", "table_report"])
def test_examples_are_whole_at_both_widths(browser, request, tmp_path, kind, width):
    path = request.getfixturevalue(kind)
    browser.size(width)
    browser.open(path.as_uri())
    browser.run("document.querySelectorAll('details.examples').forEach((d) => { d.open = true; })")
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run(OUTSIDE) == []
    assert browser.run(CUT) == []
    browser.clip(tmp_path / f"{kind}{width}.png", "details.examples")
    assert browser.complaints() == []
    assert browser.requests() == [path.as_uri()]


def test_pictures_are_decoded_by_the_browser(opened):
    """Each picture inside the page is one that the browser can draw, of the size it was made."""
    opened.run("""
        window.sizes = [];
        document.querySelectorAll('details.examples image').forEach((n) => {
          const picture = new Image();
          picture.onload = () => window.sizes.push(picture.width + 'x' + picture.height);
          picture.onerror = () => window.sizes.push('broken');
          picture.src = n.getAttribute('href');
        })""")
    count = opened.run("document.querySelectorAll('details.examples image').length")
    assert count > 40
    opened.until(f"window.sizes.length === {count}")
    assert opened.run("[...new Set(window.sizes)]") == ["8x8"]
    assert opened.complaints() == []


def test_examples_open_and_lead_to_their_cell_by_keyboard(opened):
    block = (
        "[...document.querySelectorAll('details.examples')]"
        ".find(d => d.querySelector('summary').textContent.includes('dpsgd epsilon=3'))"
    )
    assert not opened.run(f"{block}.open")
    opened.run(f"{block}.previousElementSibling.querySelector('summary').focus()")
    opened.press("Tab")  # the block before it is closed
    assert opened.run(f"document.activeElement === {block}.querySelector('summary')")
    opened.press("Enter")
    opened.until(f"{block}.open")
    opened.press("Tab")
    cell = opened.run(FOCUS)
    assert cell == "#t0-privacy-explainability"
    opened.press("Enter")
    opened.until(f"document.getElementById('{cell[1:]}').open")
    assert opened.complaints() == []


def test_focus_is_visible(opened):
    opened.press("Tab")
    opened.press("Tab")
    assert opened.run("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2


def test_without_scripts_every_cell_is_open(browser, report, tmp_path):
    browser.size(1280)
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(report.as_uri())
        browser.picture(tmp_path / "noscript.png", whole=False)
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)
    assert browser.run("document.querySelectorAll('details.cell[open]').length") == 36
    assert browser.run("document.querySelectorAll('button').length") == 0


def test_it_prints_without_cutting_the_table(opened, tmp_path):
    opened.pdf(tmp_path / "report.pdf")
    pages = len(re.findall(rb"/Type /Page\b", (tmp_path / "report.pdf").read_bytes()))
    assert 2 < pages < 30
    opened.size(1040)  # A4 landscape within its margins, in pixels of CSS
    opened.send("Emulation.setEmulatedMedia", media="print")
    try:
        assert opened.run("document.documentElement.scrollWidth") <= 1040
        assert opened.run("document.querySelector('.grid5').getBoundingClientRect().right") <= 1040
        opened.picture(tmp_path / "print.png", whole=False)
    finally:
        opened.send("Emulation.setEmulatedMedia", media="")


def test_hostile_names_run_nothing(browser, tmp_path):
    evil = "\"><img src=x onerror=document.title='owned'><script>document.title='owned'</script>"
    arm = method("dpsgd", mode=evil)
    records = [record(dataset=evil, ident="b"), record(arm, dataset=evil, ident="t", noise=WITHIN)]
    path = tmp_path / "evil.html"
    path.write_text(page(records, experiment=evil)[0], encoding="utf-8")
    browser.open(path.as_uri())
    assert browser.run("document.title").startswith("trustbench: ")
    assert browser.requests() == [path.as_uri()]
    assert browser.complaints() == []
    assert browser.run("document.querySelectorAll('img').length") == 0


def test_the_policy_stops_what_is_planted(browser, report, tmp_path):
    """Foreign markup in the page neither runs nor loads, even if escaping failed."""
    planted = report.read_text().replace(
        "</body>", "<script>document.title='owned'</script><img src=http://127.0.0.1:9/x></body>"
    )
    path = tmp_path / "planted.html"
    path.write_text(planted, encoding="utf-8")
    browser.open(path.as_uri())
    assert browser.run("document.title") != "owned"
    assert "Content Security Policy" in " ".join(browser.complaints())
