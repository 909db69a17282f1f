"""The page in a real browser: both themes, a phone, paper, accessibility, and nothing that its policy refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.dashboard.browser import Tab, axe
from tests.report.test_build import SITE
from tests.report.weeks import ZONE, at_ms, write_weeks
from tracker.report.build import Asked, build
from tracker.report.page import render_page
from tracker.report.store import Ledger

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    ledger = Ledger(path=write_weeks(folder / "weeks.sqlite", days=9))
    asked = Asked(ledgers=[ledger], zone=ZONE, from_ms=at_ms(168), to_ms=at_ms(192), sites={Path("shop.yaml"): SITE})
    (folder / "report.html").write_text(render_page(build(asked).report), "utf-8")
    return folder / "report.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_it_fits_and_is_accessible(browser: Any, page: Path, width: int, scheme: str) -> None:
    made = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    tab = Tab(made.new_page(), page.as_uri())
    tab.page.goto(page.as_uri())
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    look = "narrow" if width <= 600 else "wide"
    shown = tab.page.locator("svg[role=img]:visible")
    assert shown.count() == tab.page.locator(f"svg.{look}").count() >= 6
    sizes = tab.page.evaluate(
        """[...document.querySelectorAll('figure svg[role=img] text')].filter(one => one.checkVisibility())
        .map(one => one.getBoundingClientRect().height)"""
    )
    assert min(sizes) > 9  # pixels of a line
    tab.page.locator("summary").first.click()
    assert tab.page.locator("details table").first.is_visible()
    assert axe(tab.page) == []
    made.close()
    tab.check()


def test_it_prints_on_a4_in_light_colours(browser: Any, page: Path) -> None:
    made = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="dark")
    tab = Tab(made.new_page(), page.as_uri())
    tab.page.goto(page.as_uri())
    data = tab.page.pdf(format="A4", print_background=True)
    pages = data.count(b"/Type /Page\n") + data.count(b"/Type /Page ") + data.count(b"/Type /Page/")
    assert 3 <= pages <= 12
    tab.page.emulate_media(media="print")
    tab.page.set_viewport_size({"width": 695, "height": 800})  # of A4 without its margins
    wide = "[...document.querySelectorAll('.scroll')].filter(one => one.checkVisibility() && one.scrollWidth > 695)"
    assert tab.page.evaluate(f"{wide}.map(one => one.ariaLabel)") == []
    style = "() => [getComputedStyle(document.body)].map(one => [one.backgroundColor, one.color])"
    assert tab.page.evaluate(style) == [["rgb(255, 255, 255)", "rgb(20, 25, 30)"]]
    assert not tab.page.locator("nav").is_visible()
    assert not tab.page.locator("details").first.is_visible()
    made.close()
    tab.check()
