"""Occlusion by static occluders: truncated tracks are completed to whole objects while unseen.

An object that passes behind a static occluder (a pillar, a post) is detected as its visible part: the leading edge
stops, the trailing edge continues. The filter follows that part, which slows down and shrinks. While the object is
visible that is right, since the next box is such a part again. Once the object is unseen, the part is the wrong
prediction. So the boxes of the last seconds are kept, and in the first frame without an instance they decide:

- if the last box was truncated in the direction of motion, the track becomes the whole object at its earlier velocity;
- an instance that would start a new track may be its first visible part behind the occluder: of the same extent across,
  with its leading edge where the whole object's is expected;
- where a part is matched again, the filter follows that part, at the velocity of the whole.

No other track changes, and tracks that can be matched as usual are matched before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracker.associate import kalman
from tracker.associate.assignment import assign
from tracker.associate.motion import EPSILON_S

if TYPE_CHECKING:
    from tracker.associate.detected import Detected
    from tracker.associate.lifecycle import TrackTable

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

__all__ = ["Completion"]

SPAN_S, STEP_S = 3.0, 0.1
"""Length and step of the history: an object at half a width a second is truncated for two seconds until hidden."""
SHRINKING = 0.15
"""Least difference of the growth rates of width and height, per second; the filter says 0.3 or more for an object that
lost a third of its width at half a width to four widths a second (5 to 60 fps)."""
TREND_S, TREND_BOXES = 1.0, 3
"""A velocity is fitted to the last second and takes three boxes."""
USUAL = 0.75
"""Quantile of the aspect ratios that stands for the whole: more than half of the history may be truncated."""
LEAST_TRUNCATED = 1 / 3
"""Least missing share of a truncated box: legs change the width of visible pedestrians by a quarter (MOT17-02), and
what the filter predicts from such a box is still close enough to be matched."""
WHOLE = 0.9
"""From this share of its size on a box is whole: twice the noise of an edge (``TrackerSettings.measurement``, 5 %)."""
ONE_SIDED = 0.5
"""Truncation moves the centre by half of the missing length, a change of shape not at all; halfway is the limit."""
OWN_MOTION = 0.5
"""Least share of the missing length that the object's own motion covers: a static occluder truncates what moves."""
SAME_EXTENT = 0.8
"""Least overlap of the extents across the direction of motion."""
EDGE = 0.15
"""Largest distance of the leading edges, in sizes of the object, besides the uncertainty of the prediction."""
NO_ROWS: Rows = np.zeros(0, np.int64)


class _Whole(NamedTuple):
    """A truncated object as it would appear whole.

    Attributes:
        axis: 0 = truncated in x, 1 = in y.
        edge: The edge that was not truncated: -1 = left or top, 1 = right or bottom.
        size: Width or height, px.
        place: Position of that edge at the track's last instance, px.
        rate: Its velocity, px/s.
    """

    axis: int
    edge: int
    size: float
    place: float
    rate: float


class Completion:
    """History of the confirmed tracks, and which of the unseen ones are truncated.

    Args:
        least_chance: Instances below never continue a track.
    """

    def __init__(self, *, least_chance: float = 0.0) -> None:
        self._least_chance = least_chance
        self._recorded_s = -np.inf
        # One column per box of the history, oldest first: identity, time, and centre x, centre y, width, height.
        self._ids, self._times_s, self._boxes = NO_ROWS, np.zeros(0), np.zeros((4, 0))
        self._truncated: dict[int, int] = {}

    def record(self, table: TrackTable, time_s: float) -> None:
        """Add the boxes that confirmed tracks took in this frame to the history, at most every ``STEP_S``."""
        if time_s - self._recorded_s < STEP_S - EPSILON_S:
            return
        self._recorded_s = time_s
        expired = int(self._times_s.searchsorted(time_s - SPAN_S))
        rows = ((table.ids > 0) & (table.detection_rows >= 0)).nonzero()[0]
        self._ids = np.concatenate([self._ids[expired:], table.ids[rows]])
        self._times_s = np.concatenate([self._times_s[expired:], np.full(len(rows), time_s)])
        self._boxes = np.concatenate([self._boxes[:, expired:], _centred(table.boxes.take(rows, axis=1))], axis=1)

    def warp(self, matrix: Floats) -> None:
        """Carry the history into the present image by ``matrix (2, 3)``."""
        self._boxes = kalman.mixing(matrix) @ self._boxes
        self._boxes[:2] += matrix[:, 2:]

    def complete(self, table: TrackTable, matched: int, time_s: float, dt_s: float) -> None:
        """Complete the tracks that are unseen for the first time and were truncated in the frame before.

        Args:
            table: The tracks, matched; states of truncated ones change.
            matched: How many of them took an instance.
            time_s: Now.
            dt_s: Seconds since the last update.
        """
        if matched == table.count and not self._truncated:
            return
        unseen = ((table.detection_rows < 0) & (table.ids > 0)).nonzero()[0]
        if self._truncated:
            waiting = set(table.ids[unseen].tolist())
            self._truncated = {identity: axis for identity, axis in self._truncated.items() if identity in waiting}
        if not len(unseen):
            return
        growth = table.rates[2:, unseen] / table.values[2:, unseen]
        fresh = table.seen_s[unseen] >= time_s - dt_s - EPSILON_S
        for row in unseen[fresh & (np.abs(growth[0] - growth[1]) >= SHRINKING)].tolist():
            whole = self._whole(table, row)
            if whole is not None:
                _write_whole(table, row, whole, time_s)
                self._truncated[int(table.ids[row])] = whole.axis

    def match_parts(self, table: TrackTable, detected: Detected, free: Rows) -> tuple[Rows, Rows, Rows]:
        """Match completed tracks to unmatched instances, by leading edge and extent.

        Args:
            table: The tracks.
            detected: The instances.
            free: ``(F,)`` unmatched instances, which would start new tracks.

        Returns:
            ``(P,)`` tracks, ascending, ``(P,)`` the instances they take, and ``(F - P,)`` those that are left.
        """
        possible = free[detected.chances[free] >= self._least_chance] if self._truncated else free[:0]
        if not len(possible):
            return NO_ROWS, NO_ROWS, free
        rows = (table.detection_rows < 0).nonzero()[0]
        axes = np.array([self._truncated.get(identity, -1) for identity in table.ids[rows].tolist()], np.int64)
        rows, axes = rows[axes >= 0], axes[axes >= 0]
        if not len(rows):
            return NO_ROWS, NO_ROWS, free
        count = len(possible)
        place, column = np.divmod(np.arange(len(rows) * count), count)
        pairs, axes, instances = np.arange(len(place)), axes[place], possible[column]
        whole, part = table.values[:, rows[place]], detected.measured[:, instances]
        size, length = whole[2 + axes, pairs], part[2 + axes, pairs]
        leading = np.sign(table.rates[axes, rows[place]])
        apart = np.abs(part[axes, pairs] - whole[axes, pairs] + leading * (length - size) / 2)
        deviation = np.sqrt(table.covariances[0, axes, rows[place]])
        fits = (length <= (1 + EDGE) * size) & (_extents(whole, part, 1 - axes) >= SAME_EXTENT)
        fits &= table.votes[:, rows[place]].argmax(axis=0) == detected.classes[instances]
        reach = EDGE * size + np.minimum(deviation, np.sqrt(whole[2] * whole[3]))
        found, taken = assign(place, column, np.where(fits, 1 - apart / reach, 0.0), (len(rows), count))
        return rows[found], possible[taken], np.setdiff1d(free, possible[taken])

    def resume(self, table: TrackTable, rows: Rows, measured: Floats) -> None:
        """Set completed tracks that are matched to a part to the state of that part, at the velocity of the whole.

        Corrected from the whole by a part, the filter would read the missing half as a sudden motion.

        Args:
            table: The tracks.
            rows: ``(P,)`` tracks that took an instance.
            measured: ``(4, P)`` its centre x, centre y, width, height.
        """
        if not self._truncated:
            return
        for place, identity in enumerate(table.ids[rows].tolist()):
            axis = self._truncated.pop(identity, -1)
            if axis >= 0:
                row, size = rows[place], 2 + axis
                if measured[size, place] < WHOLE * table.values[size, row]:
                    table.values[axis::2, row] = measured[axis::2, place]
                    table.rates[size, row] = 0

    def state(self) -> dict[str, Any]:
        """Everything needed to continue later, as plain arrays."""
        return {
            "noted_s": self._recorded_s,
            "ids": self._ids.copy(),
            "times_s": self._times_s.copy(),
            "boxes": self._boxes.copy(),
            "cut": np.array([list(self._truncated), list(self._truncated.values())], np.int64).reshape(2, -1),
        }

    def restore(self, state: dict[str, Any] | None) -> None:
        """Continue from what :meth:`state` returned; the history starts empty from snapshots of other versions."""
        if state is None or "noted_s" not in state:
            state = Completion().state()
        self._recorded_s = float(state["noted_s"])
        self._ids, self._times_s, self._boxes = (state[name].copy() for name in ("ids", "times_s", "boxes"))
        self._truncated = dict(zip(*state["cut"].tolist(), strict=True))

    def _whole(self, table: TrackTable, row: int) -> _Whole | None:
        """The whole object by the track's history, if its last box is truncated."""
        seen_s = float(table.seen_s[row])
        own = (self._ids == table.ids[row]) & (self._times_s < seen_s - EPSILON_S)
        if np.count_nonzero(own) < TREND_BOXES:
            return None
        boxes = np.concatenate([self._boxes[:, own], _centred(table.boxes[:, row : row + 1])], axis=1)
        times_s = np.append(self._times_s[own], seen_s) - seen_s
        for axis in (0, 1):
            whole = _truncated_along(axis, times_s, boxes[:2], boxes[2:], float(table.values[3 - axis, row]))
            if whole is not None:
                return whole
        return None


def _truncated_along(axis: int, times_s: Floats, centres: Floats, sides: Floats, across: float) -> _Whole | None:
    """The whole object, if its last box was truncated along one axis.

    Args:
        axis: 0 = x, 1 = y.
        times_s: ``(K,)`` of the boxes, the last one's 0.
        centres: ``(2, K)`` of the boxes, px.
        sides: ``(2, K)`` width and height, px.
        across: The filtered size along the other axis, px.
    """
    shapes, places, lengths = sides[axis] / sides[1 - axis], centres[axis], sides[axis]
    # The side across still changes with the distance to the camera; the aspect ratio of the whole does not.
    usual = float(np.quantile(shapes, USUAL))
    size, last = usual * across, float(lengths[-1])
    lacking, shrunk = 1 - last / size, 1 - last / float(np.quantile(lengths, USUAL))
    if lacking < LEAST_TRUNCATED or shrunk < lacking / 2:  # else it grew across and was not truncated along
        return None
    lacking *= size
    start_s = float(times_s[shapes >= WHOLE * usual][-1])
    before = (times_s <= start_s) & (times_s >= start_s - TREND_S)
    if np.count_nonzero(before) < TREND_BOXES:
        return None
    expected, velocity = _line(times_s[before], places[before])
    moved = (float(places[-1]) - expected) / (lacking / 2)
    edge = 1 if moved > 0 else -1
    if abs(abs(moved) - 1) > ONE_SIDED or edge * velocity > 0 or abs(velocity * start_s) < OWN_MOTION * lacking:
        return None
    recent = times_s >= min(-TREND_S, float(times_s[-2]))
    place, rate = _line(times_s[recent], (places + edge * lengths / 2)[recent])
    return _Whole(axis, edge, size, place, rate)


def _write_whole(table: TrackTable, row: int, whole: _Whole, time_s: float) -> None:
    """Set the track to the whole object at its present position; it grows as the side across does."""
    axis, half = whole.axis, whole.edge * whole.size / 2
    growth = float(table.rates[3 - axis, row] / table.values[3 - axis, row])
    rate = whole.rate - growth * half
    table.values[axis, row] = whole.place - half + rate * (time_s - table.seen_s[row])
    table.values[2 + axis, row] = whole.size
    table.rates[axis, row] = rate
    table.rates[2 + axis, row] = growth * whole.size


def _line(times_s: Floats, places: Floats) -> tuple[float, float]:
    """Least squares: the place at time 0 and the velocity."""
    middle_s, middle = float(times_s.mean()), float(places.mean())
    lever = times_s - middle_s
    velocity = float(lever @ places / (lever @ lever))
    return middle - velocity * middle_s, velocity


def _centred(boxes: Floats) -> Floats:
    """Centre x, centre y, width and height ``(4, N)`` of xyxy boxes ``(4, N)``."""
    return np.concatenate([(boxes[:2] + boxes[2:]) / 2, boxes[2:] - boxes[:2]])


def _extents(a: Floats, b: Floats, axes: Rows) -> Floats:
    """Intersection over union ``(P,)`` of the extents of paired ``(4, P)`` centres and sizes along ``axes (P,)``."""
    pairs = np.arange(len(axes))
    (first, length), (other, width) = ((of[axes, pairs], of[2 + axes, pairs] / 2) for of in (a, b))
    shared = np.minimum(first + length, other + width) - np.maximum(first - length, other - width)
    return np.asarray(shared / (np.maximum(first + length, other + width) - np.minimum(first - length, other - width)))
