"""Edge cases of counting: tiny flat scenes, one difficulty each, exactly known.

Unless a script says otherwise a person walks at 1 m/s across the picture, the counting line ``line`` runs away from
the camera along the ground's x axis, and its left is the picture's left (``+y``).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from demos.scenes.motion import spline
from demos.scenes.plan import Plan
from demos.scenes.recording import Faults, Recording
from demos.scenes.script import CAR, cast, stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from demos.scenes.motion import Trajectory
    from demos.scenes.plan import Polygon, Polyline

__all__ = ["EDGES", "edge", "raw_counts"]

LINE: Polyline = ((4.0, 0.0), (12.0, 0.0))
ZONE: Polygon = ((5.0, -1.0), (9.0, -1.0), (9.0, 1.0), (5.0, 1.0))
BICYCLE = 1

Size = tuple[int, int]
EDGES: dict[str, Callable[[Size], Recording]] = {}
"""Every script by name; each takes the picture's size."""


def edge(name: str, size: Size = (320, 180)) -> Recording:
    """One script of :data:`EDGES`.

    Raises:
        ValueError: There is no such script.
    """
    if name not in EDGES:
        message = f"edge script {name!r}: expected one of {', '.join(sorted(EDGES))}"
        raise ValueError(message)
    return EDGES[name](size)


def _script(build: Callable[[Size], Recording]) -> Callable[[Size], Recording]:
    EDGES[build.__name__] = build
    return build


def across(y0: float, y1: float, *, x: float = 7.0, start_s: float = 0.0, speed_m_s: float = 1.0) -> Trajectory:
    """A straight way at constant speed from ``(x, y0)`` to ``(x, y1)``."""
    pace = speed_m_s if y1 > y0 else -speed_m_s
    end_s = start_s + abs(y1 - y0) / speed_m_s
    return spline([(start_s, x, y0, 0, pace), (end_s, x, y1, 0, pace)])


def rests(*nodes: tuple[float, float, float]) -> Trajectory:
    """From rest to rest through ``(time, x, y)``."""
    return spline([(*node, 0.0, 0.0) for node in nodes])


def _recording(
    name: str,
    paths: list[Trajectory],
    size: Size,
    duration_s: float,
    *,
    lines: dict[str, Polyline] | None = None,
    zones: dict[str, Polygon] | None = None,
    counts: dict[str, tuple[int, int]] | None = None,
    faults: Faults | None = None,
    class_id: int = 0,
    slab: tuple[float, float, float, float] | None = None,
    height_m: float = 3.0,
    pitch_deg: float = 20.0,
) -> Recording:
    plan = Plan(lines_m={"line": LINE} if lines is None else lines, zones_m=zones or {})
    scene = stage(
        name,
        cast(paths, class_id),
        duration_s,
        size=size,
        height_m=height_m,
        pitch_deg=pitch_deg,
        pillar=slab[:3] if slab else None,
        slab_height_m=slab[3] if slab else 0.0,
        plan=plan,
    )
    return Recording(scene=scene, counts=counts or {}, faults=faults or Faults())


# ---- how a line is met ---------------------------------------------------------------------------------------------


@_script
def lands_on_line(size: Size) -> Recording:
    """A straight passage; at 25, 12.5 and 5 fps one frame finds the person exactly on the line (at 2.0 s)."""
    return _recording("lands_on_line", [across(-2, 2)], size, 4.0, counts={"line": (1, 0)})


@_script
def touch_and_return(size: Size) -> Recording:
    """Up to the line, exactly, and back: no passage."""
    path = rests((0, 7, -1.5), (2, 7, 0), (4, 7, -1.5))
    return _recording("touch_and_return", [path], size, 4.0, counts={"line": (0, 0)})


@_script
def u_turn_on_line(size: Size) -> Recording:
    """Half a metre past the line and back at once: one passage each way, at 1.0 and 3.0 s."""
    path = spline([(0, 7, -1, 0, 1), (1, 7, 0, 0, 1), (2, 7, 0.5, 0, 0), (3, 7, 0, 0, -1), (4, 7, -1, 0, -1)])
    return _recording("u_turn_on_line", [path], size, 4.0, counts={"line": (1, 1)})


@_script
def loiter_on_line(size: Size) -> Recording:
    """A stop of 60 s exactly on the line, from 2 to 62 s, then on: one passage."""
    path = rests((0, 7, -1.5), (2, 7, 0), (62, 7, 0), (64, 7, 1.5))
    return _recording("loiter_on_line", [path], size, 64.0, counts={"line": (1, 0)})


@_script
def sway_on_line(size: Size) -> Recording:
    """Swaying 5 cm to both sides of the line for 10 s, then on: eleven passages of the centre that are one."""
    sways = [(2.0 + n, 7.0, 0.05 if n % 2 == 0 else -0.05) for n in range(11)]
    path = rests((0, 7, -1.5), *sways, (14, 7, 1.5))
    return _recording("sway_on_line", [path], size, 14.0, counts={"line": (1, 0)})


@_script
def stops_short(size: Size) -> Recording:
    """5 cm short of the line for 10 s, then back: no passage."""
    path = rests((0, 7, -1.5), (2, 7, -0.05), (12, 7, -0.05), (14, 7, -1.5))
    return _recording("stops_short", [path], size, 14.0, counts={"line": (0, 0)})


@_script
def parallel_walk(size: Size) -> Recording:
    """Along the line, 0.4 m beside it all the way: no passage."""
    path = spline([(0, 5, 0.4, 1, 0), (6, 11, 0.4, 1, 0)])
    return _recording("parallel_walk", [path], size, 6.0, counts={"line": (0, 0)})


@_script
def along_line(size: Size) -> Recording:
    """Onto the line, 4 m along it, off on the other side: one passage, on the line from 2 to 6 s."""
    path = rests((0, 5, -1.5), (2, 6, 0), (6, 10, 0), (8, 11, 1.5))
    return _recording("along_line", [path], size, 8.0, counts={"line": (1, 0)})


@_script
def line_end(size: Size) -> Recording:
    """Two persons pass 0.3 m on this and on that side of the line's end, one after the other: one passage."""
    line: Polyline = ((4.0, 0.0), (8.0, 0.0))
    paths = [across(-2, 2, x=7.7), across(2, -2, x=8.3, start_s=1.5)]
    return _recording("line_end", paths, size, 5.5, lines={"line": line}, counts={"line": (1, 0)})


@_script
def on_vertex(size: Size) -> Recording:
    """Exactly through the corner of a bent line: one passage."""
    line: Polyline = ((5.0, -1.0), (7.0, 0.0), (9.0, -1.0))
    return _recording("on_vertex", [across(-2, 2)], size, 4.0, lines={"line": line}, counts={"line": (1, 0)})


@_script
def cut_corner(size: Size) -> Recording:
    """The corner of a bent line is cut: in over one leg, out over the other, on the far side for 0.8 s."""
    line: Polyline = ((5.0, 0.0), (7.0, 0.0), (7.0, 2.0))
    # From (5.6, -1) to (8.6, 2) with 1 m/s along each axis: over the first leg at 1.0 s, over the second at 1.4 s.
    path = spline([(0, 5.6, -1, 1, 1), (3, 8.6, 2, 1, 1)])
    return _recording("cut_corner", [path], size, 3.0, lines={"line": line}, counts={"line": (1, 1)})


@_script
def simultaneous(size: Size) -> Recording:
    """Five persons abreast, walking away from the camera, pass at the same instant, 2.0 s."""
    paths = [spline([(0, 6, 2 - n, 1, 0), (4, 10, 2 - n, 1, 0)]) for n in range(5)]
    line: Polyline = ((8.0, 3.0), (8.0, -3.0))
    return _recording("simultaneous", paths, size, 4.0, lines={"line": line}, counts={"line": (5, 0)})


@_script
def split_line(size: Size) -> Recording:
    """The whole line and its two halves; one of three persons passes where the halves meet."""
    lines: dict[str, Polyline] = {"line": LINE, "near": ((4.0, 0.0), (8.0, 0.0)), "far": ((8.0, 0.0), (12.0, 0.0))}
    paths = [across(-2, 2, x=6.5), across(2, -2, x=8.0, start_s=1.0), across(-2, 2, x=9.5, start_s=2.0)]
    counts = {"line": (2, 1), "near": (1, 0), "far": (1, 1)}
    return _recording("split_line", paths, size, 6.0, lines=lines, counts=counts)


@_script
def near_edge(size: Size) -> Recording:
    """The line runs 3 px from the picture's left edge; one person leaves over it, one comes in."""
    height = size[1]
    paths = [across(0, 6), across(7, 0.5, x=9.0)]
    plain = stage("near_edge", cast(paths), 6.5, size=size)
    (x0, y0), (x1, y1) = plain.on_ground([(3.0, height - 1.0), (3.0, height * 0.25)]).tolist()
    line: Polyline = ((x0, y0), (x1, y1))
    return _recording("near_edge", paths, size, 6.5, lines={"line": line}, counts={"line": (1, 1)})


@_script
def fast(size: Size) -> Recording:
    """A car at 50 m/s, 12 m from frame to frame at 4.2 fps: seen in few frames, past the line in one step."""
    path = across(40, -40, x=35.0, speed_m_s=50.0)
    return _recording(
        "fast",
        [path],
        size,
        1.6,
        lines={"line": ((25.0, 0.0), (50.0, 0.0))},
        zones={"thin": ((30.0, -5.0), (40.0, -5.0), (40.0, -4.0), (30.0, -4.0))},
        counts={"line": (0, 1)},
        class_id=CAR,
        height_m=7.0,
        pitch_deg=13.0,
    )


# ---- zones ---------------------------------------------------------------------------------------------------------


@_script
def appears_inside(size: Size) -> Recording:
    """One person appears inside the zone at 1 s and walks out; another walks in and vanishes there at 3 s."""
    paths = [across(0, 2.5, start_s=1.0), across(-2.5, 0.5, x=8.0)]
    return _recording("appears_inside", paths, size, 4.0, lines={}, zones={"zone": ZONE})


@_script
def already_inside(size: Size) -> Recording:
    """One person is inside from the start to 1 s, another to the end and beyond."""
    paths = [across(-1, 3, start_s=-1.0), rests((-5, 6, -0.6), (20, 6, -0.6))]
    return _recording("already_inside", paths, size, 3.0, lines={}, zones={"zone": ZONE})


@_script
def cut_zone_corner(size: Size) -> Recording:
    """The zone's corner is cut: inside from 1.0 to 1.2 s."""
    path = spline([(0, 7.8, -2.0, 1, 1), (3, 10.8, 1.0, 1, 1)])
    return _recording("cut_zone_corner", [path], size, 3.0, lines={}, zones={"zone": ZONE})


@_script
def zone_hole(size: Size) -> Recording:
    """Through a zone with a hole: two stays, from 1.0 to 1.5 and from 2.5 to 3.0 s."""
    hole = ((6.0, -0.5), (8.0, -0.5), (8.0, 0.5), (6.0, 0.5))
    return _recording("zone_hole", [across(-2, 2)], size, 4.0, lines={}, zones={"zone": (ZONE, hole)})  # type: ignore[dict-item]


@_script
def shared_edge(size: Size) -> Recording:
    """Along the edge that two zones share: in exactly one of them all the time."""
    left: Polygon = ((5.0, 0.0), (10.0, 0.0), (10.0, 2.0), (5.0, 2.0))
    right: Polygon = ((5.0, -2.0), (10.0, -2.0), (10.0, 0.0), (5.0, 0.0))
    path = spline([(0, 6, 0, 0.5, 0), (6, 9, 0, 0.5, 0)])
    return _recording("shared_edge", [path], size, 6.0, lines={}, zones={"left": left, "right": right})


@_script
def steps_out_briefly(size: Size) -> Recording:
    """In the zone, out of it for half a second, in again: two spells of one visit, from 1.0 to 6.25 s in all."""
    path = spline(
        [
            (0, 7, -2.0, 0, 1),
            (1, 7, -1.0, 0, 1),
            (2, 7, 0.0, 0, 1),
            (3, 7, 1.0, 0, 0.5),
            (3.25, 7, 1.0625, 0, 0),
            (3.5, 7, 1.0, 0, -0.5),
            (4.5, 7, 0.0, 0, -1),
            (6.5, 7, -2.0, 0, -1),
        ]
    )
    return _recording("steps_out_briefly", [path], size, 6.5, lines={}, zones={"zone": ZONE})


# ---- hidden feet ---------------------------------------------------------------------------------------------------


@_script
def occluded_feet(size: Size) -> Recording:
    """A counter 0.9 m high hides the feet of one who passes the line behind it; the upper body shows."""
    slab = (6.0, 0.0, 2.4, 0.9)
    return _recording("occluded_feet", [across(-2.5, 2.5)], size, 5.0, counts={"line": (1, 0)}, slab=slab)


@_script
def feet_behind_neighbour(size: Size) -> Recording:
    """Two persons abreast pass the line; the nearer one hides the farther one's feet all the way."""
    paths = [across(-2, 2, x=6.5), across(-2, 2, x=6.9)]
    return _recording("feet_behind_neighbour", paths, size, 4.0, counts={"line": (2, 0)})


@_script
def birth_past_line(size: Size) -> Recording:
    """One person appears from behind a pillar 0.3 m past the line and walks away from it: no passage."""
    slab = (6.0, 0.15, 0.9, 2.6)
    path = across(0.3, 2.8, start_s=0.5)
    return _recording("birth_past_line", [path], size, 3.0, counts={"line": (0, 0)}, slab=slab)


# ---- what trackers and cameras get wrong ---------------------------------------------------------------------------


@_script
def id_switch(size: Size) -> Recording:
    """Identity 1 goes by number 2 from the moment it is on the line (2.0 s)."""
    faults = Faults(renamed=[(2.0, 1, 2)])
    return _recording("id_switch", [across(-2, 2)], size, 4.0, counts={"line": (1, 0)}, faults=faults)


@_script
def id_swap(size: Size) -> Recording:
    """Two persons meet on the line (2.0 s) and have each other's number afterwards."""
    faults = Faults(renamed=[(2.0, 1, 2), (2.0, 2, 1)])
    paths = [across(-2, 2), across(2, -2, x=7.5)]
    return _recording("id_swap", paths, size, 4.0, counts={"line": (1, 1)}, faults=faults)


@_script
def gap(size: Size) -> Recording:
    """Not detected from 1.5 to 2.5 s, while passing the line."""
    faults = Faults(missed=[(1.5, 2.5, 1)])
    return _recording("gap", [across(-2, 2)], size, 4.0, counts={"line": (1, 0)}, faults=faults)


@_script
def outage(size: Size) -> Recording:
    """No frame from 3 to 6 s; one person passes before, one during, one after it."""
    faults = Faults(outages=[(3.0, 6.0)])
    paths = [across(-2, 2), across(-1.5, 1.5, start_s=3.0), across(-2, 2, start_s=6.5)]
    return _recording("outage", paths, size, 10.5, counts={"line": (3, 0)}, faults=faults)


@_script
def class_flip(size: Size) -> Recording:
    """A person is taken for a bicycle from 1.8 to 2.2 s, while passing the line."""
    faults = Faults(reclassified=[(1.8, 2.2, 1, BICYCLE)])
    return _recording("class_flip", [across(-2, 2)], size, 4.0, counts={"line": (1, 0)}, faults=faults)


@_script
def uneven_frames(size: Size) -> Recording:
    """Frames come unevenly; a passage at 2.0 s, in the zone from 1.0 to 3.0 s."""
    return _recording(
        "uneven_frames",
        [across(-2, 2)],
        size,
        4.0,
        zones={"zone": ZONE},
        counts={"line": (1, 0)},
        faults=Faults(uneven=1),
    )


@_script
def restart(size: Size) -> Recording:
    """The program is started again at 2.0 s, when the person is on the line."""
    faults = Faults(restarts=[2.0])
    return _recording("restart", [across(-2, 2)], size, 4.0, counts={"line": (1, 0)}, faults=faults)


@_script
def parked_renamed(size: Size) -> Recording:
    """A parked car goes by a new number every 5 s: one car in the zone, and nothing passes the line beside it."""
    faults = Faults(renamed=[(5.0 * n, 1, n + 1) for n in range(1, 4)])
    paths = [rests((-10, 15, 0.3), (40, 15, 0.3))]
    return _recording(
        "parked_renamed",
        paths,
        size,
        20.0,
        lines={"line": ((12.0, -2.5), (18.0, -2.5))},
        zones={"zone": ((12.0, -2.0), (18.0, -2.0), (18.0, 3.0), (12.0, 3.0))},
        counts={"line": (0, 0)},
        faults=faults,
        class_id=CAR,
    )


@_script
def dst_night(size: Size) -> Recording:
    """The hour that Europe has twice: passages 10 s before and 10 s after 01:00 UTC on 25 October 2026."""
    paths = [across(-2, 2), across(-2, 2, start_s=20.0)]
    made = _recording("dst_night", paths, size, 24.0, counts={"line": (2, 0)})
    # The first passage is at 2 s, the second at 22 s.
    start = datetime(2026, 10, 25, 0, 59, 48, tzinfo=UTC)
    return Recording(scene=made.scene, counts=made.counts, started_at=start)


def raw_counts(recording: Recording) -> dict[str, tuple[int, int]]:
    """Passages of the actors' centres by line, each sway on its own."""
    found = {}
    for name, line in recording.scene.plan.lines_m.items():
        directions = np.array([one.direction for one in recording.scene.crossings(line)])
        found[name] = int((directions > 0).sum()), int((directions < 0).sum())
    return found
