"""A recording is run from the page of a real server: progress, cancel, results; nothing where it is not allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.dashboard.browser import axe, open_tab
from tests.dashboard.served import Served
from tests.dashboard.test_runs import SITE
from tests.segment.models import end2end_model
from tests.sources.videos import write_video

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    runs = tmp_path / "runs"
    runs.mkdir()
    end2end_model(runs / "model.onnx")
    (runs / "runs.yaml").write_text("model: model.onnx\nsite: '{name}.yaml'\n")
    (runs / "yard.yaml").write_text(SITE)
    write_video(runs / "yard.mp4", count=40)
    write_video(runs / "long.mp4", count=6000)
    return runs


def card(tab: Any, name: str) -> Any:
    return tab.page.locator(".tile").filter(has=tab.page.get_by_role("heading", name=name, exact=True))


def test_a_run_is_begun_cancelled_and_opens_its_results(browser: Any, folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("tracker.dashboard.recordings.SCAN_S", 0.0)
    facts = {"recordings": folder, "allow_runs": True}
    with Served(folder.parent / "dash", settings={"login": False}, **facts) as served:
        tab = open_tab(browser, served.origin)
        tab.go("/recordings")
        long, yard = card(tab, "long"), card(tab, "yard")
        long.get_by_role("button", name="Run").click()
        long.get_by_role("progressbar").wait_for()
        yard.get_by_role("button", name="Run").click()
        yard.get_by_text("Waits, 1 before it").wait_for()
        assert axe(tab.page) == []
        long.get_by_text("frames").wait_for(timeout=60_000)
        long.get_by_role("button", name="Cancel").click()
        long.get_by_role("button", name="Run").wait_for(timeout=30_000)
        tab.page.get_by_role("heading", name="yard.mp4", level=1).wait_for(timeout=120_000)
        assert tab.page.url == f"{served.origin}/streams/yard.mp4"
        tab.page.locator("video[controls]").wait_for()
        tab.page.context.close()
        tab.check()
    assert (folder / "yard.tracked.mp4").exists()
    assert not (folder / "long.tracked.mp4").exists()


def test_nothing_is_offered_where_it_is_not_allowed(browser: Any, folder: Path) -> None:
    with Served(folder.parent / "dash", settings={"login": False}, recordings=folder) as served:
        tab = open_tab(browser, served.origin)
        tab.go("/recordings")
        card(tab, "yard").wait_for()
        assert tab.page.get_by_role("button", name="Run").count() == 0
        tab.page.context.close()
        tab.check()
