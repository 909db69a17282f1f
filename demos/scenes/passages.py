"""Exact meetings of trajectories with lines and zones on the ground plane.

Trajectories are cubic pieces, so the moments at which one meets a straight edge are roots of cubics: found to about
1e-12 s instead of sampled. Where a piece cannot reach an edge is known from its Bezier control points, which bound it
(Farin 2002, section 4.3), so that nearly all pieces cost one comparison.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from demos.scenes.motion import Trajectory

__all__ = ["inside_rings", "line_contacts", "point_rings", "presence_in_zone", "side_of"]

ON_LINE_M = 1e-9
"""Points nearer to an edge than this lie on it."""
SAME_TIME_S = 1e-9
"""Moments nearer to each other than this are one."""


def point_rings(zone_m: ArrayLike | Sequence[ArrayLike]) -> list[NDArray[np.float64]]:
    """A zone as rings ``(K, 2)``: one polygon, or several of which inner ones are holes (even-odd rule).

    >>> [ring.shape for ring in point_rings([(0, 0), (4, 0), (4, 4)])]
    [(3, 2)]
    """
    first = np.asarray(zone_m[0], dtype=np.float64)  # type: ignore[index]
    rings = [zone_m] if first.ndim == 1 else zone_m
    return [np.asarray(ring, dtype=np.float64).reshape(-1, 2) for ring in rings]  # type: ignore[union-attr]


def inside_rings(point_m: NDArray[np.floating[Any]], rings: Iterable[NDArray[np.float64]]) -> bool:
    """Whether a point lies in a zone; one on an edge shared by two zones lies in exactly one of them.

    The crossing-number rule (Haines 1994) with half-open edges does both.

    >>> square = [np.array([[0.0, 0], [2, 0], [2, 2], [0, 2]])]
    >>> inside_rings(np.array([1.0, 1.0]), square), inside_rings(np.array([2.0, 1.0]), square)
    (True, False)
    """
    x, y = float(point_m[0]), float(point_m[1])
    odd = False
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring.tolist(), np.roll(ring, -1, axis=0).tolist(), strict=True):
            if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
                odd = not odd
    return odd


def side_of(point_m: NDArray[np.floating[Any]], line_m: NDArray[np.float64]) -> float:
    """Signed distance in metres of a point to a polyline ``(K, 2)``: positive on the left, seen along it.

    At a corner the sign is that of the two normals' sum (Baerentzen and Aanaes 2005), which is the side that the
    corner itself belongs to.

    >>> side_of(np.array([1.0, 0.5]), np.array([[0.0, 0.0], [2.0, 0.0]]))
    0.5
    """
    starts, along = line_m[:-1], np.diff(line_m, axis=0)
    lengths = np.linalg.norm(along, axis=1)
    normals = np.stack([-along[:, 1], along[:, 0]], axis=1) / lengths[:, None]
    share = np.clip(((point_m - starts) * along).sum(axis=1) / lengths**2, 0.0, 1.0)
    nearest = starts + share[:, None] * along
    gaps = np.linalg.norm(point_m - nearest, axis=1)
    best = int(np.argmin(gaps))
    normal = normals[best].copy()
    if share[best] == 0.0 and best > 0:
        normal += normals[best - 1]
    elif share[best] == 1.0 and best + 1 < len(normals):
        normal += normals[best + 1]
    return math.copysign(float(gaps[best]), float((point_m - nearest[best]) @ normal)) if gaps[best] > 0 else 0.0


def _cubics(path: Trajectory) -> NDArray[np.float64]:
    """Power-basis coefficients ``(T - 1, 4, 2)`` of the position over each piece's own 0..1."""
    step = path.times_s[1] - path.times_s[0]
    p0, p1 = path.positions_m[:-1], path.positions_m[1:]
    m0, m1 = path.velocities_m_s[:-1] * step, path.velocities_m_s[1:] * step
    return np.stack([p0, m0, 3 * (p1 - p0) - 2 * m0 - m1, 2 * (p0 - p1) + m0 + m1], axis=1)


def _roots(c: Sequence[float]) -> list[float]:
    """Where ``c0 + c1 u + c2 u^2 + c3 u^3`` is zero in 0..1, by bisection between its extremes; touches included.

    >>> _roots([-0.25, 1.0, 0.0, 0.0])
    [0.25]
    """
    marks = sorted({0.0, 1.0, *(mark for mark in _extremes(c) if 0 < mark < 1)})
    values = [((c[3] * u + c[2]) * u + c[1]) * u + c[0] for u in marks]
    found = [mark for mark, value in zip(marks, values, strict=True) if abs(value) <= ON_LINE_M]
    for ends, levels in zip(pairwise(marks), pairwise(values), strict=True):
        if min(map(abs, levels)) > ON_LINE_M and (levels[0] > 0) != (levels[1] > 0):
            found.append(_bisect(c, *ends, rises=levels[1] > 0))
    return found


def _extremes(c: Sequence[float]) -> list[float]:
    """Where the derivative of a cubic is zero."""
    a, b, d = 3 * c[3], 2 * c[2], c[1]
    inner = b * b - 4 * a * d
    if inner < 0:
        return []
    # Without cancellation (Press et al. 2007, section 5.6).
    q = -0.5 * (b + math.copysign(math.sqrt(inner), b))
    return [over / under for over, under in ((q, a), (d, q)) if abs(under) > 1e-300 and abs(over) <= abs(under)]


def _bisect(c: Sequence[float], low: float, high: float, *, rises: bool) -> float:
    """The root between two points where a cubic has unlike signs, as exact as floats are."""
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return middle
        value = ((c[3] * middle + c[2]) * middle + c[1]) * middle + c[0]
        if value == 0:
            return middle
        low, high = (low, middle) if (value > 0) == rises else (middle, high)


def _meetings(path: Trajectory, start: NDArray[np.float64], end: NDArray[np.float64]) -> list[float]:
    """Moments at which a trajectory is on the edge from ``start`` to ``end``; the ends of every spell along it."""
    along = end - start
    length = float(np.linalg.norm(along))
    if length == 0:
        return []
    along = along / length
    cubics = _cubics(path)
    cubics[:, 0] -= start
    across = cubics @ np.array([-along[1], along[0]])  # (P, 4)
    forward = cubics @ along
    hull = np.stack(
        [
            across[:, 0],
            across[:, 0] + across[:, 1] / 3,
            across[:, 0] + across[:, 1] * 2 / 3 + across[:, 2] / 3,
            across.sum(axis=1),
        ]
    )
    step = float(path.times_s[1] - path.times_s[0])
    moments = []
    for piece in np.flatnonzero((hull.min(axis=0) <= ON_LINE_M) & (hull.max(axis=0) >= -ON_LINE_M)):
        c, f = across[piece].tolist(), forward[piece].tolist()
        if np.abs(hull[:, piece]).max() <= ON_LINE_M:
            shares = [0.0, 1.0, *_roots(f), *_roots([f[0] - length, *f[1:]])]
        else:
            shares = _roots(c)
        for u in shares:
            place = ((f[3] * u + f[2]) * u + f[1]) * u + f[0]
            if -ON_LINE_M <= place <= length + ON_LINE_M:
                moments.append(float(path.times_s[piece]) + u * step)
    return moments


def line_contacts(path: Trajectory, line_m: NDArray[np.float64]) -> list[tuple[float, float, int]]:
    """Passages of a polyline: ``(first moment on it, last moment on it, direction)`` in order of time.

    A passage comes from one side and goes to the other: a touch is none, and a stop on the line is one that lasts.
    What begins or ends on the line has no side there. The last point of the line does not belong to it, so that a
    line cut in two counts as often as the whole.

    Args:
        path: The trajectory.
        line_m: ``(K, 2)`` in metres.
    """
    moments = sorted(moment for start, end in pairwise(line_m) for moment in _meetings(path, start, end))
    spells: list[list[float]] = []
    for moment in moments:
        if spells and (moment - spells[-1][1] <= SAME_TIME_S or _stays_on(path, line_m, spells[-1][1], moment)):
            spells[-1][1] = moment
        else:
            spells.append([moment, moment])
    found = []
    for number, (first, last) in enumerate(spells):
        earliest = spells[number - 1][1] if number else path.start_s
        latest = spells[number + 1][0] if number + 1 < len(spells) else path.end_s
        before, after = _side_near(path, line_m, first, earliest), _side_near(path, line_m, last, latest)
        if before * after < 0 and not _at_open_end(path, line_m, first, last):
            found.append((first, last, 1 if after > 0 else -1))
    return found


def _stays_on(path: Trajectory, line_m: NDArray[np.float64], low_s: float, high_s: float) -> bool:
    """Whether the trajectory is on the line all the time between two moments."""
    return all(
        abs(side_of(path.position(low_s + share * (high_s - low_s)), line_m)) <= ON_LINE_M
        for share in (0.25, 0.5, 0.75)
    )


def _side_near(path: Trajectory, line_m: NDArray[np.float64], moment_s: float, limit_s: float) -> int:
    """The side just before or after a contact, towards ``limit_s``: 1 left, -1 right, 0 where there is no moment."""
    gap = limit_s - moment_s
    if abs(gap) <= SAME_TIME_S:
        return 0
    step = math.copysign(min(1e-4, abs(gap) / 2), gap)
    while True:
        side = side_of(path.position(moment_s + step), line_m)
        # Who sets off from a standstill is not clearly off the line at once.
        if abs(side) > 100 * ON_LINE_M or abs(step) >= abs(gap) / 2:
            return int(np.sign(side)) if abs(side) > ON_LINE_M else 0
        step = math.copysign(min(abs(step) * 2, abs(gap) / 2), gap)


def _at_open_end(path: Trajectory, line_m: NDArray[np.float64], first_s: float, last_s: float) -> bool:
    """Whether a contact meets the line's last point only, or walks along the line and past one of its ends."""
    places = path.position(first_s), path.position(last_s)
    gaps = [[float(np.linalg.norm(place - end)) for end in (line_m[0], line_m[-1])] for place in places]
    if last_s - first_s <= SAME_TIME_S:
        return gaps[0][1] <= 10 * ON_LINE_M
    return min(map(min, gaps)) <= 10 * ON_LINE_M


def presence_in_zone(
    path: Trajectory, rings: Sequence[NDArray[np.float64]], span_s: tuple[float, float]
) -> list[tuple[float, float]]:
    """Spells ``(from, to)`` that a trajectory spends in a zone within ``span_s``, in order of time."""
    low, high = max(path.start_s, span_s[0]), min(path.end_s, span_s[1])
    if high <= low:
        return []
    marks = {low, high}
    for ring in rings:
        for start, end in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            marks.update(moment for moment in _meetings(path, start, end) if low < moment < high)
    spells: list[tuple[float, float]] = []
    for before, after in pairwise(sorted(marks)):
        if after - before <= SAME_TIME_S:
            continue
        if inside_rings(path.position((before + after) / 2), rings):
            if spells and before - spells[-1][1] <= 2 * SAME_TIME_S:
                spells[-1] = (spells[-1][0], after)
            else:
                spells.append((before, after))
    return spells
