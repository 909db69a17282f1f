"""Counts on real clips equal those made by hand: somebody looked at the frames and wrote down who passes when.

The whole chain as a user runs it: decoder, default model, tracker, lines. Neither clip nor crops of it are here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tracker import track
from tracker.settings.site_file import write_site
from tracker.site import Line, Site

FRAMES_OFF = 4
"""A hand count says which frame shows the contact on the line; masks and eyes differ by so many frames."""

ROADS = Site(
    lines=(
        Line(name="away_left", points=((0.285, 0.425), (0.335, 0.475)), to_left="away", to_right="back"),
        Line(name="away_right", points=((0.335, 0.475), (0.43, 0.515)), to_left="away", to_right="back"),
        Line(name="coming_left", points=((0.43, 0.73), (0.594, 0.741)), to_left="back", to_right="coming"),
        Line(name="coming_right", points=((0.594, 0.741), (0.775, 0.75)), to_left="back", to_right="coming"),
    )
)
CORRIDOR = Site(lines=(Line(name="across", points=((0.68, 0.55), (0.68, 1.0)), to_left="right", to_right="left"),))
BY_HAND: dict[str, tuple[Site, dict[tuple[str, str], list[int]]]] = {
    "traffic.mp4": (
        ROADS,
        {
            ("away_left", "away"): [46, 164, 287, 303],
            ("away_right", "away"): [90, 146],
            ("coming_right", "coming"): [132],
        },
    ),
    "corridor.mp4": (CORRIDOR, {("across", "right"): [187, 438, 687, 857, 1185, 1347]}),
}
"""Frames at which a vehicle or person passes, by clip, line and direction; whatever is not named has none."""


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.timeout(600)
@pytest.mark.parametrize("clip", BY_HAND)
def test_the_chain_counts_what_a_person_counts(clip: str, data_root: Path, tmp_path: Path) -> None:
    site, expected = BY_HAND[clip]
    write_site(tmp_path / "site.yaml", site)
    found: dict[tuple[str, str], list[float]] = {}
    times: list[float] = []
    for tracked in track(str(data_root / "clips" / clip), site=str(tmp_path / "site.yaml")):
        times.append(tracked.frame.time_s)
        for event in tracked.events:
            if event.kind == "crossing":
                found.setdefault((event.place, event.direction), []).append(event.time_s)
    frame_s = (times[-1] - times[0]) / (len(times) - 1)
    frames = {way: sorted((time_s - times[0]) / frame_s for time_s in moments) for way, moments in found.items()}
    assert {way: len(moments) for way, moments in frames.items()} == {way: len(at) for way, at in expected.items()}
    for way, moments in expected.items():
        assert frames[way] == pytest.approx(moments, abs=FRAMES_OFF), way
