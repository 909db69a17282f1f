"""Tally of events: what the console shows is what counts of the ledger are."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.analytics.walks import frames, of, run, through
from tracker.analytics.corrections import Corrections
from tracker.analytics.counts import counts, sums_of
from tracker.analytics.tally import Tally
from tracker.events import Event, Stay
from tracker.site import Flow, Line, Site, Zone
from tracker.types import TrackedFrame

SITE = Site(
    lines=(Line(name="line", points=((0.1, 0.5), (0.9, 0.5))), Line(name="far", points=((0.1, 0.3), (0.9, 0.3)))),
    zones=(Zone(name="hall", polygons=(((0, 0.1), (1, 0.1), (1, 0.45), (0, 0.45)),)),),
    flows=(Flow(name="through", start="line", end="far"),),
)


def turning(stream: list[TrackedFrame], at_s: float) -> list[TrackedFrame]:
    """The vote about every identity becomes another class."""
    from dataclasses import replace

    return [
        replace(
            frame, tracks=replace(frame.tracks, class_ids=frame.tracks.class_ids + 2 * (frame.frame.time_s >= at_s))
        )
        for frame in stream
    ]


def by_class(events: list[Event], kind: str) -> Counter[tuple[str, str, str]]:
    """As ``masktrail counts`` gives them."""
    found = sums_of(
        events, corrections=Corrections.of(events), kinds=[kind], by=("place", "direction", "class"), bin_s=3600
    )
    total: Counter[tuple[str, str, str]] = Counter()
    for (_, _, group), count in found.counts.items():
        total[group] += count
    return total


@pytest.mark.parametrize(("at_s", "moved"), [(0.5, 0), (3.1, 1), (4.0, 2)])
def test_classes_are_those_of_the_ledger(at_s: float, moved: int) -> None:
    paths = {1: through((0, 0.5, 0.9), (5, 0.5, 0.05)), 2: through((1, 0.3, 0.9), (6, 0.3, 0.05))}
    events = run(SITE, iter(turning(list(frames(paths, fps=25, duration_s=10)), at_s)))
    assert len(of(events, "reclassified")) == moved
    tally = Tally.of(SITE)
    tally.add(events)
    assert {
        (*key, name): count for key, counted in tally.crossings.items() for name, count in counted.items()
    } == by_class(events, "crossing")
    assert {(name, "", one): n for name, zone in tally.zones.items() for one, n in zone.entries.items()} == by_class(
        events, "enter"
    )
    assert {(name, "", one): n for name, counted in tally.flows.items() for one, n in counted.items()} == by_class(
        events, "flow"
    )
    assert not tally._open
    at_event = Counter((event.place, event.class_name) for event in events if event.kind == "crossing")
    assert {(key[0], name): n for key, one in tally.at_crossing.items() for name, n in one.items()} == at_event


def test_a_joined_identity_takes_its_counts_along() -> None:
    first = Event(kind="crossing", stream="a", time_s=1, place="line", direction="in", identity=1, class_name="car")
    joined = Event(kind="rekeyed", stream="a", time_s=2, identity=2, was_identity=1, class_name="bus")
    again = Event(kind="reclassified", stream="a", time_s=3, identity=2, was_class="bus", class_name="truck")
    tally = Tally()
    tally.add([first])
    assert tally.crossings == {("line", "in"): Counter(car=1)}
    tally.add([joined])
    assert tally.crossings == {("line", "in"): Counter(bus=1)}
    tally.add([again])
    assert tally.crossings == {("line", "in"): Counter(truck=1)}
    assert tally.at_crossing == {("line", "in"): Counter(car=1)}


def test_a_copy_is_not_moved() -> None:
    entry = Event(
        kind="enter", stream="a", time_s=1, place="hall", identity=1, class_name="car", stay=Stay(entered_s=1)
    )
    tally = Tally()
    tally.add([entry])
    copied = tally.copy()
    tally.add([Event(kind="reclassified", stream="a", time_s=3, identity=1, was_class="car", class_name="bus")])
    assert counts(entry)
    assert (tally.zones["hall"].entries, copied.zones["hall"].entries) == (Counter(bus=1), Counter(car=1))
