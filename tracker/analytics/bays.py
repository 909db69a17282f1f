"""Parking bays: taken and free, by where vehicles touch the ground, so that a tall one never fills the bay behind it.

A bay's four corners are its own plane: from its near edge (0) to its far one (1), and across. A vehicle is laid on that
plane as an oblong that begins at its ground contact, which is its near end, and is three quarters of the bay deep and
wide. The bay is covered while the oblong of one vehicle fills more than the share ``covered`` of it. It is taken once
it has been covered for ``taken_s`` by one that stands in it, and free once it has been uncovered for ``free_s``, both
from the first instant. While the one that took it is hidden, or others stand before it in the picture, nothing is
known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.analytics.findings import Finding
from tracker.analytics.lines import EPSILON_S
from tracker.contacts import ContactState
from tracker.events import Stay

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tracker.analytics.findings import Moment
    from tracker.analytics.geometry import Flags, Floats
    from tracker.polygons import Point
    from tracker.premises import Bay

__all__ = ["Bays"]

EXTENT = 0.75
"""Depth and width of a vehicle as a share of those of its bay: 4.5 m of 5.2 m, and 1.8 m of 2.7 m."""
OUT = 0.15
"""How far beyond the bay the contact of one that stands in it may lie, as a share of it."""
PLACES = (np.arange(5) + 0.5) / 5
"""Where a bay is looked at, across and deep, for what stands before it."""
COVERED = 0.5
"""Share of these places under the boxes of others from which the bay is not in view."""
MISSED_S = 2.0
"""A shorter time uncovered is a missed detection; where the bay was free for longer, an arrival is known to be one."""


@dataclass(slots=True, kw_only=True)
class _State:
    """Of one bay.

    Attributes:
        since_s: Begin of the time for which it is covered; ``None`` = it is not.
        stood_s: Seconds of it with the contact inside.
        last_s: When it was last covered.
        taken_s: Since when it is taken; ``None`` = it is free.
        identity, class_name: Who covers it.
        clear_s: Seconds that it has been uncovered and in view.
        seen_free: It was free for some time, in view.
        arrived: That was before it was taken.
    """

    since_s: float | None = None
    stood_s: float = 0.0
    last_s: float = 0.0
    taken_s: float | None = None
    identity: int = 0
    class_name: str = ""
    clear_s: float = 0.0
    seen_free: bool = False
    arrived: bool = False


class Bays:
    """All bays of a site.

    Args:
        bays: Of the site.
        aspect: Width over height of the picture.
        gap_s: Seconds without a frame from which the camera was out.
    """

    def __init__(self, bays: Sequence[Bay], *, aspect: float, gap_s: float) -> None:
        self._bays, self._gap_s = tuple(bays), gap_s
        self._states = [_State() for _ in bays]
        corners = [_from_the_near_edge(bay.polygon, aspect) for bay in bays]
        self._planes = np.array([_to_unit_square(points) for points in corners]).reshape(-1, 3, 3)
        across, deep = (part.ravel() for part in np.meshgrid(PLACES, PLACES))
        unit = np.stack([across, deep, np.ones(len(across))])
        placed = np.linalg.inv(self._planes) @ unit if len(bays) else np.zeros((0, 3, 25))
        self._places = np.moveaxis(placed[:, :2] / placed[:, 2:], 1, 2)  # (B, 25, 2)
        self._time_s: float | None = None

    def taken(self) -> dict[str, bool]:
        """Which bays are taken now."""
        return {bay.name: state.taken_s is not None for bay, state in zip(self._bays, self._states, strict=True)}

    def process(self, moment: Moment) -> Iterator[Finding]:
        """Take the next frame."""
        span_s = 0.0 if self._time_s is None else moment.time_s - self._time_s
        self._time_s = moment.time_s
        if moment.blind or not self._bays:
            return
        span_s = span_s if span_s < self._gap_s else 0.0  # nothing is known of an outage
        shares, inside = self._coverage(moment)
        for number, (bay, state) in enumerate(zip(self._bays, self._states, strict=True)):
            wanted = np.array([not bay.classes or name in bay.classes for name in moment.classes], np.bool_)
            mine = np.where(wanted, shares[number], 0.0)
            row = int(mine.argmax()) if len(mine) else -1
            if row >= 0 and mine[row] >= bay.covered:
                yield from self._covered(bay, state, moment, row, span_s if inside[number, row] else 0.0)
            elif self._in_view(number, state, moment):
                yield from self._clear(bay, state, span_s)

    def state(self) -> dict[str, Any]:
        """Plain values to continue from."""
        rows = [
            [bay.name, *(getattr(state, name) for name in _State.__slots__)]
            for bay, state in zip(self._bays, self._states, strict=True)
        ]
        return {"time_s": self._time_s, "bays": rows}

    def restore(self, kept: Mapping[str, Any], shift_s: float) -> None:
        """Continue from :meth:`state` with ``shift_s`` added to all times; bays that are new begin anew."""
        self._time_s = None if kept["time_s"] is None else kept["time_s"] + shift_s
        by_name = {name: values for name, *values in kept["bays"]}
        for number, bay in enumerate(self._bays):
            if bay.name in by_name:
                state = _State(**dict(zip(_State.__slots__, by_name[bay.name], strict=True)))
                state.last_s += shift_s
                state.since_s = None if state.since_s is None else state.since_s + shift_s
                state.taken_s = None if state.taken_s is None else state.taken_s + shift_s
                self._states[number] = state

    def _coverage(self, moment: Moment) -> tuple[Floats, Flags]:
        """Share ``(B, N)`` of each bay that each vehicle fills, and whether its contact lies in the bay."""
        points = np.concatenate([moment.points, np.ones((len(moment.points), 1))], axis=1)
        mapped = np.einsum("bij,nj->ibn", self._planes, points)  # (3, B, N)
        with np.errstate(divide="ignore", invalid="ignore"):
            across, deep = np.where(mapped[2] > 0, mapped[:2] / mapped[2], np.inf)
        seen = moment.states == ContactState.SEEN
        with np.errstate(invalid="ignore"):
            wide = np.minimum(across + EXTENT / 2, 1) - np.maximum(across - EXTENT / 2, 0)
            long = np.minimum(deep + EXTENT, 1) - np.maximum(deep, 0)
        shares = np.where(seen, np.maximum(wide, 0) * np.maximum(long, 0), 0.0)
        inside = (np.abs(across - 0.5) <= 0.5 + OUT) & (np.abs(deep - 0.5) <= 0.5 + OUT)
        return shares, inside

    def _covered(self, bay: Bay, state: _State, moment: Moment, row: int, stood_s: float) -> Iterator[Finding]:
        if state.since_s is None:
            state.since_s, state.stood_s = moment.time_s, 0.0
        else:
            state.stood_s += stood_s
        state.last_s, state.clear_s = moment.time_s, 0.0
        if state.taken_s is not None:
            return
        state.identity, state.class_name = int(moment.ids[row]), moment.classes[row]
        if state.stood_s < bay.taken_s - EPSILON_S:
            return
        state.taken_s, state.arrived = state.since_s, state.seen_free
        yield self._found("bay_taken", bay, state, state.taken_s)

    def _clear(self, bay: Bay, state: _State, span_s: float) -> Iterator[Finding]:
        state.clear_s += span_s
        if state.taken_s is None:
            if state.clear_s >= MISSED_S - EPSILON_S:
                state.since_s, state.seen_free = None, True
            return
        if state.clear_s < bay.free_s - EPSILON_S:
            return
        yield self._found("bay_free", bay, state, state.last_s)
        state.since_s = state.taken_s = None
        state.seen_free = True

    def _found(self, kind: Any, bay: Bay, state: _State, time_s: float) -> Finding:
        free, taken_s = kind == "bay_free", time_s if state.taken_s is None else state.taken_s
        return Finding(
            kind=kind,
            time_s=time_s,
            place=bay.name,
            identity=state.identity,
            class_name=state.class_name,
            since_s=taken_s if free else None,
            value=time_s - taken_s if free else None,
            stay=Stay(
                entered_s=taken_s,
                left_s=time_s if free else None,
                began="entered" if state.arrived else "already_inside",
                end="left" if free else "open",
            ),
        )

    def _in_view(self, number: int, state: _State, moment: Moment) -> bool:
        """Whether an uncovered bay can be told to be so."""
        if state.since_s is not None:
            (own,) = (moment.ids == state.identity).nonzero()
            if len(own) and moment.states[own[0]] != ContactState.SEEN:
                return False
        low, high = moment.boxes[:, None, :2], moment.boxes[:, None, 2:]
        places = self._places[number][None]
        under = ((places >= low) & (places < high)).all(axis=2).any(axis=0)
        return bool(under.mean() < COVERED)


def _from_the_near_edge(corners: Sequence[Point], aspect: float) -> Floats:
    """The corners ``(4, 2)`` from that edge on whose middle is lowest in the picture, in their order.

    The longer of two edges that are equally low, such as those of a bay that stands on its corner.
    """
    points = np.array(corners, np.float64)
    ends = np.roll(points, -1, axis=0)
    lengths = np.hypot(*((ends - points) * (aspect, 1.0)).T)
    first = int(np.lexsort((lengths, ((points + ends)[:, 1] / 2).round(6)))[-1])
    return np.roll(points, -first, axis=0)


def _to_unit_square(corners: Floats) -> Floats:
    """The homography ``(3, 3)`` of four corners to (0, 0), (1, 0), (1, 1), (0, 1) (Heckbert 1989, section 2.2)."""
    rows, values = [], []
    for (x, y), (u, v) in zip(corners, ((0, 0), (1, 0), (1, 1), (0, 1)), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    solved = np.linalg.solve(np.array(rows, np.float64), np.array(values, np.float64))
    matrix = np.append(solved, 1.0).reshape(3, 3)
    # Positive in front of the camera, where the bay is.
    return np.asarray(matrix * np.sign(matrix[2] @ (*corners.mean(axis=0), 1.0)))
