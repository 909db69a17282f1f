"""Outages: intervals from the camera's events, and measures that pause while one lasts."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from tests.analytics.walks import counts, frames, of, through
from tracker.analytics.displacement import Tiles, edge_magnitudes
from tracker.analytics.measures import SiteMeasures
from tracker.analytics.outages import outages
from tracker.events import Event
from tracker.site import Line, Site, Zone

LINE = Line(name="line", points=((0.5, 0.1), (0.5, 0.9)))
ZONE = Zone(name="hall", polygons=(((0.6, 0.1), (0.95, 0.1), (0.95, 0.9), (0.6, 0.9)),), loiter_s=3.0)
SITE = Site(lines=(LINE,), zones=(ZONE,))


def event(kind: str, time_s: float, since_s: float | None = None, **values) -> Event:
    return Event(kind=kind, stream="cam", time_s=time_s, since_s=since_s, **values)


def test_begins_and_ends_become_intervals_and_others_are_left_out() -> None:
    events = [
        event("frozen", 20.0, 12.0),
        event("gap", 5.0, 2.0),
        event("frozen", 12.0),
        event("crossing", 6.0, identity=1),
        event("dark", 15.0),
        event("camera_moved", 30.0),
        event("dark", 18.0, 15.0),
    ]
    assert outages(events) == [
        (2.0, 5.0, "gap"),
        (12.0, 20.0, "frozen"),
        (15.0, 18.0, "dark"),
        (30.0, math.inf, "camera_moved"),
    ]


def test_a_begin_whose_end_was_lost_lasts_until_the_next_end() -> None:
    events = [event("dark", 3.0), event("dark", 8.0), event("dark", 9.0, 8.0), event("gap", 11.0, 9.0)]
    assert outages(events) == [(3.0, 9.0, "dark"), (9.0, 11.0, "gap")]
    assert outages([*events, event("gap", 13.0, 10.5)])[-1] == (9.0, 13.0, "gap")


def test_in_utc_over_restarts() -> None:
    events = [
        event("dark", 8.0, utc_ms=1_008_000),
        event("dark", 2.0, -12.0, utc_ms=1_022_000),
        event("dark", 9.0),
    ]
    assert outages(events, utc=True) == [(1008.0, 1022.0, "dark")]


def paused(site: Site, paths, *, fps: float, states: list[tuple[float, Event]], duration_s: float = 12.0):
    """Events, and occupancies by time, with states of the camera that become known at the given times."""
    measures, found, seen = SiteMeasures(site, stream="cam"), [], {}
    for tracked in frames(paths, fps=fps, duration_s=duration_s):
        time_s = tracked.frame.time_s
        now = tuple(state for known_s, state in states if known_s <= time_s < known_s + 1 / fps)
        found += measures.process(replace(tracked, events=now))
        seen[round(time_s, 3)] = measures.occupancy()
    return [*found, *measures.close()], seen


@pytest.mark.parametrize("kind", ["camera_moved", "frozen", "covered", "dark"])
@pytest.mark.parametrize("fps", [30.0, 15.0, 5.0])
def test_nothing_is_counted_over_an_outage(kind: str, fps: float) -> None:
    paths = {1: through((0, 0.1, 0.5), (12, 0.9, 0.5)), 2: through((0, 0.9, 0.4), (3, 0.1, 0.4))}
    states = [(4.0, event(kind, 3.0)), (9.0, event(kind, 8.0, 3.0))]
    events, seen = paused(SITE, paths, fps=fps, states=states)
    assert [one.identity for one in of(events, "crossing")] == [2]
    assert counts(events) == ((1, 0) if of(events, "crossing")[0].direction == "in" else (0, 1))
    assert seen[6.0].outages == (kind,)
    assert seen[3.0].outages == seen[10.0].outages == ()
    without, _ = paused(SITE, paths, fps=fps, states=[])
    assert sorted(one.identity for one in of(without, "crossing")) == [1, 2]


def test_a_stay_goes_on_as_hidden_and_nothing_loiters_unseen() -> None:
    paths = {1: through((0, 0.5, 0.5), (2, 0.8, 0.5), (12, 0.8, 0.5))}
    states = [(3.0, event("covered", 2.5)), (8.0, event("covered", 7.0, 2.5))]
    events, seen = paused(SITE, paths, fps=10.0, states=states)
    assert seen[5.0].present == {"hall": {"person": 1}}
    [loitering] = [one for one in of(events, "loitering") if one.since_s is None]
    assert loitering.time_s == pytest.approx(of(events, "enter")[0].time_s + 3.0)
    early, _ = paused(SITE, paths, fps=10.0, states=states, duration_s=7.5)
    assert of(early, "loitering") == []
    paths = {1: through((0, 0.5, 0.5), (2, 0.8, 0.5), (9, 0.8, 0.5), (11, 0.4, 0.5))}
    [leave] = of(paused(SITE, paths, fps=10.0, states=states)[0], "leave")
    assert leave.stay.hidden_s == pytest.approx(5.1, abs=0.11)


def test_a_pause_survives_a_restart() -> None:
    paths = {1: through((0, 0.1, 0.5), (10, 0.9, 0.5))}
    stream = list(frames(paths, fps=10.0, duration_s=10.0))
    first, second = SiteMeasures(SITE, stream="cam"), SiteMeasures(SITE, stream="cam")
    for tracked in stream[:30]:
        first.process(replace(tracked, events=(event("dark", 2.9),) if tracked.frame.index == 29 else ()))
    second.restore(json.loads(json.dumps(first.state())))
    found = [one for tracked in stream[30:] for one in second.process(tracked)]
    assert of(found, "crossing") == []
    assert second.occupancy().outages == ("dark",)


def test_displacement_of_texture() -> None:
    """Shifts of whole pixels are exact to a twentieth; no common texture gives nothing."""
    rng = np.random.default_rng(2)
    texture = np.kron(rng.integers(30, 220, (60, 100)), np.ones((4, 4))).astype(np.uint8)
    tiles = Tiles((90, 160))
    reference = tiles.spectra(edge_magnitudes(texture[40:130, 60:220]))
    for x, y in ((0, 0), (2, 0), (0, -3), (5, 4)):
        found = tiles.compare(reference, tiles.spectra(edge_magnitudes(texture[40 + y : 130 + y, 60 + x : 220 + x])))
        assert found.moved == pytest.approx(np.hypot(x, y) / 160, abs=0.05 / 160)
        assert (found.still > 10) == (x == y == 0)
    other = rng.integers(30, 220, (90, 160)).astype(np.uint8)
    assert tiles.compare(reference, tiles.spectra(edge_magnitudes(other))).moved is None
    blank = tiles.compare(reference, tiles.spectra(edge_magnitudes(np.full((90, 160), 90, np.uint8))))
    assert (blank.moved, blank.still) == (None, 0)
