"""Map of presence: seconds and visits of identities in the cells of a coarse grid over the picture.

The time between two sights of an identity's ground contact is laid along the straight way between them, so that the
seconds of all cells together are the time in which identities were present, at any frame rate. A visit is the first
time of an identity in a cell within an hour. Identities that stand still have their seconds a second time, apart: a
parked car would hide everything else.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.analytics.outages import Pause
from tracker.contacts import ContactState
from tracker.heat import MEASURES, TILE_MS, HeatSteps, grid_shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tracker.contacts import Contacts
    from tracker.types import TrackedFrame

__all__ = ["BRIDGE_S", "STILL_S", "STILL_SHARE", "Heatmap"]

BRIDGE_S = 2.0
"""Seconds between two detections, or two sights, over which an identity was there, and went straight. Of a longer time
nothing is known: whoever left the picture and came back was not in it."""
STILL_S = 60.0
"""Seconds on one place after which an identity stands still, from the first of them on."""
STILL_SHARE = 0.25
"""How far from that place, as a share of its own height: 45 cm of a person, 40 cm of a car."""
EARLIER_FRAMES = 64
"""Frames whose contacts are kept for identities that are confirmed later."""
MOST_STEPS = 512
"""Of one way between two sights; half a cell each as long as it is shorter than the picture is wide."""

SECONDS, STILL, VISITS = range(len(MEASURES))
SEEN, PREDICTED = int(ContactState.SEEN), int(ContactState.PREDICTED)
TIME_DIGITS = 6
STATE_VERSION = 1


@dataclass(slots=True, kw_only=True)
class _Path:
    """An identity: when it was detected last, where it was seen, and since when it is on one place."""

    present_s: float = -math.inf
    seen_s: float = -math.inf
    point: tuple[float, float] = (0.0, 0.0)
    anchor: tuple[float, float] = (0.0, 0.0)
    since_s: float = math.inf
    cells: set[int] = field(default_factory=set)
    waited: dict[int, float] = field(default_factory=dict)

    def forget(self) -> None:
        """It is not known to have been here meanwhile; its visits stay."""
        self.present_s = self.seen_s = -math.inf
        self.since_s = math.inf
        self.waited.clear()


class Heatmap:
    """Presence of one stream's identities, frame by frame; memory follows what is in view.

    Args:
        start_utc_ms: UTC in milliseconds at media time 0 of a recording; ``None`` = a frame's ``captured_at`` counts.
        gap_s: Seconds without a frame from which the camera was out: no identity is present over them.
    """

    def __init__(self, *, start_utc_ms: int | None = None, gap_s: float = 2.0) -> None:
        self._start_ms, self._gap_s = start_utc_ms, gap_s
        self._paths: dict[int, _Path] = {}
        self._earlier: deque[tuple[float, NDArray[np.float64], NDArray[np.bool_]]] = deque(maxlen=EARLIER_FRAMES)
        self._pause = Pause()
        self._time_s: float | None = None
        self._tile: int | None = None
        self._shape = (0, 0)
        self._found: dict[tuple[int, int], list[float]] = {}
        self._unplaced_s = 0.0

    def process(self, tracked: TrackedFrame) -> HeatSteps | None:
        """Take the next frame; what it adds, or ``None`` without tracks and contacts.

        Args:
            tracked: With tracks and contacts; frames must come in order of time.
        """
        tracks, contacts, frame = tracked.tracks, tracked.contacts, tracked.frame
        if tracks is None or contacts is None:
            return None
        time_s = round(frame.time_s, TIME_DIGITS)
        self._begin(tracked, time_s)
        scale = np.array(self._shape[::-1]) / frame.size  # cells per pixel, along x and y
        if self._pause.kinds:
            self._forget()
        else:
            self._catch_up(tracked, scale)
            own = contacts.of_tracks(tracks.detection_rows, tracks.boxes)
            heights = _heights(tracks.boxes, scale)
            points, states = (own.points * scale).tolist(), own.states.tolist()
            rows = zip(tracks.ids.tolist(), tracks.class_ids.tolist(), states, points, heights, strict=True)
            for identity, class_id, state, point, height in rows:
                if state != PREDICTED:
                    path = self._attend(identity, time_s)
                    if state == SEEN:
                        self._see(path, class_id, time_s, point, height)
        self._note(contacts, time_s)
        for identity in tracks.ended_ids.tolist():
            self._paths.pop(identity, None)
        return self._steps(self._clock(tracked))

    def state(self) -> dict[str, Any]:
        """Plain values to continue from."""
        paths = [
            [identity, path.present_s, path.seen_s, *path.point, *path.anchor, path.since_s,
             sorted(path.cells), [[cell, seconds] for cell, seconds in path.waited.items()]]
            for identity, path in self._paths.items()
        ]  # fmt: skip
        earlier = [[time_s, points.tolist(), seen.tolist()] for time_s, points, seen in self._earlier]
        return {
            "version": STATE_VERSION, "paths": paths, "earlier": earlier, "outages": sorted(self._pause.kinds),
            "time_s": self._time_s, "tile": self._tile, "shape": list(self._shape),
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any], *, elapsed_s: float | None = None) -> None:
        """Continue from :meth:`state`; after a pause of a camera only the visits of this hour are remembered.

        Raises:
            ValueError: The state is of another version.
        """
        if state["version"] != STATE_VERSION:
            message = f"heatmap: expected a state of version {STATE_VERSION}, found {state['version']}"
            raise ValueError(message)
        self._pause, self._tile = Pause(state["outages"]), state["tile"]
        rows, columns = state["shape"]
        self._shape = (rows, columns)
        for identity, present_s, seen_s, x, y, anchor_x, anchor_y, since_s, cells, waited in state["paths"]:
            path = _Path(
                present_s=present_s,
                seen_s=seen_s,
                point=(x, y),
                anchor=(anchor_x, anchor_y),
                since_s=since_s,
                cells=set(cells),
                waited={int(cell): seconds for cell, seconds in waited},
            )
            if elapsed_s is not None:
                path.forget()
            self._paths[identity] = path
        if elapsed_s is None:
            self._time_s = state["time_s"]
            for time_s, points, seen in state["earlier"]:
                self._earlier.append((time_s, np.array(points, np.float64).reshape(-1, 2), np.array(seen, np.bool_)))

    def _begin(self, tracked: TrackedFrame, time_s: float) -> None:
        """Make ready for a frame: its grid, its hour, and whether the camera was out before it."""
        shape = grid_shape(tracked.frame.size)
        if shape != self._shape:
            self._paths, self._shape = {}, shape
            self._earlier.clear()
        self._pause.note(tracked.events)
        if self._time_s is not None and time_s - self._time_s >= self._gap_s:
            self._forget()
        self._time_s = time_s
        tile = self._clock(tracked)[0] // TILE_MS
        if tile != self._tile:
            self._tile = tile
            for path in self._paths.values():
                path.cells.clear()

    def _forget(self) -> None:
        """The camera was out: where identities were meanwhile is not known, nor that they were there."""
        for path in self._paths.values():
            path.forget()

    def _catch_up(self, tracked: TrackedFrame, scale: NDArray[np.float64]) -> None:
        """Sights of new identities from before they were confirmed, the oldest first."""
        if tracked.tracks is None:
            return
        classes = dict(zip(tracked.tracks.ids.tolist(), tracked.tracks.class_ids.tolist(), strict=True))
        heights = dict(zip(tracked.tracks.ids.tolist(), _heights(tracked.tracks.boxes, scale), strict=True))
        rows = tracked.tracks.earlier_rows.tolist()
        for identity, ago, row in sorted(rows, key=lambda one: -one[1]):
            if not 1 <= ago <= len(self._earlier):
                continue
            time_s, points, seen = self._earlier[-ago]
            if identity in classes and row < len(seen):
                path = self._attend(identity, time_s)
                if seen[row]:
                    self._see(path, classes[identity], time_s, (points[row] * scale).tolist(), heights[identity])

    def _note(self, contacts: Contacts, time_s: float) -> None:
        seen = contacts.states == SEEN
        self._earlier.append((time_s, contacts.points, seen & (not self._pause.kinds)))

    def _attend(self, identity: int, time_s: float) -> _Path:
        """An identity is detected, wherever it stands: it was present since the last time, if that is not long ago."""
        path = self._paths.setdefault(identity, _Path())
        took_s = time_s - path.present_s
        if 0 < took_s <= BRIDGE_S:
            self._unplaced_s += took_s
        path.present_s = time_s
        return path

    def _see(self, path: _Path, class_id: int, time_s: float, contact: Sequence[float], height: float) -> None:
        """Its ground contact is seen, in cells from the top left; so is its height in cells."""
        x, y = contact
        steps: dict[int, float] = {}
        if 0 < time_s - path.seen_s <= BRIDGE_S:
            steps = self._between(path.point, (x, y), time_s - path.seen_s)
            self._unplaced_s -= time_s - path.seen_s
        for cell, seconds in steps.items():
            self._add(class_id, cell, SECONDS, seconds)
        for cell in (*steps, self._cell(x, y)):
            if cell not in path.cells:
                path.cells.add(cell)
                self._add(class_id, cell, VISITS, 1.0)
        path.seen_s, path.point = time_s, (x, y)
        self._stand(path, class_id, steps, reach=STILL_SHARE * height)

    def _stand(self, path: _Path, class_id: int, steps: Mapping[int, float], *, reach: float) -> None:
        """Seconds on one place count as standing still once there are enough of them."""
        if math.dist(path.anchor, path.point) > reach or not math.isfinite(path.since_s):
            path.anchor, path.since_s, path.waited = path.point, path.seen_s, {}
            return
        for cell, seconds in steps.items():
            path.waited[cell] = path.waited.get(cell, 0.0) + seconds
        if path.seen_s - path.since_s >= STILL_S:
            for cell, seconds in path.waited.items():
                self._add(class_id, cell, STILL, seconds)
            path.waited = {}

    def _between(self, before: tuple[float, float], after: tuple[float, float], took_s: float) -> dict[int, float]:
        """Seconds by cell of a straight way at an even pace, in pieces of half a cell at most."""
        longest = max(abs(after[0] - before[0]), abs(after[1] - before[1]))
        count = min(max(math.ceil(2 * longest), 1), MOST_STEPS)
        if count == 1:  # nearly all, at the frame rates of videos
            return {self._cell((before[0] + after[0]) / 2, (before[1] + after[1]) / 2): took_s}
        found: dict[int, float] = {}
        for number in range(count):
            share = (number + 0.5) / count
            cell = self._cell(*(a + share * (b - a) for a, b in zip(before, after, strict=True)))
            found[cell] = found.get(cell, 0.0) + took_s / count
        return found

    def _cell(self, x: float, y: float) -> int:
        rows, columns = self._shape
        return min(max(int(y), 0), rows - 1) * columns + min(max(int(x), 0), columns - 1)

    def _add(self, class_id: int, cell: int, measure: int, value: float) -> None:
        found = self._found.get((class_id, cell))
        if found is None:
            found = self._found[class_id, cell] = [0.0] * len(MEASURES)
        found[measure] += value

    def _clock(self, tracked: TrackedFrame) -> tuple[int, bool]:
        """Milliseconds of a frame, and whether they are UTC."""
        frame = tracked.frame
        if self._start_ms is not None:
            return round(self._start_ms + frame.time_s * 1000), True
        if frame.captured_at is not None:
            return round(frame.captured_at.timestamp() * 1000), True
        return round(frame.time_s * 1000), False

    def _steps(self, clock: tuple[int, bool]) -> HeatSteps:
        found = HeatSteps(
            shape=self._shape,
            time_ms=clock[0],
            utc=clock[1],
            keys=np.array(list(self._found), np.int64).reshape(-1, 2),
            values=np.array(list(self._found.values()), np.float64).reshape(-1, len(MEASURES)),
            unplaced_s=self._unplaced_s,
        )
        self._found, self._unplaced_s = {}, 0.0
        return found


def _heights(boxes: NDArray[np.float32], scale: NDArray[np.float64]) -> list[float]:
    """Of boxes ``(N, 4)``, in cells."""
    return [float(height) for height in (boxes[:, 3] - boxes[:, 1]) * scale[1]]
