"""Doubtful identities of a recording: numbers that may be one object, and numbers that may be two.

A join is possible where two identities are never in view together and the second could have come from where the first
was last seen: the distance between the prediction of the one forwards and of the other backwards, in object sizes, may
grow with the time between them (random walk), and their heights must agree. A split is possible where the places before
and after a time do not fit together, beyond their own scatter, or the class changes for good.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["Join", "Split", "Track", "joins", "renumbered", "splits", "tracks_of"]

LONGEST_S = 60.0
"""Longest time out of view over which a join is proposed."""
COASTS_S = 1.0
"""How long a velocity is believed; after that an object may have stood still."""
WALK = 1.5
"""Sizes by which a place is uncertain after one second out of view; grows with the square root of the time."""
LEAST = 0.2
"""Plausibility from which a join or split is proposed."""
EDGE = 0.01
"""Share of the picture's longer side from its edge within which a box touches it."""
LEFT = 0.4
"""What a join is worth where both ends touch the edge."""
END_ROWS = 10
"""Rows at an end of a track that its velocity and size come from."""
MISFIT = 0.3
"""Sizes by which both sides of a step may miss each other; on rendered scenes with exact masks no identity has more."""
SIDE_S = 0.5
"""How much of a track on either side of a step is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One identity's rows.

    Attributes:
        identity: Its number.
        times_s: ``(N,)`` ascending.
        boxes: ``(N, 4)`` xyxy.
        class_name: That most rows have.
        classes: ``N`` names, by vote at the time.
    """

    identity: int
    times_s: NDArray[np.float64]
    boxes: NDArray[np.float64]
    class_name: str
    classes: Sequence[str]

    @property
    def centres(self) -> NDArray[np.float64]:
        """``(N, 2)``."""
        return np.asarray((self.boxes[:, :2] + self.boxes[:, 2:]) / 2)

    @property
    def sizes(self) -> NDArray[np.float64]:
        """``(N,)`` roots of the areas."""
        return np.asarray(np.sqrt(np.maximum((self.boxes[:, 2:] - self.boxes[:, :2]).prod(axis=1), 1.0)))

    @property
    def heights(self) -> NDArray[np.float64]:
        """``(N,)``."""
        return np.asarray(np.maximum(self.boxes[:, 3] - self.boxes[:, 1], 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Two identities that may be one object.

    Attributes:
        first, second: Their numbers, in order of time.
        gap_s: Between the last row of the one and the first of the other.
        at_s: When the second begins.
        distance: Between both predictions, in object sizes.
        plausibility: From 0 to 1, of motion, size and class; not a probability.
    """

    first: int
    second: int
    gap_s: float
    at_s: float
    distance: float
    plausibility: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A time at which an identity may have passed from one object to another.

    Attributes:
        identity: Its number.
        at_s: Of the first row of the other object.
        why: In words.
        plausibility: From 0 to 1; not a probability.
    """

    identity: int
    at_s: float
    why: str
    plausibility: float


def tracks_of(rows: Iterable[tuple[float, NDArray[np.int64], NDArray[np.float64], Sequence[str]]]) -> list[Track]:
    """Tracks of frames ``(time_s, ids (N,), boxes (N, 4), classes)``, in order of their numbers."""
    times: dict[int, list[float]] = {}
    boxes: dict[int, list[NDArray[np.float64]]] = {}
    classes: dict[int, list[str]] = {}
    for time_s, ids, found, names in rows:
        for row, identity in enumerate(ids.tolist()):
            times.setdefault(identity, []).append(time_s)
            boxes.setdefault(identity, []).append(found[row])
            classes.setdefault(identity, []).append(names[row])
    return [
        Track(
            identity=identity,
            times_s=np.array(times[identity]),
            boxes=np.array(boxes[identity], np.float64).reshape(-1, 4),
            class_name=Counter(classes[identity]).most_common(1)[0][0],
            classes=classes[identity],
        )
        for identity in sorted(times)
    ]


def joins(tracks: Sequence[Track], *, longest_s: float = LONGEST_S) -> list[Join]:
    """Pairs of identities that may be one object, the most plausible first; each is the best for both, or left out.

    Args:
        tracks: Of one recording.
        longest_s: Longest time between them.
    """
    found: list[Join] = []
    view = _view(tracks)
    order = sorted(tracks, key=lambda one: float(one.times_s[0]))
    starts = np.array([one.times_s[0] for one in order])
    for first in tracks:
        end_s = float(first.times_s[-1])
        low = int(np.searchsorted(starts, end_s, side="right"))
        high = int(np.searchsorted(starts, end_s + longest_s, side="right"))
        for second in order[low:high]:
            one = _join(first, second, view)
            if one.plausibility >= LEAST:
                found.append(one)
    found.sort(key=lambda one: (-one.plausibility, one.first, one.second))
    ends: set[int] = set()
    begins: set[int] = set()
    best = []
    for one in found:
        if one.first not in ends and one.second not in begins:
            ends.add(one.first)
            begins.add(one.second)
            best.append(one)
    return best


def splits(tracks: Sequence[Track]) -> list[Split]:
    """Times at which an identity may have passed to another object, the most plausible first; one per second and track.

    Args:
        tracks: Of one recording.
    """
    found = [one for track in tracks for one in _splits(track)]
    return sorted(found, key=lambda one: (-one.plausibility, one.identity, one.at_s))


def _join(first: Track, second: Track, view: NDArray[np.float64]) -> Join:
    gap_s = float(second.times_s[0] - first.times_s[-1])
    size = math.sqrt(float(np.median(first.sizes[-END_ROWS:]) * np.median(second.sizes[:END_ROWS])))
    coasts_s = min(gap_s, COASTS_S)
    last, to = first.centres[-1], second.centres[0]
    forward = last + coasts_s * _rate(first, end=True)
    backward = to - coasts_s * _rate(second, end=False)
    # Something that stands, or that goes on: whichever explains it.
    candidates = (forward - to, backward - last, to - last)
    distance = min(float(np.hypot(*one)) for one in candidates) / size
    room = 0.5 + WALK * math.sqrt(gap_s)
    ratio = abs(math.log(float(np.median(first.heights[-END_ROWS:]) / np.median(second.heights[:END_ROWS]))))
    plausibility = math.exp(-0.5 * (distance / room) ** 2) * math.exp(-0.5 * (ratio / 0.25) ** 2)
    if _at_edge(first.boxes[-1], view) and _at_edge(second.boxes[0], view):
        plausibility *= LEFT  # it went out of the picture: what comes in there next is mostly another object
    plausibility *= (1.0 if first.class_name == second.class_name else 0.3) / (1.0 + gap_s / 10.0)
    return Join(
        first=first.identity,
        second=second.identity,
        gap_s=gap_s,
        at_s=float(second.times_s[0]),
        distance=distance,
        plausibility=plausibility,
    )


def _view(tracks: Sequence[Track]) -> NDArray[np.float64]:
    """``(4,)`` about the picture: all places where boxes were."""
    if not tracks:
        return np.zeros(4)
    boxes = np.concatenate([track.boxes for track in tracks])
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])


def _at_edge(box: NDArray[np.float64], view: NDArray[np.float64]) -> bool:
    """Whether a box touches the edge of the picture."""
    near = EDGE * float(max(view[2] - view[0], view[3] - view[1]))
    return bool((box[:2] <= view[:2] + near).any() or (box[2:] >= view[2:] - near).any())


def _rate(track: Track, *, end: bool) -> NDArray[np.float64]:
    """Velocity at an end, pixels per second, by least squares over its last rows."""
    rows = slice(-END_ROWS, None) if end else slice(None, END_ROWS)
    times, places = track.times_s[rows], track.centres[rows]
    times = times - times.mean()
    spread = float((times**2).sum())
    return np.zeros(2) if spread <= 0 else (times[:, None] * places).sum(axis=0) / spread


def _splits(track: Track) -> list[Split]:
    times_s = track.times_s
    found: list[Split] = []
    for row in range(END_ROWS, len(times_s) - END_ROWS + 1):
        low = int(np.searchsorted(times_s, times_s[row - 1] - SIDE_S))
        high = int(np.searchsorted(times_s, times_s[row] + SIDE_S, side="right"))
        before, after = slice(max(min(low, row - END_ROWS), 0), row), slice(row, max(high, row + END_ROWS))
        off = _misfit(track, before, after)
        if off >= MISFIT:
            gap_s = float(times_s[row] - times_s[row - 1])
            seen = "" if gap_s < 0.5 else f" after {gap_s:.1f} s out of view"
            _add(found, track, row, f"went on {off:.1f} of its size from where it was going{seen}", 1 - math.exp(-off))
    for row in range(1, len(track.classes)):
        new, old = track.classes[row], track.classes[row - 1]
        if new != old and set(track.classes[:row]).isdisjoint(track.classes[row:]):
            _add(found, track, row, f"was {old}, then {new}", 0.4)
    return found


def _misfit(track: Track, before: slice, after: slice) -> float:
    """How far lines through the places of either side miss each other, in sizes, beyond their own scatter."""
    middle_s = (float(track.times_s[before][-1]) + float(track.times_s[after][0])) / 2
    ends, scatter = [], 0.0
    for rows in (before, after):
        times_s, places = track.times_s[rows] - middle_s, track.centres[rows]
        line = np.polyfit(times_s, places, 1)  # (2, 2): rates, then places at the middle
        scatter = max(scatter, float(np.abs(places - (times_s[:, None] * line[0] + line[1])).mean()))
        ends.append(line[1])
    size = float(np.median(track.sizes[before.start : after.stop]))
    return max(float(np.hypot(*(ends[1] - ends[0]))) - 3 * scatter, 0.0) / size


def _add(found: list[Split], track: Track, row: int, why: str, plausibility: float) -> None:
    """Add a split; of several within a second the most plausible stays."""
    at_s = float(track.times_s[row])
    near = [one for one in found if abs(one.at_s - at_s) < 1.0]
    if any(one.plausibility >= plausibility for one in near):
        return
    for one in near:
        found.remove(one)
    found.append(Split(identity=track.identity, at_s=at_s, why=why, plausibility=plausibility))


def renumbered(
    tracks: Sequence[Track], *, joined: Sequence[tuple[int, int]], split: Sequence[tuple[int, float]]
) -> Mapping[int, list[tuple[float, int]]]:
    """New numbers of identities: for each, ``(from_s, number)`` in order of time.

    A split gives the rows from its time on a new number after all that exist; of joined identities all get the lowest.

    Args:
        tracks: Of one recording.
        joined: Pairs of numbers; pairs may form chains.
        split: Identities and times.

    Raises:
        ValueError: A number that is not there, a time outside of its track, or joined identities in view together.
    """
    by_number = {one.identity: one for one in tracks}
    for identity, at_s in split:
        track = by_number.get(identity)
        if track is None or not track.times_s[0] < at_s <= track.times_s[-1]:
            message = f"expected a split within identity {identity}, found {at_s:g} s"
            raise ValueError(message)
    numbers: dict[int, list[tuple[float, int]]] = {one: [(-math.inf, one)] for one in by_number}
    next_number = max(by_number, default=0) + 1
    for identity, at_s in sorted(split, key=lambda one: (one[1], one[0])):
        numbers[identity].append((at_s, next_number))
        next_number += 1
    root = {number: number for number in range(next_number)}

    def lowest(number: int) -> int:
        while root[number] != number:
            number = root[number]
        return number

    for one, other in joined:
        for number in (one, other):
            if number not in by_number:
                message = f"expected identities to join, found no {number}"
                raise ValueError(message)
        low, high = sorted((lowest(one), lowest(other)))
        root[high] = low
    found = {one: [(from_s, lowest(number)) for from_s, number in parts] for one, parts in numbers.items()}
    _check_apart(by_number, found)
    return found


def _check_apart(by_number: Mapping[int, Track], numbers: Mapping[int, list[tuple[float, int]]]) -> None:
    """One number must not be in two places at a time."""
    taken: dict[tuple[int, float], int] = {}
    for identity, track in by_number.items():
        parts = numbers[identity]
        for time_s in track.times_s.tolist():
            number = [number for from_s, number in parts if time_s >= from_s][-1]
            other = taken.setdefault((number, time_s), identity)
            if other != identity:
                message = (
                    f"expected identities {other} and {identity} apart in time, found both in view at {time_s:.2f} s"
                )
                raise ValueError(message)
