"""`make demo` fits on a screen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import pytest

from tracker.app import clips, demo
from tracker.render.contact_sheet import LEGEND_PX
from tracker.settings.site_file import write_site
from tracker.site import Line, Site

if TYPE_CHECKING:
    from tests.command import Run

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(400)
def test_the_demo_prints_at_most_fifteen_lines(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what `make` prints before it; here the two rendered clips, cut short."""

    def nowhere(clip: clips.Clip, _on_progress: object) -> Path:
        raise clips.NoNetworkError(clip.url, "cannot be downloaded: no network", "")

    monkeypatch.setattr(demo, "fetch", nowhere)
    settings = demo.RunSettings
    monkeypatch.setattr(demo, "RunSettings", lambda **given: settings(**given, limit=10))
    result = run("demo", "--out", tmp_path / "out")
    assert result.status == 0, result.text
    lines = [line for line in result.out.splitlines() if line.strip()]
    makefile = (ROOT / "Makefile").read_text()
    before = len(re.findall(r'^\t@echo "(Creating|Installing masktrail)', makefile, re.MULTILINE))
    assert before == 2
    assert len(lines) + before <= 15, result.out
    assert sum(line.startswith(("road.mp4: ", "shop.mp4: ")) for line in lines) == 2
    assert f"Look at {tmp_path}/out/contact-sheet.png first" in result.out


@pytest.mark.slow
def test_a_site_is_counted_on_the_contact_sheet(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row of names and counts higher than without a site."""
    settings = demo.RunSettings
    monkeypatch.setattr(demo, "RunSettings", lambda **given: settings(**given, limit=10))
    line = Line(name="gate", points=((0.1, 0.6), (0.9, 0.6)))
    write_site(tmp_path / "road.yaml", Site(lines=(line,)))
    heights = []
    for words in ((), ("--site", tmp_path / "road.yaml")):
        result = run("demo", clips.rendered("road"), "--out", tmp_path / "out", *words)
        assert result.status == 0, result.text
        heights.append(cv2.imread(str(tmp_path / "out" / "contact-sheet.png")).shape[0])
    assert heights[1] == heights[0] + round(2.1 * LEGEND_PX)


def test_installing_is_quiet() -> None:
    makefile = (ROOT / "Makefile").read_text()
    installs = re.findall(r"^INSTALL := .*$", makefile, re.MULTILINE)
    assert len(installs) == 2
    assert [line.count("--quiet") + line.count("-qq") for line in installs] == [1, 1]
    assert "pip install -qq " in installs[1], "warnings too: there may be one per package and index"
