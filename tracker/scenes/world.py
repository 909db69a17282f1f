"""Actors, a rig and a backdrop enter; rendered frames with exact truth leave.

Every pixel belongs to the nearest object that covers at least half of it, so the masks of one frame share no pixel and equal what
the picture shows. Image and truth come from the same coverage; :meth:`Scene.truth` only leaves the colours out.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from tracker.scenes.camera import Camera, Rig
from tracker.scenes.drawing import Drawing, Light, fill
from tracker.types import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from tracker.scenes.motion import Pose, Trajectory

__all__ = ["CLASS_NAMES", "Actor", "Backdrop", "Crossing", "RenderedFrame", "Scene", "SceneTruth"]

CLASS_NAMES = ("person", "bicycle", "car", "motorcycle", "bus", "truck")
"""Names in ``class_ids`` order, as everywhere in this project."""

COVERED = 128
"""A pixel belongs to an object from this coverage on (255 = all of it)."""


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
        """How it looks; without colours where ``light`` is ``None``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Backdrop:
    """Everything that stands still, as seen by the rig's :attr:`~tracker.scenes.camera.Rig.panorama`.

    Attributes:
        image: ``(H, W, 3)`` uint8 BGR, without the actors.
        range_m: ``(H, W)`` float32, horizontal distance from the camera to the scenery behind each pixel; an actor shows where it
            is nearer. ``inf`` hides nothing.
        shadowed: ``(H, W)`` uint8, 255 where an actor's shadow may fall.
    """

    image: NDArray[np.uint8]
    range_m: NDArray[np.float32]
    shadowed: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """An actor's centre passed a line on the ground.

    Attributes:
        time_s: When.
        identity: Who.
        direction: 1 from the right to the left of the line seen along it, -1 back.
    """

    time_s: float
    identity: int
    direction: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneTruth:
    """The exact answer for one frame, ordered by identity; objects whose amodal box misses the image are left out.

    Attributes:
        time_s: Scene time in seconds.
        size: ``(width, height)`` of the image in pixels.
        ids: ``(N,)`` int64.
        class_ids: ``(N,)`` int64 into :data:`CLASS_NAMES`.
        labels: ``(H, W)`` uint16, row number + 1 of the object that owns the pixel, 0 for none.
        boxes: ``(N, 4)`` float32 xyxy about the visible pixels; zeros where none is visible.
        amodal_boxes: ``(N, 4)`` float32 xyxy about the whole object, past the image's edges too.
        visibility: ``(N,)`` float32, visible pixels over the pixels of the whole silhouette, edges of the image included.
        areas_px: ``(N,)`` int64 visible pixels.
        positions_m: ``(N, 2)`` on the ground plane.
        velocities_m_s: ``(N, 2)`` on the ground plane.
        homography: ``(3, 3)`` ground plane in metres to image pixels.
    """

    time_s: float
    size: tuple[int, int]
    ids: NDArray[np.int64]
    class_ids: NDArray[np.int64]
    labels: NDArray[np.uint16]
    boxes: NDArray[np.float32]
    amodal_boxes: NDArray[np.float32]
    visibility: NDArray[np.float32]
    areas_px: NDArray[np.int64]
    positions_m: NDArray[np.float64]
    velocities_m_s: NDArray[np.float64]
    homography: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def speeds_m_s(self) -> NDArray[np.float64]:
        """``(N,)`` on the ground plane."""
        return np.asarray(np.linalg.norm(self.velocities_m_s, axis=1))

    def mask(self, row: int) -> NDArray[np.bool_]:
        """The visible silhouette ``(H, W)`` of one row."""
        return self.labels == row + 1

    def masks(self) -> NDArray[np.bool_]:
        """All visible silhouettes ``(N, H, W)``."""
        return np.asarray(self.labels[None] == np.arange(1, len(self) + 1)[:, None, None])


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedFrame:
    """A picture ``(H, W, 3)`` uint8 BGR and its truth."""

    image: NDArray[np.uint8]
    truth: SceneTruth


@dataclass(slots=True)
class _Placed:
    """An actor in one frame: where it is, how it is drawn, the part of the image it touches and its supersampling."""

    actor: Actor
    pose: Pose
    drawing: Drawing
    bounds: tuple[float, float, float, float]
    supersample: int = field(init=False)

    def __post_init__(self) -> None:
        extent = max(self.bounds[2] - self.bounds[0], self.bounds[3] - self.bounds[1])
        self.supersample = 4 if extent < 48 else 2


class Scene:
    """A world over time.

    Args:
        name: What it shows.
        actors: Who moves in it.
        rig: The camera and how it moves.
        backdrop: The scenery.
        duration_s: How long something happens; other times are legal and may be empty.
        light: What lights it.
        noise: Standard deviation of the sensor's noise in grey levels; 0 = none.
        seed: Of the noise.
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
        self.class_names = CLASS_NAMES
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

    def crossings(
        self, line_m: tuple[tuple[float, float], tuple[float, float]], duration_s: float | None = None
    ) -> list[Crossing]:
        """Who passes the segment ``line_m`` (two ground points) when and which way, in order of time."""
        start, end = np.array(line_m[0]), np.array(line_m[1])
        along = end - start
        found = []
        last_s = self.duration_s if duration_s is None else duration_s
        for actor in self.actors:
            for trajectory in actor.trajectories:
                times = trajectory.times_s[trajectory.times_s <= last_s]
                offsets = trajectory.positions_m[: len(times)] - start
                side = along[0] * offsets[:, 1] - along[1] * offsets[:, 0]
                for knot in np.flatnonzero((side[:-1] >= 0) != (side[1:] >= 0)):
                    share = side[knot] / (side[knot] - side[knot + 1])
                    place = offsets[knot] + share * (offsets[knot + 1] - offsets[knot])
                    moment = float(times[knot] + share * (times[knot + 1] - times[knot]))
                    if 0 <= place @ along <= along @ along and moment >= 0:
                        direction = 1 if side[knot + 1] >= 0 else -1
                        found.append(Crossing(time_s=moment, identity=actor.identity, direction=direction))
        return sorted(found, key=lambda crossing: (crossing.time_s, crossing.identity))

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
                who = int(truth.class_ids[row]), int(truth.ids[row])
                seen[who] = seen.get(who, 0) + 1
        counted: dict[int, set[int]] = {}
        for (class_id, identity), frames in seen.items():
            if frames >= min_frames:
                counted.setdefault(class_id, set()).add(identity)
        return counted

    def _place(self, time_s: float, camera: Camera, *, shaded: bool) -> list[_Placed]:
        """Actors whose silhouette touches the image, farthest first."""
        width, height = camera.size
        placed = []
        for actor in self.actors:
            pose = next((pose for path in actor.trajectories if (pose := path.at(time_s)) is not None), None)
            if pose is None:
                continue
            drawing = actor.draw(pose, time_s, camera, self.light if shaded else None)
            if not len(drawing.polygons_px):
                continue
            low, high = drawing.polygons_px.min(axis=(0, 1)), drawing.polygons_px.max(axis=(0, 1))
            if high[0] <= 0 or high[1] <= 0 or low[0] >= width or low[1] >= height:
                continue
            bounds = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
            placed.append(_Placed(actor, pose, drawing, bounds))
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
        rank = {one.actor.identity: row for row, one in enumerate(sorted(placed, key=lambda one: one.actor.identity))}
        whole = np.zeros(len(placed), np.int64)
        for one in placed:
            row = rank[one.actor.identity]
            whole[row] = _paint(one, image if shaded else None, labels, row + 1, range_m, camera)
        if shaded and self._grain is not None:
            image = _with_grain(image, self._grain, time_s)
        return image, _truth(time_s, camera, sorted(placed, key=lambda one: one.actor.identity), labels, whole)

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
        self, image: NDArray[np.uint8], placed: list[_Placed], time_s: float, camera: Camera
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


def painters_order(footprints: Sequence[NDArray[np.floating[Any]]], eye: NDArray[np.floating[Any]]) -> list[int]:
    """Row numbers farthest first, so that no footprint is painted over one that hides it.

    A footprint hides another where a line along one of their edges separates them with the camera on its own side (separating
    axes, Gottschalk et al. 1996); footprints that no edge separates go by distance.

    Args:
        footprints: ``(C, 2)`` convex outlines in metres.
        eye: ``(2,)`` the camera on the ground plane.

    >>> near, far = np.array([[1.0, -1], [2, -1], [2, 1], [1, 1]]), np.array([[4.0, -1], [5, -1], [5, 1], [4, 1]])
    >>> painters_order([near, far], np.zeros(2))
    [1, 0]
    """
    count = len(footprints)
    if count < 2:
        return list(range(count))
    centres = np.stack([outline.mean(axis=0) for outline in footprints])
    reach = np.linalg.norm(centres - eye, axis=1)
    size = np.array([np.linalg.norm(o - c, axis=1).max() for o, c in zip(footprints, centres, strict=True)])
    bearing = np.arctan2(centres[:, 1] - eye[1], centres[:, 0] - eye[0])
    half = np.arcsin(np.clip(size / np.maximum(reach, 1e-6), 0, 1))
    hides = np.zeros((count, count), dtype=np.bool_)
    apart = np.abs((bearing[:, None] - bearing + np.pi) % (2 * np.pi) - np.pi)
    # Discs that touch neither on the ground nor in the bearing need no closer look.
    apart_m = np.linalg.norm(centres[:, None] - centres, axis=2) - size[:, None] - size
    overlap = np.triu(apart <= half[:, None] + half, 1)
    for a, b in np.argwhere(overlap):
        front = _front(footprints[a], footprints[b], eye) if apart_m[a, b] < max(size[a], size[b]) else 0
        if front == 0:
            front = 1 if reach[a] < reach[b] else -1
        hides[a, b], hides[b, a] = front > 0, front < 0
    waiting = list(np.argsort(-reach, kind="stable"))
    order = []
    while waiting:
        # The farthest that hides nobody still waiting; a cycle (three cars around a corner) falls back to distance.
        pick = next((row for row in waiting if not hides[row, waiting].any()), waiting[0])
        waiting.remove(pick)
        order.append(int(pick))
    return order


def _front(a: NDArray[Any], b: NDArray[Any], eye: NDArray[Any]) -> int:
    """1 where ``a`` may hide ``b``, -1 where ``b`` may hide ``a``, 0 where no edge separates them."""
    for sign, mine, other in ((1, a, b), (-1, b, a)):
        edges = np.roll(mine, -1, axis=0) - mine
        normals = np.stack([edges[:, 1], -edges[:, 0]], axis=1)
        inside = ((mine.mean(axis=0) - mine) * normals).sum(axis=1)
        normals = np.where(inside[:, None] > 0, -normals, normals)
        gaps = (normals @ other.T - (normals * mine).sum(axis=1)[:, None]).min(axis=1)
        best = int(np.argmax(gaps))
        if gaps[best] >= -1e-6:
            beyond = float(normals[best] @ (eye - mine[best]))
            return -sign if beyond > 0 else sign
    return 0


def _paint(
    one: _Placed,
    image: NDArray[np.uint8] | None,
    labels: NDArray[np.uint16],
    label: int,
    range_m: NDArray[np.float32],
    camera: Camera,
) -> int:
    """Draw one actor over image and labels where no scenery is nearer; returns the pixels of its whole silhouette."""
    height, width = labels.shape
    x0, y0 = max(int(one.bounds[0]) - 1, 0), max(int(one.bounds[1]) - 1, 0)
    x1, y1 = min(int(one.bounds[2]) + 2, width), min(int(one.bounds[3]) + 2, height)
    step, polygons = one.supersample, one.drawing.polygons_px
    region = (slice(y0, y1), slice(x0, x1))
    clear = _clear(range_m[region], (x0, y0), one.drawing.footprint_m, camera)
    colours = one.drawing.colours
    if image is None or colours is None:
        fine = np.zeros(((y1 - y0) * step, (x1 - x0) * step), np.uint8)
        fill(fine, polygons, [255] * len(polygons), origin_px=(x0, y0), supersample=step)
        coverage = cv2.resize(fine, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    else:
        under = cv2.cvtColor(image[region], cv2.COLOR_BGR2BGRA)
        under[:, :, 3] = 0
        fine = cv2.resize(under, None, fx=step, fy=step, interpolation=cv2.INTER_NEAREST)
        opaque = np.column_stack([colours, np.full(len(colours), 255, np.uint8)]).tolist()
        fill(fine, polygons, opaque, origin_px=(x0, y0), supersample=step)
        coarse = cv2.resize(fine, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
        coverage = np.ascontiguousarray(coarse[:, :, 3])
        if clear.all():
            image[region] = coarse[:, :, :3]
        else:
            # Soft edges where scenery hides the actor; the truth keeps the hard ones.
            share = cv2.blur(clear.astype(np.float32), (2, 2))
            image[region] = cv2.blendLinear(coarse[:, :, :3].copy(), image[region].copy(), share, 1 - share)
    covered = coverage >= COVERED
    labels[region][covered & clear] = label
    if one.bounds[0] >= 0 and one.bounds[1] >= 0 and one.bounds[2] <= width and one.bounds[3] <= height:
        return int(covered.sum())
    return _whole_area(one, (width, height))


def _clear(
    range_m: NDArray[np.float32], origin_px: tuple[int, int], footprint_m: NDArray[np.float64], camera: Camera
) -> NDArray[np.bool_]:
    """Where scenery at ``range_m (h, w)`` does not hide an upright body with this footprint.

    Most pixels are decided by the nearest and the farthest corner; for the rest, the ray through the pixel is cut with the
    footprint's edges on the ground plane, so that a rail beside a long lorry hides neither too much nor too little.
    """
    eye = np.array(camera.position_m[:2])
    corners = np.linalg.norm(footprint_m - eye, axis=1)
    clear = range_m >= corners.max()
    rows, columns = np.nonzero((range_m > corners.min()) & ~clear)
    if not len(rows):
        return np.asarray(clear)
    rays = camera.rays(np.stack([columns + origin_px[0] + 0.5, rows + origin_px[1] + 0.5], axis=1))[:, :2]
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    edges = np.roll(footprint_m, -1, axis=0) - footprint_m
    normals = np.stack([edges[:, 1], -edges[:, 0]], axis=1)
    outward = ((footprint_m - footprint_m.mean(axis=0)) * normals).sum(axis=1)
    normals *= np.where(outward < 0, -1.0, 1.0)[:, None]
    approach = rays @ normals.T  # (N, edges), negative where the ray enters
    gap = ((footprint_m - eye) * normals).sum(axis=1)
    entry = np.where(approach < -1e-6, gap / np.where(approach < -1e-6, approach, -1.0), -np.inf).max(axis=1)
    # A ray past the silhouette's corner meets no footprint; the body's own extent bounds what it may claim.
    clear[rows, columns] = range_m[rows, columns] > np.clip(entry, corners.min(), corners.max())
    return np.asarray(clear)


def _whole_area(one: _Placed, size: tuple[int, int]) -> int:
    """Pixels of a silhouette that reaches past the image, followed up to one image size beyond each edge."""
    width, height = size
    x0, y0 = max(int(np.floor(one.bounds[0])), -width), max(int(np.floor(one.bounds[1])), -height)
    x1, y1 = min(int(np.ceil(one.bounds[2])) + 1, 2 * width), min(int(np.ceil(one.bounds[3])) + 1, 2 * height)
    canvas = np.zeros((max(y1 - y0, 1), max(x1 - x0, 1)), np.uint8)
    polygons = one.drawing.polygons_px
    fill(canvas, polygons, [255] * len(polygons), origin_px=(x0, y0), supersample=1)
    return int(np.count_nonzero(canvas))


def _truth(
    time_s: float, camera: Camera, placed: list[_Placed], labels: NDArray[np.uint16], whole: NDArray[np.int64]
) -> SceneTruth:
    """Measure the labels; ``placed`` and ``whole`` are in row order."""
    count = len(placed)
    boxes = np.zeros((count, 4), np.float32)
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1 : count + 1].astype(np.int64)
    height, width = labels.shape
    for row, one in enumerate(placed):
        if areas[row]:
            x0, y0 = max(int(one.bounds[0]) - 1, 0), max(int(one.bounds[1]) - 1, 0)
            x1, y1 = min(int(one.bounds[2]) + 2, width), min(int(one.bounds[3]) + 2, height)
            mine = labels[y0:y1, x0:x1] == row + 1
            across, down = np.flatnonzero(mine.any(axis=0)), np.flatnonzero(mine.any(axis=1))
            boxes[row] = x0 + across[0], y0 + down[0], x0 + across[-1] + 1, y0 + down[-1] + 1
    return SceneTruth(
        time_s=time_s,
        size=camera.size,
        ids=np.array([one.actor.identity for one in placed], np.int64),
        class_ids=np.array([one.actor.class_id for one in placed], np.int64),
        labels=labels,
        boxes=boxes,
        amodal_boxes=np.array([one.bounds for one in placed], np.float32).reshape(-1, 4),
        visibility=np.minimum(areas / np.maximum(whole, 1), 1.0).astype(np.float32),
        areas_px=areas,
        positions_m=np.array([one.pose.position_m for one in placed]).reshape(-1, 2),
        velocities_m_s=np.array([one.pose.velocity_m_s for one in placed]).reshape(-1, 2),
        homography=camera.homography,
    )


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
