"""Counting lines: settled sides, crossings between them, times interpolated.

An identity is on a side of a line once its contact is beyond the dead band. To change sides takes a wider band, which
follows the height of the object: people sway, and the same sway is more pixels near the camera. It has changed sides
once ``settle_s`` have passed since it was beyond the band on the other side, without a sight of the contrary: until it
is back at the line. That counts as a crossing where its path in between crossed the line itself and not only its
prolongation. The crossing's time and place are those at which the path last did so. Who comes back sooner, or within
``min_rearm_s`` of the last crossing, was never across: nothing is counted, and nothing has to be taken back.

Hidden contacts say nothing: a side is neither taken nor left on them. Time passes for an identity that is out of
sight, so one that vanishes right behind the line has crossed it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tracker.analytics.geometry import Polylines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracker.analytics.geometry import Flags, Floats
    from tracker.analytics.steps import Marks, Steps
    from tracker.site import Line

__all__ = ["UNKNOWN", "Crossing", "Lines", "Trace"]

UNKNOWN = 2
"""Instead of the side at which a sight tells nothing new: every sight does."""
SMALLEST_BAND = 1e-6
"""In picture heights, for a line on the picture's very edge."""
EPSILON_S = 1e-6
"""Frame times are sums of rounded parts: 0.2 s after 0.1 s may be 0.30000000000000004 s."""
Trace = tuple[float, float, float]
"""Media time in seconds, ``x`` and ``y`` in picture heights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """An identity passed a line.

    Attributes:
        slot: Of the identity.
        line: Number of the line.
        sign: 1 to the left, -1 to the right.
        time_s: When the path crossed the line.
        before: The last sight on the old side.
        after: The first sight on the new side.
        bridged: The step over the line spans a time without a sight.
    """

    slot: int
    line: int
    sign: int
    time_s: float
    before: Trace
    after: Trace
    bridged: bool


@dataclass(slots=True, kw_only=True)
class _Passage:
    """An identity between two settled sides of a line.

    Attributes:
        before: The last sight on the settled side.
        net: Crossings of the line since, to the left less to the right.
        crossed_s: The last of them.
        bridged: Whether that one spans a time without a sight.
        side: Side that may become the settled one; 0 = none.
        since: The first sight on it without one of the contrary since.
    """

    before: Trace
    net: int = 0
    crossed_s: float = math.nan
    bridged: bool = False
    side: int = 0
    since: Trace = (math.nan, math.nan, math.nan)


class _Sight(NamedTuple):
    """Where a sight lies at a line.

    Attributes:
        side: 1 left, -1 right.
        beyond: The same beyond the band, 0 in it.
        hit: Net crossings of the step to it, and how far along the step the last one is; ``None`` = none.
    """

    side: int
    beyond: int
    hit: tuple[int, float] | None


class Lines:
    """State of every identity at every line.

    Args:
        lines: Of the site.
        aspect: Width over height of the picture.
    """

    def __init__(self, lines: Sequence[Line], *, aspect: float) -> None:
        self._lines = tuple(lines)
        self.count = len(self._lines)
        self._shape = Polylines([np.array(line.points) * (aspect, 1.0) for line in lines])
        self._bands = np.array([line.dead_band for line in lines])
        self._shares = np.array([line.sway_share for line in lines])
        corners = np.array([(0.0, 0.0), (aspect, 0.0), (aspect, 1.0), (0.0, 1.0)])
        room = self._shape.distances(corners, self._shape.edges.sides(corners))
        # A line along the picture's edge leaves a strip that may be thinner than the band.
        self._most_left = np.maximum(room.max(axis=0) / 2, SMALLEST_BAND)
        self._most_right = np.maximum(-room.min(axis=0) / 2, SMALLEST_BAND)
        self._sides = np.zeros((0, len(lines)), np.int8)
        self._crossed_s = np.zeros((0, len(lines)))
        self._passages: dict[tuple[int, int], _Passage] = {}
        self._expected = np.zeros((0, len(lines)), np.int8)
        """The settled side, or that of the passage: a sight there tells nothing new. ``UNKNOWN`` without a side."""
        self._due_s = np.zeros((0, len(lines)))
        """When the side of the passage becomes the settled one; infinite where there is none."""
        self.soonest_s = math.inf
        """No passage is due before."""

    @property
    def edges(self) -> Polylines:
        """The lines' pieces."""
        return self._shape

    def reserve(self, expected: NDArray[np.int8]) -> None:
        """Make room for identities, one a row ``(S, L)``, new ones ``UNKNOWN``: what is expected is kept there."""
        missing = len(expected) - len(self._sides)
        count = len(self._lines)
        self._sides = np.concatenate([self._sides, np.zeros((missing, count), np.int8)])
        self._crossed_s = np.concatenate([self._crossed_s, np.full((missing, count), -np.inf)])
        self._expected = expected
        self._due_s = np.concatenate([self._due_s, np.full((missing, count), np.inf)])

    def beyond(self, distances: Floats, heights: Floats) -> NDArray[np.int8]:
        """On which side of each line points are, beyond its band: 1 left, -1 right, 0 within; ``(N, L)``.

        Args:
            distances: ``(N, L)`` signed.
            heights: ``(N,)`` of the objects, in picture heights; 0 asks for the narrowest band.
        """
        outside = np.abs(distances) >= self._widths(distances, heights)
        return np.sign(distances).astype(np.int8) * outside.view(np.int8)

    def _widths(self, distances: Floats, heights: Floats) -> Floats:
        """Half widths ``(N, L)`` of the bands for objects on these sides."""
        swayed = np.maximum(self._bands, self._shares * heights[:, None])
        return np.asarray(np.minimum(swayed, np.where(distances >= 0, self._most_left, self._most_right)))

    def step(self, steps: Steps) -> list[Crossing]:
        """Take sights of identities; returns the crossings that became certain."""
        slots, marks = steps.slots, steps.marks
        busy = marks.beyond != self._expected.take(slots, 0)
        if steps.time_s >= self.soonest_s:
            busy |= steps.time_s >= self._due_s.take(slots, 0) - 2 * EPSILON_S
        for key in steps.passed.lines:
            busy[key] = True
        if not np.count_nonzero(busy):
            return []
        found = []
        for row, line in zip(*(part.tolist() for part in busy.nonzero()), strict=True):
            outside, settled = int(marks.beyond[row, line]), int(self._sides[slots[row], line])
            if settled == 0:
                # The first side needs the narrow band only: one that begins near a line is on the side where it is.
                outside = self._near(marks, row, line)
            elif outside * settled < 0 and self._on_both(marks, row, line):
                outside = 0
            sight = _Sight(1 if marks.distances[row, line] >= 0 else -1, outside, steps.passed.lines.get((row, line)))
            found += self._advance(steps, row, line, sight)
        return found

    def on_both(self, marks: Marks) -> Flags:
        """Objects that stand on both sides of a line, ``(N, L)``: a wheel on either side of it.

        The lowest part of a wide object may be at its other end in the next frame, as far from the middle as now.
        """
        others = marks.points.copy()
        others[:, 0] = marks.middles - others[:, 0]
        distances = self._shape.distances(others, self._shape.edges.sides(others))
        return np.asarray(distances * marks.beyond < self._widths(marks.distances, marks.heights))

    def _near(self, marks: Marks, row: int, line: int) -> int:
        """On which side of a line one is, beyond the narrowest band."""
        if marks.near is None:
            marks.near = self.beyond(marks.distances, np.zeros(len(marks.points)))
        return int(marks.near[row, line])

    def _on_both(self, marks: Marks, row: int, line: int) -> bool:
        """Whether one does."""
        if marks.on_both is None:
            marks.on_both = self.on_both(marks)
        return bool(marks.on_both[row, line])

    def transfer(self, slot: int, new: int) -> None:
        """After an identity switch: the new identity has the old one's sides, the old one has none."""
        self._sides[new], self._crossed_s[new] = self._sides[slot], self._crossed_s[slot]
        self._sides[slot], self._crossed_s[slot] = 0, -np.inf
        for line in range(len(self._lines)):
            passage = self._passages.get((slot, line))
            self._drop((slot, line))
            if passage is None:
                self._drop((new, line))
            else:
                self._keep((new, line), passage)

    def wait(self, slots: NDArray[np.bool_], time_s: float) -> list[Crossing]:
        """Let time pass for identities that are out of sight.

        Args:
            slots: ``(S,)`` which slots these are.
            time_s: Now.
        """
        return [
            crossing
            for slot, line in list(self._passages)
            if slots[slot]
            for crossing in self._settle(slot, line, time_s)
        ]

    def forget(self) -> None:
        """The camera did not see the scene: no identity has a side, so none changes it until it is seen on one."""
        self._sides[:], self._expected[:], self._due_s[:] = 0, UNKNOWN, np.inf
        self._passages.clear()

    def end(self, slot: int) -> list[Crossing]:
        """The identity is gone for good: what it did last is not contradicted any more."""
        found = [
            crossing
            for at, line in list(self._passages)
            if at == slot
            for crossing in self._settle(slot, line, math.inf)
        ]
        for line in range(len(self._lines)):
            self._drop((slot, line))
        self._sides[slot], self._expected[slot], self._crossed_s[slot] = 0, UNKNOWN, -np.inf
        return found

    def _advance(self, steps: Steps, row: int, line: int, sight: _Sight) -> list[Crossing]:
        """One identity's new sight at one line."""
        side, beyond, hit = sight
        slot = int(steps.slots[row])
        here: Trace = (steps.time_s, *steps.marks.points[row].tolist())
        found, crossed_s = [], math.nan
        if hit is not None:
            crossed_s = float(steps.times_before_s[row] + hit[1] * (steps.time_s - steps.times_before_s[row]))
            if (slot, line) in self._passages:  # until the path met the line it was where it was seen
                found += self._settle(slot, line, crossed_s)
        settled = int(self._sides[slot, line])
        if settled == 0:  # born in the band, or just born
            self._sides[slot, line], self._expected[slot, line] = beyond, beyond or UNKNOWN
            return found
        passage = self._passages.get((slot, line))
        if passage is None:
            passage = _Passage(before=(float(steps.times_before_s[row]), *steps.before[row].tolist()))
        if hit is not None:
            passage.net, passage.crossed_s, passage.bridged = passage.net + hit[0], crossed_s, bool(steps.bridged[row])
        if beyond == settled:
            self._drop((slot, line))
            return found
        if beyond == 0 and side != passage.side:
            passage.side = 0
        elif beyond and passage.side != beyond:
            passage.side, passage.since = beyond, here
        self._keep((slot, line), passage)
        return found + self._settle(slot, line, here[0])

    def _settle(self, slot: int, line: int, time_s: float) -> list[Crossing]:
        """Take the new side if it has lasted long enough."""
        passage = self._passages[slot, line]
        if passage.side == 0 or time_s < self._due_s[slot, line] - EPSILON_S:
            return []
        self._sides[slot, line] = passage.side
        self._drop((slot, line))
        if passage.net * passage.side <= 0:  # passed beyond the line's end
            return []
        self._crossed_s[slot, line] = passage.crossed_s
        crossing = Crossing(
            slot=slot,
            line=line,
            sign=passage.side,
            time_s=passage.crossed_s,
            before=passage.before,
            after=passage.since,
            bridged=passage.bridged,
        )
        return [crossing]

    def _keep(self, key: tuple[int, int], passage: _Passage) -> None:
        """The passage of one slot over one line, as it is now."""
        rule = self._lines[key[1]]
        due_s = max(passage.since[0] + rule.settle_s, float(self._crossed_s[key]) + rule.min_rearm_s)
        self._passages[key], self._expected[key] = passage, passage.side
        self._due_s[key] = due_s if passage.side else np.inf
        self.soonest_s = min(self.soonest_s, float(self._due_s[key]) - 2 * EPSILON_S)

    def _drop(self, key: tuple[int, int]) -> None:
        """There is no passage of this slot over this line any more."""
        self._expected[key] = self._sides[key] or UNKNOWN
        if self._passages.pop(key, None) is not None:
            due_s = float(self._due_s[key]) - 2 * EPSILON_S
            self._due_s[key] = np.inf
            if due_s <= self.soonest_s:
                self.soonest_s = float(self._due_s.min(initial=np.inf)) - 2 * EPSILON_S

    def state(self, slots: dict[int, int]) -> list[dict[str, Any]]:
        """Plain values to continue from; ``slots`` gives each identity's slot."""
        kept = []
        for number, line in enumerate(self._lines):
            rows = [
                [identity, int(self._sides[slot, number]), _or_none(self._crossed_s[slot, number])]
                for identity, slot in slots.items()
            ]
            passages = [
                [
                    identity,
                    list(one.before),
                    one.net,
                    _or_none(one.crossed_s),
                    one.bridged,
                    one.side,
                    [_or_none(value) for value in one.since],
                ]
                for identity, slot in slots.items()
                if (one := self._passages.get((slot, number))) is not None
            ]
            kept.append({"line": _plain(line), "sides": rows, "passages": passages})
        return kept

    def restore(self, kept: list[dict[str, Any]], slots: dict[int, int], shift_s: float) -> None:
        """Continue from :meth:`state`; lines that are new or were changed begin anew.

        Args:
            kept: What :meth:`state` returned.
            slots: Each identity's slot now; others are left out.
            shift_s: Added to all times.
        """
        by_line = [(entry["line"], entry) for entry in kept]
        for number, line in enumerate(self._lines):
            entry = next((entry for plain, entry in by_line if plain == _plain(line)), None)
            if entry is None:
                continue
            for identity, side, crossed_s in entry["sides"]:
                if identity in slots:
                    self._sides[slots[identity], number] = side
                    self._expected[slots[identity], number] = side or UNKNOWN
                    self._crossed_s[slots[identity], number] = _shifted(crossed_s, shift_s, -math.inf)
            for identity, before, net, crossed_s, bridged, side, since in entry["passages"]:
                if identity in slots:
                    passage = _Passage(
                        before=(before[0] + shift_s, before[1], before[2]),
                        net=net,
                        crossed_s=_shifted(crossed_s, shift_s, math.nan),
                        bridged=bridged,
                        side=side,
                        since=(_shifted(since[0], shift_s, math.nan), _real(since[1]), _real(since[2])),
                    )
                    self._keep((slots[identity], number), passage)


def _plain(line: Line) -> dict[str, Any]:
    """What a line's state depends on."""
    return {
        "name": line.name,
        "points": [list(point) for point in line.points],
        "dead_band": line.dead_band,
        "sway_share": line.sway_share,
    }


def _or_none(value: float) -> float | None:
    """Plain values have neither infinity nor NaN."""
    return float(value) if math.isfinite(value) else None


def _shifted(value: float | None, shift_s: float, missing: float) -> float:
    return missing if value is None else value + shift_s


def _real(value: float | None) -> float:
    return math.nan if value is None else value
