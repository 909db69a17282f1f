"""The editor in a real browser: mouse, touch and keyboard draw the same numbers; undo, conflict, reload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dashboard.browser import Tab
    from tests.dashboard.fake_api import Fake

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


def editor(tab: Tab, stream: str = "checkout") -> Any:
    tab.go(f"/streams/{stream}/site")
    canvas = tab.page.locator(".editor-svg")
    canvas.wait_for()
    canvas.scroll_into_view_if_needed()
    return canvas


def at(canvas: Any, x: float, y: float) -> tuple[float, float]:
    box = canvas.bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def save(tab: Tab) -> None:
    tab.page.get_by_role("button", name="Save", exact=True).click()
    tab.page.get_by_text("Saved as revision").wait_for()


def near(points: Any, expected: Any, tolerance: float = 0.004) -> bool:
    return all(
        abs(a - b) <= tolerance for p, q in zip(points, expected, strict=True) for a, b in zip(p, q, strict=True)
    )


def test_a_line_by_mouse_is_drawn_counted_and_saved(tab: Callable[..., Tab], fake: Fake) -> None:
    one = tab()
    canvas = editor(one)
    one.page.get_by_role("button", name="Line", exact=True).click()
    one.page.mouse.click(*at(canvas, 0.2, 0.7))
    one.page.mouse.click(*at(canvas, 0.8, 0.72))
    one.page.get_by_label("Name").first.fill("aisle")
    one.page.locator(".dry").wait_for(timeout=60_000)
    save(one)
    line = fake.cameras["checkout"].site["lines"][-1]
    assert line["name"] == "aisle"
    assert near(line["points"], [[0.2, 0.7], [0.8, 0.72]])
    assert (line["to_left"], line["to_right"]) == ("in", "out")
    one.go("/streams/checkout/site")
    assert one.page.locator(".place-list").get_by_text("aisle").is_visible()


def test_a_line_by_touch_is_pressed_and_dragged(tab: Callable[..., Tab], fake: Fake, browser: Any) -> None:
    phone = {key: value for key, value in browser.known_devices["Pixel 7"].items() if key != "default_browser_type"}
    one = tab(**phone)
    canvas = editor(one)
    one.page.get_by_role("button", name="Line", exact=True).tap()
    session = one.page.context.new_cdp_session(one.page)
    start, end = at(canvas, 0.25, 0.8), at(canvas, 0.75, 0.6)
    steps = [tuple(a + (b - a) * share / 4 for a, b in zip(start, end, strict=True)) for share in range(5)]
    for kind, (x, y) in [("touchStart", steps[0]), *(("touchMove", step) for step in steps[1:])]:
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    assert one.page.locator(".loupe").is_visible(), "the finger covers the point"
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    one.page.locator(".properties").wait_for()
    save(one)
    assert near(fake.cameras["checkout"].site["lines"][-1]["points"], [[0.25, 0.8], [0.75, 0.6]], 0.01)
    assert one.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_zone_is_closed_by_its_first_corner_and_edited(tab: Callable[..., Tab], fake: Fake) -> None:
    one = tab()
    canvas = editor(one)
    one.page.get_by_role("button", name="Zone", exact=True).click()
    corners = [(0.1, 0.1), (0.3, 0.1), (0.3, 0.35), (0.1, 0.35)]
    for corner in corners:
        one.page.mouse.click(*at(canvas, *corner))
    one.page.keyboard.press("Control+z")  # of a draft: takes back its last corner
    one.page.mouse.click(*at(canvas, 0.1, 0.4))
    one.page.mouse.click(*at(canvas, *corners[0]))
    # Drag one corner, put in another one by a middle handle.
    one.page.mouse.move(*at(canvas, 0.3, 0.35))
    one.page.mouse.down()
    one.page.mouse.move(*at(canvas, 0.35, 0.45), steps=4)
    one.page.mouse.up()
    one.page.mouse.click(*at(canvas, 0.2, 0.1))
    save(one)
    found = fake.cameras["checkout"].site["zones"][-1]["polygons"][0]
    assert near(found, [(0.1, 0.1), (0.2, 0.1), (0.3, 0.1), (0.35, 0.45), (0.1, 0.4)], 0.005)


def test_on_a_phone_only_the_chosen_place_has_tags(tab: Callable[..., Tab]) -> None:
    wide, small = tab(), tab(viewport={"width": 360, "height": 780})
    editor(wide, "entrance")
    assert wide.page.locator(".editor-svg .tag").count() == 7, "two of each line, one of each zone"
    editor(small, "entrance")
    tags = small.page.locator(".editor-svg .tag")
    assert tags.count() == 0
    small.page.locator(".place-list button").first.click()
    small.page.wait_for_function("document.querySelectorAll('.editor-svg .tag').length === 2")
    small.go("/streams/entrance")
    small.page.locator(".places .place-line").first.wait_for(state="attached")
    assert small.page.locator(".places .tag").count() == 0


def test_undo_and_redo_reach_every_step(tab: Callable[..., Tab]) -> None:
    one = tab()
    canvas = editor(one)
    before = one.page.locator(".place-list li").count()
    for height in (0.5, 0.6, 0.7):
        one.page.get_by_role("button", name="Line", exact=True).click()
        one.page.mouse.click(*at(canvas, 0.1, height))
        one.page.mouse.click(*at(canvas, 0.6, height + 0.02))
    rows = one.page.locator(".place-list li")
    assert rows.count() == before + 3
    for left in (2, 1, 0):
        one.page.keyboard.press("Control+z")
        assert rows.count() == before + left
    assert one.page.get_by_role("button", name="Saved").is_disabled()
    one.page.keyboard.press("Control+y")
    one.page.keyboard.press("Control+Shift+Z")
    assert rows.count() == before + 2
    one.page.locator(".editor-svg").get_by_role("button", name="Line line 2").focus()
    one.page.keyboard.press("Delete")
    assert rows.count() == before + 1


def test_the_keyboard_alone_draws_and_moves(tab: Callable[..., Tab], fake: Fake) -> None:
    one = tab()
    canvas = editor(one)
    one.page.get_by_role("button", name="Line", exact=True).focus()
    one.page.keyboard.press("Enter")
    one.page.locator(".editor-svg [data-part=vertex]").first.focus()
    for key in ("ArrowDown", "Shift+ArrowRight", "Shift+ArrowRight"):
        one.page.keyboard.press(key)
    width, height = canvas.bounding_box()["width"], canvas.bounding_box()["height"]
    one.page.keyboard.press("Control+s")
    one.page.get_by_text("Saved as revision").wait_for()
    points = fake.cameras["checkout"].site["lines"][-1]["points"]
    assert near(points, [[0.3 + 20 / width, 0.5 + 1 / height], [0.7, 0.5]], 0.0003)


def test_directions_turn_round_and_names_follow_into_doors_and_alerts(tab: Callable[..., Tab], fake: Fake) -> None:
    rules = [{"name": "fast", "watch": "speed", "place": "door"}, {"name": "any", "watch": "speed", "place": ""}]
    fake.cameras["entrance"].site["alerts"] = rules
    one = tab()
    editor(one, "entrance")
    before = fake.cameras["entrance"].site["lines"][0]["points"]
    one.page.locator(".place-list").get_by_text("door", exact=True).click()
    one.page.get_by_role("button", name="Turn round").click()
    one.page.get_by_label("Name").first.fill("main door")
    save(one)
    site = fake.cameras["entrance"].site
    assert site["lines"][0]["points"] == before[::-1]
    assert site["doors"][0]["lines"] == ["main door"]
    assert [rule["place"] for rule in site["alerts"]] == ["main door", ""]


def test_two_editors_meet_and_both_changes_can_be_kept(tab: Callable[..., Tab], fake: Fake) -> None:
    first, second = tab(), tab("oli")
    for one in (first, second):
        editor(one)
    first.page.locator(".place-list button").first.click()
    first.page.get_by_label("Left of A to B").fill("joining")
    save(first)
    second.page.locator(".place-list button").nth(1).click()
    second.page.get_by_label("Name").first.fill("line-up")
    second.refusals_expected = True
    second.page.get_by_role("button", name="Save", exact=True).click()
    dialog = second.page.get_by_role("dialog")
    dialog.get_by_text("Somebody else saved meanwhile").wait_for()
    dialog.get_by_role("button", name="Take the chosen ones").click()
    save(second)
    site = fake.cameras["checkout"].site
    assert site["revision"] == 5
    assert site["lines"][0]["to_left"] == "joining", "the first editor's change"
    assert site["zones"][0]["name"] == "line-up", "the second editor's change"


def test_unsaved_work_is_not_lost_by_a_link(tab: Callable[..., Tab]) -> None:
    one = tab()
    editor(one)
    one.page.locator(".place-list button").first.click()
    one.page.get_by_label("Left of A to B").fill("x")
    asked: list[str] = []
    one.page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    one.page.get_by_role("link", name="Counts", exact=True).click()
    assert asked
    assert "not saved" in asked[0]
    assert one.page.url.endswith("/site")


def test_an_old_revision_is_compared_and_drawn_again(tab: Callable[..., Tab], fake: Fake) -> None:
    one = tab()
    editor(one)
    one.page.locator(".place-list button").first.click()
    one.page.get_by_label("Left of A to B").fill("joining")
    save(one)
    one.page.get_by_role("button", name="Revisions").click()
    one.page.get_by_role("dialog").get_by_text("Revision 3", exact=True).click()
    one.page.get_by_role("button", name="Draw revision 3 again").wait_for()
    assert "in → joining" in one.page.get_by_role("dialog").inner_text().replace("\n", " ")
    one.page.get_by_role("button", name="Draw revision 3 again").click()
    save(one)
    assert fake.cameras["checkout"].site["lines"][0]["to_left"] == "in"
    assert fake.cameras["checkout"].site["revision"] == 5


def test_an_import_is_drawn_beside_what_is_there(tab: Callable[..., Tab], fake: Fake) -> None:
    one = tab()
    editor(one)
    one.page.get_by_role("button", name="Import, export").click()
    file = {"name": "lines.json", "mimeType": "application/json", "buffer": b'{"served": [[0.1, 0.2], [0.4, 0.2]]}'}
    one.page.locator("input[type=file]").set_input_files(file)
    one.page.get_by_role("dialog").get_by_role("button", name="Import").click()
    one.page.get_by_text("colours are left out").wait_for()
    one.page.get_by_role("button", name="Draw it all the same").click()
    save(one)
    names = [line["name"] for line in fake.cameras["checkout"].site["lines"]]
    assert names == ["served", "served 1"]


def test_a_problem_is_named_and_cannot_be_saved(tab: Callable[..., Tab]) -> None:
    one = tab()
    editor(one)
    one.page.locator(".place-list button").first.click()
    one.page.get_by_label("Name").first.fill("queue")
    one.page.get_by_text("twice").wait_for()
    assert one.page.get_by_role("button", name="Save", exact=True).is_disabled()


def test_who_may_not_change_a_site_sees_it_and_no_tools(tab: Callable[..., Tab]) -> None:
    one = tab("val")
    editor(one)
    assert one.page.get_by_text("You may look, not change.").is_visible()
    assert one.page.get_by_role("toolbar").count() == 0
    assert one.page.get_by_role("button", name="Save").count() == 0


def test_a_privacy_zone_is_drawn_and_named_and_counts_nothing(tab: Callable[..., Tab], fake: Fake) -> None:
    one = tab()
    canvas = editor(one)
    one.page.get_by_role("button", name="Privacy zone", exact=True).click()
    corners = [(0.6, 0.1), (0.9, 0.1), (0.9, 0.4)]
    for corner in (*corners, corners[0]):
        one.page.mouse.click(*at(canvas, *corner))
    one.page.locator(".properties").wait_for()
    assert one.page.get_by_text("Never shown: filled in every picture").is_visible()
    assert one.page.locator(".properties .dry").count() == 0
    save(one)
    [zone] = fake.cameras["checkout"].site["privacy"]
    assert near(zone["polygon"], corners, 0.005)
    assert zone["name"] == "privacy zone 1"
