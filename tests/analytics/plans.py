"""Sites of rendered scenes, and what their actors' true contacts do there: an oracle beside the product's code."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from demos.scenes.catalogue import open_recording
from demos.scenes.door import DOOR_M, FRONT_M, LINTEL_M
from demos.scenes.passages import point_rings
from demos.scenes.recording import Recording
from demos.scenes.world import Scene
from tracker.analytics.measures import SiteMeasures
from tracker.events import Event
from tracker.site import Flow, Line, Occluder, Site, Zone

__all__ = ["RATES", "Watched", "door_walls", "on_line_s", "passed_line", "site_of", "spells_in", "watch"]

RATES = (25.0, 12.5, 4.2)
Points = tuple[tuple[float, float], ...]
Path = np.ndarray
"""``(T, 4)``: seconds, the true contact in shares of the picture, 1 where it shows."""
ABSENT_S = 0.5
"""A longer time without a truth is time out of the picture."""


# ---- sites -----------------------------------------------------------------------------------------------------------


def line_in_picture(points: np.ndarray) -> Points:
    """The part of a polyline ``(K, 2)`` that lies in the picture (Liang and Barsky 1984)."""
    kept: list[np.ndarray] = []
    for start, end in pairwise(points):
        along, low, high = end - start, 0.0, 1.0
        for axis in (0, 1):
            for room, pace in ((start[axis], along[axis]), (1 - start[axis], -along[axis])):
                if pace > 0:
                    low = max(low, -room / pace)
                elif pace < 0:
                    high = min(high, -room / pace)
                elif room < 0:
                    low, high = 1.0, 0.0
        if low < high:
            if not kept or not np.allclose(kept[-1], start + low * along):
                kept.append(start + low * along)
            kept.append(start + high * along)
    return _points(kept)


def polygon_in_picture(corners: np.ndarray) -> Points:
    """The part of a convex polygon ``(K, 2)`` that lies in the picture (Sutherland and Hodgman 1974)."""
    shape = list(corners)
    for axis, limit, sign in ((0, 0.0, 1), (0, 1.0, -1), (1, 0.0, 1), (1, 1.0, -1)):
        kept: list[np.ndarray] = []
        for number, point in enumerate(shape):
            last, this = (shape[number - 1][axis] - limit) * sign, (point[axis] - limit) * sign
            if (last >= 0) != (this >= 0):
                kept.append(shape[number - 1] + (point - shape[number - 1]) * last / (last - this))
            if this >= 0:
                kept.append(point)
        shape = kept
    return _points(shape)


def _points(points: Sequence[np.ndarray]) -> Points:
    return tuple((float(x), float(y)) for x, y in np.clip(np.array(points), 0, 1))


def door_walls(scene: Scene) -> tuple[Occluder, ...]:
    """The shop's front on either side of the scene ``door``: it hides the feet of those behind it."""
    found = []
    for name, (inner, outer) in {"left": (DOOR_M[0][1], 6.0), "right": (DOOR_M[1][1], -6.0)}.items():
        corners = np.array([(FRONT_M, y, z) for y, z in ((inner, 0), (outer, 0), (outer, LINTEL_M), (inner, LINTEL_M))])
        pixels, _ = scene.rig.camera.project(corners)
        found.append(Occluder(name=name, polygon=polygon_in_picture(pixels / scene.size)))
    return tuple(found)


def site_of(recording: Recording, *, enter_s: float = 0.3, leave_s: float = 1.0) -> Site:
    """Lines and zones of a recording's plan as they lie in its picture, flows between all its sections."""
    scene, plan = recording.scene, recording.scene.plan
    shares = lambda points_m: scene.on_picture(points_m) / scene.size  # noqa: E731 - three words, used twice below
    lines = tuple(Line(name=name, points=line_in_picture(shares(line))) for name, line in plan.lines_m.items())
    zones = tuple(
        Zone(
            name=name,
            polygons=tuple(polygon_in_picture(shares(ring)) for ring in point_rings(zone)),
            enter_s=enter_s,
            leave_s=leave_s,
        )
        for name, zone in plan.zones_m.items()
    )
    flows = tuple(Flow(name=f"{a} > {b}", start=a, end=b) for a in plan.sections_m for b in plan.sections_m)
    return Site(lines=lines, zones=zones, flows=flows, occluders=door_walls(scene) if scene.name == "door" else ())


# ---- what was measured, and the truth beside it ----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A scene that was measured at all rates.

    Attributes:
        recording: The scene.
        site: Its site.
        events: By frames per second.
        last_s: Time of the last frame, by frames per second.
        paths: True contact of every actor, 25 times a second.
    """

    recording: Recording
    site: Site
    events: dict[float, list[Event]]
    last_s: dict[float, float]
    paths: dict[int, Path]


@functools.cache
def watch(name: str, size: tuple[int, int], *, enter_s: float = 0.3, leave_s: float = 1.0) -> Watched:
    """Measure a scene's true masks and identities at 25, 12.5 and 4.2 frames a second."""
    recording = open_recording(name, size=size)
    scene = recording.scene
    # Frames and paths ask for the same moment.
    scene.truth = functools.lru_cache(maxsize=2)(scene.truth)  # type: ignore[method-assign]
    site = site_of(recording, enter_s=enter_s, leave_s=leave_s)
    measures = {fps: SiteMeasures(site, stream="scene") for fps in RATES}
    events: dict[float, list[Event]] = {fps: [] for fps in RATES}
    last_s, paths, ended = dict.fromkeys(RATES, 0.0), {}, []
    full, half, least = RATES
    for index, frame in enumerate(recording.tracked(full)):
        truth, now_s = scene.truth(frame.frame.time_s), frame.frame.time_s
        for identity, contact, seen in zip(
            truth.ids.tolist(), truth.contact_px / scene.size, truth.contact_seen.tolist(), strict=True
        ):
            paths.setdefault(identity, []).append((now_s, *contact, float(seen)))
        events[full] += measures[full].process(frame)
        last_s[full] = now_s
        ended += frame.tracks.ended_ids.tolist()
        if index % 2 == 0:
            tracks = replace(frame.tracks, ended_ids=np.array(sorted(ended), np.int64))
            events[half] += measures[half].process(replace(frame, tracks=tracks))
            last_s[half], ended = now_s, []
    for frame in recording.tracked(least):
        events[least] += measures[least].process(frame)
        last_s[least] = frame.frame.time_s
    for fps in RATES:
        events[fps] += measures[fps].close()
    return Watched(
        recording=recording,
        site=site,
        events=events,
        last_s=last_s,
        paths={identity: np.array(path) for identity, path in paths.items()},
    )


def passed_line(path: Path, line: Line, size: tuple[int, int]) -> list[tuple[float, int]]:
    """When a true contact crosses a line in the picture, ``(seconds, 1 to its left or -1)``."""
    points, corners = path[:, 1:3] * size, np.array(line.points) * size
    found = []
    for a, b, begin_s, end_s in zip(points[:-1], points[1:], path[:-1, 0], path[1:, 0], strict=True):
        for start, end in pairwise(corners):
            along = end - start
            before, after = (float(along[1] * (p - start)[0] - along[0] * (p - start)[1]) for p in (a, b))
            if (before >= 0) == (after >= 0) or end_s - begin_s > ABSENT_S:
                continue
            share = before / (before - after)
            place = float((a + share * (b - a) - start) @ along) / float(along @ along)
            if -0.02 <= place < 1.02:
                found.append((float(begin_s + share * (end_s - begin_s)), 1 if after >= 0 else -1))
    return found


def on_line_s(path: Path, line: Line, size: tuple[int, int], *, within_px: float) -> np.ndarray:
    """The moments ``(M,)``, to 10 ms, at which a true contact is within so many pixels of a line."""
    times_s, points = _fine(path, size)
    gaps = np.full(len(points), np.inf)
    for start, end in pairwise(np.array(line.points) * size):
        along = end - start
        share = np.clip(((points - start) @ along) / (along @ along), 0, 1)
        gaps = np.minimum(gaps, np.linalg.norm(points - start - share[:, None] * along, axis=1))
    return np.asarray(times_s[gaps <= within_px])


def spells_in(path: Path, zone: Zone, size: tuple[int, int], *, until_s: float) -> list[tuple[float, float]]:
    """Spells that a true contact spends in a zone by the zone's rules, to 10 ms.

    Short absences are none and short visits are none; whoever is out of the picture is where it vanished.
    """
    times_s, points = _fine(path, size)
    inside = np.zeros(len(points), np.bool_)
    for ring in zone.polygons:
        for (x0, y0), (x1, y1) in pairwise([*(np.array(ring) * size), np.array(ring[0]) * size]):
            spans = (y0 > points[:, 1]) != (y1 > points[:, 1])
            with np.errstate(divide="ignore", invalid="ignore"):
                inside ^= spans & (points[:, 0] < x0 + (points[:, 1] - y0) * (x1 - x0) / (y1 - y0))
    inside &= times_s <= until_s
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(int), [0]])))
    spells: list[tuple[float, float]] = []
    for first, past in edges.reshape(-1, 2).tolist():
        low, high = float(times_s[first]), float(times_s[past - 1])
        if spells and ((times_s > spells[-1][1]) & (times_s < low)).sum() * 0.01 < zone.leave_s:
            spells[-1] = spells[-1][0], high
        elif high - low >= zone.enter_s - 0.01:
            spells.append((low, high))
    return spells


def _fine(path: Path, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A path every 10 ms, without the times out of the picture: seconds and pixels."""
    times_s = np.arange(path[0, 0], path[-1, 0] + 1e-6, 0.01)
    after = np.clip(np.searchsorted(path[:, 0], times_s - 1e-9), 1, max(len(path) - 1, 1))
    if len(path) > 1:
        times_s = times_s[path[after, 0] - path[after - 1, 0] <= ABSENT_S]
    points = np.stack([np.interp(times_s, path[:, 0], path[:, axis]) for axis in (1, 2)], axis=1)
    return times_s, points * size
