"""Recorded tracks: rows of records as the tracked frames that they were written from, frames without rows included.

Rows that carry contacts and notes give back everything that counting looks at, so that it finds the events of tracking
again. Of other rows (MOTChallenge text, CSV of other programs) the lower edges of the boxes stand for the contacts,
frame numbers that are missing were frames without rows, and an identity that has no row for two seconds has ended.
"""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from tracker.contacts import Contacts, ContactState
from tracker.errors import ConfigError, DetectionsError
from tracker.events import Event
from tracker.formats.notes import captured_at, unpacked
from tracker.formats.row_files import read_rows
from tracker.recount import FrameNotes, Quiet
from tracker.types import Frame, Instances, TrackedFrame, Tracks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray

    from tracker.formats.row_files import FrameRows

__all__ = ["Recorded", "open_recorded"]

HELD_FRAMES = 16
"""Frames that wait for identities confirmed later, as :class:`tracker.analytics.measures.SiteMeasures` looks back."""
ENDED_S = 2.0
"""Without a row for so long an identity has ended, where nothing says when it did."""
STEP_S = 0.5
"""Between frames without rows that are made again: nothing happens in them but that time passes."""


@dataclass(slots=True, kw_only=True)
class _Made:
    """A frame that is being put together.

    Attributes:
        time_s: Media time.
        rows: Of identities; ``None`` for none.
        notes: Of the frame.
        size: Of the picture.
        captured_at: When, where it is known.
        sights: Contacts of identities that are confirmed later.
        ended: Identities that end.
        earlier: ``(identity, frames ago, instance)`` of identities that are confirmed here.
        events: Of the camera.
    """

    time_s: float
    rows: FrameRows | None = None
    notes: FrameNotes | None = None
    size: tuple[int, int] = (0, 0)
    captured_at: datetime | None = None
    sights: list[tuple[float, float]] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    earlier: list[tuple[int, int, int]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


class Recorded:
    """Frames of one recording or camera from its rows.

    Args:
        rows: Of all its files, in order.
        first: The first of them.
        fps: Frames per second, for files that have frame numbers only.
        size: ``(width, height)`` of the picture, for files that do not say.
        by_boxes: Count by the lower edges of the boxes, whatever contacts there are.
        gap_s: Seconds without a frame from which the camera was out.

    Attributes:
        stream: Its name; empty where the rows do not say.
        start_ms: UTC in milliseconds at media time 0, where that was declared.
        occluders: Mark of those that the contacts know.
        noted: Rows have notes, which say what they do not show.
        by_boxes: Contacts are the boxes' lower edges.
        seen_only: Rows of predicted identities were left out when it was written.
        class_names: Of the rows so far; grows.
    """

    def __init__(
        self,
        rows: Iterator[FrameRows],
        first: FrameRows,
        *,
        fps: float | None,
        size: tuple[int, int] | None,
        by_boxes: bool,
        gap_s: float,
    ) -> None:
        head = first.head
        notes = None if head is None else _unpacked(first)
        self.stream = "" if notes is None else notes.stream
        self.start_ms = None if notes is None else notes.start_ms
        self.occluders = "" if notes is None else notes.occluders
        self.noted, self.by_boxes = notes is not None, by_boxes
        self.seen_only = bool(head and head.get("seen_only"))
        self.class_names: list[str] = []
        self._class_ids: dict[str, int] = {}
        self._rows, self._fps, self._size, self._gap_s = rows, fps, size, gap_s
        self._last: tuple[int, float] | None = None
        self._present: dict[int, float] = {}
        self._revision = 0

    def frames(self) -> Iterator[TrackedFrame]:
        """All frames in order of time.

        Raises:
            DetectionsError: Rows are out of order, of another stream, or damaged; or contacts are missing.
        """
        held: deque[_Made] = deque()
        for rows in self._rows:
            made = self._made(rows)
            held += made
            if not self.by_boxes:
                _look_back(held)
            while len(held) > HELD_FRAMES:
                yield self._frame(held.popleft())
        for one in held:
            yield self._frame(one)

    def _made(self, rows: FrameRows) -> list[_Made]:
        """The frame of some rows behind those without rows before it."""
        notes = None if rows.head is None else _unpacked(rows)
        time_s = self._time_s(rows)
        self._check(rows, notes, time_s)
        made = _Made(time_s=time_s, rows=rows, notes=notes, size=self._size_of(rows))
        made.captured_at = None if rows.head is None else captured_at(rows.head)
        quiet = notes.quiet if notes is not None else self._missing(rows.index, time_s)
        if notes is not None:
            made.ended = list(notes.ended)
        else:
            made.ended = [one for one, last_s in self._present.items() if time_s - last_s > ENDED_S]
            for identity in made.ended:
                del self._present[identity]
            self._present.update(dict.fromkeys(rows.ids.tolist(), time_s))
        self._last = rows.index, time_s
        return [*self._quiet_frames(quiet, made), made]

    def _time_s(self, rows: FrameRows) -> float:
        if rows.time_s is not None and np.isfinite(rows.time_s):
            return rows.time_s
        if self._fps is None:
            problem = "expected times, found frame numbers only"
            raise ConfigError(rows.place, problem, "say how many frames a second there are: --fps 25")
        return round(rows.index / self._fps, 6)

    def _size_of(self, rows: FrameRows) -> tuple[int, int]:
        if rows.head is not None and "size" in rows.head:
            width, height = rows.head["size"]
            self._size = int(width), int(height)
        if self._size is None:
            problem = "expected the size of the picture, found none in these records nor in the site"
            raise ConfigError(rows.place, problem, "give it: --size 1920x1080")
        return self._size

    def _check(self, rows: FrameRows, notes: FrameNotes | None, time_s: float) -> None:
        if self._last is not None and time_s <= self._last[1]:
            problem = (
                f"expected rows in order of time, found frame {rows.index} at {time_s:g} s behind {self._last[1]:g} s"
            )
            raise DetectionsError(
                rows.place, problem, "name the files of one recording in their order, or sort the rows"
            )
        if notes is not None and notes.stream != self.stream:
            problem = f"expected rows of one stream, {self.stream}, found {notes.stream}"
            raise DetectionsError(rows.place, problem, "analyse each stream by itself")
        if not self.by_boxes and rows.points is None:
            problem = "expected ground contacts, found rows without contact"
            remedy = "count by the boxes' lower edges with --boxes, or track again with this version"
            raise DetectionsError(rows.place, problem, remedy)
        if len(set(rows.ids.tolist())) < len(rows.ids):
            problem = f"expected each identity once in frame {rows.index}, found one twice"
            raise DetectionsError(rows.place, problem, "check the file")

    def _missing(self, index: int, time_s: float) -> tuple[Quiet, ...]:
        """Frames whose numbers are missing since the last one with rows."""
        if self._last is None or index - self._last[0] < 2:
            return ()
        count = index - self._last[0] - 1
        step_s = (time_s - self._last[1]) / (count + 1)
        return (Quiet(self._last[1] + step_s, time_s - step_s, count),)

    def _quiet_frames(self, quiet: Sequence[Quiet], behind: _Made) -> list[_Made]:
        """Frames without rows: so many that no outage is seen between them, and those that notes tell about."""
        notes = behind.notes
        told: set[float] = set()
        if notes is not None:
            told.update(note.frame_s for note in notes.camera)
            told.update(sight.time_s for sights in notes.earlier.values() for sight in sights)
        times: set[float] = set()
        for first_s, last_s, count in quiet:
            steps = min(int((last_s - first_s) / min(STEP_S, self._gap_s / 2)) + 2, max(count, 1))
            times.update(np.linspace(first_s, last_s, steps).tolist())
            times.update(one for one in told if first_s <= one <= last_s)
        made = [_Made(time_s=one, size=behind.size) for one in sorted(times)]
        if behind.captured_at is not None:
            for one in made:
                one.captured_at = behind.captured_at - timedelta(seconds=behind.time_s - one.time_s)
        for note in () if notes is None else notes.camera:
            event = Event(
                kind=note.kind,
                stream=self.stream,
                time_s=note.time_s,
                since_s=note.since_s,
                utc_ms=note.utc_ms,
            )
            target = next((one for one in made if one.time_s >= note.frame_s), behind)
            target.events.append(event)
        return made

    def _frame(self, made: _Made) -> TrackedFrame:
        """The frame as it was written, with sights of identities that come later as further instances."""
        rows = made.rows
        index = 0 if rows is None else rows.index
        frame = Frame(
            index=index, time_s=made.time_s, arrived_s=made.time_s, source=self.stream, size=made.size,
            captured_at=made.captured_at,
        )  # fmt: skip
        contacts: Contacts | None
        if rows is None:
            instances, tracks, contacts = _nothing(made)
        elif self.by_boxes:
            instances, tracks, contacts = _by_boxes(rows, self._numbers(rows), made)
        else:
            instances, tracks, contacts = _by_contacts(rows, self._numbers(rows), made)
        return TrackedFrame(
            frame=frame,
            instances=instances,
            tracks=tracks,
            class_names=self.class_names,
            contacts=contacts,
            events=tuple(made.events),
            notes=made.notes,
        )

    def _numbers(self, rows: FrameRows) -> NDArray[np.int64]:
        """Class numbers, new ones for new names."""
        known = self._class_ids
        for name in rows.classes:
            if name not in known:
                known[name] = len(known)
                self.class_names.append(name)
        return np.array([known[name] for name in rows.classes], np.int64)


def open_recorded(
    paths: Sequence[Path],
    *,
    fps: float | None = None,
    size: tuple[int, int] | None = None,
    by_boxes: bool = False,
    gap_s: float = 2.0,
) -> Recorded:
    """The tracks of one recording, in one file or in parts that follow each other.

    Args:
        paths: Files of rows, in order.
        fps: As for :class:`Recorded`, like the others.
        size: The same.
        by_boxes: The same; MOTChallenge text has no contacts and is counted by boxes in any case.
        gap_s: The same.

    Raises:
        DetectionsError: There are no rows, or the first ones are damaged.
        ConfigError: The suffix is of no rows.
    """
    rows = itertools.chain.from_iterable(read_rows(path) for path in paths)
    first = next(rows, None)
    if first is None:
        raise DetectionsError(paths[0], "expected rows of tracks, found none", "check the file")
    boxes = by_boxes or (first.points is None and first.time_s is None)
    return Recorded(itertools.chain([first], rows), first, fps=fps, size=size, by_boxes=boxes, gap_s=gap_s)


def _unpacked(rows: FrameRows) -> FrameNotes:
    try:
        return unpacked(rows.head or {}, rows.earlier)
    except ValueError as failure:
        remedy = "update masktrail" if "newer masktrail" in str(failure) else "write the records again"
        raise DetectionsError(rows.place, str(failure), remedy) from failure


def _look_back(held: deque[_Made]) -> None:
    """Put the contacts that the last frame's new identities had before into the frames of those times."""
    last = held[-1]
    if last.notes is None or not last.notes.earlier:
        return
    by_time = {made.time_s: ago for ago, made in enumerate(reversed(held))}
    for identity, sights in last.notes.earlier.items():
        for sight in sights:
            ago = by_time.get(sight.time_s, 0)
            if not 0 < ago <= HELD_FRAMES:
                continue  # before the beginning of the file
            made = held[-1 - ago]
            row = len(made.sights) + (0 if made.rows is None else len(made.rows.ids))
            made.sights.append((sight.x, sight.y))
            last.earlier.append((identity, ago, row))


def _nothing(made: _Made) -> tuple[Instances, Tracks, Contacts]:
    points, states = _with_sights(np.zeros((0, 2)), np.zeros(0, np.int8), made)
    nobody = np.zeros(0, np.int64)
    instances = _instances(np.zeros((0, 4)), nobody, points)
    return instances, _tracks(None, nobody, nobody, made), Contacts(points=points, states=states)


def _by_contacts(rows: FrameRows, class_ids: NDArray[np.int64], made: _Made) -> tuple[Instances, Tracks, Contacts]:
    """Every row is an instance, those of predicted identities without being taken."""
    assert rows.points is not None  # noqa: S101 - checked when it was read
    assert rows.states is not None  # noqa: S101 - likewise
    points, states = _with_sights(rows.points, rows.states, made)
    taken = np.where(rows.coasting, -1, np.arange(len(rows.ids)))
    tracks = _tracks(rows, taken, class_ids, made)
    return _instances(rows.boxes, class_ids, points), tracks, Contacts(points=points, states=states)


def _by_boxes(rows: FrameRows, class_ids: NDArray[np.int64], made: _Made) -> tuple[Instances, Tracks, Contacts | None]:
    """Seen rows are instances without masks, whose contacts are found as those of any."""
    seen = ~rows.coasting
    taken = np.where(seen, np.cumsum(seen) - 1, -1)
    tracks = _tracks(rows, taken, class_ids, made)
    return _instances(rows.boxes[seen], class_ids[seen], np.zeros((int(seen.sum()), 2))), tracks, None


def _with_sights(
    points: NDArray[np.float64], states: NDArray[np.int8], made: _Made
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    if not made.sights:
        return points, states
    seen = np.full(len(made.sights), ContactState.SEEN, np.int8)
    return np.concatenate([points, np.array(made.sights, np.float64)]), np.concatenate([states, seen])


def _instances(boxes: NDArray[np.float64], class_ids: NDArray[np.int64], points: NDArray[np.float64]) -> Instances:
    """Instances of boxes, and of places beyond them."""
    more = len(points) - len(boxes)
    if more:
        places = np.tile(points[len(boxes) :], 2)
        boxes, class_ids = np.concatenate([boxes, places]), np.concatenate([class_ids, np.zeros(more, np.int64)])
    return Instances(boxes=boxes.astype(np.float32), scores=np.zeros(len(boxes), np.float32), class_ids=class_ids)


def _tracks(rows: FrameRows | None, taken: NDArray[np.int64], class_ids: NDArray[np.int64], made: _Made) -> Tracks:
    count = len(taken)
    return Tracks(
        ids=taken if rows is None else rows.ids,
        detection_rows=taken,
        boxes=np.zeros((0, 4), np.float32) if rows is None else rows.boxes.astype(np.float32),
        velocities=np.zeros((count, 2), np.float32),
        class_ids=class_ids,
        scores=np.zeros(count, np.float32),
        ages_s=np.zeros(0, np.float32) if rows is None else rows.ages_s.astype(np.float32),
        ended_ids=np.array(made.ended, np.int64),
        earlier_rows=np.array(made.earlier, np.int64).reshape(-1, 3),
    )
