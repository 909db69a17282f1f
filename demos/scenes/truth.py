"""Ground truth of a frame: identities, masks, boxes, positions and velocities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CLASS_NAMES", "Crossing", "RenderedFrame", "SceneTruth"]

CLASS_NAMES = ("person", "bicycle", "car", "motorcycle", "bus", "truck")
"""Names in ``class_ids`` order, as everywhere in this project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """An actor's centre passed a line on the ground.

    Attributes:
        time_s: When.
        identity: Its identity.
        direction: 1 from the right to the left of the line seen along it, -1 back.
    """

    time_s: float
    identity: int
    direction: int


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
        return np.asarray(self.labels == row + 1)

    def masks(self) -> NDArray[np.bool_]:
        """All visible silhouettes ``(N, H, W)``."""
        return np.asarray(self.labels[None] == np.arange(1, len(self) + 1)[:, None, None])


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedFrame:
    """A picture ``(H, W, 3)`` uint8 BGR and its truth."""

    image: NDArray[np.uint8]
    truth: SceneTruth
