"""Dry runs on tracks in memory: the same events as live, from the last minutes only, and comparisons by identity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.analytics.walks import frames, of, run, through
from tracker.analytics.comparison import Compared, compare, places_of
from tracker.analytics.dry_run import Recent, slim, what_if
from tracker.events import Event
from tracker.site import Flow, Line, Site, Zone

SITE = Site(
    lines=(Line(name="line", points=((0.1, 0.5), (0.9, 0.5))), Line(name="far", points=((0.1, 0.3), (0.9, 0.3)))),
    zones=(Zone(name="hall", polygons=(((0, 0.1), (1, 0.1), (1, 0.45), (0, 0.45)),), loiter_s=1.0),),
    flows=(Flow(name="through", start="line", end="far"),),
)
PATHS = {1: through((0, 0.5, 0.9), (5, 0.5, 0.05)), 2: through((2, 0.3, 0.1), (7, 0.3, 0.9))}


def test_what_a_site_would_have_counted_is_what_it_counts() -> None:
    live = run(SITE, frames(PATHS, fps=25, duration_s=10))
    recent = Recent()
    for frame in frames(PATHS, fps=25, duration_s=10):
        recent.add(replace(frame, frame=replace(frame.frame, image=np.zeros((720, 1280, 3), np.uint8))))
    assert len(recent) == 251
    assert all(frame.frame.image is None for frame in recent)
    assert what_if(recent, SITE, stream="cam") == live


def test_only_the_last_seconds_are_kept() -> None:
    recent = Recent(seconds=4.0)
    for frame in frames(PATHS, fps=25, duration_s=10):
        recent.add(frame)
    times_s = [frame.frame.time_s for frame in recent]
    assert (times_s[0], times_s[-1]) == pytest.approx((6.0, 10.0))
    assert [event.identity for event in of(what_if(recent, SITE), "crossing")] == []


def test_states_of_the_camera_are_kept_and_counts_are_not() -> None:
    [frame] = frames({1: PATHS[1]}, fps=1, duration_s=0)
    dark = Event(kind="dark", stream="cam", time_s=0.0)
    told = (dark, Event(kind="crossing", stream="cam", time_s=0.0, identity=1), replace(dark, kind="gap", since_s=-3.0))
    assert slim(replace(frame, events=told)).events == (dark,)


def test_counts_side_by_side() -> None:
    moved = replace(SITE.lines[0], points=((0.4, 0.52), (0.9, 0.52)))
    other = replace(SITE, lines=(moved,), flows=())
    before, after = (run(site, frames(PATHS, fps=25, duration_s=10)) for site in (SITE, other))
    rows = {
        (row.place, row.direction): row for row in compare(before, after, was=SITE, now=other) if row.kind != "enter"
    }
    assert rows["line", "in"] == Compared(
        kind="crossing", place="line", direction="in", before=1, after=1, gone=0, new=0
    )
    assert rows["line", "out"] == Compared(
        kind="crossing", place="line", direction="out", before=1, after=0, gone=1, new=0
    )
    assert (rows["far", "in"].before, rows["far", "in"].after, rows["far", "in"].gone) == (1, None, 1)
    assert rows["through", ""].after is None
    assert [row.kind for row in compare(before, after)] == sorted(
        (row.kind for row in compare(before, after)), key=("crossing", "enter", "loitering", "flow").index
    )


def test_places_without_a_count_are_zero_and_not_unknown() -> None:
    rows = compare([], [], was=SITE, now=Site())
    assert {(row.kind, row.place, row.direction) for row in rows} == places_of(SITE)
    assert {(row.before, row.after) for row in rows} == {(0, None)}
    assert compare([], []) == []
