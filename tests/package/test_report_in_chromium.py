"""The report as a browser shows it: on a desk and on a phone, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from scripts import browser
from scripts.browser import Tab

from quiesce import reporting
from quiesce.html_report import render
from tests.function.html_seen import Page
from tests.function.report_records import NOW, POLICIES, History, rows

pytestmark = [pytest.mark.lab, pytest.mark.skipif(browser.program() is None, reason="there is no chromium")]
SIZES = [pytest.param(1280, 900, id="desk"), pytest.param(390, 844, id="phone")]
BRIGHTNESS = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number).reduce((a, b) => a + b)"
CUT_OFF = """[...document.querySelectorAll('body *')].filter(one => {
    const box = one.getBoundingClientRect()
    return box.width && !one.closest('thead, .drawn, svg') && (box.right > innerWidth + 1 || box.left < -1)
}).map(one => one.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = reporting.content(History(8, 30, disks_each=2), POLICIES, rows(8, 2, well=False), NOW, 30, "ap-guangzhou")
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(render.page(made), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with browser.tab() as tab:
        yield tab


def test_the_browser_reads_the_page_as_it_was_written(page: Path) -> None:
    written, read = Page(page.read_text()), Page(browser.dumped(page))
    assert "".join(read.text.split()) == "".join(written.text.split())
    assert [tag for tag in read.tags if tag != "tbody"] == [tag for tag in written.tags if tag != "tbody"]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_it_is_shown_whole_and_in_the_readers_colours(
    tab: Tab, page: Path, tmp_path: Path, width: int, height: int, dark: bool
) -> None:
    tab.open(page, width, height, dark=dark)
    assert tab.value("document.documentElement.scrollWidth") <= width, "nothing has to be scrolled sideways"
    assert tab.value(CUT_OFF) == []
    assert (tab.value(BRIGHTNESS) < 200) == dark
    picture = tab.picture()
    (tmp_path / "picture.png").write_bytes(picture)
    assert picture[16:24] == width.to_bytes(4, "big") + height.to_bytes(4, "big")


def test_it_asks_for_nothing_but_itself_and_the_browser_has_nothing_to_complain_of(tab: Tab, page: Path) -> None:
    tab.open(page)
    asked = [told["request"]["url"] for told in tab.told("Network.requestWillBeSent")]
    assert {url for url in asked if not url.startswith("data:")} == {page.as_uri()}
    assert tab.told("Log.entryAdded") == []
    assert tab.told("Runtime.exceptionThrown") == []


def test_on_paper_everything_that_is_folded_up_is_there(tab: Tab, page: Path) -> None:
    tab.open(page)
    folded = "[...document.querySelectorAll('details:not([open]) dl, details:not([open]) table')]"
    heights = f"{folded}.map(one => one.getBoundingClientRect().height)"
    assert tab.value(f"{folded}.length") > 5
    assert max(tab.value(heights)) == 0
    tab.ask("Emulation.setEmulatedMedia", media="print")
    try:
        assert min(tab.value(heights)) > 20
    finally:
        tab.ask("Emulation.setEmulatedMedia", media="")


def test_beyond_the_budget_looks_different_without_any_colour(tab: Tab, page: Path) -> None:
    tab.open(page)
    fill = "getComputedStyle(document.querySelector('{}')).fill"
    assert "hatch" in tab.value(fill.format("rect.beyond"))
    assert "hatch" not in tab.value(fill.format("rect.writers"))
    assert tab.value("document.querySelector('#hatch line').getBBox().height") == 7
