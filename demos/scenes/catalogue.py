"""Every scene by name, with the truth that its plan is counted by."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from demos.scenes import script
from demos.scenes.bays import bays, occupied_bays
from demos.scenes.checkout import checkout
from demos.scenes.door import door
from demos.scenes.edges import EDGES, edge
from demos.scenes.junction import junction
from demos.scenes.passages import point_rings
from demos.scenes.plan import Plan
from demos.scenes.recording import Recording
from demos.scenes.road import COUNT_LINE_M as ROAD_LINE_M
from demos.scenes.road import road
from demos.scenes.shop import COUNT_LINE_M as SHOP_LINE_M
from demos.scenes.shop import shop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from demos.scenes.truth import SceneTruth
    from demos.scenes.world import Scene

__all__ = ["SCRIPTS", "WORLDS", "counting_truth", "frame_truth", "names", "open_recording"]

WORLDS: dict[str, Callable[..., Scene]] = {
    "bays": bays,
    "checkout": checkout,
    "door": door,
    "junction": junction,
    "road": road,
    "shop": shop,
}
"""Rendered worlds; each takes ``seed``, ``size`` and ``duration_s``."""
SCRIPTS: dict[str, Callable[..., Scene]] = {
    "crossing": script.crossing,
    "exit_and_reentry": script.exit_and_reentry,
    "full_occlusion": script.full_occlusion,
    "group_walk": script.group_walk,
    "overtaking": script.overtaking,
    "stop_and_go": script.stop_and_go,
    "u_turn": script.u_turn,
}
"""Flat scenes; each takes ``size``. The edge scripts of counting are :data:`~demos.scenes.edges.EDGES`."""
_PLANS = {
    "road": Plan(lines_m={"line": ROAD_LINE_M}),
    "shop": Plan(lines_m={"line": SHOP_LINE_M}),
    "overtaking": Plan(lines_m={"line": ((10.0, 0.0), (30.0, 0.0))}),
    "stop_and_go": Plan(lines_m={"line": ((4.0, -0.5), (40.0, -0.5))}),
}
_LINE = Plan(lines_m={"line": ((4.0, 0.0), (12.0, 0.0))})


def names() -> list[str]:
    """All there is."""
    return sorted([*WORLDS, *SCRIPTS, *EDGES])


def open_recording(
    name: str, *, seed: int = 0, size: tuple[int, int] = (640, 360), duration_s: float | None = None
) -> Recording:
    """A scene by name, as it is recorded.

    Args:
        name: One of :func:`names`.
        seed: Of worlds; flat scenes have none.
        size: ``(width, height)`` in pixels.
        duration_s: Length of a world; flat scenes have their own.

    Raises:
        ValueError: There is no such scene.
    """
    if name in EDGES:
        return edge(name, size)
    if name in WORLDS:
        made = WORLDS[name](seed=seed, size=size, **({} if duration_s is None else {"duration_s": duration_s}))
    elif name in SCRIPTS:
        made = SCRIPTS[name](size=size)
    else:
        message = f"scene {name!r}: expected one of {', '.join(names())}"
        raise ValueError(message)
    if not made.plan.lines_m:
        made.plan = _PLANS.get(name, _LINE)
    return Recording(scene=made)


def counting_truth(recording: Recording, *, contacts: bool = True) -> dict[str, Any]:
    """Everything countable of a recording, exactly, as a JSON document.

    Args:
        recording: What to count.
        contacts: Say of each passage whether the contact with the ground shows, which draws each of those moments.
    """
    scene, faults = recording.scene, recording.faults
    lines = {}
    for name, line in scene.plan.lines_m.items():
        passed = scene.crossings(line, contacts=contacts)
        left = sum(one.direction > 0 for one in passed)
        lines[name] = {
            "points_m": _rounded(line),
            "points_px": _rounded(scene.on_picture(line), 2),
            "counts": list(recording.counts.get(name, (left, len(passed) - left))),
            "crossings": [asdict(one) for one in passed],
        }
    stays = scene.stays(scene.plan.zones_m)
    zones = {
        name: {
            "rings_m": [_rounded(ring) for ring in point_rings(zone)],
            "rings_px": [_rounded(scene.on_picture(ring), 2) for ring in point_rings(zone)],
            "stays": [{**asdict(stay), "dwell_s": stay.dwell_s} for stay in stays if stay.zone == name],
        }
        for name, zone in scene.plan.zones_m.items()
    }
    document = {
        "scene": scene.name,
        "size": list(scene.size),
        "duration_s": scene.duration_s,
        "started_at": None if recording.started_at is None else recording.started_at.isoformat(),
        "class_names": list(scene.class_names),
        "homography": scene.rig.camera.homography.tolist(),
        "lines": lines,
        "zones": zones,
        "journeys": [asdict(one) for one in scene.od(scene.plan.sections_m)],
        "roles": {str(identity): role for identity, role in scene.plan.roles.items()},
        "groups": [list(group) for group in scene.plan.groups],
        "faults": asdict(faults),
    }
    if scene.name == "bays":
        document["occupied"] = {name: [list(span) for span in spans] for name, spans in occupied_bays(scene).items()}
    return document


def frame_truth(truth: SceneTruth) -> dict[str, Any]:
    """One frame's objects as a JSON document, masks left out."""
    return {
        "time_s": truth.time_s,
        "objects": [
            {
                "identity": int(truth.ids[row]),
                "class_id": int(truth.class_ids[row]),
                "box": truth.boxes[row].tolist(),
                "amodal_box": _rounded(truth.amodal_boxes[row], 2),
                "visibility": round(float(truth.visibility[row]), 4),
                "position_m": _rounded(truth.positions_m[row], 4),
                "contact_px": _rounded(truth.contact_px[row], 2),
                "contact": truth.contact(int(truth.ids[row])),
            }
            for row in range(len(truth))
        ],
    }


def _rounded(values: Sequence[Any] | np.ndarray, digits: int = 6) -> Any:
    return np.round(np.asarray(values, dtype=np.float64), digits).tolist()
