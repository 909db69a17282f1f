"""Occlusion by static occluders: truncated tracks are completed to whole objects while unseen.

An object that walks behind a pillar is seen as what the pillar leaves of it: its leading edge stands, its trailing edge
goes on. The filter follows that part, which slows down and shrinks, and while the object is seen that is right: its
next box will be such a part again. Once it is *unseen* the part is the wrong thing to wait for. So the boxes of the
last seconds are kept, nothing is done with them while a track is seen, and in the first frame without it they decide:

- was the last box cut in the direction of motion, the track becomes the whole object and goes on as it did before;
- what would start a new track may then be the first part of it behind the pillar: as tall, and its leading edge where
  the whole object's is expected;
- where a part comes back the filter follows that part again, at the velocity of the whole.

No other track is touched, and tracks that can be matched as ever are matched before.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracker.associate.assignment import assign
from tracker.associate.motion import EPSILON_S

if TYPE_CHECKING:
    from tracker.associate.detected import Detected
    from tracker.associate.lifecycle import TrackTable

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

__all__ = ["Completion"]

SPAN_S, STEP_S = 3.0, 0.1
"""How far back boxes are kept, and how far apart: half a width a second is cut for two seconds until it is hidden."""
SHRINKING = 0.15
"""Only tracks whose width and height change so much faster than one another, as a share in a second, are looked at: the
filter says 0.3 or more for whoever lost a third of the width at half a width to four widths a second (5 to 60 fps)."""
TREND_S, TREND_BOXES = 1.0, 3
"""A velocity is that of the last second and takes three boxes."""
USUAL = 0.75
"""Quantile of the last seconds' shapes that stands for the whole: more than half of them may be of a cut box."""
LEAST_CUT = 1 / 3
"""A box that lacks less is not called cut: legs change the width of walkers in plain view by a quarter (MOT17-02), and
what the filter says of such a box is still good enough to be found."""
WHOLE = 0.9
"""From this share of its size on a box is not cut: twice the noise of an edge (``Motion``'s measurement, 5 %)."""
ONE_SIDED = 0.5
"""A cut moves the centre by half of what is lacking, a change of shape by nothing; halfway between is the limit."""
OWN_MOTION = 0.5
"""At least so much of what is lacking must be covered by the object's own motion: nothing at rest cuts who stands."""
SAME_EXTENT = 0.8
"""Least overlap of the extents across the direction of motion: who comes back is as tall and stands as high."""
EDGE = 0.15
"""How far edges may lie apart, in sizes of the object, besides the uncertainty of the prediction; as in matching."""
NOBODY: Rows = np.zeros(0, np.int64)


class _Whole(NamedTuple):
    """A cut object as it would be seen.

    Attributes:
        axis: 0 = cut in x, 1 = in y.
        edge: The edge that went on: -1 = left or top, 1 = right or bottom.
        size: Width or height, px.
        place: Of that edge when the track was seen last, px.
        rate: Its velocity, px/s.
    """

    axis: int
    edge: int
    size: float
    place: float
    rate: float


class Completion:
    """The past of the confirmed tracks and which of the unseen ones were cut.

    Args:
        least_chance: Instances below never continue a track.
    """

    def __init__(self, *, least_chance: float = 0.0) -> None:
        self._least_chance = least_chance
        self._times_s: list[float] = []
        self._past: list[tuple[Rows, Floats]] = []
        # How the camera moved since each; None = not at all. Most cameras stand.
        self._warps: list[Floats | None] = []
        self._cut: dict[int, int] = {}

    def remember(self, table: TrackTable, time_s: float) -> None:
        """Keep the boxes that confirmed tracks took in this frame, a few times a second."""
        times_s = self._times_s
        if times_s and time_s - times_s[-1] < STEP_S - EPSILON_S:
            return
        gone = bisect_left(times_s, time_s - SPAN_S)
        del times_s[:gone], self._past[:gone], self._warps[:gone]
        rows = ((table.ids > 0) & (table.detection_rows >= 0)).nonzero()[0]
        rows = rows[table.ids[rows].argsort()]
        times_s.append(time_s)
        self._past.append((table.ids[rows], table.boxes.take(rows, axis=1)))
        self._warps.append(None)

    def warp(self, matrix: Floats) -> None:
        """The camera moved by ``matrix (2, 3)``: what is remembered moves along when it is looked at."""
        moved = matrix[:, :2] @ self._stacked()
        moved[:, :, 2] += matrix[:, 2]
        self._warps = list(moved)

    def complete(self, table: TrackTable, matched: int, time_s: float, dt_s: float) -> None:
        """Make those whole that were cut when they were seen last, in the frame before this one.

        Args:
            table: The tracks, matched; states of cut ones are changed.
            matched: How many of them took an instance.
            time_s: Now.
            dt_s: Seconds since the last update.
        """
        if matched == table.count and not self._cut:
            return
        unseen = ((table.detection_rows < 0) & (table.ids > 0)).nonzero()[0]
        if self._cut:
            waiting = set(table.ids[unseen].tolist())
            self._cut = {identity: axis for identity, axis in self._cut.items() if identity in waiting}
        if not len(unseen):
            return
        growth = table.rates[2:, unseen] / table.values[2:, unseen]
        fresh = table.seen_s[unseen] >= time_s - dt_s - EPSILON_S
        for row in unseen[fresh & (np.abs(growth[0] - growth[1]) >= SHRINKING)].tolist():
            whole = self._whole(table, row)
            if whole is not None:
                _become(table, row, whole, time_s)
                self._cut[int(table.ids[row])] = whole.axis

    def rescue(self, table: TrackTable, detected: Detected, free: Rows) -> tuple[Rows, Rows, Rows]:
        """Find unseen whole objects among the instances that nobody took, by the edge that leads and their extent.

        Args:
            table: The tracks.
            detected: The instances.
            free: ``(F,)`` those that would start new tracks.

        Returns:
            ``(P,)`` tracks, ascending, ``(P,)`` the instances they take, and ``(F - P,)`` those that are left.
        """
        possible = free[detected.chances[free] >= self._least_chance] if self._cut else free[:0]
        if not len(possible):
            return NOBODY, NOBODY, free
        rows = (table.detection_rows < 0).nonzero()[0]
        axes = np.array([self._cut.get(identity, -1) for identity in table.ids[rows].tolist()], np.int64)
        rows, axes = rows[axes >= 0], axes[axes >= 0]
        if not len(rows):
            return NOBODY, NOBODY, free
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
        """Let the state of those that were cut, are back and still partly hidden be that of the part they show.

        The velocity stays, the size does not change any more: what follows is the filter's work again. Corrected from
        the whole by a part, the filter would take the missing half for a leap.

        Args:
            table: The tracks.
            rows: ``(P,)`` those that took an instance.
            measured: ``(4, P)`` its centre x, centre y, width, height.
        """
        if not self._cut:
            return
        for place, identity in enumerate(table.ids[rows].tolist()):
            axis = self._cut.pop(identity, -1)
            if axis >= 0:
                row, size = rows[place], 2 + axis
                if measured[size, place] < WHOLE * table.values[size, row]:
                    table.values[axis::2, row] = measured[axis::2, place]
                    table.rates[size, row] = 0

    def state(self) -> dict[str, Any]:
        """Everything needed to continue later, as plain arrays."""
        ids = [ids for ids, _ in self._past]
        return {
            "times_s": np.array(self._times_s, np.float64),
            "counts": np.array([len(past) for past in ids], np.int64),
            "ids": np.concatenate([NOBODY, *ids]),
            "boxes": np.concatenate([np.zeros((4, 0)), *(boxes for _, boxes in self._past)], axis=1),
            "warps": self._stacked(),
            "cut": np.array([list(self._cut), list(self._cut.values())], np.int64).reshape(2, -1),
        }

    def restore(self, state: dict[str, Any] | None) -> None:
        """Continue from what :meth:`state` returned; ``None`` = snapshots that are older than this knew no past."""
        state = state or Completion().state()
        self._times_s = state["times_s"].tolist()
        starts = np.cumsum(state["counts"]) - state["counts"]
        self._past = [
            (state["ids"][start : start + count].copy(), state["boxes"][:, start : start + count].copy())
            for start, count in zip(starts.tolist(), state["counts"].tolist(), strict=True)
        ]
        self._warps = list(state["warps"].copy())
        self._cut = dict(zip(*state["cut"].tolist(), strict=True))

    def _stacked(self) -> Floats:
        """How the camera moved since each of the past frames, ``(K, 2, 3)``."""
        stood = np.eye(2, 3)
        moved = [stood if warp is None else warp for warp in self._warps]
        return np.array(moved, np.float64).reshape(-1, 2, 3)

    def _whole(self, table: TrackTable, row: int) -> _Whole | None:
        """What the past of a track says it is, if its last box is cut."""
        identity, seen_s = int(table.ids[row]), float(table.seen_s[row])
        slots, boxes = [], []
        for slot in range(bisect_left(self._times_s, seen_s - EPSILON_S)):
            ids, past = self._past[slot]
            place = int(ids.searchsorted(identity))
            if place < len(ids) and ids[place] == identity:
                slots.append(slot)
                boxes.append(past[:, place])
        if len(slots) < TREND_BOXES:
            return None
        centres, sides = _moved(np.array(boxes).T, self._stacked()[slots])
        last = table.boxes[:, row : row + 1]
        centres = np.concatenate([centres, (last[:2] + last[2:]) / 2], axis=1)
        sides = np.concatenate([sides, last[2:] - last[:2]], axis=1)
        times_s = np.array([*(self._times_s[slot] for slot in slots), seen_s]) - seen_s
        for axis in (0, 1):
            whole = _cut_along(axis, times_s, centres, sides, float(table.values[3 - axis, row]))
            if whole is not None:
                return whole
        return None


def _cut_along(axis: int, times_s: Floats, centres: Floats, sides: Floats, across: float) -> _Whole | None:
    """What was cut along one axis, if the last box was.

    Args:
        axis: 0 = x, 1 = y.
        times_s: ``(K,)`` of the boxes, the last one's 0.
        centres: ``(2, K)`` of the boxes, px.
        sides: ``(2, K)`` width and height, px.
        across: The filtered size along the other axis, px.
    """
    shapes, places, lengths = sides[axis] / sides[1 - axis], centres[axis], sides[axis]
    # The side across goes on changing with the distance: the whole is as broad for its height as it was.
    usual = float(np.quantile(shapes, USUAL))
    size, last = usual * across, float(lengths[-1])
    lacking, shrunk = 1 - last / size, 1 - last / float(np.quantile(lengths, USUAL))
    if lacking < LEAST_CUT or shrunk < lacking / 2:  # else it grew across and was not cut along
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


def _become(table: TrackTable, row: int, whole: _Whole, time_s: float) -> None:
    """Write the whole object into the track, where it is now; it grows as the side across does."""
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


def _moved(boxes: Floats, warps: Floats) -> tuple[Floats, Floats]:
    """Centres and sides ``(2, K)`` of boxes ``(4, K)``, each carried by its own of ``warps (K, 2, 3)``.

    See :func:`tracker.associate.kalman.warp` for what a rotation does to upright sides.
    """
    linear = warps[:, :, :2]
    centres = np.einsum("kij,jk->ik", linear, (boxes[:2] + boxes[2:]) / 2) + warps[:, :, 2].T
    mixing = linear**2 / np.sqrt((linear**2).sum(axis=2, keepdims=True))
    return centres, np.einsum("kij,jk->ik", mixing, boxes[2:] - boxes[:2])


def _extents(a: Floats, b: Floats, axes: Rows) -> Floats:
    """Intersection over union ``(P,)`` of the extents of paired ``(4, P)`` centres and sizes along ``axes (P,)``."""
    pairs = np.arange(len(axes))
    (first, length), (other, width) = ((of[axes, pairs], of[2 + axes, pairs] / 2) for of in (a, b))
    shared = np.minimum(first + length, other + width) - np.maximum(first - length, other - width)
    return np.asarray(shared / (np.maximum(first + length, other + width) - np.minimum(first - length, other - width)))
