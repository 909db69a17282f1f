"""Cameras of a fake dashboard: rendered scenes in a loop, with pictures, states and crossings from exact truth."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from demos.scenes.catalogue import open_recording
from demos.scenes.passages import point_rings

FPS = 5.0
SIZE = (640, 360)
CLASSES = ("person", "bicycle", "car", "motorcycle", "bus", "truck")
DIRECTIONS = {"entrance": ("in", "out"), "junction": ("towards", "away"), "checkout": ("in", "out")}


@dataclass
class Camera:
    """One stream of the fake: a scene from ``demos.scenes`` played in a loop since ``began_s``."""

    id: str
    scene_name: str
    loop_s: float = 12.0
    timezone: str = "Europe/Berlin"
    kind: str = "camera"
    lost: str = ""
    outage: str = ""
    lost_share: float = 0.0
    began_s: float = field(default_factory=lambda: time.time() - 30.0)

    def __post_init__(self) -> None:
        self.scene = open_recording(self.scene_name, size=SIZE).scene
        self.loop_s = min(self.loop_s, self.scene.duration_s)
        self.frames = int(self.loop_s * FPS)
        self.frame = lru_cache(maxsize=None)(self._frame)
        self.most_id = max(actor.identity for actor in self.scene.actors)
        self.passages = sorted(
            (one.time_s, name, one)
            for name, line in self.scene.plan.lines_m.items()
            for one in self.scene.crossings(line, self.loop_s)
        )
        self.site: dict[str, Any] = self._first_site()
        self.history = [
            {"revision": self.site["revision"], "saved_ms": int((self.began_s - 86400) * 1000), "by": "ada"}
        ]
        self.old_sites = {self.site["revision"]: self.site}

    def now(self) -> tuple[int, int, float]:
        """Index of the frame in the loop, number of the loop, and UTC seconds of that frame."""
        if self.lost:
            return 17 % self.frames, 0, self.began_s
        step = int((time.time() - self.began_s) * FPS)
        return step % self.frames, step // self.frames, self.began_s + step / FPS

    def state(self, index: int, loop: int, at_s: float) -> dict[str, Any]:
        """The socket's state message of a frame; identities of later loops have later numbers."""
        tracks = [one | {"id": one["id"] + loop * self.most_id} for one in self.frame(index)[2]]
        present: dict[str, dict[str, int]] = {}
        for zone in self.site["zones"]:
            inside = [one["class"] for one in tracks if within(one["contact"], zone["polygons"])]
            present[zone["name"]] = {name: inside.count(name) for name in sorted(set(inside))}
        return {
            "type": "state",
            "stream": self.id,
            "t_ms": round(at_s * 1000),
            "size": list(SIZE),
            "tracks": tracks,
            "present": present,
            "fps": 24.8,
            "age_s": 0.21,
        }

    def events_between(self, from_s: float, to_s: float) -> list[dict[str, Any]]:
        """Crossings of the loop between two times, newest last."""
        found = []
        for loop in range(
            max(0, int((from_s - self.began_s) // self.loop_s)), int((to_s - self.began_s) // self.loop_s) + 1
        ):
            for at_s, place, one in self.passages:
                when = self.began_s + loop * self.loop_s + at_s
                if from_s <= when < to_s:
                    found.append(self._event(when, place, one, loop))
        return found

    def _event(self, at_s: float, place: str, one: Any, loop: int) -> dict[str, Any]:
        left, right = DIRECTIONS.get(self.id, ("in", "out"))
        x, y = (round(float(value), 4) for value in np.asarray(one.position_px) / SIZE)
        at_ms, identity = round(at_s * 1000), one.identity + loop * self.most_id
        return {
            "key": f"{self.id}|crossing|{place}|{identity}|u{at_ms}",
            "kind": "crossing",
            "stream": self.id,
            "at_ms": at_ms,
            "utc": True,
            "place": place,
            "direction": left if one.direction > 0 else right,
            "identity": identity,
            "class": CLASSES[one.class_id],
            "was_class": "",
            "value": None,
            "error": None,
            "other_identity": 0,
            "since_ms": None,
            "before": {"t_ms": at_ms - 200, "x": x, "y": y},
            "after": {"t_ms": at_ms + 200, "x": x, "y": y},
            "stay": None,
            "bridged": False,
            "revision": self.site["revision"],
        }

    def path(self, identity: int, step: int = 1) -> list[list[float]]:
        """``[t_ms, x, y]`` of an identity's contacts in its loop."""
        loop, own = divmod(identity - 1, self.most_id)
        start = self.began_s + loop * self.loop_s
        points = []
        for index in range(0, self.frames, step):
            for one in self.frame(index)[2]:
                if one["id"] == own + 1:
                    points.append([round((start + index / FPS) * 1000), *one["contact"][:2]])
        return points

    def _frame(self, index: int) -> tuple[bytes, bytes, list[dict[str, Any]]]:
        rendered = self.scene.render(index / FPS)
        truth, image = rendered.truth, rendered.image
        masked, tracks = image.copy(), []
        width, height = SIZE
        for row in range(len(truth)):
            mask = (truth.labels == row + 1).astype(np.uint8)
            if mask.sum() < 30:
                continue
            grown = cv2.dilate(mask, np.ones((9, 9), np.uint8))
            masked[grown > 0] = (92, 84, 78)
            rings, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            outline = [
                np.round(cv2.approxPolyDP(ring, 0.8, closed=True).reshape(-1, 2) / SIZE, 4).ravel().tolist()
                for ring in rings
                if len(ring) > 5
            ]
            contact = np.round(truth.contact_px[row] / SIZE, 4).tolist()
            shown = "seen" if truth.contact_shown[row] >= 0.5 else "hidden"
            tracks.append(
                {
                    "id": int(truth.ids[row]),
                    "class": CLASSES[truth.class_ids[row]],
                    "score": round(0.82 + 0.02 * (row % 7), 2),
                    "box": [round(float(v), 4) for v in truth.boxes[row] / np.array([width, height, width, height])],
                    "outline": outline,
                    "contact": [*contact, shown],
                    "seen": True,
                }
            )
        return _jpeg(masked), _jpeg(image), tracks

    def _first_site(self) -> dict[str, Any]:
        left, right = DIRECTIONS.get(self.id, ("in", "out"))
        lines = [
            {
                "name": name,
                "points": self._shares(line),
                "to_left": left,
                "to_right": right,
                "classes": [],
                "dead_band": 0.004,
                "settle_s": 0.2,
                "min_rearm_s": 1.0,
            }
            for name, line in self.scene.plan.lines_m.items()
        ]
        zones = [
            {
                "name": name,
                "polygons": [self._shares(ring) for ring in point_rings(zone)],
                "classes": [],
                "enter_s": 0.3,
                "leave_s": 1.0,
                "loiter_s": None,
                "loiter_s_by_class": {},
            }
            for name, zone in self.scene.plan.zones_m.items()
        ]
        names = [line["name"] for line in lines]
        flows = (
            [
                {"name": f"{a} to {b}", "start": a, "end": b, "start_direction": None, "end_direction": None}
                for a in names[:4]
                for b in names[:4]
                if a != b
            ]
            if len(names) >= 4
            else []
        )
        doors = (
            [{"name": "shop", "lines": ["door"], "entry": "in", "exit": "out", "reset_at": "04:00"}]
            if "door" in names
            else []
        )
        return {
            "version": 1,
            "revision": 3,
            "reference_size": list(SIZE),
            "reference_picture": None,
            "timezone": self.timezone,
            "lines": lines,
            "zones": zones[:6],
            "occluders": [],
            "doors": doors,
            "flows": flows,
        }

    def _shares(self, points_m: Any) -> list[list[float]]:
        shares = np.clip(self.scene.on_picture(np.asarray(points_m)) / SIZE, 0, 1)
        return np.round(shares, 4).tolist()


def _jpeg(image: Any) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()


def within(point: list[Any], polygons: list[list[list[float]]]) -> bool:
    """Whether a contact lies in a zone, inner polygons being holes."""
    hits = [
        cv2.pointPolygonTest(np.float32(ring), (float(point[0]), float(point[1])), measureDist=False) >= 0
        for ring in polygons
    ]
    return sum(hits) % 2 == 1


def passes(path: list[list[float]], points: list[list[float]]) -> list[int]:
    """Crossings of a path over a polyline: 1 onto its left, -1 back; the plain segment test."""
    found = []
    for a, b in itertools.pairwise(path):
        for p, q in itertools.pairwise(points):
            d1, d2 = _side(p, q, a[1:]), _side(p, q, b[1:])
            e1, e2 = _side(a[1:], b[1:], p), _side(a[1:], b[1:], q)
            if d1 * d2 < 0 and e1 * e2 < 0:
                found.append(1 if d2 < 0 else -1)
    return found


def _side(p: list[float], q: list[float], at: list[float]) -> float:
    return (q[0] - p[0]) * (at[1] - p[1]) - (q[1] - p[1]) * (at[0] - p[0])
