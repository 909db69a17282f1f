"""Scenes: actors, rig and backdrop, rendered to frames with exact truth.

Every pixel belongs to the nearest object that covers at least half of it, so the masks of one frame share no pixel
and equal what the picture shows. Image and truth come from the same coverage; :meth:`Scene.truth` only leaves the
colours out.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from demos.scenes.collisions import approaches
from demos.scenes.drawing import Drawing, Light
from demos.scenes.encroachments import encroachments
from demos.scenes.layers import Backdrop, Placed, measure, paint, painters_order
from demos.scenes.passages import line_contacts, point_rings, presence_in_zone
from demos.scenes.plan import Plan
from demos.scenes.truth import CLASS_NAMES, Crossing, Journey, RenderedFrame, SceneTruth, Stay
from tracker.types import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from demos.scenes.camera import Camera, Rig
    from demos.scenes.collisions import Approach
    from demos.scenes.encroachments import Encroachment
    from demos.scenes.motion import Pose, Trajectory
    from demos.scenes.plan import Polygon, Polyline

__all__ = [
    "CLASS_NAMES",
    "Actor",
    "Backdrop",
    "Crossing",
    "Journey",
    "RenderedFrame",
    "Scene",
    "SceneTruth",
    "Stay",
    "frame_count",
]


class Actor(Protocol):
    """Something that moves and is counted."""

    @property
    def identity(self) -> int:
        """Unique in its scene, from 1, kept through exit and re-entry."""
        ...

    @property
    def class_id(self) -> int:
        """Index into :data:`CLASS_NAMES`."""
        ...

    @property
    def trajectories(self) -> Sequence[Trajectory]:
        """One per presence, in order of time."""
        ...

    def draw(self, pose: Pose, time_s: float, camera: Camera, light: Light | None) -> Drawing:
        """The drawing of the actor; without colours where ``light`` is ``None``."""
        ...


class Scene:
    """A world over time.

    Args:
        name: What it shows.
        actors: Moving objects.
        rig: The camera and how it moves.
        backdrop: The scenery.
        duration_s: How long something happens; other times are legal and may be empty.
        light: What lights it.
        noise: Standard deviation of the sensor's noise in grey levels; 0 = none.
        seed: Of the noise.
        plan: Lines, zones and roles that the scene is counted by.
    """

    def __init__(
        self,
        *,
        name: str,
        actors: Sequence[Actor],
        rig: Rig,
        backdrop: Backdrop,
        duration_s: float,
        light: Light | None = None,
        noise: float = 0.0,
        seed: int = 0,
        plan: Plan | None = None,
    ) -> None:
        if len({actor.identity for actor in actors}) != len(actors):
            message = f"Scene {name}: expected one identity per actor, found {sorted(a.identity for a in actors)}"
            raise ValueError(message)
        self.name = name
        self.actors = tuple(sorted(actors, key=lambda actor: actor.identity))
        self.rig = rig
        self.backdrop = backdrop
        self.duration_s = duration_s
        self.light = light or Light()
        self.plan = plan or Plan()
        self.class_names = CLASS_NAMES
        presences = [(actor, path) for actor in self.actors for path in actor.trajectories]
        self._presences = presences
        self._spans = np.array([(path.start_s, path.end_s) for _, path in presences]).reshape(-1, 2)
        self._grain = _grain(rig.camera.size, noise, seed) if noise > 0 else None

    @property
    def size(self) -> tuple[int, int]:
        """``(width, height)`` of the pictures."""
        return self.rig.camera.size

    def render(self, time_s: float) -> RenderedFrame:
        """The picture and its truth at a time."""
        image, truth = self._compose(time_s, shaded=True)
        return RenderedFrame(image=image, truth=truth)

    def truth(self, time_s: float) -> SceneTruth:
        """The truth of :meth:`render` without the picture."""
        return self._compose(time_s, shaded=False)[1]

    def frames(self, fps: float, duration_s: float | None = None) -> Iterator[tuple[Frame, SceneTruth]]:
        """Frames as a source would give them, with their truth; ``duration_s`` defaults to the scene's."""
        for index in range(frame_count(fps, self.duration_s if duration_s is None else duration_s)):
            rendered = self.render(index / fps)
            frame = Frame(
                index=index,
                time_s=index / fps,
                arrived_s=time.monotonic(),
                source=f"scene:{self.name}",
                size=self.size,
                image=rendered.image,
            )
            yield frame, rendered.truth

    def truths(self, fps: float, duration_s: float | None = None) -> Iterator[SceneTruth]:
        """The truth of :meth:`frames` without the pictures."""
        for index in range(frame_count(fps, self.duration_s if duration_s is None else duration_s)):
            yield self.truth(index / fps)

    def crossings(self, line_m: Polyline, duration_s: float | None = None, *, contacts: bool = False) -> list[Crossing]:
        """Who passes a line on the ground when and which way, in order of time.

        Args:
            line_m: At least two ground points; see :meth:`on_ground` for a line that was drawn on the picture.
            duration_s: Seconds that are looked at; the scene's by default.
            contacts: Say whether the contact with the ground shows, which draws each moment.
        """
        line = np.asarray(line_m, dtype=np.float64)
        last = self._last(duration_s)
        found = [
            self._crossing(actor, path, spell, contacts=contacts)
            for actor, path in self._presences
            for spell in line_contacts(path, line)
            if 0 <= spell[0] <= last
        ]
        return sorted(found, key=lambda crossing: (crossing.time_s, crossing.identity))

    def _crossing(self, actor: Actor, path: Trajectory, spell: tuple[float, float, int], *, contacts: bool) -> Crossing:
        time_s, left_s, direction = spell
        x, y = path.position(time_s).tolist()
        pixels, depth = self.rig.at(time_s).project(np.array([[x, y, 0.0]]))
        u, v = pixels[0].tolist() if depth[0] > 0 else (np.nan, np.nan)
        return Crossing(
            time_s=time_s,
            left_s=left_s,
            identity=actor.identity,
            class_id=actor.class_id,
            direction=direction,
            position_m=(x, y),
            position_px=(u, v),
            contact=self.truth(time_s).contact(actor.identity) if contacts else None,
        )

    def stays(self, zones_m: Mapping[str, Polygon], duration_s: float | None = None) -> list[Stay]:
        """Who is in which zone from when to when, in order of time.

        Args:
            zones_m: Zones on the ground by name; a point on an edge that two zones share is in exactly one of them.
            duration_s: Seconds that are looked at; the scene's by default.
        """
        last = self._last(duration_s)
        found = []
        for zone, polygon in zones_m.items():
            rings = point_rings(polygon)
            for actor, path in self._presences:
                for low, high in presence_in_zone(path, rings, (0.0, last)):
                    began = "already_inside" if low == 0 else "appeared" if low == path.start_s else "entered"
                    end = "open" if high == last else "lost" if high == path.end_s else "left"
                    found.append(
                        Stay(
                            zone=zone,
                            identity=actor.identity,
                            class_id=actor.class_id,
                            entered_s=low,
                            left_s=high,
                            began=began,
                            end=end,
                        )
                    )
        return sorted(found, key=lambda stay: (stay.entered_s, stay.identity, stay.zone))

    def od(self, sections_m: Mapping[str, Polyline], duration_s: float | None = None) -> list[Journey]:
        """Who goes from which section to which: of all pairs of passages the one that lasts longest, one per identity.

        Args:
            sections_m: Lines by name, passed either way; where the last point is the first, an area that is entered.
            duration_s: Seconds that are looked at; the scene's by default.

        Returns:
            In order of arrival. Who passes fewer than two sections (or one section once) has no journey.
        """
        events: dict[int, list[tuple[float, str]]] = {}
        for name, section in sections_m.items():
            if len(section) > 3 and tuple(section[0]) == tuple(section[-1]):
                passed = [(s.entered_s, s.identity) for s in self.stays({name: section[:-1]}, duration_s)]
            else:
                passed = [(c.time_s, c.identity) for c in self.crossings(section, duration_s)]
            for moment, identity in passed:
                events.setdefault(identity, []).append((moment, name))
        classes = {actor.identity: actor.class_id for actor in self.actors}
        found = [
            Journey(
                identity=identity,
                class_id=classes[identity],
                origin=min(passed)[1],
                destination=max(passed)[1],
                start_s=min(passed)[0],
                end_s=max(passed)[0],
            )
            for identity, passed in events.items()
            if len(passed) > 1
        ]
        return sorted(found, key=lambda journey: (journey.end_s, journey.identity))

    def encroachments(
        self, area_m: tuple[tuple[float, float], tuple[float, float]], *, most_s: float = 6.5
    ) -> list[Encroachment]:
        """Post-encroachment times of all pairs whose ways cross in an area; see :mod:`demos.scenes.encroachments`."""
        return encroachments(self._presences, area_m, most_s=most_s, until_s=self.duration_s)

    def approaches(
        self, area_m: tuple[tuple[float, float], tuple[float, float]], *, most_s: float = 4.0
    ) -> list[Approach]:
        """Least times to collision of all pairs in an area; see :mod:`demos.scenes.collisions`."""
        return approaches(self._presences, area_m, most_s=most_s, until_s=self.duration_s)

    def on_picture(self, points_m: ArrayLike, time_s: float = 0.0) -> NDArray[np.float64]:
        """Pixels ``(N, 2)`` of ground points ``(N, 2)`` at a time; ``nan`` behind the camera."""
        points = np.asarray(points_m, dtype=np.float64)
        pixels, depth = self.rig.at(time_s).project(np.column_stack([points, np.zeros(len(points))]))
        return np.where(depth[:, None] > 0, pixels, np.nan)

    def on_ground(self, points_px: ArrayLike, time_s: float = 0.0) -> NDArray[np.float64]:
        """Ground points ``(N, 2)`` under pixels ``(N, 2)`` at a time; ``nan`` above the horizon.

        Straight lines of the picture stay straight on the ground, so a line or zone drawn there is one here.
        """
        return self.rig.at(time_s).ground(np.asarray(points_px, dtype=np.float64))

    def _last(self, duration_s: float | None) -> float:
        return self.duration_s if duration_s is None else duration_s

    def count_visible(
        self,
        fps: float,
        duration_s: float | None = None,
        *,
        min_visibility: float = 0.3,
        min_area_px: int = 100,
        min_frames: int = 3,
    ) -> dict[int, set[int]]:
        """Which identities were ever seen well enough to be counted, by class id.

        Args:
            fps: Frames per second that are looked at.
            duration_s: Seconds that are looked at; the scene's by default.
            min_visibility: Share of the silhouette that must show.
            min_area_px: Visible pixels there must be.
            min_frames: In how many frames.
        """
        seen: dict[tuple[int, int], int] = {}
        for truth in self.truths(fps, duration_s):
            for row in np.flatnonzero((truth.visibility >= min_visibility) & (truth.areas_px >= min_area_px)):
                identity = int(truth.class_ids[row]), int(truth.ids[row])
                seen[identity] = seen.get(identity, 0) + 1
        counted: dict[int, set[int]] = {}
        for (class_id, identity), frames in seen.items():
            if frames >= min_frames:
                counted.setdefault(class_id, set()).add(identity)
        return counted

    def _place(self, time_s: float, camera: Camera, *, shaded: bool) -> list[Placed]:
        """Actors whose silhouette touches the image, farthest first."""
        width, height = camera.size
        placed: list[Placed] = []
        present = np.flatnonzero((self._spans[:, 0] <= time_s) & (time_s <= self._spans[:, 1]))
        for actor, path in (self._presences[number] for number in present):
            pose = path.at(time_s)
            if pose is None or (placed and placed[-1].identity == actor.identity):
                continue
            drawing = actor.draw(pose, time_s, camera, self.light if shaded else None)
            if not len(drawing.polygons_px):
                continue
            low, high = drawing.polygons_px.min(axis=(0, 1)), drawing.polygons_px.max(axis=(0, 1))
            if high[0] <= 0 or high[1] <= 0 or low[0] >= width or low[1] >= height:
                continue
            bounds = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
            placed.append(Placed(actor.identity, actor.class_id, pose, drawing, bounds))
        order = painters_order([one.drawing.footprint_m for one in placed], np.array(camera.position_m[:2]))
        return [placed[row] for row in order]

    def _compose(self, time_s: float, *, shaded: bool) -> tuple[NDArray[np.uint8], SceneTruth]:
        camera = self.rig.at(time_s)
        placed = self._place(time_s, camera, shaded=shaded)
        range_m = self._scenery(self.backdrop.range_m, time_s, nearest=True)
        image = np.zeros((0, 0, 3), np.uint8)
        if shaded:
            image = self._scenery(self.backdrop.image, time_s)
            image = self._shadows(image, placed, time_s, camera)
        labels = np.zeros(range_m.shape, np.uint16)
        rank = {one.identity: row for row, one in enumerate(sorted(placed, key=lambda one: one.identity))}
        whole = np.zeros(len(placed), np.int64)
        for one in placed:
            row = rank[one.identity]
            whole[row] = paint(
                one, image=image if shaded else None, labels=labels, label=row + 1, range_m=range_m, camera=camera
            )
        if shaded and self._grain is not None:
            image = _with_grain(image, self._grain, time_s)
        return image, measure(time_s, camera, sorted(placed, key=lambda one: one.identity), labels, whole)

    def _scenery(self, picture: NDArray[Any], time_s: float, *, nearest: bool = False) -> NDArray[Any]:
        """The part of a panorama picture that the camera sees at a time; always a copy."""
        if self.rig.still:
            return picture.copy()
        mode = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
        # Pixel edges to OpenCV's pixel centres, on both sides of the map.
        half = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
        matrix = np.linalg.inv(half) @ self.rig.warp(time_s) @ half
        return np.asarray(cv2.warpPerspective(picture, matrix, self.size, flags=mode, borderMode=cv2.BORDER_REPLICATE))

    def _shadows(
        self, image: NDArray[np.uint8], placed: list[Placed], time_s: float, camera: Camera
    ) -> NDArray[np.uint8]:
        """The scenery darkened where actors keep the light away."""
        brightness = np.full(image.shape[:2], 255, np.uint8)
        shadows = [shadow for one in placed for shadow in one.drawing.shadows]
        if not shadows:
            return image
        corners = np.concatenate([shadow.polygon_m for shadow in shadows])
        pixels, depth = camera.project(np.column_stack([corners, np.zeros(len(corners))]))
        corners = np.clip(np.rint(pixels * 16 - 8), -(1 << 20), 1 << 20).astype(np.int32)
        start = 0
        for shadow in shadows:
            end = start + len(shadow.polygon_m)
            if depth[start:end].min() > 0.5:
                cv2.fillConvexPoly(brightness, corners[start:end], shadow.brightness, cv2.LINE_AA, 4)
            start = end
        blur = max(round(image.shape[1] * self.light.blur) | 1, 3)
        brightness = cv2.GaussianBlur(brightness, (blur, blur), 0)
        falls = self._scenery(self.backdrop.shadowed, time_s, nearest=True)
        brightness = np.maximum(brightness, 255 - falls)
        return np.asarray(cv2.multiply(image, cv2.cvtColor(brightness, cv2.COLOR_GRAY2BGR), scale=1 / 255))


def frame_count(fps: float, duration_s: float) -> int:
    """Frames of a recording that starts at 0 and ends before ``duration_s``.

    >>> frame_count(30, 2.0)
    60
    """
    return int(np.ceil(duration_s * fps - 1e-6))


def _grain(size: tuple[int, int], sigma: float, seed: int) -> NDArray[np.uint8]:
    """A tile of sensor noise about grey 128, larger than the picture so that each frame can cut another part."""
    rng = np.random.default_rng(seed)
    width, height = size
    fine = rng.normal(0, sigma, (height + 64, width + 64, 1)) + rng.normal(0, sigma * 0.5, (height + 64, width + 64, 3))
    return np.asarray(np.clip(np.rint(fine + 128), 0, 255).astype(np.uint8))


def _with_grain(image: NDArray[np.uint8], grain: NDArray[np.uint8], time_s: float) -> NDArray[np.uint8]:
    """The image with the part of the noise that belongs to this moment."""
    moment = round(time_s * 1000)
    x, y = (moment * 7919) % 64, (moment * 104729 // 64) % 64
    height, width = image.shape[:2]
    return np.asarray(cv2.addWeighted(image, 1.0, grain[y : y + height, x : x + width], 1.0, -128.0))
