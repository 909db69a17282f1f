"""State of the camera through the whole run: in the ledger, against a reference picture, and after a second pass."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.engine.camera_faults import picture
from tests.segment.models import end2end_model
from tracker import ConfigError, run
from tracker.formats.ledger import read_events
from tracker.settings.site_file import write_site
from tracker.site import Line, Site

DARK_FROM_S, DARK_TO_S = 4.0, 8.0


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Eleven seconds of pictures, 4 a second, in which the lights go out for four."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(44):
        image = picture("shop", index * 250 - index * 250 % 500)
        dark = DARK_FROM_S <= index / 4 < DARK_TO_S
        cv2.imwrite(str(folder / f"{index:04}.jpg"), (image * 0.03).astype(np.uint8) if dark else image)
    return folder


def counted(recording: Path, tmp_path: Path, site: Site, *, name: str = "out", **options) -> list:
    write_site(tmp_path / "site.yaml", site)
    ledger = tmp_path / f"{name}.events.jsonl"
    [outcome] = run(
        recording,
        model=end2end_model(tmp_path / "model.onnx"),
        site=tmp_path / "site.yaml",
        events=ledger,
        fps=4,
        **options,
    )
    assert not outcome.failures
    return list(read_events(ledger))


def states(events: list) -> list[tuple[str, float, float | None]]:
    found = [(one.kind, one.time_s, one.since_s) for one in events if one.identity == 0]
    return sorted(found, key=lambda row: row[1])


SITE = Site(lines=(Line(name="line", points=((0.5, 0.1), (0.5, 0.9))),), revision=1)


@pytest.mark.slow
def test_the_dark_stands_in_the_ledger_once_also_after_a_second_pass(recording: Path, tmp_path: Path) -> None:
    expected = [("dark", 4.0, None), ("dark", 8.0, 4.0)]
    online = counted(recording, tmp_path, SITE)
    assert states(online) == expected
    (tmp_path / "site.yaml").unlink()
    refined = counted(recording, tmp_path, SITE, name="refined", refine=True)
    assert states(refined) == expected


@pytest.mark.slow
def test_a_reference_picture_beside_the_site(recording: Path, tmp_path: Path) -> None:
    moved = np.roll(picture("shop", 0), 26, axis=1)
    cv2.imwrite(str(tmp_path / "gate.png"), moved)
    site = Site(lines=SITE.lines, reference_picture="gate.png")
    kinds = [kind for kind, _, since_s in states(counted(recording, tmp_path, site)) if since_s is None]
    assert sorted(kinds) == ["camera_moved", "dark"]
    (tmp_path / "site.yaml").unlink()
    missing = Site(lines=SITE.lines, reference_picture="gone.png")
    with pytest.raises((ConfigError, AssertionError), match=r"gone\.png"):
        counted(recording, tmp_path, missing)
