"""The page against the real server: from the set-up link to a count that equals the hand count, in one browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.dashboard.browser import Tab, open_tab
from tests.dashboard.test_browser_editor import at, save
from tests.dashboard.test_browser_views import axe

pytest.importorskip("fastapi")

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PASSWORD = "correct horse battery"
VIEWS = (
    "/", "/streams/entrance", "/streams/entrance/site", "/counts", "/dwell", "/flows", "/events", "/alerts", "/audit",
    "/validation", "/recordings", "/health", "/users", "/users?tab=tokens", "/users?tab=log",
)  # fmt: skip


def set_up(tab: Tab, link: str) -> None:
    """The first account by the one-time link; log out, log in."""
    tab.page.goto(link)
    tab.page.fill("input[name=username]", "ada")
    tab.page.fill("input[name=new-password]", PASSWORD)
    tab.page.fill("input[name=again]", PASSWORD)
    tab.page.get_by_label("This account may see clear pictures").check()
    with tab.page.expect_websocket():
        tab.page.get_by_role("button", name="Make the account").click()
    tab.page.get_by_role("heading", name="Cameras").wait_for()
    # What is still asked for when the session ends is refused, and the browser complains of it.
    tab.page.wait_for_load_state("networkidle")
    tab.page.wait_for_timeout(1000)
    tab.page.get_by_role("button", name="Log out").click()
    tab.page.get_by_role("button", name="Log in").wait_for()
    tab.log_in("ada", PASSWORD)


def draw(tab: Tab, line: list[tuple[float, float]]) -> None:
    """A line on the live picture, by mouse."""
    tab.go("/streams/entrance/site")
    canvas = tab.page.locator(".editor-svg")
    canvas.wait_for(timeout=30_000)
    tab.page.get_by_role("button", name="Line", exact=True).click()
    for point in line:
        tab.page.mouse.click(*at(canvas, *point))
    tab.page.get_by_label("Name").first.fill("door")
    save(tab)


def shown(page: Any, direction: str) -> int:
    """The count of a direction beside the camera's picture."""
    script = """(direction) => [...document.querySelectorAll('.today .count')]
        .filter((one) => one.textContent.startsWith(direction))
        .reduce((sum, one) => sum + Number(one.querySelector('b').textContent), 0)"""
    return page.evaluate(script, direction)


def test_a_drawn_line_counts_a_played_clip_to_the_hand_count(browser: Any, tmp_path: Path) -> None:
    from tests.dashboard.played import PlayedService

    service = PlayedService(tmp_path)
    scene = service.camera.recording.scene
    corners = scene.on_picture(scene.plan.lines_m["door"])
    passed = scene.crossings(scene.plan.lines_m["door"])
    entries = sum(one.direction > 0 for one in passed)
    truth = (entries, len(passed) - entries)
    assert min(truth) > 2
    with service as link:
        tab = open_tab(browser, link.partition("/setup")[0])
        set_up(tab, link)
        draw(tab, [(x / scene.size[0], y / scene.size[1]) for x, y in corners])
        tab.go("/streams/entrance")
        tab.page.locator(".places").first.wait_for()
        service.play()
        assert service.played.wait(200)
        for _ in range(40):
            if shown(tab.page, "in") + shown(tab.page, "out") >= len(passed):
                break
            tab.page.wait_for_timeout(250)
        assert (shown(tab.page, "in"), shown(tab.page, "out")) == truth
        assert tab.page.locator(".event-row").count() >= len(passed)
        # The ledger's chart says the same, and so does a dry run of the last minutes.
        tab.go("/counts")
        tab.page.locator(".figure").first.wait_for()
        figures = dict(one.split("\n")[:2] for one in tab.page.locator(".figure").all_inner_texts())
        assert int(figures["Total"]) == len(passed)
        tab.go("/streams/entrance/site")
        tab.page.locator(".place-list button").first.click()
        tab.page.locator(".dry tbody tr").first.wait_for(timeout=30_000)
        rows = [one.split() for one in tab.page.locator(".dry tbody tr").all_inner_texts()]
        assert [int(row[-1]) for row in rows if row[0] in {"in", "out"}] == list(truth)
        tab.page.context.close()
        tab.check()


def test_every_view_of_the_real_server_is_clean(browser: Any, tmp_path: Path) -> None:
    from tests.dashboard.played import PlayedService

    with PlayedService(tmp_path) as link:
        tab = open_tab(browser, link.partition("/setup")[0])
        set_up(tab, link)
        draw(tab, [(0.2, 0.7), (0.8, 0.7)])
        found = {}
        for view in VIEWS:
            tab.go(view)
            found[view] = axe(tab.page)
        assert {view: rows for view, rows in found.items() if rows} == {}
        # Another account without rights to this camera sees nothing of it.
        tab.go("/users")
        tab.page.get_by_role("button", name="Add a user").click()
        dialog = tab.page.get_by_role("dialog")
        dialog.get_by_label("Name").fill("val")
        dialog.get_by_label("Password").fill("another long password")
        dialog.get_by_role("button", name="Save").click()
        tab.page.get_by_role("button", name="Change val").wait_for()
        other = open_tab(browser, tab.address)
        other.log_in("val", "another long password")
        other.page.get_by_text("There are no cameras yet").wait_for()
        other.refusals_expected = True
        other.go("/streams/entrance")
        other.page.get_by_role("alert").wait_for()
        assert other.page.locator("canvas").count() == 0
        for one in (tab, other):
            one.page.context.close()
            one.check()
