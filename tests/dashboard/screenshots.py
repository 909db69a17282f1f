"""Command that writes pictures of every page in both themes and three widths.

Run it by ``python -m tests.dashboard.screenshots``.
The pages show the fake server's rendered scenes; look at the pictures before a release.
"""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from demos.scenes.catalogue import open_recording
from demos.scenes.writers import write_video
from tests.dashboard.browser import Tab, chromium, open_tab
from tests.dashboard.fake_api import TOKEN, Fake, Server

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTHS = {360: 780, 1280: 800, 3840: 2160}
THEMES = ("light", "dark")

PAGES: dict[str, str] = {
    "wall": "/",
    "camera": "/streams/junction",
    "identity": "/streams/entrance?identity={identity}",
    "outage": "/streams/back%20yard",
    "site": "/streams/entrance/site",
    "counts": "/counts?span=7d&compare=1&stream=entrance&place=door&bin=3600",
    "counts-day": "/counts?stream=junction&by=place&shape=bars&from={day}T00:00&to={day}T23:59&bin=3600",
    "dwell": "/dwell",
    "flows": "/flows",
    "speeds": "/speeds",
    "conflicts": "/conflicts",
    "queues": "/queues",
    "footfall": "/footfall",
    "groups": "/groups",
    "heatmap": "/heatmap?span=all",
    "events": "/events",
    "alerts": "/alerts",
    "rules": "/alerts?tab=rules",
    "audit": "/audit",
    "validation": "/validation",
    "recordings": "/recordings",
    "recording": "/streams/morning?identity=3",
    "recording-site": "/streams/morning/site",
    "health": "/health",
    "users": "/users",
    "tokens": "/users?tab=tokens",
    "log": "/users?tab=log",
    "missing": "/no-such-page",
}


def _editor(tab: Tab) -> None:
    tab.go("/streams/entrance/site")
    tab.page.locator(".place-list button").first.click()
    tab.page.locator(".dry").wait_for(timeout=30_000)


def _ground(tab: Tab) -> None:
    tab.go("/streams/entrance/site")
    tab.page.get_by_role("button", name="Ground", exact=True).focus()
    tab.page.keyboard.press("Enter")
    tab.page.get_by_label("Width, m").fill("4")
    tab.page.get_by_label("Length, m").fill("9")
    tab.page.locator(".edit-ground .grid line").first.wait_for(state="attached")


def _sheet(tab: Tab) -> None:
    tab.go("/validation?stream=morning")
    tab.page.get_by_role("button", name="Draw intervals").click()
    dialog = tab.page.get_by_role("dialog")
    dialog.get_by_label("Intervals").fill("6")
    dialog.get_by_label("Length of each, s").fill("3")
    dialog.get_by_role("button", name="Draw intervals").click()
    for _ in range(5):
        tab.page.get_by_role("button", name="Save, next interval").wait_for()
        tab.page.keyboard.press("1")
        tab.page.get_by_role("button", name="Save, next interval").click()


def _report(tab: Tab) -> None:
    _sheet(tab)
    tab.page.get_by_role("button", name="Report").click()
    tab.page.locator("table").wait_for()


def _conflict(tab: Tab) -> None:
    _editor(tab)
    tab.page.evaluate(
        """async () => {
        const session = await (await fetch('/api/session')).json();
        const found = await (await fetch('/api/streams/entrance/site')).json();
        found.site.lines[0].to_left = 'inside';
        const body = JSON.stringify({revision: found.revision, site: found.site});
        await fetch('/api/streams/entrance/site', {method: 'PUT', body,
          headers: {'Content-Type': 'application/json', 'X-Masktrail-CSRF': session.csrf}});
        }"""
    )
    tab.page.get_by_label("Right of A to B").fill("leaving")
    tab.page.get_by_role("button", name="Save", exact=True).click()
    tab.page.locator("dialog").wait_for()


def _menu(tab: Tab) -> None:
    tab.go("/")
    button = tab.page.get_by_role("button", name="Menu")
    if button.is_visible():
        button.click()


SCENES: dict[str, Callable[[Tab], None]] = {
    "editor": _editor,
    "ground": _ground,
    "sheet": _sheet,
    "report": _report,
    "conflict": _conflict,
    "menu": _menu,
}


def shoot(folder: Path, only: list[str], widths: list[int], themes: list[str]) -> list[Path]:
    """Write the pictures of ``only`` (all if empty) and return them."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    with tempfile.TemporaryDirectory() as temporary, chromium() as (browser, _):
        video = Path(temporary) / "morning.mp4"
        write_video(open_recording("shop").scene, video, 10.0, 20.0)
        fake = Fake(video=video)
        fake.walk()
        day = (dt.datetime.now(dt.UTC) - dt.timedelta(days=1)).date().isoformat()
        with Server(fake) as address, Server(Fake(setup_needed=True, empty=True)) as fresh:
            for theme in themes:
                for width in widths:
                    size = {"viewport": {"width": width, "height": WIDTHS[width]}, "color_scheme": theme}
                    first = open_tab(browser, fresh, **size)
                    for name, path in (("setup", f"/setup#token={TOKEN}"), ("login", "/login")):
                        if not only or name in only:
                            tab = first if name == "setup" else open_tab(browser, address, **size)
                            tab.go(path)
                            made.append(_save(tab, folder, name, width, theme))
                    tab = open_tab(browser, address, **size)
                    tab.log_in()
                    known = fake.cameras["entrance"]
                    for name, path in PAGES.items():
                        if not only or name in only:
                            loop = known.now()[1]
                            tab.go(path.format(identity=1 + loop * known.most_id, day=day))
                            made.append(_save(tab, folder, name, width, theme))
                    for name, play in SCENES.items():
                        if not only or name in only:
                            play(tab)
                            made.append(_save(tab, folder, name, width, theme))
                    tab.page.context.close()
                    tab.check()
    return made


def _save(tab: Tab, folder: Path, name: str, width: int, theme: str) -> Path:
    tab.page.wait_for_timeout(1500)  # live pictures, charts
    path = folder / f"{name}-{width}-{theme}.png"
    tab.page.screenshot(path=path, full_page=name not in {"menu", "conflict"})
    tab.refusals_expected = True
    return path


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.dashboard.screenshots", description="Pictures of every page."
    )
    parser.add_argument("--out", type=Path, default=Path("runs/screenshots"))
    parser.add_argument("--page", action="append", default=[], choices=[*PAGES, *SCENES, "setup", "login"])
    parser.add_argument("--width", action="append", type=int, choices=list(WIDTHS))
    parser.add_argument("--theme", action="append", choices=THEMES)
    chosen = parser.parse_args()
    made = shoot(chosen.out, chosen.page, chosen.width or list(WIDTHS), chosen.theme or list(THEMES))
    print(f"{len(made)} pictures in {chosen.out}")  # noqa: T201


if __name__ == "__main__":
    main()
