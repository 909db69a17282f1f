"""A line is drawn on a recording in a real browser, tried, saved and counted: the number is that of ``analyse``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demos.scenes import script
from demos.scenes.writers import write_video
from tests.dashboard.browser import Tab, axe, open_tab
from tests.dashboard.served import Served
from tests.engine.recorded import Chain
from tracker.dashboard.accounts import AccountStore
from tracker.dashboard.run_book import Left, RunBook
from tracker.engine.analyse import analyse
from tracker.settings.site_file import read_site, write_site
from tracker.site import Line, Site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: Any) -> Path:
    """A recording with its video that was tracked without a site."""
    folder = Path(tmp_path_factory.mktemp("recorded"))
    scene = script.dense(6, rng=np.random.default_rng(5), size=(640, 360), duration_s=6)
    write_video(scene, folder / "gate.mp4", 12.5, 6.0)
    Chain(scene, fps=12.5).record(Site(), folder / "gate.tracks.jsonl")
    return folder


@pytest.fixture
def runs(recorded: Path, tmp_path: Path, monkeypatch: Any) -> Path:
    monkeypatch.setattr("tracker.dashboard.recordings.SCAN_S", 0.0)
    return Path(shutil.copytree(recorded, tmp_path / "runs"))


def draw(tab: Tab, *ends: tuple[float, float]) -> None:
    """A line by two clicks on the picture."""
    tab.page.get_by_role("button", name="Line", exact=True).click()
    for x, y in ends:
        box = tab.page.locator(".editor-svg").bounding_box()
        tab.page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])


def figures(tab: Tab) -> dict[str, str]:
    """What the table of the whole recording has as drawn."""
    rows = tab.page.locator(".whole tbody tr")
    return {one.locator("th").inner_text(): one.locator("td").last.inner_text() for one in rows.all()}


def test_draw_try_count_and_the_number_is_that_of_the_command(browser: Any, runs: Path, tmp_path: Path) -> None:
    with Served(tmp_path / "dash", settings={"login": False}, recordings=runs, allow_runs=True) as served:
        tab = open_tab(browser, served.origin)
        tab.go("/streams/gate")
        tab.page.get_by_role("link", name="Draw lines and zones").click()
        tab.page.get_by_role("heading", name="Lines and zones of gate").wait_for()
        tab.page.get_by_label("Moment of the recording").fill("3")
        draw(tab, (0.05, 0.5), (0.95, 0.5))
        tab.page.locator(".whole tbody tr").first.wait_for()
        assert axe(tab.page) == []
        tried = figures(tab)
        assert not list(runs.glob("*.yaml")), "nothing is saved before one saves"
        tab.page.get_by_role("button", name="Save", exact=True).click()
        tab.page.get_by_text("Saved as revision 1").wait_for()
        tab.page.get_by_role("button", name="Count", exact=True).click()
        tab.page.get_by_role("heading", name="Lines and zones of gate.mp4").wait_for(timeout=60_000)
        tab.page.get_by_text("Counted with this revision, 1.").wait_for()
        tab.page.locator(".whole tbody tr").first.wait_for()
        assert figures(tab) == tried
        cells = tab.page.locator(".whole tbody tr").all()
        assert all(row.locator("td").first.inner_text() == row.locator("td").last.inner_text() for row in cells)
        tab.page.get_by_role("link", name="Counts").last.click()
        tab.page.get_by_role("heading", name="Counts", level=1).wait_for()
        tab.go("/streams/gate.mp4")
        tab.page.get_by_role("heading", name="gate.mp4").wait_for()
        tab.page.context.close()
        tab.check()
    [line] = read_site(runs / "gate.site.yaml").lines
    found = analyse([runs / "gate.tracks.jsonl"], runs / "gate.site.yaml", tmp_path / "own.jsonl").tally
    counted = {f"{line.name} · {way}": str(sum(found.crossings[line.name, way].values())) for way in line.directions}
    assert tried == counted
    assert sum(map(int, counted.values())) > 0
    assert (runs / "gate.events.jsonl").read_bytes() == (tmp_path / "own.jsonl").read_bytes()


def test_the_command_is_shown_and_a_site_of_the_folder_is_no_accident(browser: Any, runs: Path, tmp_path: Path) -> None:
    shutil.copy(runs / "gate.tracks.jsonl", runs / "yard.tracks.jsonl")
    shared = Site(lines=(Line(name="old", points=((0.5, 0.1), (0.5, 0.9))),), reference_size=(640, 360))
    write_site(runs / "gate.site.yaml", shared)
    with Served(tmp_path / "dash", settings={"login": False}, recordings=runs) as served:
        tab = open_tab(browser, served.origin, viewport={"width": 360, "height": 780})
        tab.refusals_expected = True
        tab.go("/streams/gate/site")
        tab.page.get_by_text("masktrail analyse gate.tracks.jsonl --site gate.site.yaml").wait_for()
        write_site(runs / "site.yaml", shared)
        tab.page.get_by_label("All of this folder").check()
        tab.page.get_by_text("Holds for").wait_for()
        draw(tab, (0.1, 0.4), (0.9, 0.4))
        tab.page.get_by_role("button", name="Save", exact=True).click()
        dialog = tab.page.get_by_role("dialog")
        dialog.get_by_role("heading", name="There is another site already").wait_for()
        dialog.get_by_role("button", name="Take the chosen ones").click()
        tab.page.get_by_role("button", name="Save", exact=True).click()
        tab.page.get_by_text("Saved as revision 2").wait_for()
        assert axe(tab.page) == []
        tab.page.context.close()
        tab.check()
    assert {path.name for path in runs.glob("*.yaml")} == {"site.yaml"}
    assert len(read_site(runs / "site.yaml").lines) == 2


def test_what_a_restart_cut_off_is_started_again(browser: Any, runs: Path, tmp_path: Path) -> None:
    write_site(runs / "gate.site.yaml", Site(lines=(Line(name="door", points=((0.05, 0.5), (0.95, 0.5))),)))
    store = AccountStore(tmp_path / "dash")
    RunBook(store, runs).note(Left("gate", "count", runs / "gate.tracks.jsonl", "oli", 5, begun=True))
    store.close()
    with Served(tmp_path / "dash", settings={"login": False}, recordings=runs, allow_runs=True) as served:
        tab = open_tab(browser, served.origin)
        tab.go("/recordings")
        tab.page.get_by_text("Its count was cut off").wait_for()
        assert axe(tab.page) == []
        tab.page.get_by_role("button", name="Start again").click()
        tab.page.get_by_role("heading", name="gate.mp4", level=1).wait_for(timeout=60_000)
        assert (runs / "gate.events.jsonl").exists()
        tab.page.context.close()
        tab.check()


def test_who_may_not_see_people_draws_on_the_ways_of_the_tracks(browser: Any, runs: Path, tmp_path: Path) -> None:
    with Served(tmp_path / "dash", recordings=runs) as served:
        served.context.accounts.add_user("oli", role="operator", password="none", streams=None, see_people=False)
        secret = served.context.sessions.begin("oli", "test")
        tab = open_tab(browser, served.origin)
        cookie = {"name": f"masktrail-{served.port}", "value": secret, "url": served.origin}
        tab.page.context.add_cookies([cookie])
        asked: list[str] = []
        tab.page.on("request", lambda one: asked.append(one.url))
        tab.go("/streams/gate/site")
        tab.page.get_by_text("the ways of the tracks are shown").wait_for()
        tab.page.get_by_label("Moment of the recording").fill("3")
        draw(tab, (0.05, 0.5), (0.95, 0.5))
        tab.page.locator(".whole tbody tr").first.wait_for()
        # The drawing canvas has trails, the picture one colour.
        colours = tab.page.evaluate(
            """() => ["picture", "overlay"].map((name) => {
                const canvas = document.querySelector(`.stage .${name}`);
                const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
                return new Set(new Uint32Array(data.buffer)).size;
            })"""
        )
        assert colours[0] == 1
        assert colours[1] > 10
        assert not [url for url in asked if "/frame" in url or "/video" in url]
        tab.page.context.close()
        tab.check()
