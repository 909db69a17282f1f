"""The last ten minutes of ground contacts by camera, in memory: paths of identities, dry runs of changed sites."""

from __future__ import annotations

import contextlib
import math
import threading
import time
import zlib
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.analytics.dry_run import what_if
from tracker.analytics.tally import Tally
from tracker.contacts import ContactState
from tracker.dashboard.contact_log import ends_s, unpack, utc_ends_ms
from tracker.dashboard.dry_places import dry_places
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tracker.events import Event
    from tracker.site import Site
    from tracker.types import TrackedFrame

__all__ = ["KEPT_S", "MOST_BYTES", "RecentContacts"]

KEPT_S = 600.0
MOST_BYTES = 16_000_000
"""Of one camera; a crowd at 60 fps is kept for less than ten minutes."""
STEP_S = 0.075
"""Dry runs leave out frames that come closer than this: ten minutes at 25 fps are a second of work then."""
LONGEST_BACK = 64
"""Frames before a confirmation in which its identity may have been seen."""
AWAY_S = 60.0
"""Contacts of a camera outlive its restart by as much."""
SAME_WINDOW_S = 30.0
"""Dry runs of one camera within this time are over the same frames, so that they can be compared with each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """A second of frames as it came, compressed; ``shift_s`` later than the stream's own clock says."""

    header: Mapping[str, Any]
    body: bytes
    end_s: float
    shift_s: float
    class_names: tuple[str, ...]

    def frames(self, stream: str) -> Iterator[TrackedFrame]:
        found = unpack(self.header, zlib.decompress(self.body), stream=stream, class_names=self.class_names)
        return found if self.shift_s == 0 else (_shifted(one, self.shift_s) for one in found)


@dataclass(slots=True, kw_only=True)
class _Window:
    """Frames of a dry run, and what the present site makes of them."""

    until_s: float
    seconds: float
    end_s: float
    counted: Site | None = None
    tally: Tally | None = None


class RecentContacts:
    """Contacts of many cameras; filled by one thread, asked by any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batches: dict[str, deque[_Batch]] = {}
        self._bytes: dict[str, int] = {}
        self._windows: dict[str, _Window] = {}
        self._scenes: dict[str, int] = {}
        self._away_s: dict[str, float] = {}

    def add(self, stream: str, header: Mapping[str, Any], body: bytes, *, class_names: Sequence[str]) -> None:
        """Take a batch of frames; what is older than ten minutes goes.

        A stream that was restarted counts its seconds from 0 again: its frames follow those before it.

        Raises:
            ValueError: The body does not fit its header.
        """
        if (ends := ends_s(header, body)) is None:
            return
        kept = {name: header[name] for name in ("frames", "size", "outages")}
        packed, names = zlib.compress(body, 1), tuple(class_names)
        with self._lock:
            batches = self._batches.setdefault(stream, deque())
            if batches and (batches[-1].class_names, batches[-1].header["size"]) != (names, kept["size"]):
                self._drop(stream)
                batches = self._batches.setdefault(stream, deque())
            shift_s = _shift_s(batches[-1], header, body, ends[0]) if batches else 0.0
            end_s = ends[1] + shift_s
            batches.append(_Batch(header=kept, body=packed, end_s=end_s, shift_s=shift_s, class_names=names))
            self._bytes[stream] = self._bytes.get(stream, 0) + len(packed)
            while batches[0].end_s < end_s - KEPT_S or self._bytes[stream] > MOST_BYTES:
                self._bytes[stream] -= len(batches.popleft().body)

    def keep(self, scenes: Mapping[str, int]) -> None:
        """Drop the cameras that are no more, and those that show another scene.

        Args:
            scenes: Of the cameras that are there, a number that changes with the scene.
        """
        with self._lock:
            for name in list(self._batches):
                if name not in scenes:
                    self._away_s.setdefault(name, time.monotonic())
                elif scenes[name] != self._scenes.get(name, scenes[name]):
                    self._drop(name)
            for name, since_s in list(self._away_s.items()):
                if name in scenes:
                    del self._away_s[name]
                elif time.monotonic() - since_s > AWAY_S:
                    self._drop(name)
            self._scenes.update(scenes)

    def _drop(self, stream: str) -> None:
        for kept in (self._batches, self._bytes, self._windows, self._away_s):
            kept.pop(stream, None)

    def frames(self, stream: str, *, seconds: float = KEPT_S, end_s: float = math.inf) -> Iterator[TrackedFrame]:
        """The frames of the last seconds, in order; none where there are none.

        Args:
            stream: Name of the camera.
            seconds: How far back.
            end_s: Media time of the last of them.
        """
        with self._lock:
            batches = list(self._batches.get(stream, ()))
        if not batches:
            return
        end_s = min(end_s, batches[-1].end_s)
        for batch in batches:
            if batch.end_s >= end_s - seconds:
                for tracked in batch.frames(stream):
                    if end_s - seconds <= tracked.frame.time_s <= end_s:
                        yield tracked

    def path(self, stream: str, identity: int) -> list[tuple[int, float, float]]:
        """Where an identity was: milliseconds (UTC where that is known, else media time), x and y as shares."""
        found: list[tuple[int, float, float]] = []
        for tracked in self.frames(stream):
            tracks, contacts = tracked.tracks, tracked.contacts
            if tracks is None or contacts is None:
                continue
            for place in np.flatnonzero(tracks.ids == identity).tolist():
                own = contacts.of_tracks(tracks.detection_rows[place : place + 1], tracks.boxes[place : place + 1])
                if own.states[0] == ContactState.PREDICTED:
                    continue
                x, y = (own.points[0] / np.array(tracked.frame.size, np.float64)).tolist()
                found.append((_at_ms(tracked), round(x, 4), round(y, 4)))
        return found

    def dry_run(
        self, stream: str, site: Site, present: Site | None = None, *, seconds: float = KEPT_S
    ) -> dict[str, Any] | None:
        """What a site would have counted over the last seconds, beside what the present one makes of them.

        Both are counted alike, over the same frames and from nothing on, so that they can be compared; the ledger has
        further those who were under way when the first of these frames came.

        Args:
            stream: Name of the camera.
            site: The changed site.
            present: The one that counts now; ``None`` = there is none.
            seconds: How far back, at most :data:`KEPT_S`.

        Returns:
            ``from_ms``, ``to_ms``, ``seconds`` and ``places``; ``None`` where no frames are kept.

        Raises:
            ConfigError: The site was drawn on a picture of another shape.
        """
        window = self._window(stream, min(seconds, KEPT_S))
        frames = list(_thinned(self.frames(stream, seconds=window.seconds, end_s=window.end_s)))
        if not frames:
            return None
        site.check_size(frames[0].frame.size)
        would = _counted(frames, site, stream)
        if present is not None and window.counted != present:
            with contextlib.suppress(ConfigError):  # of a picture that has changed since: nothing to compare with
                window.tally, window.counted = _counted(frames, present, stream), present
        was = window.tally if present is not None and window.counted == present else None
        from_s, to_s = frames[0].frame.time_s, frames[-1].frame.time_s
        return {
            "from_ms": _at_ms(frames[0]),
            "to_ms": _at_ms(frames[-1]),
            "seconds": round(to_s - from_s, 1),
            "places": dry_places(site, would, was),
        }

    def _window(self, stream: str, seconds: float) -> _Window:
        """The frames that a dry run is over: those of the last one, if it was just now."""
        with self._lock:
            batches, now_s = self._batches.get(stream), time.monotonic()
            last = self._windows.get(stream)
            if last is not None and last.seconds == seconds and now_s < last.until_s:
                return last
            end_s = batches[-1].end_s if batches else math.inf
            made = _Window(until_s=now_s + SAME_WINDOW_S, seconds=seconds, end_s=end_s)
            self._windows[stream] = made
            return made


def _shift_s(last: _Batch, header: Mapping[str, Any], body: bytes, begin_s: float) -> float:
    """By how much a batch's clock lies behind that of the batches before it."""
    if begin_s + last.shift_s > last.end_s:
        return last.shift_s
    before, after = utc_ends_ms(last.header, zlib.decompress(last.body)), utc_ends_ms(header, body)
    pause_s = 0.0 if before is None or after is None else (after[0] - before[1]) / 1000
    return last.end_s + max(pause_s, STEP_S) - begin_s


def _shifted(tracked: TrackedFrame, by_s: float) -> TrackedFrame:
    events = tuple(
        replace(event, time_s=event.time_s + by_s, since_s=None if event.since_s is None else event.since_s + by_s)
        for event in tracked.events
    )
    return replace(tracked, frame=replace(tracked.frame, time_s=tracked.frame.time_s + by_s), events=events)


def _thinned(frames: Iterable[TrackedFrame]) -> Iterator[TrackedFrame]:
    """Frames at least :data:`STEP_S` apart, each with the ends and outages of those before it that are left out."""
    taken_s = -math.inf
    taken: deque[int] = deque(maxlen=LONGEST_BACK)
    ended: list[int] = []
    events: list[Event] = []
    for number, tracked in enumerate(frames):
        tracks = tracked.tracks
        if tracks is None:
            continue
        ended += tracks.ended_ids.tolist()
        events += tracked.events
        if 0 <= tracked.frame.time_s - taken_s < STEP_S:
            continue
        taken_s = tracked.frame.time_s
        earlier = [
            (identity, len(taken) - taken.index(number - ago), row)
            for identity, ago, row in tracks.earlier_rows.tolist()
            if number - ago in taken
        ]
        taken.append(number)
        tracks = replace(
            tracks,
            ended_ids=np.array(ended, np.int64),
            earlier_rows=np.array(earlier, np.int64).reshape(-1, 3),
        )
        yield replace(tracked, tracks=tracks, events=tuple(events))
        ended, events = [], []


def _at_ms(tracked: TrackedFrame) -> int:
    captured_at = tracked.frame.captured_at
    return round(tracked.frame.time_s * 1000 if captured_at is None else captured_at.timestamp() * 1000)


def _counted(frames: Sequence[TrackedFrame], site: Site, stream: str) -> Tally:
    tally = Tally.of(site)
    tally.add(what_if(frames, site, stream=stream))
    return tally
