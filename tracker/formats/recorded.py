"""Recorded tracks: rows of records as the tracked frames that they were written from, frames without rows included.

Rows that carry contacts and notes give back everything that counting looks at, so that it finds the events of tracking
again. Of other rows (MOTChallenge text, CSV of other programs) the lower edges of the boxes stand for the contacts,
frame numbers that are missing were frames without rows, and an identity that has no row for two seconds has ended.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.contacts import Contacts
from tracker.errors import ConfigError, DetectionsError
from tracker.events import Event
from tracker.formats.made_frames import NO_ROWS, Made, by_boxes, by_contacts, nothing_in, with_sights
from tracker.formats.notes import captured_at, unpacked
from tracker.formats.row_files import read_rows
from tracker.recount import FrameNotes, Quiet
from tracker.track_block import NOTHING, TrackBlock, blocks_of
from tracker.types import Frame, TrackedFrame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tracker.formats.frame_rows import FrameRows

__all__ = ["Recorded", "open_recorded"]

HELD_FRAMES = 16
"""Frames that wait for identities confirmed later, as :class:`tracker.analytics.measures.SiteMeasures` looks back."""
ENDED_S = 2.0
"""Without a row for so long an identity has ended, where nothing says when it did."""
STEP_S = 0.5
"""Between frames without rows that are made again: nothing happens in them but that time passes."""


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
        self._lasting: dict[str, Any] = {}
        self._notes: FrameNotes | None = None

    def frames(self) -> Iterator[TrackedFrame]:
        """All frames in order of time.

        Raises:
            DetectionsError: Rows are out of order, of another stream, or damaged; or contacts are missing.
        """
        return map(self._frame, self._put_together())

    def blocks(self) -> Iterator[TrackBlock]:
        """The same as columns; not by boxes, whose contacts are not known yet.

        Raises:
            DetectionsError: As for :meth:`frames`.
        """
        return blocks_of(map(self._block, self._put_together()))

    def _put_together(self) -> Iterator[Made]:
        held: deque[Made] = deque()
        for rows in self._rows:
            made = self._made(rows)
            held += made
            if not self.by_boxes:
                _look_back(held)
            while len(held) > HELD_FRAMES:
                yield held.popleft()
        yield from held

    def _made(self, rows: FrameRows) -> list[Made]:
        """The frame of some rows behind those without rows before it."""
        notes = self._notes_of(rows)
        time_s = self._time_s(rows)
        self._check(rows, notes, time_s)
        made = Made(time_s=time_s, rows=rows, notes=notes, size=self._size_of(rows))
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

    def _notes_of(self, rows: FrameRows) -> FrameNotes | None:
        """Notes of a frame; of most frames they are those of the frame before."""
        if rows.head is None:
            return None
        lasting = rows.head if "captured_us" not in rows.head else rows.head | {"captured_us": 0}
        if rows.earlier:
            return _unpacked(rows)
        if lasting != self._lasting or self._notes is None:
            self._lasting, self._notes = lasting, _unpacked(rows)
        return self._notes

    def _time_s(self, rows: FrameRows) -> float:
        if rows.time_s is not None and math.isfinite(rows.time_s):
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
        if rows.points is not None and not np.isfinite(rows.points).all():
            found = ", ".join(f"{value:g}" for value in rows.points[~np.isfinite(rows.points).all(1)][0].tolist())
            problem = f"expected contacts as two numbers in pixels, found {found} in frame {rows.index}"
            raise DetectionsError(rows.place, problem, "check the file, or leave the row out")
        fine = np.isfinite(rows.boxes).all(1) & (rows.boxes[:, 2:] >= rows.boxes[:, :2]).all(1)  # (N,)
        if not fine.all():
            found = ", ".join(f"{value:g}" for value in rows.boxes[int(np.argmin(fine))].tolist())
            problem = f"expected boxes of left, upper, right and lower edge, found {found} in frame {rows.index}"
            raise DetectionsError(rows.place, problem, "check the columns: x1, y1, x2, y2, or x, y, w, h")
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

    def _quiet_frames(self, quiet: Sequence[Quiet], behind: Made) -> list[Made]:
        """Frames without rows: so many that no outage is seen between them, and those that notes tell about."""
        notes = behind.notes
        if not quiet and (notes is None or not notes.camera):
            return []
        told: set[float] = set()
        if notes is not None:
            told.update(note.frame_s for note in notes.camera)
            told.update(sight.time_s for sights in notes.earlier.values() for sight in sights)
        times: set[float] = set()
        for first_s, last_s, count in quiet:
            steps = min(int((last_s - first_s) / min(STEP_S, self._gap_s / 2)) + 2, max(count, 1))
            times.update(np.linspace(first_s, last_s, steps).tolist())
            times.update(one for one in told if first_s <= one <= last_s)
        made = [Made(time_s=one, size=behind.size) for one in sorted(times)]
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

    def _frame(self, made: Made) -> TrackedFrame:
        """The frame as it was written, with sights of identities that come later as further instances."""
        rows = made.rows
        index = 0 if rows is None else rows.index
        frame = Frame(
            index=index, time_s=made.time_s, arrived_s=made.time_s, source=self.stream, size=made.size,
            captured_at=made.captured_at,
        )  # fmt: skip
        contacts: Contacts | None
        if rows is None:
            instances, tracks, contacts = nothing_in(made)
        elif self.by_boxes:
            instances, tracks, contacts = by_boxes(rows, self._numbers(rows), made)
        else:
            instances, tracks, contacts = by_contacts(rows, self._numbers(rows), made)
        return TrackedFrame(
            frame=frame,
            instances=instances,
            tracks=tracks,
            class_names=self.class_names,
            contacts=contacts,
            events=tuple(made.events),
            notes=made.notes,
        )

    def _block(self, made: Made) -> TrackBlock:
        """The same as columns."""
        rows = made.rows or NO_ROWS
        assert rows.points is not None  # noqa: S101 - checked when it was read
        assert rows.states is not None  # noqa: S101 - likewise
        points, states = with_sights(rows.points, rows.states, made)
        count = len(rows.ids)
        return TrackBlock(
            size=made.size,
            class_names=self.class_names,
            indices=(rows.index,),
            times_s=(made.time_s,),
            captured_at=(made.captured_at,),
            cuts=(0, count),
            ids=rows.ids,
            class_ids=self._numbers(rows),
            detection_rows=np.where(rows.coasting, -1, np.arange(count)),
            boxes=rows.boxes,
            ages_s=rows.ages_s,
            contacts=Contacts(points=points, states=states),
            contact_cuts=(0, len(points)),
            ended={0: np.array(made.ended, np.int64)} if made.ended else NOTHING,
            earlier={0: np.array(made.earlier, np.int64)} if made.earlier else NOTHING,
            events={0: tuple(made.events)} if made.events else NOTHING,
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


def _look_back(held: deque[Made]) -> None:
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
