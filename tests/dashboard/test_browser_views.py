"""Every view in a real browser: set up, log in, rights, live numbers, themes, widths, accessibility, errors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from demos.scenes.catalogue import open_recording
from demos.scenes.writers import write_video
from tests.dashboard.browser import axe, open_tab
from tests.dashboard.fake_api import PASSWORD, TOKEN, Fake, Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dashboard.browser import Tab

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

VIEWS = (
    "/",
    "/streams/junction",
    "/streams/back%20yard",
    "/streams/checkout/site",
    "/counts?span=7d&compare=1&stream=entrance",
    "/dwell",
    "/flows",
    "/speeds",
    "/conflicts",
    "/queues",
    "/footfall",
    "/groups",
    "/heatmap",
    "/events",
    "/alerts",
    "/alerts?tab=rules",
    "/audit",
    "/validation",
    "/recordings",
    "/streams/morning",
    "/health",
    "/users",
    "/users?tab=tokens",
    "/users?tab=log",
    "/no-such-page",
)


def test_the_first_administrator_sets_up_by_the_link(browser: Any) -> None:
    fake = Fake(setup_needed=True)
    with Server(fake) as address:
        tab = open_tab(browser, address)
        tab.go(f"/setup#token={TOKEN}")
        assert TOKEN not in tab.page.url, "out of the address bar at once"
        tab.page.fill("input[name=username]", "ada")
        tab.page.fill("input[name=new-password]", "short")
        tab.page.fill("input[name=again]", "short")
        assert tab.page.get_by_text("That is shorter than 12 characters.").is_visible()
        assert tab.page.get_by_role("button", name="Make the account").is_disabled()
        tab.page.fill("input[name=new-password]", PASSWORD)
        tab.page.fill("input[name=again]", PASSWORD)
        tab.page.get_by_role("button", name="Make the account").click()
        tab.page.get_by_role("heading", name="Cameras").wait_for()
        assert fake.users["ada"]["role"] == "admin"
        assert fake.users["ada"]["see_people"] is False, "clear pictures are a choice"
        tab.page.context.close()
        tab.check()


def test_log_in_says_what_is_wrong_and_leads_to_where_one_wanted_to_go(tab: Callable[..., Tab]) -> None:
    one = tab(None)
    one.refusals_expected = True
    one.page.goto(one.address + "/counts?stream=entrance")
    one.page.fill("input[name=username]", "ada")
    one.page.fill("input[name=password]", "wrong")
    one.page.click("button[type=submit]")
    one.page.get_by_text("Name or password is wrong.").wait_for()
    one.page.fill("input[name=password]", PASSWORD)
    one.page.click("button[type=submit]")
    one.page.get_by_role("heading", name="Counts", exact=True).wait_for()
    assert one.page.url.endswith("/counts?stream=entrance")
    one.page.get_by_role("button", name="Log out").click()
    one.page.get_by_role("heading", name="Log in").wait_for()


@pytest.mark.parametrize("target", ["https://example.org/", "//example.org", "/\\example.org", "javascript:alert(1)"])
def test_log_in_leads_to_no_other_place(tab: Callable[..., Tab], target: str) -> None:
    one = tab(None)
    one.page.goto(f"{one.address}/login?next={target}")
    one.page.fill("input[name=username]", "ada")
    one.page.fill("input[name=password]", PASSWORD)
    one.page.click("button[type=submit]")
    one.page.get_by_role("heading", name="Cameras").wait_for()
    assert one.page.url == one.address + "/"


def test_who_has_no_rights_sees_neither_cameras_nor_pages_of_others(tab: Callable[..., Tab]) -> None:
    one = tab("val")
    one.go("/")
    one.page.locator(".tile").first.wait_for()
    assert one.page.locator(".tile h2").all_inner_texts() == ["checkout"]
    links = one.page.locator("nav a").all_inner_texts()
    assert "Users" not in links
    assert "Audit" not in links
    one.go("/streams/checkout")
    assert one.page.get_by_role("group", name="Picture", exact=True).count() == 0, "no choice of clear pictures"
    one.refusals_expected = True
    one.go("/streams/entrance")
    one.page.get_by_role("alert").wait_for()
    assert one.page.locator("canvas").count() == 0
    one.go("/users")
    one.page.get_by_role("alert").wait_for()


def test_pictures_states_and_counts_are_live(tab: Callable[..., Tab]) -> None:
    one = tab()
    one.go("/streams/junction")
    one.page.locator(".rail .link-state").get_by_text("Live").wait_for()
    one.page.locator(".card button .identity-dot").first.wait_for(timeout=30_000)
    sum_ = """[...document.querySelectorAll('.today b')].reduce(
        (sum, one) => sum + Number(one.textContent.replace(/\\D/g, '')), 0)"""
    before, rows = one.page.evaluate(sum_), one.page.locator(".event-row").count()
    for _ in range(60):
        one.page.wait_for_timeout(500)
        if one.page.evaluate(sum_) > before and one.page.locator(".event-row").count() > rows:
            break
    assert one.page.evaluate(sum_) > before, "counts rise as the loop is played"
    assert one.page.locator(".event-row").count() > rows, "events appear as they happen"
    drawn = """(() => {
        const overlay = document.querySelector('.overlay'), copy = document.createElement('canvas');
        copy.width = overlay.width; copy.height = overlay.height;
        const context = copy.getContext('2d', {willReadFrequently: true});
        context.drawImage(overlay, 0, 0);
        return context.getImageData(0, 0, copy.width, copy.height).data.some(Boolean);
    })()"""
    assert one.page.evaluate(drawn)
    for label in ("Masks", "Trails", "Labels", "Ground contacts"):
        box = one.page.get_by_label(label)
        if box.is_checked():
            box.uncheck()
    one.page.wait_for_timeout(600)
    assert not one.page.evaluate(drawn), "every viewer's own switches"


def test_an_identity_is_chosen_by_a_click_and_is_an_address(tab: Callable[..., Tab]) -> None:
    one = tab()
    one.go("/streams/checkout")
    button = one.page.locator("section.card .row button").first
    button.wait_for(timeout=30_000)
    button.click()
    one.page.get_by_text("First seen").wait_for(timeout=30_000)
    assert "identity=" in one.page.url
    assert one.page.locator(".path-line").count() >= 1
    one.page.reload()
    one.page.get_by_text("First seen").wait_for(timeout=30_000)
    one.page.locator(".identity-card").get_by_role("button", name="Close").click()
    assert "identity=" not in one.page.url


def test_pictures_are_acknowledged_and_a_hidden_tab_pauses(tab: Callable[..., Tab]) -> None:
    one = tab()
    sent: list[str] = []
    one.page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(str(frame))))
    one.go("/")
    for _ in range(100):
        if any('"ack"' in text for text in sent):
            break
        one.page.wait_for_timeout(200)
    assert any('"watch":[{' in text for text in sent)
    assert any('"ack"' in text for text in sent)
    one.page.evaluate(
        """Object.defineProperty(document, 'hidden', {value: true, configurable: true});
        document.dispatchEvent(new Event('visibilitychange'))"""
    )
    one.page.wait_for_timeout(300)
    assert [text for text in sent if "watch" in text][-1] == '{"watch":[]}'


def test_filters_are_the_address_and_yesterday_stays_yesterday(tab: Callable[..., Tab]) -> None:
    one = tab()
    one.go("/counts")
    one.page.get_by_role("button", name="Yesterday").click()
    one.page.get_by_label("Week before").check()
    one.page.get_by_label("Streams: All streams").click()
    one.page.locator(".several[open]").get_by_label("entrance").check()
    one.page.keyboard.press("Escape")
    address = one.page.url
    for part in ("from=", "to=", "compare=1", "stream=entrance"):
        assert part in address
    other = tab("oli")
    other.page.goto(address)
    other.page.get_by_text("than a week before").wait_for()
    assert other.page.get_by_role("button", name="Yesterday").get_attribute("aria-pressed") == "true"
    assert other.page.get_by_text("Camera did not see all of it").is_visible(), "the outage is hatched"
    other.page.get_by_text("Table", exact=True).click()
    cells = other.page.locator(".table-fold td").all_inner_texts()
    assert "not known" in cells, "an hour without the camera is not 0"
    with other.page.expect_download() as download:
        other.page.get_by_role("link", name="CSV").click()
    assert download.value.suggested_filename == "counts.csv"


def test_no_data_is_said_in_words_on_every_page(browser: Any) -> None:
    fake = Fake(empty=True)
    with Server(fake) as address:
        tab = open_tab(browser, address)
        tab.log_in()
        for view, words in {
            "/": "There are no cameras yet",
            "/counts": "Nothing was counted",
            "/dwell": "No stays",
            "/flows": "No flows",
            "/speeds": "No line measures speeds",
            "/conflicts": "No conflict is measured",
            "/queues": "No queue is measured",
            "/footfall": "No footfall is measured",
            "/groups": "No group of cameras",
            "/heatmap": "No heatmap of this time",
            "/events": "No such events",
            "/alerts": "No alerts",
            "/audit": "No audit yet",
            "/recordings": "No recordings",
            "/health": "No camera runs",
        }.items():
            tab.go(view)
            tab.page.get_by_text(words).wait_for()
        tab.page.context.close()
        tab.check()


def test_a_failing_server_is_an_error_with_a_way_back(tab: Callable[..., Tab], fake: Fake) -> None:
    one = tab()
    one.refusals_expected = True
    fake.fail.add("/api/dwell")
    one.go("/dwell")
    one.page.get_by_role("alert").get_by_text("The server had a problem").wait_for()
    fake.fail.clear()
    one.page.get_by_role("button", name="Try again").click()
    one.page.get_by_text("By zone and class").wait_for()


def test_names_of_cameras_and_places_are_text_and_never_markup(tab: Callable[..., Tab], fake: Fake) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    fake.cameras["checkout"].site["lines"][0]["name"] = hostile
    one = tab()
    for view in ("/", "/streams/checkout", "/streams/checkout/site"):
        one.go(view)
        one.page.get_by_text(hostile).first.wait_for()
        assert one.page.locator("img[src=x]").count() == 0


def test_users_and_tokens_are_made_changed_and_removed(tab: Callable[..., Tab], fake: Fake) -> None:
    one = tab()
    one.go("/users")
    one.page.get_by_role("button", name="Add a user").click()
    dialog = one.page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("eve")
    dialog.get_by_label("Password").fill("another long password")
    dialog.get_by_label("Streams: No streams").click()
    dialog.locator(".several-list").get_by_label("checkout").check()
    one.page.get_by_role("dialog").get_by_role("button", name="Save").click()
    one.page.get_by_role("button", name="Change eve").wait_for()
    assert fake.users["eve"] == {"name": "eve", "role": "viewer", "streams": ["checkout"], "see_people": False}
    one.page.get_by_role("button", name="Remove eve").click()
    one.page.get_by_role("dialog").get_by_role("button", name="Remove eve").click()
    one.page.get_by_role("button", name="Change eve").wait_for(state="detached")
    assert "eve" not in fake.users
    one.page.get_by_role("tab", name="Tokens").click()
    one.page.get_by_role("button", name="Add a token").click()
    one.page.get_by_role("dialog").get_by_label("Name of the program").fill("till")
    one.page.get_by_role("dialog").get_by_role("button", name="Add a token").click()
    assert one.page.locator(".secret").inner_text() == "mt_3fV0aexample"


def test_a_count_by_hand_stands_beside_the_programs(tab: Callable[..., Tab], fake: Fake) -> None:
    one = tab()
    one.go("/validation?stream=entrance")
    one.page.get_by_text("No hand counts yet").wait_for()
    one.page.get_by_role("button", name="Add a count by hand").click()
    dialog = one.page.get_by_role("dialog")
    dialog.get_by_label("Line or zone").select_option("door")
    dialog.get_by_label("Direction").select_option("in")
    dialog.get_by_label("From (Europe/Berlin)").fill("2026-10-25T02:30")
    dialog.get_by_label("To", exact=True).fill("2026-10-25T04:00")
    dialog.get_by_label("Counted by hand").fill("20")
    dialog.get_by_role("button", name="Save").click()
    one.page.get_by_text("+5.0 %").wait_for()
    [made] = fake.hand_counts
    assert (made["stream"], made["place"], made["direction"], made["truth"]) == ("entrance", "door", "in", 20)
    assert made["to_ms"] - made["from_ms"] == 2.5 * 3_600_000, "the hour of the clock change counts twice"


def test_an_alert_waits_until_it_is_acknowledged(tab: Callable[..., Tab], fake: Fake) -> None:
    one = tab("oli")
    one.go("/alerts")
    one.page.get_by_label("1 not acknowledged").wait_for()
    one.page.get_by_role("row", name="under way").get_by_role("button", name="Acknowledge").click()
    one.page.get_by_label("1 not acknowledged").wait_for(state="detached")
    assert list(fake.alerts_seen) == ["a"]
    assert one.page.get_by_role("row", name="under way").get_by_role("cell", name="oli").is_visible()
    assert one.page.get_by_role("row", name="10 min").is_visible()


def test_buttons_of_rows_are_on_the_screen_of_a_phone(tab: Callable[..., Tab]) -> None:
    one = tab(viewport={"width": 360, "height": 780})
    for view, name in (("/alerts", "Acknowledge"), ("/users", "Remove")):
        one.go(view)
        boxes = [button.bounding_box() for button in one.page.get_by_role("button", name=name).all()]
        assert boxes
        assert all(box["x"] >= 0 and box["x"] + box["width"] <= 360 for box in boxes), (view, boxes)
        assert axe(one.page) == []


def test_a_viewer_sees_alerts_and_no_button(tab: Callable[..., Tab]) -> None:
    one = tab("val")
    one.go("/alerts")
    one.page.get_by_text("under way").wait_for()
    assert one.page.get_by_role("button", name="Acknowledge").count() == 0


def test_dropped_frames_are_told_in_words(tab: Callable[..., Tab], fake: Fake) -> None:
    one = tab()
    one.go("/health")
    one.page.get_by_text("checkout lost 38 % of its frames in the last 5 min").wait_for()
    row = one.page.get_by_role("row", name="checkout")
    assert row.get_by_text("38 % in 5 min").is_visible()
    assert row.get_by_text("71,604 dropped, 318 too late").is_visible()
    one.go("/")
    assert one.page.locator(".tile", has_text="checkout").get_by_text("38 % dropped").is_visible()
    assert one.page.locator(".tile", has_text="entrance").get_by_text("dropped").count() == 0
    fake.cameras["back yard"].lost = ""
    one.go("/health")
    one.page.get_by_text("Frames are dropped").wait_for()
    fake.cameras["checkout"].lost_share = 0.05
    one.page.get_by_text("All is well").wait_for()
    assert one.page.get_by_text("lost 5").count() == 0


def test_a_moved_camera_that_drops_frames_says_both(tab: Callable[..., Tab], fake: Fake) -> None:
    fake.cameras["checkout"].outage = "camera_moved"
    one = tab()
    one.go("/")
    head = one.page.locator(".tile", has_text="checkout").locator("header")
    assert head.get_by_text("Camera was moved").is_visible()
    assert head.get_by_text("38 % dropped").is_visible()
    assert head.get_by_text("Live").count() == 0
    one.go("/streams/checkout")
    one.page.locator(".page-title").get_by_text("Camera was moved").wait_for()
    assert one.page.locator(".page-title").get_by_text("38 %").is_visible()


def test_a_wide_table_fades_where_there_is_more(tab: Callable[..., Tab]) -> None:
    one = tab(viewport={"width": 500, "height": 780})
    one.go("/health")
    models = one.page.get_by_role("region", name="Models")
    classes = "(element) => [...element.classList].filter((one) => one.startsWith('more')).join()"
    one.page.locator(".scroller.more-after").last.wait_for()
    assert models.evaluate(classes) == "more-after"
    models.evaluate("(element) => element.scrollTo(element.scrollWidth, 0)")
    one.page.locator(".scroller.more-before").wait_for()
    assert models.evaluate(classes) == "more-before"
    one.page.set_viewport_size({"width": 1600, "height": 800})
    one.page.locator(".scroller.more-before").wait_for(state="detached")


def test_recordings_without_a_time_of_day_are_told_and_one_click_away(tab: Callable[..., Tab], fake: Fake) -> None:
    fake.left_out = ["morning"]
    one = tab()
    one.go("/counts?span=all")
    one.page.get_by_text("A recording has no time of day and is left out").wait_for()
    assert axe(one.page) == []
    fake.left_out = []
    one.page.locator(".notice").get_by_role("button", name="morning").click()
    one.page.get_by_text("left out").wait_for(state="detached")
    assert "stream=morning" in one.page.url


def test_themes_follow_the_system_or_the_switch(tab: Callable[..., Tab]) -> None:
    one = tab(color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    one.go("/health")
    dark = one.page.evaluate(ground)
    one.page.get_by_role("button", name="Light").click()
    light = one.page.evaluate(ground)
    assert dark != light
    one.page.reload()
    one.settle()
    assert one.page.evaluate(ground) == light, "kept"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_any_view(tab: Callable[..., Tab], theme: str) -> None:
    one = tab(None, color_scheme=theme, reduced_motion="reduce")
    one.page.goto(one.address + "/login")
    one.page.wait_for_selector("h1")
    found = {"/login": axe(one.page)}
    one.log_in()
    for view in VIEWS:
        one.go(view)
        one.page.wait_for_timeout(400)
        found[view] = axe(one.page)
    assert {view: rows for view, rows in found.items() if rows} == {}


def test_no_view_is_wider_than_a_phone(tab: Callable[..., Tab]) -> None:
    one = tab(viewport={"width": 360, "height": 780})
    wide = {}
    for view in VIEWS:
        one.go(view)
        one.page.wait_for_timeout(300)
        width = one.page.evaluate("document.documentElement.scrollWidth")
        if width > 360:
            wide[view] = width
    assert wide == {}
    one.go("/")
    one.page.get_by_role("button", name="Menu").click()
    one.page.get_by_role("link", name="Health").click()
    one.page.get_by_role("heading", name="Health").wait_for()


def test_axe_finds_nothing_on_a_phone_with_dialogs_open(tab: Callable[..., Tab]) -> None:
    one = tab(viewport={"width": 360, "height": 780})
    one.go("/streams/checkout/site")
    one.page.locator(".place-list button").first.click()
    found = {"editor": axe(one.page)}
    for name in ("Revisions", "Import, export"):
        one.page.get_by_role("button", name=name).click()
        one.page.wait_for_timeout(300)
        found[name] = axe(one.page)
        one.page.get_by_role("dialog").get_by_role("button", name="Close").click()
    one.go("/counts?span=7d&stream=entrance")
    one.page.get_by_text("Table", exact=True).click()
    found["counts"] = axe(one.page)
    assert {view: rows for view, rows in found.items() if rows} == {}


def test_nothing_needs_a_secure_context(tab: Callable[..., Tab]) -> None:
    """On plain http by a LAN name these are missing; the page must not ask for them."""
    code = "".join(
        path.read_text(encoding="utf-8")
        for path in (Path(__file__).parents[2] / "tracker/dashboard/static/js").rglob("*.js")
    )
    for word in ("VideoDecoder", "randomUUID", "crypto.subtle", "navigator.clipboard", "serviceWorker"):
        assert word not in code
    one = tab()
    one.go("/")
    assert one.page.evaluate("document.cookie") == "", "the session is not readable by scripts"


def test_a_recording_plays_beside_its_events(browser: Any, tmp_path: Path) -> None:
    video = tmp_path / "morning.mp4"
    write_video(open_recording("shop").scene, video, 5.0, 20.0)
    fake = Fake(video=video)
    with Server(fake) as address:
        tab = open_tab(browser, address)
        tab.log_in()
        tab.go("/recordings")
        tab.page.get_by_role("link", name="Open morning").click()
        player = tab.page.locator("video[controls]")
        player.wait_for()
        ticks = tab.page.locator(".timeline .tick")
        ticks.first.wait_for(timeout=30_000)
        event = fake.cameras["morning"].events_between(1795849200.0, 1795849220.0)[1]
        tab.page.locator(".event-row").nth(1).click()
        tab.page.get_by_text("First seen").wait_for(timeout=30_000)
        at_s = event["at_ms"] / 1000 - 1795849200.0
        position = tab.page.evaluate("document.querySelector('video[controls]').currentTime")
        assert position == pytest.approx(max(0.0, at_s - 1.5), abs=0.3), "a little before the event"
        slider = tab.page.get_by_role("slider", name="Time in the recording")
        slider.focus()
        tab.page.keyboard.press("PageDown")
        assert float(slider.get_attribute("aria-valuenow")) == pytest.approx(min(20, position + 10), abs=1.1)
        # Who may not see people has the numbers, and no video.
        other = open_tab(browser, address)
        other.log_in("oli")
        other.go("/streams/morning")
        other.page.get_by_text("the video is not shown").wait_for()
        assert other.page.locator("video").count() == 0
        assert other.page.locator(".event-row").count() == ticks.count()
        for one in (tab, other):
            one.page.context.close()
            one.check()


def test_a_lost_connection_is_said_and_comes_back(browser: Any) -> None:
    fake = Fake()
    with Server(fake) as address:
        tab = open_tab(browser, address)
        tab.log_in()
        tab.go("/")
        state = tab.page.locator(".rail .link-state")
        state.get_by_text("Live").wait_for()
        tab.page.context.set_offline(True)
        tab.page.evaluate("0")
        fake.drop_sockets = True
        state.get_by_text("Connection lost").wait_for(timeout=20_000)
        fake.drop_sockets = False
        tab.page.context.set_offline(False)
        state.get_by_text("Live").wait_for(timeout=30_000)
        tab.page.context.close()
