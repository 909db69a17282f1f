"""Validation in a real browser on the real server: intervals of a video are drawn, counted and reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dashboard.browser import Tab, axe, closed_and_checked, open_tab
from tests.dashboard.served import Served
from tests.sinks.ledgers import crossing, write_ledger
from tests.sources.videos import write_video

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SECONDS = 12


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Served]:
    runs = tmp_path / "runs"
    runs.mkdir()
    write_video(runs / "yard.mp4", count=SECONDS * 10, rate=10)
    passed = [
        crossing(n, stream="yard.mp4", utc=False, time_s=n / 4, direction="in", class_name="car")
        for n in range(4 * SECONDS)
    ]
    write_ledger(runs / "yard.events.jsonl", passed)
    with Served(tmp_path / "dash", recordings=runs) as served:
        served.context.ledgers.read()
        yield served


@pytest.fixture
def visit(browser: Any, real: Served) -> Iterator[Callable[..., Tab]]:
    """Opens tabs of accounts that are logged in; at the end none of them may have complained."""
    with closed_and_checked() as opened:

        def open_one(name: str, *, see_people: bool = True, role: str = "operator", **context: Any) -> Tab:
            if real.context.accounts.user(name) is None:
                real.context.accounts.add_user(name, role=role, password="none", streams=None, see_people=see_people)
            one = open_tab(browser, real.origin, **context)
            cookie, _, value = real.headers(name)["cookie"].partition("=")
            one.page.context.add_cookies([{"name": cookie, "value": value, "url": real.origin}])
            opened.append(one)
            return one

        yield open_one


def drawn(tab: Tab, count: int = 6) -> None:
    tab.go("/validation")
    tab.page.get_by_role("button", name="Draw intervals").click()
    dialog = tab.page.get_by_role("dialog")
    dialog.get_by_label("Intervals").fill(str(count))
    dialog.get_by_label("Length of each, s").fill("2")
    dialog.get_by_role("button", name="Draw intervals").click()
    tab.page.get_by_role("heading", name="What passed").wait_for()


def test_intervals_are_drawn_seen_counted_and_reported(visit: Callable[..., Tab], real: Served) -> None:
    one = visit("oli")
    drawn(one)
    assert not axe(one.page)
    assert "Ledger" not in one.page.locator("main").inner_text(), "nothing says what the program counted"
    video = one.page.locator("video")
    one.page.get_by_role("navigation", name="All intervals").get_by_role("button", name="Interval 3").click()
    for _ in range(100):
        if abs(video.evaluate("one => one.currentTime") - 4) < 0.2:
            break
        one.page.wait_for_timeout(100)
    assert video.evaluate("one => one.currentTime") == pytest.approx(4, abs=0.2), "where the interval begins"
    one.page.get_by_role("button", name="Play the interval").click()
    for _ in range(150):
        if video.evaluate("one => one.paused && one.currentTime > 5"):
            break
        one.page.wait_for_timeout(100)
    assert video.evaluate("one => one.currentTime") == pytest.approx(6, abs=0.6), "and stops at its end"
    one.page.get_by_role("navigation", name="All intervals").get_by_role("button", name="Interval 1").click()
    for number in range(1, 7):
        one.page.get_by_text(f"Interval {number}:").wait_for()
        for _ in range(7):
            one.page.keyboard.press("1")
        one.page.keyboard.press("Shift+Digit1")
        one.page.get_by_role("button", name="One more: door in car").click()
        one.page.get_by_label("door in car", exact=True).fill("8" if number == 6 else "7")
        one.page.get_by_role("button", name="Save, next interval").click()
        one.page.get_by_role("button", name=f"Interval {number}, counted").wait_for()
    sheet = real.context.accounts.rows("SELECT counts, name FROM count_intervals ORDER BY number")
    assert [tuple(row) for row in sheet] == [("[7]", "oli")] * 5 + [("[8]", "oli")]
    one.page.get_by_role("group", name="Shown").get_by_role("button", name="Report").click()
    row = one.page.get_by_role("row", name="door in car")
    row.wait_for()
    assert row.get_by_role("cell").all_inner_texts()[2:6] == ["6", "48", "43", "+11.6 %"]
    assert not axe(one.page)
    one.go("/validation")
    assert one.page.get_by_text("6 of 6").is_visible()


def test_two_people_count_one_interval_and_choose(visit: Callable[..., Tab], real: Served) -> None:
    first, second = visit("oli"), visit("ann")
    drawn(first)
    second.go("/validation/1?interval=1")
    first.page.get_by_label("door in car", exact=True).fill("5")
    first.page.get_by_role("button", name="Save, next interval").click()
    first.page.get_by_role("button", name="Interval 1, counted").wait_for()
    second.refusals_expected = True
    second.page.get_by_label("door in car", exact=True).fill("9")
    second.page.get_by_role("button", name="Save, next interval").click()
    second.page.get_by_text("oli counted this interval meanwhile: 5.").wait_for()
    second.page.get_by_role("button", name="Keep mine").click()
    second.page.get_by_role("button", name="Interval 1, counted").wait_for()
    [row] = real.context.accounts.rows("SELECT counts, name, revision FROM count_intervals WHERE number = 1")
    assert tuple(row) == ("[9]", "ann", 2)


def test_who_may_not_see_people_counts_without_the_video_on_a_phone(visit: Callable[..., Tab]) -> None:
    one = visit("blind", see_people=False, viewport={"width": 360, "height": 780}, color_scheme="dark")
    drawn(one)
    assert one.page.locator("video").count() == 0
    assert one.page.get_by_text("You may see masked pictures only").is_visible()
    assert one.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not axe(one.page)
    one.page.get_by_label("door in car", exact=True).fill("4")
    asked: list[str] = []
    one.page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    one.page.get_by_role("link", name="Back to all intervals").click()
    assert asked, "what is typed and not saved is not lost by a link"
    one.page.get_by_role("button", name="Save, next interval").click()
    one.page.get_by_role("button", name="Interval 1, counted").wait_for()


def test_a_viewer_has_no_such_page(visit: Callable[..., Tab]) -> None:
    one = visit("val", role="viewer")
    one.go("/")
    one.page.get_by_role("link", name="Recordings").wait_for()
    assert one.page.get_by_role("link", name="Validation").count() == 0
