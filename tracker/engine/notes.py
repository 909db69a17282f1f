"""Stage that notes what rows of records do not say: frames without rows, ends, and sights before the confirmation."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tracker.analytics.measures import EARLIER_FRAMES, TIME_DIGITS
from tracker.contacts import ContactState
from tracker.engine.stage import Stage
from tracker.recount import CameraNote, FrameNotes, Quiet, Sight, notes_of_camera, occluder_mark

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from tracker.contacts import Contacts
    from tracker.engine.snapshot import Kept
    from tracker.plugins import StageContext
    from tracker.site import Site
    from tracker.types import TrackedFrame

__all__ = ["NotesStage", "notes"]


class NotesStage(Stage):
    """Gives every frame that has rows its notes; the last stage, behind those that find contacts and events.

    Args:
        stream: Name of the stream.
        site: Whose occluders the contacts know.
        start_at: When a recording began, where that is declared.
        gap_s: Seconds without a frame from which the camera was out.
    """

    name = "notes"
    outlasts_restart: ClassVar[bool] = False

    def __init__(
        self, stream: str, *, site: Site | None = None, start_at: datetime | None = None, gap_s: float = 2.0
    ) -> None:
        self._stream, self._gap_s = stream, gap_s
        self._start_ms = None if start_at is None else round(start_at.timestamp() * 1000)
        self._occluders = "" if site is None else occluder_mark(site.occluders)
        self._past: deque[tuple[float, NDArray[np.float64]]] = deque(maxlen=EARLIER_FRAMES)
        self._quiet: list[Quiet] = []
        self._skipped = 0
        self._ended: list[int] = []
        self._camera: list[CameraNote] = []

    def process(self, tracked: TrackedFrame) -> TrackedFrame:
        """The frame with its ``notes``, if it has rows."""
        tracks, contacts, time_s = tracked.tracks, tracked.contacts, round(tracked.frame.time_s, TIME_DIGITS)
        if tracks is None:
            return tracked
        earlier = self._sights(tracks.earlier_rows)
        self._past.append((time_s, _seen(contacts)))
        self._ended += tracks.ended_ids.tolist()
        self._camera += notes_of_camera(tracked.events, time_s)
        if not len(tracks):
            self._skipped += tracked.skipped
            self._pass(time_s)
            return tracked
        noted = FrameNotes(
            stream=self._stream,
            start_ms=self._start_ms,
            earlier=earlier,
            ended=tuple(self._ended),
            quiet=tuple(self._quiet),
            camera=tuple(self._camera),
            occluders=self._occluders,
            skipped=self._skipped,
            interpolated=tracked.interpolated,
        )
        self._ended, self._quiet, self._camera, self._skipped = [], [], [], 0
        return replace(tracked, notes=noted)

    def state(self) -> dict[str, Any] | None:
        """What was not told yet, and the last contacts."""
        return {
            "past": [[time_s, points.tolist()] for time_s, points in self._past],
            "quiet": [list(one) for one in self._quiet],
            "ended": list(self._ended),
            "camera": [list(one) for one in self._camera],
            "skipped": self._skipped,
        }

    def restore(self, kept: Kept) -> None:
        """Continue a recording; a camera's media time begins anew."""
        if kept.elapsed_s is not None or kept.numbers_only:
            return
        state = kept.state
        for time_s, points in state["past"]:
            self._past.append((float(time_s), np.array(points, np.float64).reshape(-1, 3)))
        self._quiet = [Quiet(float(first_s), float(last_s), int(count)) for first_s, last_s, count in state["quiet"]]
        self._ended = [int(identity) for identity in state["ended"]]
        self._camera = [CameraNote(*values) for values in state["camera"]]
        self._skipped = int(state.get("skipped", 0))

    def _sights(self, earlier_rows: NDArray[np.int64]) -> dict[int, tuple[Sight, ...]]:
        """Contacts of new identities in the frames before, the oldest first."""
        found: dict[int, list[Sight]] = {}
        for identity, ago, row in sorted(earlier_rows.tolist(), key=lambda entry: -entry[1]):
            if 1 <= ago <= len(self._past):
                time_s, points = self._past[-ago]
                x, y, seen = points[row].tolist()
                if seen:
                    found.setdefault(identity, []).append(Sight(time_s, x, y))
        return {identity: tuple(sights) for identity, sights in found.items()}

    def _pass(self, time_s: float) -> None:
        """A frame without rows."""
        last = self._quiet[-1] if self._quiet else None
        if last is not None and time_s - last.last_s < self._gap_s:
            self._quiet[-1] = Quiet(last.first_s, time_s, last.frames + 1)
        else:
            self._quiet.append(Quiet(time_s, time_s, 1))


def _seen(contacts: Contacts | None) -> NDArray[np.float64]:
    """Places, and whether each was seen: ``(N, 3)``."""
    if contacts is None:
        return np.zeros((0, 3))
    return np.column_stack([contacts.points, contacts.states == ContactState.SEEN])


def notes(context: StageContext) -> NotesStage:
    """The stage ``notes``; its settings are those of :class:`NotesStage`."""
    return NotesStage(context.stream, **context.settings)
