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
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tracker.analytics.geometry import Polylines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracker.analytics.geometry import Flags, Floats, Hits, Rows
    from tracker.analytics.paths import Steps
    from tracker.site import Line

__all__ = ["Crossing", "Lines", "Trace"]

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


@dataclass(frozen=True, slots=True, kw_only=True)
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
        """The settled side, or that of the passage: a sight there tells nothing new."""
        self._due_s = np.zeros((0, len(lines)))
        """When the side of the passage becomes the settled one; infinite where there is none."""
        self._soonest_s = math.inf
        """No passage is due before."""

    @property
    def edges(self) -> Polylines:
        """The lines' pieces."""
        return self._shape

    def reserve(self, slots: int) -> None:
        """Make room for identities."""
        missing = slots - len(self._sides)
        count = len(self._lines)
        self._sides = np.concatenate([self._sides, np.zeros((missing, count), np.int8)])
        self._crossed_s = np.concatenate([self._crossed_s, np.full((missing, count), -np.inf)])
        self._expected = np.concatenate([self._expected, np.zeros((missing, count), np.int8)])
        self._due_s = np.concatenate([self._due_s, np.full((missing, count), np.inf)])

    def step(self, steps: Steps, sides: Floats, hits: Hits, heights: Floats, middles: Floats) -> list[Crossing]:
        """Take sights of identities.

        Args:
            steps: From each identity's last sight to this one.
            sides: ``(N, E)`` of the new places against the lines' pieces.
            hits: Where the steps crossed pieces.
            heights: ``(N,)`` of the objects, in picture heights.
            middles: ``(N,)`` twice the middles of their widths, the same; NaN where that is not known.

        Returns:
            The crossings that became certain.
        """
        slots = steps.slots
        distances = self._shape.distances(steps.after, sides)
        # The first side needs the narrow band only: an identity that begins near a line is on the side where it is.
        swayed = np.where(self._sides[slots] == 0, 0.0, self._shares * heights[:, None])
        bands = np.minimum(np.maximum(self._bands, swayed), np.where(distances >= 0, self._most_left, self._most_right))
        beyond = np.where(np.abs(distances) >= bands, np.sign(distances), 0.0).astype(np.int8)  # (N, L)
        busy = beyond != self._expected[slots]
        if len(slots) and steps.times_s[-1] >= self._soonest_s:
            busy |= steps.times_s[:, None] >= self._due_s[slots] - 2 * EPSILON_S
        net: dict[tuple[int, int], tuple[int, float]] = {}
        if len(hits.rows):
            lines = self._shape.owners[hits.edges]
            busy[hits.rows, lines] = True
            net = _sums(hits, lines)
        self._doubt(beyond, busy, steps, middles, bands)
        found = []
        for row, line in zip(*(part.tolist() for part in busy.nonzero()), strict=True):
            side = 1 if distances[row, line] >= 0 else -1
            found += self._advance(steps, row, line, _Sight(side, int(beyond[row, line]), net.get((row, line))))
        return found

    def _doubt(self, beyond: NDArray[np.int8], busy: Flags, steps: Steps, middles: Floats, bands: Floats) -> None:
        """Take back new sides ``(N, L)`` of objects that stand on both: a wheel on either side of the line.

        The lowest part of a wide object may be at its other end in the next frame, as far from the middle as now.
        """
        if not busy.any():
            return
        new = busy & (beyond * self._sides[steps.slots] < 0)
        rows = np.flatnonzero(new.any(axis=1))
        if len(rows):
            others = steps.after[rows].copy()
            others[:, 0] = middles[rows] - others[:, 0]
            distances = self._shape.distances(others, self._shape.edges.sides(others))
            beyond[rows] = np.where(new[rows] & (distances * beyond[rows] < bands[rows]), 0, beyond[rows])

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
        self._sides[:], self._expected[:], self._due_s[:] = 0, 0, np.inf
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
        self._sides[slot], self._expected[slot], self._crossed_s[slot] = 0, 0, -np.inf
        return found

    def _advance(self, steps: Steps, row: int, line: int, sight: _Sight) -> list[Crossing]:
        """One identity's new sight at one line."""
        side, beyond, hit = sight
        slot = int(steps.slots[row])
        here: Trace = (float(steps.times_s[row]), *steps.after[row].tolist())
        found = []
        if hit is not None and (slot, line) in self._passages:  # until the path met the line it was where it was seen
            span_s = steps.times_s[row] - steps.times_before_s[row]
            found += self._settle(slot, line, float(steps.times_before_s[row] + hit[1] * span_s))
        settled = int(self._sides[slot, line])
        if settled == 0:  # born in the band, or just born
            self._sides[slot, line] = self._expected[slot, line] = beyond
            return found
        passage = self._passages.get((slot, line))
        if passage is None:
            passage = _Passage(before=(float(steps.times_before_s[row]), *steps.before[row].tolist()))
        if hit is not None:
            span_s = steps.times_s[row] - steps.times_before_s[row]
            passage = replace(
                passage,
                net=passage.net + hit[0],
                crossed_s=float(steps.times_before_s[row] + hit[1] * span_s),
                bridged=bool(steps.bridged[row]),
            )
        if beyond == settled:
            self._drop((slot, line))
            return found
        if beyond == 0 and side != passage.side:
            passage = replace(passage, side=0)
        elif beyond and passage.side != beyond:
            passage = replace(passage, side=beyond, since=here)
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
        self._soonest_s = min(self._soonest_s, float(self._due_s[key]) - 2 * EPSILON_S)

    def _drop(self, key: tuple[int, int]) -> None:
        """There is no passage of this slot over this line any more."""
        self._passages.pop(key, None)
        self._expected[key], self._due_s[key] = self._sides[key], np.inf
        self._soonest_s = float(self._due_s.min(initial=np.inf)) - 2 * EPSILON_S

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
                    self._sides[slots[identity], number] = self._expected[slots[identity], number] = side
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


def _sums(hits: Hits, lines: Rows) -> dict[tuple[int, int], tuple[int, float]]:
    """Net crossings and the share of the last one by step and line."""
    sums: dict[tuple[int, int], tuple[int, float]] = {}
    entries = zip(hits.rows.tolist(), lines.tolist(), hits.signs.tolist(), hits.shares.tolist(), strict=True)
    for row, line, sign, share in entries:
        net, last = sums.get((row, line), (0, 0.0))
        sums[row, line] = net + sign, max(last, share)
    return sums


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
