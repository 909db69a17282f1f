"""Ground truth of a frame: identities, masks, boxes, positions and velocities."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CLASS_NAMES", "Crossing", "Journey", "RenderedFrame", "SceneTruth", "Stay"]

CLASS_NAMES = ("person", "bicycle", "car", "motorcycle", "bus", "truck")
"""Names in ``class_ids`` order, as everywhere in this project."""


CONTACT_SHOWN = 0.5
"""A contact point is seen from this visible share of the silhouette's lowest band on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """An actor's centre passed a line on the ground.

    Attributes:
        time_s: When it reached the line.
        left_s: When it left the line: later than ``time_s`` for one that stopped on it.
        identity: Who.
        class_id: Index into :data:`CLASS_NAMES`.
        direction: 1 from the right to the left of the line seen along it, -1 back.
        position_m: Where on the ground plane.
        position_px: The same point in the picture at that time; ``nan`` behind the camera.
        contact: Whether the point of contact with the ground shows then: ``seen``, ``hidden`` (by another object, by
            scenery) or ``outside`` (of the picture); ``None`` where it was not asked for.
    """

    time_s: float
    left_s: float
    identity: int
    class_id: int
    direction: int
    position_m: tuple[float, float]
    position_px: tuple[float, float]
    contact: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """An actor's centre was in a zone.

    Attributes:
        zone: The zone's name.
        identity: Who.
        class_id: Index into :data:`CLASS_NAMES`.
        entered_s: First moment in it.
        left_s: Last moment in it.
        began: ``entered`` over the edge, ``already_inside`` at the recording's start, or ``appeared`` inside.
        end: ``left`` over the edge, ``lost`` (vanished inside), or ``open`` at the recording's end.
    """

    zone: str
    identity: int
    class_id: int
    entered_s: float
    left_s: float
    began: str
    end: str

    @property
    def dwell_s(self) -> float:
        """Seconds in the zone."""
        return self.left_s - self.entered_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """An actor went from one section to another.

    Attributes:
        identity: Who.
        class_id: Index into :data:`CLASS_NAMES`.
        origin: The first section that was passed.
        destination: The last one; the same again after a U-turn.
        start_s: When the origin was passed.
        end_s: When the destination was passed.
    """

    identity: int
    class_id: int
    origin: str
    destination: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneTruth:
    """The ground truth of one frame, ordered by identity; objects whose amodal box misses the image are left out.

    Attributes:
        time_s: Scene time in seconds.
        size: ``(width, height)`` of the image in pixels.
        ids: ``(N,)`` int64.
        class_ids: ``(N,)`` int64 into :data:`CLASS_NAMES`.
        labels: ``(H, W)`` uint16, row number + 1 of the object that owns the pixel, 0 for none.
        boxes: ``(N, 4)`` float32 xyxy about the visible pixels; zeros where none is visible.
        amodal_boxes: ``(N, 4)`` float32 xyxy about the whole object, past the image's edges too.
        visibility: ``(N,)`` float32, visible pixels over the whole silhouette's, the part outside the image included.
        areas_px: ``(N,)`` int64 visible pixels.
        positions_m: ``(N, 2)`` on the ground plane.
        velocities_m_s: ``(N, 2)`` on the ground plane.
        homography: ``(3, 3)`` ground plane in metres to image pixels.
        contact_px: ``(N, 2)`` where the whole silhouette meets the ground: the middle of its lowest 6 %, at its lower
            edge, whether that shows or not.
        contact_shown: ``(N,)`` float32, visible share of that lowest band, the part outside the image included.
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
    contact_px: NDArray[np.float64]
    contact_shown: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def speeds_m_s(self) -> NDArray[np.float64]:
        """``(N,)`` on the ground plane."""
        return np.asarray(np.linalg.norm(self.velocities_m_s, axis=1))

    @property
    def ground_px(self) -> NDArray[np.float64]:
        """``(N, 2)`` image points of ``positions_m``, meaningless behind the camera."""
        mapped = np.column_stack([self.positions_m, np.ones(len(self))]) @ self.homography.T
        return np.asarray(mapped[:, :2] / mapped[:, 2:])

    @property
    def contact_seen(self) -> NDArray[np.bool_]:
        """``(N,)`` whether the contact with the ground shows."""
        return np.asarray(self.contact_shown >= CONTACT_SHOWN)

    def contact(self, identity: int) -> str:
        """``seen``, ``hidden`` or ``outside`` of the picture: the contact with the ground of one identity."""
        rows = np.flatnonzero(self.ids == identity)
        if not len(rows):
            return "outside"
        x, y = self.contact_px[rows[0]]
        if not (0 <= x <= self.size[0] and 0 <= y <= self.size[1]):
            return "outside"
        return "seen" if self.contact_seen[rows[0]] else "hidden"

    def take(self, rows: NDArray[np.integer[Any]], *, ids: NDArray[np.int64] | None = None) -> SceneTruth:
        """Some rows in a new order, under other numbers where ``ids (R,)`` are given; the rest is not there."""
        numbers = np.zeros(len(self) + 1, np.uint16)
        numbers[rows + 1] = np.arange(1, len(rows) + 1)
        return replace(
            self,
            ids=self.ids[rows] if ids is None else ids,
            class_ids=self.class_ids[rows],
            labels=numbers[self.labels],
            boxes=self.boxes[rows],
            amodal_boxes=self.amodal_boxes[rows],
            visibility=self.visibility[rows],
            areas_px=self.areas_px[rows],
            positions_m=self.positions_m[rows],
            velocities_m_s=self.velocities_m_s[rows],
            contact_px=self.contact_px[rows],
            contact_shown=self.contact_shown[rows],
        )

    def mask(self, row: int) -> NDArray[np.bool_]:
        """The visible silhouette ``(H, W)`` of one row."""
        return np.asarray(self.labels == row + 1)

    def masks(self) -> NDArray[np.bool_]:
        """All visible silhouettes ``(N, H, W)``."""
        return np.asarray(self.labels[None] == np.arange(1, len(self) + 1)[:, None, None])


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedFrame:
    """A picture ``(H, W, 3)`` uint8 BGR and its truth."""

    image: NDArray[np.uint8]
    truth: SceneTruth
