"""Calibration in the editor in a real browser: rectangle and points, live grid, residuals, undo, touch, keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.dashboard.browser import axe
from tests.dashboard.test_browser_editor import at, editor, near, save
from tracker.errors import ConfigError
from tracker.ground import Ground, GroundPoint, Rectangle

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dashboard.browser import Tab
    from tests.dashboard.fake_api import Fake

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

CORNERS = [(0.2, 0.9), (0.8, 0.9), (0.65, 0.4), (0.35, 0.4)]
BAY = {"corners": CORNERS, "width_m": 5.0, "length_m": 12.0}


def known(fake: Fake, ground: dict[str, Any]) -> None:
    fake.cameras["checkout"].site["ground"] = ground


def grid(tab: Tab) -> list[str]:
    return tab.page.locator(".edit-ground .grid line").evaluate_all("all => all.map((one) => one.outerHTML)")


def until(tab: Tab, check: Callable[[], bool]) -> None:
    """Wait for what the server has to answer first."""
    for _ in range(150):
        if check():
            return
        tab.page.wait_for_timeout(100)
    raise AssertionError("nothing changed")


def five_points(last: tuple[float, float]) -> dict[str, Any]:
    """The corners of the bay as points, and one whose metres are those of the bay's middle."""
    points = Ground(rectangle=Rectangle(**BAY)).known
    listed = [{"at": list(one.at), "metres": list(one.metres)} for one in points]
    return {"points": [*listed, {"at": list(last), "metres": [2.5, 6.0]}], "rectangle": None}


def as_ground(sent: dict[str, Any]) -> Ground:
    return Ground(points=tuple(GroundPoint(at=tuple(one["at"]), metres=tuple(one["metres"])) for one in sent["points"]))


def test_a_rectangle_is_clicked_measured_and_saved_with_its_grid(tab: Callable[..., Tab], fake: Fake) -> None:
    one = tab()
    canvas = editor(one)
    one.page.get_by_role("button", name="Ground", exact=True).click()
    for corner in CORNERS:
        one.page.mouse.click(*at(canvas, *corner))
    one.page.get_by_text("type the rectangle's width and length").wait_for()
    assert one.page.get_by_role("button", name="Save", exact=True).is_disabled()
    one.page.get_by_label("Width, m").fill("5")
    one.page.get_by_label("Length, m").fill("12")
    one.page.locator(".edit-ground .grid line").first.wait_for(state="attached")
    assert one.page.get_by_text("Four points always fit: look").is_visible()
    save(one)
    found = fake.cameras["checkout"].site["ground"]
    assert near(found["rectangle"]["corners"], CORNERS)
    assert (found["rectangle"]["width_m"], found["rectangle"]["length_m"]) == (5, 12)
    one.go("/streams/checkout/site")
    assert one.page.locator(".place-list").get_by_text("Ground", exact=True).is_visible()


def test_the_grid_follows_the_pointer_and_undo_takes_one_drag_back(tab: Callable[..., Tab], fake: Fake) -> None:
    known(fake, {"points": [], "rectangle": BAY})
    one = tab()
    canvas = editor(one)
    one.page.locator(".place-list").get_by_text("Ground", exact=True).click()
    lines = one.page.locator(".edit-ground .grid line")
    lines.first.wait_for(state="attached")
    before = grid(one)
    one.page.mouse.move(*at(canvas, 0.65, 0.4))
    one.page.mouse.down()
    one.page.mouse.move(*at(canvas, 0.72, 0.45), steps=8)
    until(one, lambda: grid(one) != before)  # before the button is released
    one.page.mouse.up()
    one.page.keyboard.press("Control+z")
    until(one, lambda: grid(one) == before)
    assert one.page.get_by_role("button", name="Saved").is_disabled()
    one.page.keyboard.press("Control+y")
    save(one)
    assert near(fake.cameras["checkout"].site["ground"]["rectangle"]["corners"][2:3], [(0.72, 0.45)])


def test_a_fifth_point_tells_how_far_each_lies_off(tab: Callable[..., Tab], fake: Fake) -> None:
    known(fake, {"points": [], "rectangle": BAY})
    one = tab()
    canvas = editor(one)
    one.page.locator(".place-list").get_by_text("Ground", exact=True).click()
    one.page.locator(".edit-ground .grid line").first.wait_for(state="attached")
    one.page.get_by_role("button", name="Add a point").click()
    one.page.mouse.click(*at(canvas, 0.5, 0.6))
    one.page.get_by_text("type the metres of point 5").wait_for()
    last = one.page.locator(".ground-point").nth(4)
    last.get_by_label("x, m").fill("2.5")
    last.get_by_label("y, m").fill("6")
    last.get_by_text("m off").wait_for()
    save(one)
    sent = fake.cameras["checkout"].site["ground"]
    assert [point["metres"] for point in sent["points"][:4]] == [[0, 0], [5, 0], [5, 12], [0, 12]]
    expected = as_ground(sent)
    shown = [float(text.split()[0]) for text in one.page.locator(".ground-point legend .soft").all_inner_texts()]
    assert shown == pytest.approx(expected.residuals_m.tolist(), abs=0.006)
    assert max(shown) > 0.01
    assert one.page.get_by_text(f"The points fit to {expected.residual_m:.2f} m").is_visible()
    assert not axe(one.page)


def test_three_points_on_a_line_are_refused_in_the_words_of_the_command(tab: Callable[..., Tab], fake: Fake) -> None:
    known(fake, {"points": [], "rectangle": BAY})
    one = tab()
    canvas = editor(one)
    one.page.locator(".place-list").get_by_text("Ground", exact=True).click()
    one.page.locator(".edit-ground .grid line").first.wait_for(state="attached")
    one.page.get_by_role("group", name="What was measured").get_by_role("button", name="Points").click()
    one.page.mouse.move(*at(canvas, *CORNERS[2]))
    one.page.mouse.down()
    one.page.mouse.move(*at(canvas, 0.5, 0.9), steps=8)
    one.page.mouse.up()
    moved = [list(CORNERS[0]), list(CORNERS[1]), [0.5, 0.9], list(CORNERS[3])]
    metres = [(0.0, 0.0), (5.0, 0.0), (5.0, 12.0), (0.0, 12.0)]
    with pytest.raises(ConfigError) as refusal:
        as_ground({"points": [{"at": a, "metres": m} for a, m in zip(moved, metres, strict=True)]})
    one.page.get_by_text(refusal.value.problem).wait_for()
    assert one.page.get_by_role("button", name="Save", exact=True).is_disabled()
    assert not grid(one)


def test_touch_drags_a_corner_and_the_keyboard_moves_it(tab: Callable[..., Tab], fake: Fake, browser: Any) -> None:
    known(fake, five_points((0.5, 0.57)))
    phone = {key: value for key, value in browser.known_devices["Pixel 7"].items() if key != "default_browser_type"}
    one = tab(**phone)
    canvas = editor(one)
    one.page.locator(".place-list").get_by_text("Ground", exact=True).tap()
    canvas.scroll_into_view_if_needed()
    session = one.page.context.new_cdp_session(one.page)
    start, end = at(canvas, 0.5, 0.57), at(canvas, 0.45, 0.7)
    steps = [tuple(a + (b - a) * share / 4 for a, b in zip(start, end, strict=True)) for share in range(5)]
    for kind, (x, y) in [("touchStart", steps[0]), *(("touchMove", step) for step in steps[1:])]:
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    assert one.page.locator(".loupe").is_visible(), "the finger covers the point"
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert one.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    box = canvas.bounding_box()
    one.page.locator(".editor-svg [data-part=vertex][data-vertex='4']").focus()
    for key in ("Shift+ArrowLeft", "ArrowUp"):
        one.page.keyboard.press(key)
    one.page.keyboard.press("Delete")
    one.page.keyboard.press("Control+z")
    save(one)
    moved = [0.45 - 10 / box["width"], 0.7 - 1 / box["height"]]
    assert near([fake.cameras["checkout"].site["ground"]["points"][4]["at"]], [moved], 0.012)


def test_two_editors_of_the_ground_choose_one(tab: Callable[..., Tab], fake: Fake) -> None:
    known(fake, {"points": [], "rectangle": BAY})
    first = tab()
    editor(first)
    second = tab("oli")
    editor(second)
    for one, width in ((first, "6"), (second, "7")):
        one.page.locator(".place-list").get_by_text("Ground", exact=True).click()
        one.page.get_by_label("Width, m").fill(width)
        one.page.locator(".edit-ground .grid line").first.wait_for(state="attached")
    save(first)
    second.refusals_expected = True
    second.page.get_by_role("button", name="Save", exact=True).click()
    dialog = second.page.get_by_role("dialog")
    assert "7.0 × 12.0 m / 6.0 × 12.0 m" in dialog.inner_text()
    dialog.get_by_role("button", name="Take the chosen ones").click()
    save(second)
    assert fake.cameras["checkout"].site["ground"]["rectangle"]["width_m"] == 7
