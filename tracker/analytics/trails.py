"""Trails: where each identity's ground contact was seen in the last seconds, for speeds and for who walks with whom."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracker.analytics.floor import Floor
    from tracker.analytics.geometry import Floats, Rows

__all__ = ["Mark", "Trails"]

KEPT_S = 15.0
"""Longer than from a passage to what is said about it."""
STEP_S = 0.079
"""Between the sights that are kept; 12 frames a second keep all."""
SPEED_S = 1.0
"""Over which a speed is taken: the contact of one that walks stands still half a second at a time, foot by foot.

In 1.2 s a short stop between two steps is missed; in 0.8 s arrivals end up to 0.7 s early."""
LEAST_S, LEAST_MARKS = 0.5, 3
"""Of sights for a speed."""
SWITCH_S, SWITCH_M = 1.0, 0.8
"""How long after, and how far from the last sight of an identity a new one continues its trail."""
CELL_S = 0.1
"""Between the moments at which two trails are compared."""
UNSEEN_S = 1.0
"""How long before a moment a trail may end and still say where the identity was then."""
TOGETHER = 0.9
"""Of those moments at which two that walk together are near each other; the rest are steps and noise."""


class Mark(NamedTuple):
    """A sight.

    Attributes:
        time_s: Media time.
        x, y: The contact, in picture heights.
        height: Of the object, in picture heights.
    """

    time_s: float
    x: float
    y: float
    height: float


class Trails:
    """The last sights of all identities, those that ended a moment ago included.

    Args:
        floor: Distances in metres.
    """

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self._marks: dict[int, deque[Mark]] = {}
        self._continues: dict[int, int] = {}
        """New identities that begin where another one was seen a moment before, and which."""

    def note(self, identities: Rows, time_s: float, points: Floats, heights: Floats) -> None:
        """Take sights ``(N,)`` of identities, each identity's in order of time."""
        for identity, (x, y), height in zip(identities.tolist(), points.tolist(), heights.tolist(), strict=True):
            marks = self._marks.get(identity)
            if marks is None:
                self._find_old(identity, Mark(time_s, x, y, height))
                marks = self._marks[identity] = deque()
            elif time_s - marks[-1].time_s < STEP_S:
                continue
            marks.append(Mark(time_s, x, y, height))

    def forget(self, now_s: float) -> None:
        """Drop what is too old to be asked for."""
        for identity, marks in list(self._marks.items()):
            while len(marks) > 1 and now_s - marks[0].time_s > KEPT_S:
                marks.popleft()
            if now_s - marks[-1].time_s > KEPT_S:
                del self._marks[identity]
                self._continues.pop(identity, None)

    def _find_old(self, identity: int, first: Mark) -> None:
        """The identity that a new one continues, if there is one near enough."""
        gone = [
            (self.distance_m(marks[-1], first), other)
            for other, marks in self._marks.items()
            if 0 < first.time_s - marks[-1].time_s <= SWITCH_S and other not in self._continues.values()
        ]
        apart_m, old = min(gone, default=(np.inf, 0))
        if apart_m <= SWITCH_M:
            self._continues[identity] = old

    def _whole(self, identity: int) -> Floats:
        """Sights ``(N, 4)`` of an identity and of those that it continues, the oldest first."""
        chain = [identity]
        while (old := self._continues.get(chain[-1])) is not None and old not in chain:
            chain.append(old)
        return np.array([mark for one in reversed(chain) for mark in self.of(one)], np.float64).reshape(-1, 4)

    def of(self, identity: int) -> deque[Mark]:
        """An identity's sights, the oldest first."""
        return self._marks.get(identity) or deque()

    def distance_m(self, one: Mark, other: Mark) -> float:
        """Metres between two sights."""
        heights = np.array([max(one.height, other.height)])
        return float(self.floor.distances_m(np.array([one[1:3]]), np.array([other[1:3]]), heights)[0])

    def speed(self, identity: int, number: int) -> tuple[float, float] | None:
        """How fast an identity was at one of its sights: slope of the contacts before it.

        Args:
            identity: Which.
            number: Of the sight, counted from its oldest.

        Returns:
            Metres a second, and the moment at which it had that speed: the middle of the time over which it was taken,
            or its beginning where nothing is known of before. ``None`` where the identity is too new.
        """
        marks = self.of(identity)
        last = marks[number]
        window = [last]
        while number > 0 and last.time_s - marks[number - 1].time_s <= SPEED_S + STEP_S / 2:
            number -= 1
            window.append(marks[number])
        if len(window) < LEAST_MARKS or last.time_s - window[-1].time_s < LEAST_S:
            if number == 0:
                return None
            window = [last, marks[number - 1]]  # it was out of sight
            return self._slope_m_s(window), window[-1].time_s
        first_s = window[-1].time_s
        return self._slope_m_s(window), first_s if number == 0 else (first_s + last.time_s) / 2

    def _slope_m_s(self, window: list[Mark]) -> float:
        """Least squares over sights, the newest first."""
        table = np.array(window)
        times_s = table[:, 0] - table[:, 0].mean()
        slope = times_s @ (table[:, 1:3] - table[:, 1:3].mean(axis=0)) / (times_s @ times_s)
        middle = table[:, 1:3].mean(axis=0)
        ends = middle - slope / 2, middle + slope / 2
        return float(self.floor.distances_m(ends[0][None], ends[1][None], table[:, 3].max()[None])[0])

    def together(self, one: int, other: int, *, until_s: float, seconds: float, within_m: float) -> bool:
        """Whether two identities were near each other in all of the seconds before a moment, or nearly all of them.

        Args:
            one: An identity.
            other: Another one.
            until_s: The moment.
            seconds: How long.
            within_m: How near.
        """
        marks = [self._whole(identity) for identity in (one, other)]
        begin_s = until_s - seconds
        for trail in marks:
            if not len(trail) or trail[0, 0] > begin_s + CELL_S or trail[-1, 0] < until_s - UNSEEN_S:
                return False
        moments = np.arange(begin_s, until_s + CELL_S / 2, CELL_S)
        places = [
            np.stack([np.interp(moments, trail[:, 0], trail[:, axis]) for axis in (1, 2, 3)], axis=1) for trail in marks
        ]
        heights = np.maximum(places[0][:, 2], places[1][:, 2])
        apart_m = self.floor.distances_m(places[0][:, :2], places[1][:, :2], heights)
        return bool((apart_m <= within_m).mean() >= TOGETHER)

    def state(self) -> dict[str, Any]:
        """Plain values to continue from."""
        sights = [[identity, *mark] for identity, marks in self._marks.items() for mark in marks]
        return {"sights": sights, "continues": [list(pair) for pair in self._continues.items()]}

    def restore(self, kept: Mapping[str, Any], shift_s: float) -> None:
        """Continue from :meth:`state` with ``shift_s`` added to all times."""
        self._continues = {int(new): int(old) for new, old in kept["continues"]}
        for identity, time_s, *rest in kept["sights"]:
            self._marks.setdefault(int(identity), deque()).append(Mark(time_s + shift_s, *rest))
