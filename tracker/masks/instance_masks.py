"""The interface of instance masks: lift to the image, areas, samples, a grid, the lowest band, intersections.

A mask is kept as ``uint8`` probabilities (255 = certain) and lifted to the image only for what is drawn or exported:
bilinear on the probabilities, then the threshold (YOLACT, Bolya et al. 2019, section 3.3; Mask R-CNN, He et al. 2017,
section 3.1), inside its box only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["PROBABILITY_THRESHOLD", "InstanceMasks"]

PROBABILITY_THRESHOLD = 128
"""A grid value from here on counts as inside: probability one half on the 0-255 scale."""
LOWEST_SHARE = 0.06
"""Share of a silhouette's height that is its lowest band, where the object stands on the ground."""


class InstanceMasks(ABC):
    """Masks of one frame's instances; ``GridMasks`` and ``BoxMasks`` are the two forms.

    Attributes:
        image_size: ``(width, height)`` of the image in pixels.
    """

    __slots__ = ()
    image_size: tuple[int, int]

    @abstractmethod
    def __len__(self) -> int:
        """How many instances."""

    @abstractmethod
    def take(self, rows: NDArray[Any]) -> Self:
        """The masks of ``rows`` (numbers or a boolean selection), in that order."""

    @abstractmethod
    def scaled(self, scale: tuple[float, float], image_size: tuple[int, int]) -> Self:
        """The masks on an image of ``image_size`` that is ``scale`` (x, y) times as large."""

    @abstractmethod
    def lift(self, row: int, box: NDArray[np.floating[Any]]) -> tuple[NDArray[np.bool_], tuple[int, int]]:
        """One silhouette at image resolution, cut to a box.

        Args:
            row: Which instance.
            box: ``(4,)`` xyxy in image pixels; the silhouette is zero outside it.

        Returns:
            A boolean crop ``(height, width)`` and the image position ``(x, y)`` of its top left pixel. An empty crop
            has shape ``(0, 0)``.
        """

    @abstractmethod
    def extent(self, row: int) -> NDArray[np.float64]:
        """A box ``(4,)`` xyxy in image pixels that holds the whole silhouette; empty where there is none."""

    @abstractmethod
    def areas_px(self) -> NDArray[np.float32]:
        """Silhouette areas ``(N,)`` in image pixels."""

    @abstractmethod
    def sample(self, boxes: NDArray[np.float64], rows: NDArray[np.int64], cells: int) -> NDArray[np.uint8]:
        """Probabilities at the centres of ``cells`` x ``cells`` equal parts of boxes: ``(M, cells * cells)``.

        Args:
            boxes: ``(4, M)`` xyxy in image pixels.
            rows: ``(M,)`` the instance of each box.
            cells: Parts along each axis.
        """

    @property
    @abstractmethod
    def grid_step_px(self) -> tuple[float, float]:
        """Image pixels per cell ``(x, y)`` of the grid of :meth:`grid`, whose origin is the image's top left corner."""

    @property
    @abstractmethod
    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of the grid of :meth:`grid`; it may reach past the image."""

    @abstractmethod
    def grid(self, row: int) -> NDArray[np.uint8]:
        """One mask's probabilities ``(h, w)`` on a small grid over the image; read only."""

    @abstractmethod
    def on_cells(self, step_px: tuple[float, float], shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Probabilities ``(N, *shape)`` at the centres of the cells of another grid over the image.

        Args:
            step_px: Image pixels per cell ``(x, y)``; the origin is the image's top left corner.
            shape: Rows and columns.
        """

    @abstractmethod
    def extended(self, grids: Sequence[NDArray[np.uint8]], boxes: NDArray[np.float32]) -> Self:
        """These masks and further ones, given on the grid of :meth:`grid` and with their boxes ``(M, 4)``."""

    @abstractmethod
    def between(
        self,
        boxes: NDArray[np.float32],
        others: Self,
        other_boxes: NDArray[np.float32],
        now: NDArray[np.float32],
        share: float,
    ) -> Self:
        """Masks of the same objects at a time between two frames, row by row.

        Args:
            boxes: ``(N, 4)`` xyxy of these instances.
            others: Their masks in a later frame, of the same form and grid.
            other_boxes: ``(N, 4)`` their boxes there.
            now: ``(N, 4)`` their boxes in between.
            share: Of the time between both frames that has passed, 0..1.
        """

    @abstractmethod
    def pack(self) -> list[NDArray[Any]]:
        """Three arrays without the empty parts of grids, for :func:`tracker.masks.packing.unpack_masks`."""

    def full(self, row: int, box: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
        """One silhouette as a boolean image ``(H, W)``; see :meth:`lift`."""
        width, height = self.image_size
        image = np.zeros((height, width), dtype=np.bool_)
        crop, (x, y) = self.lift(row, box)
        image[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
        return image

    def full_size(self, boxes: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
        """All silhouettes as boolean images ``(N, H, W)``: a byte a pixel and instance, 55 MB for 28 in full HD.

        Args:
            boxes: ``(N, 4)`` xyxy in image pixels, of all rows.
        """
        width, height = self.image_size
        return np.array([self.full(row, boxes[row]) for row in range(len(self))], np.bool_).reshape(-1, height, width)

    def lowest_band(
        self, row: int, box: NDArray[np.floating[Any]], share: float = LOWEST_SHARE
    ) -> tuple[float, float] | None:
        """Ground contact point: mean ``x`` of the lowest ``share`` of its silhouette, ``y`` of its lower edge.

        Args:
            row: Which instance.
            box: As for :meth:`lift`.
            share: Of the silhouette's height, at least one row of pixels.

        Returns:
            Image pixels ``(x, y)``, or ``None`` where no part of the silhouette lies in the box.
        """
        crop, (left, top) = self.lift(row, box)
        rows = np.flatnonzero(crop.any(axis=1)) if crop.size else np.zeros(0, np.int64)
        if not len(rows):
            return None
        first, last = int(rows[0]), int(rows[-1])
        count = max(round(share * (last + 1 - first)), 1)
        _, columns = crop[last + 1 - count : last + 1].nonzero()
        return left + float(columns.mean()) + 0.5, float(top + last + 1)

    def intersection_px(self, row: int, other: InstanceMasks, other_row: int) -> int:
        """Pixels that two silhouettes on images of one size share."""
        a, b = self.extent(row), other.extent(other_row)
        shared = np.concatenate([np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])])
        one, _ = self.lift(row, shared)
        two, _ = other.lift(other_row, shared)
        return int((one & two).sum()) if one.shape == two.shape else 0
