"""Small ledgers enter the tests: events of every kind, and frames that carry them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

from hypothesis import strategies as st

from tests.sinks.streams import tracked_frame
from tracker.events import Event, EventKind, Sighting, Stay
from tracker.plugins import open_sink
from tracker.types import TrackedFrame

SUFFIXES = (".events.jsonl", ".events.parquet", ".sqlite")
START_MS = 1_774_746_000_000  # 2026-03-29T01:00Z, as Europe changes to summer time

TIMES = st.floats(0, 1e6, allow_nan=False).map(lambda value: round(value, 6))
SHARES = st.floats(-0.5, 1.5, allow_nan=False)
NAMES = st.one_of(st.sampled_from(["gate", "Tür 3", 'a"b\\c', "=cmd()", "x\ny", "路口"]), st.text(max_size=8))
SIGHTINGS = st.none() | st.builds(Sighting, time_s=TIMES, x=SHARES, y=SHARES)
STAYS = st.none() | st.builds(
    Stay,
    entered_s=TIMES,
    left_s=st.none() | TIMES,
    hidden_s=TIMES,
    began=st.sampled_from(["entered", "already_inside"]),
    end=st.sampled_from(["left", "lost", "open", "restart"]),
)
EVENTS = st.builds(
    Event,
    kind=st.sampled_from(get_args(EventKind)),
    stream=NAMES,
    time_s=TIMES,
    utc_ms=st.none() | st.integers(-(10**12), 4 * 10**12),
    place=NAMES,
    direction=NAMES,
    identity=st.integers(0, 2**62),
    class_name=NAMES,
    before=SIGHTINGS,
    after=SIGHTINGS,
    since_s=st.none() | TIMES,
    value=st.none() | TIMES,
    error=st.none() | TIMES,
    other_identity=st.just(0) | st.integers(0, 2**62),
    stay=STAYS,
    bridged=st.booleans(),
    was_class=NAMES,
    was_identity=st.integers(0, 2**62),
    revision=st.integers(0, 2**31),
)


def crossing(number: int, *, stream: str = "gate", utc: bool = True, **values: object) -> Event:
    """The n-th crossing, a second after the one before."""
    facts: dict = {
        "kind": "crossing",
        "stream": stream,
        "time_s": float(number),
        "utc_ms": START_MS + 1000 * number if utc else None,
        "place": "door",
        "direction": "in" if number % 3 else "out",
        "identity": number + 1,
        "class_name": "person",
        "before": Sighting(time_s=number - 0.1, x=0.25, y=0.5),
        "after": Sighting(time_s=number + 0.1, x=0.75, y=0.5),
        "revision": 3,
    }
    return Event(**(facts | values))


def frames_with(events: Iterable[Event], *, per_frame: int = 1, start: int = 0) -> Iterable[TrackedFrame]:
    """Frames of one second each that carry the events."""
    waiting: list[Event] = []
    index = start
    for event in events:
        waiting.append(event)
        if len(waiting) == per_frame:
            yield frame_with(waiting, index)
            waiting, index = [], index + 1
    if waiting:
        yield frame_with(waiting, index)


def frame_with(events: Iterable[Event], index: int = 0) -> TrackedFrame:
    """A frame whose wall clock is that of the events."""
    events = tuple(events)
    frame = tracked_frame(index, boxes=[])
    known = [event.utc_ms for event in events if event.utc_ms is not None]
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    clock = epoch + timedelta(milliseconds=max(known)) if known else None
    return replace(frame, events=events, frame=replace(frame.frame, captured_at=clock))


def write_ledger(path: Path, events: Iterable[Event], *, per_frame: int = 1, **facts: object) -> Path:
    with open_sink(path, **facts) as sink:
        for frame in frames_with(events, per_frame=per_frame):
            sink.write(frame)
    return path
