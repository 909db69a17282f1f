"""Layer composition: pixels, labels and measured truth of overlapping actors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from demos.scenes.drawing import Drawing, fill
from demos.scenes.truth import SceneTruth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from demos.scenes.camera import Camera
    from demos.scenes.motion import Pose

__all__ = ["Backdrop", "Placed", "measure", "paint", "painters_order"]

COVERED = 128
"""A pixel belongs to an object from this coverage on (255 = all of it)."""
BAND_SHARE = 0.06
"""The part of a silhouette's height that counts as its contact with the ground."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backdrop:
    """Everything that stands still, as seen by the rig's :attr:`~demos.scenes.camera.Rig.panorama`.

    Attributes:
        image: ``(H, W, 3)`` uint8 BGR, without the actors.
        range_m: ``(H, W)`` float32, horizontal distance from the camera to the scenery behind each pixel; an actor
            shows where it is nearer. ``inf`` hides nothing.
        shadowed: ``(H, W)`` uint8, 255 where an actor's shadow may fall.
    """

    image: NDArray[np.uint8]
    range_m: NDArray[np.float32]
    shadowed: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Band:
    """The lowest part of a whole silhouette: mask ``(h, w)`` and the image position of its top left corner."""

    origin_px: tuple[int, int]
    mask: NDArray[np.bool_]


@dataclass(slots=True)
class Placed:
    """An actor in one frame: where it is, how it is drawn, the part of the image it touches and its supersampling.

    ``band`` is measured when the actor is painted.
    """

    identity: int
    class_id: int
    pose: Pose
    drawing: Drawing
    bounds: tuple[float, float, float, float]
    supersample: int = field(init=False)
    band: Band | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        extent = max(self.bounds[2] - self.bounds[0], self.bounds[3] - self.bounds[1])
        self.supersample = 4 if extent < 48 else 2


def painters_order(footprints: Sequence[NDArray[np.floating[Any]]], eye: NDArray[np.floating[Any]]) -> list[int]:
    """Row numbers farthest first, so that no footprint is painted over one that hides it.

    A footprint hides another where a line along one of their edges separates them with the camera on its own side
    (separating axes, Gottschalk et al. 1996); footprints that no edge separates go by distance.

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
        # The farthest that hides none of those still waiting; a cycle (three cars around a corner) falls back to
        # distance.
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


def paint(
    one: Placed,
    *,
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
        one.band = _low_band(covered, (x0, y0), one.bounds)
        return int(covered.sum())
    one.band = _outlying_band(one)
    return _whole_area(one, (width, height))


def _band_px(bounds: tuple[float, float, float, float]) -> int:
    """Rows of pixels in the lowest band."""
    return max(round(BAND_SHARE * (bounds[3] - bounds[1])), 1)


def _low_band(
    covered: NDArray[np.bool_], origin_px: tuple[int, int], bounds: tuple[float, float, float, float]
) -> Band | None:
    """The lowest band of a silhouette ``(h, w)`` at ``origin_px``; ``None`` where it covers no pixel."""
    down = np.flatnonzero(covered.any(axis=1))
    if not len(down):
        return None
    high = max(int(down[-1]) + 1 - _band_px(bounds), 0)
    return Band((origin_px[0], origin_px[1] + high), covered[high : down[-1] + 1])


def _outlying_band(one: Placed) -> Band | None:
    """The lowest band of a silhouette that reaches past the image."""
    x0, y1 = int(np.floor(one.bounds[0])), int(np.ceil(one.bounds[3])) + 1
    y0 = y1 - _band_px(one.bounds) - 3
    wide = int(np.ceil(one.bounds[2])) + 1 - x0
    if wide > 1 << 14:
        return None
    canvas = np.zeros((y1 - y0, wide), np.uint8)
    polygons = one.drawing.polygons_px
    fill(canvas, polygons, [255] * len(polygons), origin_px=(x0, y0), supersample=1)
    return _low_band(canvas > 0, (x0, y0), one.bounds)


def _shown(band: Band | None, labels: NDArray[np.uint16], label: int) -> float:
    """Visible share of a band; what lies outside the image is not visible."""
    if band is None:
        return 0.0
    (x, y), (high, wide) = band.origin_px, band.mask.shape
    height, width = labels.shape
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + wide, width), min(y + high, height)
    if x1 <= x0 or y1 <= y0:
        return 0.0
    inside = band.mask[y0 - y : y1 - y, x0 - x : x1 - x]
    return float((inside & (labels[y0:y1, x0:x1] == label)).sum() / band.mask.sum())


def _contact_px(one: Placed) -> tuple[float, float]:
    """Where a whole silhouette meets the ground: middle of its lowest band, at its lower edge."""
    if one.band is None:
        return (one.bounds[0] + one.bounds[2]) / 2, one.bounds[3]
    columns = np.nonzero(one.band.mask)[1]
    return float(one.band.origin_px[0] + columns.mean() + 0.5), one.bounds[3]


def _clear(
    range_m: NDArray[np.float32], origin_px: tuple[int, int], footprint_m: NDArray[np.float64], camera: Camera
) -> NDArray[np.bool_]:
    """Where scenery at ``range_m (h, w)`` does not hide an upright body with this footprint.

    Most pixels are decided by the nearest and the farthest corner; for the rest, the ray through the pixel is cut
    with the footprint's edges on the ground plane, so that a rail beside a long lorry hides neither too much nor too
    little.
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


def _whole_area(one: Placed, size: tuple[int, int]) -> int:
    """Pixels of a silhouette that reaches past the image, followed up to one image size beyond each edge."""
    width, height = size
    x0, y0 = max(int(np.floor(one.bounds[0])), -width), max(int(np.floor(one.bounds[1])), -height)
    x1, y1 = min(int(np.ceil(one.bounds[2])) + 1, 2 * width), min(int(np.ceil(one.bounds[3])) + 1, 2 * height)
    canvas = np.zeros((2 * max(y1 - y0, 1), 2 * max(x1 - x0, 1)), np.uint8)
    polygons = one.drawing.polygons_px
    fill(canvas, polygons, [255] * len(polygons), origin_px=(x0, y0), supersample=2)
    return int(np.count_nonzero(canvas)) // 4


def measure(
    time_s: float, camera: Camera, placed: list[Placed], labels: NDArray[np.uint16], whole: NDArray[np.int64]
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
        ids=np.array([one.identity for one in placed], np.int64),
        class_ids=np.array([one.class_id for one in placed], np.int64),
        labels=labels,
        boxes=boxes,
        amodal_boxes=np.array([one.bounds for one in placed], np.float32).reshape(-1, 4),
        visibility=np.minimum(areas / np.maximum(whole, 1), 1.0).astype(np.float32),
        areas_px=areas,
        positions_m=np.array([one.pose.position_m for one in placed]).reshape(-1, 2),
        velocities_m_s=np.array([one.pose.velocity_m_s for one in placed]).reshape(-1, 2),
        homography=camera.homography,
        contact_px=np.array([_contact_px(one) for one in placed]).reshape(-1, 2),
        contact_shown=np.array([_shown(one.band, labels, row + 1) for row, one in enumerate(placed)], np.float32),
    )
