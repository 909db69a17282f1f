"""Crowds of random identities: late confirmations, hidden and predicted contacts, numbers that come again, outages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np

from tests.analytics.walks import CLASS_NAMES
from tracker.contacts import Contacts, ContactState
from tracker.events import Event
from tracker.site import Doors, Flow, Line, Site, Zone
from tracker.types import Frame, Instances, TrackedFrame, Tracks

SIZE = (1280, 720)
START = datetime(2026, 3, 2, 3, 59, 50, tzinfo=UTC)
SITE = Site(
    lines=(
        Line(name="bent", points=((0.1, 0.6), (0.5, 0.4), (0.9, 0.6))),
        Line(name="quick", points=((0.5, 0.05), (0.5, 0.95)), settle_s=0.0, sway_share=0.0, classes=("person",)),
    ),
    zones=(
        Zone(name="left", polygons=(((0.05, 0.1), (0.5, 0.1), (0.5, 0.9), (0.05, 0.9)),), loiter_s=2.0),
        Zone(
            name="two",
            polygons=(((0.5, 0.1), (0.7, 0.1), (0.7, 0.9), (0.5, 0.9)), ((0.8, 0.2), (0.95, 0.2), (0.9, 0.8))),
            enter_s=0.0,
            leave_s=0.4,
            loiter_s_by_class={"car": 1.0},
        ),
    ),
    flows=(Flow(name="over", start="left", end="two"),),
    doors=(Doors(name="door", lines=("bent",), entry="in", reset_at="04:00"),),
)


class _Walker:
    """One identity that wanders; it is a detection before it is confirmed."""

    def __init__(self, rng: np.random.Generator, confirmed_after: int) -> None:
        self.place = rng.uniform(0.05, 0.95, 2)
        self.pace = rng.normal(0.0, 0.03, 2)
        self.height = float(rng.uniform(0.05, 0.4))
        self.class_id = int(rng.integers(0, 3))
        self.waits = confirmed_after
        self.age_s = 0.0
        self.sights: list[tuple[int, int]] = []

    def walk(self, rng: np.random.Generator, step_s: float) -> None:
        self.pace = 0.9 * self.pace + rng.normal(0.0, 0.4 * step_s, 2)
        self.place = np.clip(self.place + self.pace * step_s * 10, 0.01, 0.99)
        self.age_s += step_s
        if rng.random() < 0.01:
            self.class_id = int(rng.integers(0, 3))


def crowd(seed: int, *, count: int = 200, walkers: int = 8, fps: float = 12.5) -> Iterator[TrackedFrame]:
    """Tracked frames of a random stream; the same seed gives the same stream.

    Args:
        seed: Of the random numbers.
        count: Frames.
        walkers: Identities at a time, about.
        fps: Frames per second, where none is lost.
    """
    rng = np.random.default_rng(seed)
    made, alive, retired = 0, {}, []
    time_s, dark_since = 0.0, None
    for index in range(count):
        step_s = 3.0 if rng.random() < 0.01 else 1.0 / fps
        time_s = time_s + step_s if index else 0.0
        ended = [one for one in alive if rng.random() < 0.02]
        for identity in ended:
            if alive.pop(identity).waits <= 0 and rng.random() < 0.3:
                retired.append(identity)
        ended = [one for one in ended if one > 0]
        while len(alive) < walkers:
            again = retired and rng.random() < 0.3
            made += not again
            identity = retired.pop() if again else made
            alive[identity] = _Walker(rng, int(rng.integers(0, 4)))
        points, boxes, states, class_ids = [], [], [], []
        rows: dict[int, tuple[int, _Walker]] = {}
        earlier: list[tuple[int, int, int]] = []
        for identity, one in sorted(alive.items()):
            one.walk(rng, step_s)
            x, y = one.place * SIZE
            box = (x - one.height * 200, y - one.height * 720, x + one.height * 200, y)
            kind = rng.random()
            if kind < 0.05:
                continue  # neither detected nor predicted
            row = -1 if kind < 0.12 else len(points)
            if row >= 0:
                points.append((x, y))
                boxes.append(box)
                class_ids.append(one.class_id)
                states.append(ContactState.HIDDEN if kind < 0.2 else ContactState.SEEN)
            if one.waits > 0:
                one.waits -= row >= 0
                one.sights.append((index, row))
                continue
            earlier += [(identity, index - then, own) for then, own in one.sights if own >= 0 and then < index]
            one.sights = []
            rows[identity] = row, one, box
        events = ()
        if rng.random() < 0.01 or (dark_since is not None and rng.random() < 0.2):
            events = (Event(kind="dark", stream="cam", time_s=time_s, since_s=dark_since),)
            dark_since = time_s if dark_since is None else None
        yield TrackedFrame(
            frame=Frame(
                index=index,
                time_s=time_s,
                arrived_s=time_s,
                source="cam",
                size=SIZE,
                captured_at=START + timedelta(seconds=time_s),
            ),
            instances=Instances(
                boxes=np.array(boxes, np.float32).reshape(-1, 4),
                scores=np.ones(len(points), np.float32),
                class_ids=np.array(class_ids, np.int64),
            ),
            tracks=Tracks(
                ids=np.array(list(rows), np.int64),
                detection_rows=np.array([row for row, _, _ in rows.values()], np.int64),
                boxes=np.array([box for _, _, box in rows.values()], np.float32).reshape(-1, 4),
                velocities=np.zeros((len(rows), 2), np.float32),
                class_ids=np.array([one.class_id for _, one, _ in rows.values()], np.int64),
                scores=np.ones(len(rows), np.float32),
                ages_s=np.array([one.age_s for _, one, _ in rows.values()], np.float32),
                ended_ids=np.array(sorted(ended), np.int64),
                earlier_rows=np.array(earlier, np.int64).reshape(-1, 3),
            ),
            class_names=CLASS_NAMES,
            contacts=Contacts(points=np.array(points, np.float64).reshape(-1, 2), states=np.array(states, np.int8)),
            events=events,
        )
