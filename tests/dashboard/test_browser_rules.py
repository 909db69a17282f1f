"""Alert rules in a real browser: added, changed, deleted, refused in words, and two editors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.dashboard.browser import axe

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dashboard.browser import Tab
    from tests.dashboard.fake_api import Fake

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def rules(fake: Fake) -> list[dict[str, Any]]:
    return fake.cameras["checkout"].site.get("alerts", [])


def opened(tab: Tab) -> Any:
    tab.go("/alerts?tab=rules&stream=checkout")
    tab.page.get_by_role("button", name="Add a rule").click()
    return tab.page.get_by_role("dialog")


def test_a_rule_is_added_refused_changed_and_deleted(tab: Callable[..., Tab], fake: Fake) -> None:
    one = tab("oli")
    one.refusals_expected = True
    dialog = opened(one)
    assert not axe(one.page)
    dialog.get_by_label("Name").fill("crowd")
    dialog.get_by_label("Begins above, identities").fill("12")
    dialog.get_by_label("Over at, identities").fill("20")
    dialog.get_by_role("button", name="Save").click()
    dialog.get_by_text("Expected until at most over = 12. Found 20.").wait_for()
    assert not rules(fake), "nothing is saved"
    dialog.get_by_label("Over at, identities").fill("8")
    dialog.get_by_label("Quiet times").fill("mon-fri 22:00-06:00")
    dialog.get_by_role("button", name="Save").click()
    one.page.get_by_text("Saved as revision 4 of checkout.").wait_for()
    [rule] = rules(fake)
    assert (rule["watch"], rule["place"], rule["over"], rule["until"]) == ("presence", "queue", 12, 8)
    assert rule["quiet"] == ["mon-fri 22:00-06:00"]
    one.page.get_by_role("button", name="Change crowd").click()
    dialog.get_by_label("Watched").select_option(label="Speed")
    assert dialog.get_by_label("Begins after, s").count() == 0, "a number of an instant"
    dialog.get_by_label("Place").select_option("served")
    dialog.get_by_role("button", name="Save").click()
    one.page.get_by_text("Saved as revision 5").wait_for()
    assert (rules(fake)[0]["watch"], rules(fake)[0]["place"]) == ("speed", "served")
    one.page.get_by_role("button", name="Delete crowd").click()
    dialog.get_by_role("button", name="Delete", exact=True).click()
    one.page.get_by_text("Saved as revision 6").wait_for()
    assert rules(fake) == []


def test_other_lines_are_no_conflict_and_other_rules_are(tab: Callable[..., Tab], fake: Fake) -> None:
    camera = fake.cameras["checkout"]
    one = tab("oli")
    one.refusals_expected = True
    dialog = opened(one)
    dialog.get_by_label("Name").fill("crowd")
    fake.save(camera, camera.site | {"timezone": "Europe/Paris"}, "ada")
    dialog.get_by_role("button", name="Save").click()
    one.page.get_by_text("Saved as revision 5").wait_for()
    assert [rule["name"] for rule in rules(fake)] == ["crowd"]
    one.page.get_by_role("button", name="Add a rule").click()
    dialog.get_by_label("Name").fill("mine")
    theirs = {"name": "theirs", "watch": "gap", "over": 5}
    fake.save(camera, camera.site | {"alerts": [*rules(fake), theirs]}, "ada")
    dialog.get_by_role("button", name="Save").click()
    dialog.get_by_text("with other rules").wait_for()
    assert not axe(one.page)
    dialog.get_by_role("button", name="Save").click()
    one.page.get_by_text("Saved as revision 7").wait_for()
    assert sorted(rule["name"] for rule in rules(fake)) == ["crowd", "mine", "theirs"]


def test_a_viewer_sees_rules_and_no_buttons_on_a_phone(tab: Callable[..., Tab], fake: Fake) -> None:
    fake.cameras["checkout"].site["alerts"] = [{"name": "long queue", "watch": "presence", "place": "queue", "over": 7}]
    one = tab("val", viewport={"width": 360, "height": 780})
    one.go("/alerts?tab=rules")
    assert one.page.get_by_text("long queue").is_visible()
    assert one.page.locator(".rules button").count() == 0
    assert one.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
