"""Tracked frames of points that move as a function of time: exact contacts, no pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from tracker.analytics.measures import SiteMeasures
from tracker.contacts import Contacts
from tracker.events import Event
from tracker.site import Site
from tracker.types import Frame, Instances, TrackedFrame, Tracks

SIZE = (1280, 720)
CLASS_NAMES = ("person", "bicycle", "car")
Path = Callable[[float], tuple[float, float] | None]
"""Contact as shares of the picture at a time, ``None`` = not in view."""


def through(*knots: tuple[float, float, float]) -> Path:
    """Straight from ``(time_s, x, y)`` to the next; in view from the first to the last."""
    times = [knot[0] for knot in knots]

    def at(time_s: float) -> tuple[float, float] | None:
        if not times[0] - 1e-9 <= time_s <= times[-1] + 1e-9:
            return None
        return tuple(float(np.interp(time_s, times, [knot[axis] for knot in knots])) for axis in (1, 2))

    return at


def tracked(
    index: int,
    time_s: float,
    contacts: Mapping[int, tuple[float, float]],
    *,
    coasting: Mapping[int, tuple[float, float]] | None = None,
    ended: Sequence[int] = (),
    classes: Mapping[int, int] | None = None,
    size: tuple[int, int] = SIZE,
    captured_at=None,
) -> TrackedFrame:
    everyone = dict(sorted({**contacts, **(coasting or {})}.items()))
    feet = np.array(list(everyone.values()), np.float64).reshape(-1, 2) * size
    boxes = np.concatenate([feet - (20, 60), feet - (-20, 0)], axis=1).astype(np.float32)
    seen = np.array([identity in contacts for identity in everyone], np.bool_)
    count = len(everyone)
    class_ids = np.array([(classes or {}).get(identity, 0) for identity in everyone], np.int64)
    rows = np.full(count, -1, np.int64)
    rows[seen] = np.arange(int(seen.sum()))
    return TrackedFrame(
        frame=Frame(index=index, time_s=time_s, arrived_s=time_s, source="s", size=size, captured_at=captured_at),
        instances=Instances(boxes=boxes[seen], scores=np.ones(int(seen.sum()), np.float32), class_ids=class_ids[seen]),
        tracks=Tracks(
            ids=np.array(list(everyone), np.int64),
            detection_rows=rows,
            boxes=boxes,
            velocities=np.zeros((count, 2), np.float32),
            class_ids=class_ids,
            scores=np.ones(count, np.float32),
            ages_s=np.zeros(count, np.float32),
            ended_ids=np.array(sorted(ended), np.int64),
        ),
        class_names=CLASS_NAMES,
        # Boxes that overlap would hide each other's contacts: points do not.
        contacts=Contacts(points=feet[seen], states=np.zeros(int(seen.sum()), np.int8)),
    )


def frames(
    paths: Mapping[int, Path], *, fps: float, duration_s: float, lost_s: float = 2.0, first_s: float = 0.0
) -> Iterator[TrackedFrame]:
    """Every path is an identity that ends ``lost_s`` after it was last in view."""
    last: dict[int, float] = {}
    for index in range(round(duration_s * fps) + 1):
        time_s = first_s + index / fps
        contacts = {identity: at for identity, path in paths.items() if (at := path(time_s)) is not None}
        last.update(dict.fromkeys(contacts, time_s))
        ended = [identity for identity, seen_s in last.items() if time_s - seen_s > lost_s]
        for identity in ended:
            del last[identity]
        yield tracked(index, time_s, contacts, ended=ended)


def run(site: Site, stream: Iterator[TrackedFrame], *, close: bool = True, **options) -> list[Event]:
    measures = SiteMeasures(site, stream="cam", **options)
    events = [event for frame in stream for event in measures.process(frame)]
    return events + (list(measures.close()) if close else [])


def walk(site: Site, paths: Mapping[int, Path], *, fps: float = 25.0, duration_s: float = 10.0) -> list[Event]:
    return run(site, frames(paths, fps=fps, duration_s=duration_s))


def of(events: Sequence[Event], kind: str) -> list[Event]:
    return [event for event in events if event.kind == kind]


def counts(events: Sequence[Event], line: str = "line") -> tuple[int, int]:
    """Crossings in and out."""
    found = [event.direction for event in of(events, "crossing") if event.place == line]
    return found.count("in"), found.count("out")
