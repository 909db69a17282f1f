"""Instance masks as small probability grids, over the image or per box, behind one interface; run-length codes.

A mask is kept as ``uint8`` probabilities (255 = certain) and lifted to the image only for what is drawn or exported:
bilinear on the probabilities, then the threshold (YOLACT, Bolya et al. 2019, section 3.3; Mask R-CNN, He et al. 2017,
section 3.1), inside its box only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tracker.errors import expect_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "PROBABILITY_THRESHOLD",
    "BoxMasks",
    "GridMasks",
    "InstanceMasks",
    "decode_coco",
    "decode_rle",
    "encode_rle",
    "make_disjoint",
    "on_grid",
    "unpack_masks",
]

PROBABILITY_THRESHOLD = 128
"""A grid value from here on counts as inside: probability one half on the 0-255 scale."""
LOWEST_SHARE = 0.06
"""Share of a silhouette's height that is its lowest band, where it stands on the ground."""
IMAGE_CELLS = 160
"""Cells along the longer side of the image of the grid on which masks per box are compared."""

GRID_STEP_PX = 4
"""Image pixels per cell, at least, of silhouettes that are put on a grid: the stride of YOLACT's prototypes."""
GRID_CELLS = 480
"""Cells along the longer side of such a grid, at most."""


class InstanceMasks(ABC):
    """Masks of one frame's instances; :class:`GridMasks` and :class:`BoxMasks` are the two ways to keep them.

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
    def extended(self, grids: Sequence[NDArray[np.uint8]], boxes: NDArray[np.float32]) -> Self:
        """These masks and further ones, given on the grid of :meth:`grid` and with their boxes ``(M, 4)``."""

    @abstractmethod
    def pack(self) -> list[NDArray[Any]]:
        """Three arrays without what is empty, for :func:`unpack_masks`."""

    def full(self, row: int, box: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
        """One silhouette as a boolean image ``(H, W)``; see :meth:`lift`."""
        width, height = self.image_size
        image = np.zeros((height, width), dtype=np.bool_)
        crop, (x, y) = self.lift(row, box)
        image[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
        return image

    def lowest_band(
        self, row: int, box: NDArray[np.floating[Any]], share: float = LOWEST_SHARE
    ) -> tuple[float, float] | None:
        """Where an object stands: mean ``x`` of the lowest ``share`` of its silhouette, ``y`` of its lower edge.

        Args:
            row: Which instance.
            box: As for :meth:`lift`.
            share: Of the silhouette's height, at least one row of pixels.

        Returns:
            Image pixels, or ``None`` where nothing of the silhouette lies in the box.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class GridMasks(InstanceMasks):
    """Mask probabilities on one small grid over the image, as YOLACT's prototypes have it.

    Cell ``(row, column)`` covers the image rectangle ``[column * step_x, (column + 1) * step_x) x [row * step_y,
    (row + 1) * step_y)``.

    Attributes:
        probabilities: ``(N, h, w)`` uint8, 255 = certainly inside, zero outside the instance's box.
        step_px: Image pixels per grid cell, ``(x, y)``; the grid's origin is the image's top left corner. The grid may
            reach past the image where the input was padded.
        image_size: ``(width, height)`` of the image in pixels.
    """

    probabilities: NDArray[np.uint8]
    step_px: tuple[float, float]
    image_size: tuple[int, int]

    def __post_init__(self) -> None:
        expect_array("GridMasks.probabilities", self.probabilities, (None, None, None), "u")

    def __len__(self) -> int:
        return len(self.probabilities)

    def take(self, rows: NDArray[Any]) -> GridMasks:
        """The masks of ``rows``."""
        return GridMasks(probabilities=self.probabilities[rows], step_px=self.step_px, image_size=self.image_size)

    def scaled(self, scale: tuple[float, float], image_size: tuple[int, int]) -> GridMasks:
        """The same grid with larger or smaller cells."""
        step_px = (self.step_px[0] * scale[0], self.step_px[1] * scale[1])
        return GridMasks(probabilities=self.probabilities, step_px=step_px, image_size=image_size)

    def lift(self, row: int, box: NDArray[np.floating[Any]]) -> tuple[NDArray[np.bool_], tuple[int, int]]:
        """One silhouette at image resolution; see :meth:`InstanceMasks.lift`."""
        import cv2

        image_width, image_height = self.image_size
        left, top = max(int(np.floor(box[0])), 0), max(int(np.floor(box[1])), 0)
        right, bottom = min(int(np.ceil(box[2])), image_width), min(int(np.ceil(box[3])), image_height)
        if right <= left or bottom <= top:
            return np.zeros((0, 0), dtype=np.bool_), (left, top)
        # Only the part of the grid under the box is resampled, with one cell of margin so that the interpolation sees
        # its neighbours.
        step_x, step_y = self.step_px
        grid = self.probabilities[row]
        rows, columns = grid.shape
        column_0, row_0 = max(int(left / step_x) - 1, 0), max(int(top / step_y) - 1, 0)
        column_1, row_1 = min(int(np.ceil(right / step_x)) + 1, columns), min(int(np.ceil(bottom / step_y)) + 1, rows)
        if column_1 <= column_0 or row_1 <= row_0:
            return np.zeros((0, 0), dtype=np.bool_), (left, top)
        cut = grid[row_0:row_1, column_0:column_1]
        covered = column_1 * step_x >= right and row_1 * step_y >= bottom
        if covered and step_x == int(step_x) and step_y == int(step_y):
            # Whole pixels per cell (640 x 360, 720p, 1080p on a stride-4 grid): a plain resize hits the same points
            # at half the time of a warp.
            x, y = left - column_0 * int(step_x), top - row_0 * int(step_y)
            lifted = cv2.resize(cut, None, fx=step_x, fy=step_y, interpolation=cv2.INTER_LINEAR)
            return lifted[y : y + bottom - top, x : x + right - left] >= PROBABILITY_THRESHOLD, (left, top)
        # Pixel centre x maps to grid coordinate (x + 0.5) / step - 0.5, relative to the cut.
        shift_x, shift_y = (left + 0.5) / step_x - 0.5 - column_0, (top + 0.5) / step_y - 0.5 - row_0
        matrix = np.array([[1 / step_x, 0, shift_x], [0, 1 / step_y, shift_y]])
        crop = cv2.warpAffine(
            cut,
            matrix,
            (right - left, bottom - top),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return crop >= PROBABILITY_THRESHOLD, (left, top)

    def extent(self, row: int) -> NDArray[np.float64]:
        """The cells that are not zero, with the half cell around them that interpolation reaches."""
        left, top, right, bottom = _rect(self.probabilities[row])
        if right <= left:
            return np.zeros(4)
        step_x, step_y = self.step_px
        return np.array([(left - 0.5) * step_x, (top - 0.5) * step_y, (right + 0.5) * step_x, (bottom + 0.5) * step_y])

    def areas_px(self) -> NDArray[np.float32]:
        """Areas counted on the grid (no lift)."""
        cells = (self.probabilities >= PROBABILITY_THRESHOLD).sum(axis=(1, 2))
        return np.asarray(cells * (self.step_px[0] * self.step_px[1]), dtype=np.float32)

    def sample(self, boxes: NDArray[np.float64], rows: NDArray[np.int64], cells: int) -> NDArray[np.uint8]:
        """The nearest cell's probability at each point."""
        height, width = self.probabilities.shape[1:]
        centres = (np.arange(cells) + 0.5) / cells
        x = (boxes[0, :, None] + (boxes[2] - boxes[0])[:, None] * centres) / self.step_px[0]
        y = (boxes[1, :, None] + (boxes[3] - boxes[1])[:, None] * centres) / self.step_px[1]
        columns = np.minimum(np.maximum(x, 0), width - 1).astype(np.int64)
        lines = np.minimum(np.maximum(y, 0), height - 1).astype(np.int64)
        flat = ((rows[:, None] * height + lines) * width)[:, :, None] + columns[:, None, :]
        return np.asarray(self.probabilities.reshape(-1).take(flat.reshape(len(rows), cells * cells)))

    @property
    def grid_step_px(self) -> tuple[float, float]:
        """The masks' own."""
        return self.step_px

    @property
    def grid_shape(self) -> tuple[int, int]:
        """The masks' own."""
        height, width = self.probabilities.shape[1:]
        return height, width

    def grid(self, row: int) -> NDArray[np.uint8]:
        """The mask as it is."""
        return np.asarray(self.probabilities[row])

    def extended(self, grids: Sequence[NDArray[np.uint8]], boxes: NDArray[np.float32]) -> GridMasks:  # noqa: ARG002
        """The grids one after another."""
        return replace(self, probabilities=np.concatenate([self.probabilities, grids]))

    def pack(self) -> list[NDArray[Any]]:
        """Rectangles of cells that are not zero ``(N, 4)`` xyxy, their cells one after another, the grid's measures."""
        count, height, width = self.probabilities.shape
        rects = np.zeros((count, 4), np.int64)
        crops = []
        for row in range(count):
            rects[row] = left, top, right, bottom = _rect(self.probabilities[row])
            crops.append(self.probabilities[row, top:bottom, left:right].ravel())
        measures = np.array([*self.step_px, *self.image_size, height, width], np.float64)
        return [rects, np.concatenate([np.zeros(0, np.uint8), *crops]), measures]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxMasks(InstanceMasks):
    """Mask probabilities on a small grid per box, as Mask R-CNN's 28 x 28 maps.

    Cell ``(row, column)`` of ``h x w`` covers that part of the box. Between the centres of the outermost cells and half
    a cell outside the box the probability falls to zero, as ``grid_sample`` with zeros around the map does
    (detectron2's ``paste_masks_in_image``; torchvision's pads the map by one cell of zeros).

    Attributes:
        probabilities: ``(N, h, w)`` uint8, 255 = certainly inside.
        boxes: ``(N, 4)`` float32 xyxy in image pixels that the grids span; they may reach outside the image.
        image_size: ``(width, height)`` of the image in pixels.
    """

    probabilities: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    image_size: tuple[int, int]

    def __post_init__(self) -> None:
        expect_array("BoxMasks.probabilities", self.probabilities, (None, None, None), "u")
        expect_array("BoxMasks.boxes", self.boxes, (len(self.probabilities), 4), "f")

    def __len__(self) -> int:
        return len(self.probabilities)

    def take(self, rows: NDArray[Any]) -> BoxMasks:
        """The masks of ``rows``."""
        return BoxMasks(probabilities=self.probabilities[rows], boxes=self.boxes[rows], image_size=self.image_size)

    def scaled(self, scale: tuple[float, float], image_size: tuple[int, int]) -> BoxMasks:
        """The same grids over scaled boxes."""
        boxes = (self.boxes * np.array([*scale, *scale])).astype(np.float32)
        return BoxMasks(probabilities=self.probabilities, boxes=boxes, image_size=image_size)

    def lift(self, row: int, box: NDArray[np.floating[Any]]) -> tuple[NDArray[np.bool_], tuple[int, int]]:
        """One silhouette at image resolution; see :meth:`InstanceMasks.lift`."""
        image_width, image_height = self.image_size
        left, top = max(int(np.floor(box[0])), 0), max(int(np.floor(box[1])), 0)
        right, bottom = min(int(np.ceil(box[2])), image_width), min(int(np.ceil(box[3])), image_height)
        if right <= left or bottom <= top:
            return np.zeros((0, 0), dtype=np.bool_), (left, top)
        values = self._values(row, np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5)
        return values >= PROBABILITY_THRESHOLD, (left, top)

    def extent(self, row: int) -> NDArray[np.float64]:
        """The box with the half cell around it into which the probability falls."""
        rows, columns = self.probabilities.shape[1:]
        box = self.boxes[row].astype(np.float64)
        margin = (box[2:] - box[:2]) / (2 * np.array([columns, rows]))
        return np.concatenate([box[:2] - margin, box[2:] + margin])

    def areas_px(self) -> NDArray[np.float32]:
        """Pixels of each lifted silhouette inside the image."""
        return np.array([self.lift(row, self.extent(row))[0].sum() for row in range(len(self))], np.float32)

    def sample(self, boxes: NDArray[np.float64], rows: NDArray[np.int64], cells: int) -> NDArray[np.uint8]:
        """The nearest cell's probability at each point; zero outside the mask's box."""
        height, width = self.probabilities.shape[1:]
        centres, own = (np.arange(cells) + 0.5) / cells, self.boxes[rows].T.astype(np.float64)  # (4, M)
        sides = np.maximum(own[2:] - own[:2], 1e-9)
        x = (boxes[0] - own[0])[:, None] + (boxes[2] - boxes[0])[:, None] * centres
        y = (boxes[1] - own[1])[:, None] + (boxes[3] - boxes[1])[:, None] * centres
        columns = np.floor(x * (width / sides[0])[:, None])
        lines = np.floor(y * (height / sides[1])[:, None])
        inside = ((lines >= 0) & (lines < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
        columns, lines = np.clip(columns, 0, width - 1).astype(np.int64), np.clip(lines, 0, height - 1).astype(np.int64)
        found = self.probabilities[rows[:, None, None], lines[:, :, None], columns[:, None, :]]
        return np.where(inside, found, np.uint8(0)).reshape(len(rows), cells * cells)

    @property
    def grid_step_px(self) -> tuple[float, float]:
        """About ``IMAGE_CELLS`` cells along the longer side of the image, of whole pixels."""
        step = float(max(round(max(self.image_size) / IMAGE_CELLS), 1))
        return step, step

    @property
    def grid_shape(self) -> tuple[int, int]:
        """As many cells as cover the image."""
        width, height = self.image_size
        step = int(self.grid_step_px[0])
        return -(-height // step), -(-width // step)

    def grid(self, row: int) -> NDArray[np.uint8]:
        """The probabilities at the cells' centres."""
        (rows, columns), (step_x, step_y) = self.grid_shape, self.grid_step_px
        values = self._values(row, (np.arange(columns) + 0.5) * step_x, (np.arange(rows) + 0.5) * step_y)
        return np.rint(values).astype(np.uint8)

    def extended(self, grids: Sequence[NDArray[np.uint8]], boxes: NDArray[np.float32]) -> BoxMasks:
        """Each grid read at the centres of the cells of its box."""
        rows, columns = self.probabilities.shape[1:]
        further = np.zeros((len(grids), rows, columns), np.uint8)
        for target, grid, (left, top, right, bottom) in zip(further, grids, boxes.tolist(), strict=True):
            x = left + (np.arange(columns) + 0.5) * (right - left) / columns
            y = top + (np.arange(rows) + 0.5) * (bottom - top) / rows
            across = _hat_weights(x / self.grid_step_px[0] - 0.5, grid.shape[1])
            down = _hat_weights(y / self.grid_step_px[1] - 0.5, grid.shape[0])
            target[:] = np.rint(down @ grid @ across.T)
        return BoxMasks(
            probabilities=np.concatenate([self.probabilities, further]),
            boxes=np.concatenate([self.boxes, boxes.astype(np.float32)]),
            image_size=self.image_size,
        )

    def pack(self) -> list[NDArray[Any]]:
        """The boxes, the probabilities and the image's size."""
        return [self.boxes, self.probabilities, np.array(self.image_size, np.float64)]

    def _values(self, row: int, x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
        """Bilinear probabilities ``(len(y), len(x))`` at points of the image."""
        rows, columns = self.probabilities.shape[1:]
        left, top, right, bottom = self.boxes[row].astype(np.float64)
        if right <= left or bottom <= top:
            return np.zeros((len(y), len(x)))
        across = _hat_weights((x - left) * (columns / (right - left)) - 0.5, columns)
        down = _hat_weights((y - top) * (rows / (bottom - top)) - 0.5, rows)
        return np.asarray(down @ self.probabilities[row] @ across.T)


def unpack_masks(arrays: Sequence[NDArray[Any]]) -> InstanceMasks:
    """The masks that :meth:`InstanceMasks.pack` made these arrays of."""
    first, cells, measures = arrays
    if len(measures) == 2:
        width, height = measures.tolist()
        return BoxMasks(probabilities=cells, boxes=first, image_size=(int(width), int(height)))
    step_x, step_y, image_width, image_height, rows, columns = measures.tolist()
    probabilities = np.zeros((len(first), int(rows), int(columns)), np.uint8)
    place = 0
    for row, (left, top, right, bottom) in enumerate(first.tolist()):
        size = (right - left) * (bottom - top)
        probabilities[row, top:bottom, left:right] = cells[place : place + size].reshape(bottom - top, right - left)
        place += size
    return GridMasks(
        probabilities=probabilities, step_px=(step_x, step_y), image_size=(int(image_width), int(image_height))
    )


def _rect(grid: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """The smallest rectangle of cells, xyxy, that holds all that are not zero."""
    lines, columns = np.flatnonzero(grid.any(axis=1)), np.flatnonzero(grid.any(axis=0))
    if not len(lines):
        return 0, 0, 0, 0
    return int(columns[0]), int(lines[0]), int(columns[-1]) + 1, int(lines[-1]) + 1


def _hat_weights(places: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Weights ``(len(places), count)`` of linear interpolation between whole numbers below ``count``; zero outside."""
    return np.asarray(np.maximum(1 - np.abs(places[:, None] - np.arange(count)), 0))


def on_grid(
    silhouettes: Sequence[NDArray[Any]] | NDArray[Any], boxes: NDArray[np.floating[Any]], image_size: tuple[int, int]
) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """Silhouettes of one image averaged to a small grid.

    A cell is at least 4 image pixels wide, and as much wider by powers of two as the 480 cells of the longer side ask
    for (1,920 pixels). An edge is kept to about half a cell; what is thinner than half a cell may be lost.

    Args:
        silhouettes: ``N`` pictures ``(h, w)`` of the whole image, booleans or probabilities in 0..1; ``w`` pixels for
            the image's width, more or fewer than it has.
        boxes: ``(N, 4)`` xyxy in image pixels; cells outside an instance's box become 0.
        image_size: ``(width, height)`` of the image in pixels.

    Returns:
        Probabilities ``(N, rows, columns)`` uint8, and image pixels per cell, ``(x, y)``.

    >>> silhouette = np.zeros((8, 8), np.bool_)
    >>> silhouette[:4, :2] = True
    >>> on_grid([silhouette], np.array([[0.0, 0.0, 2.0, 4.0]]), (8, 8))
    (array([[[128,   0],
            [  0,   0]]], dtype=uint8), (4.0, 4.0))
    """
    width, height = image_size
    picture_height, picture_width = np.shape(silhouettes[0]) if len(silhouettes) else (height, width)
    step = 1
    while step * width < GRID_STEP_PX * picture_width or max(picture_width, picture_height) > GRID_CELLS * step:
        step *= 2
    rows, columns = -(-picture_height // step), -(-picture_width // step)
    cell_px = (step * width / picture_width, step * height / picture_height)
    grids = np.zeros((len(silhouettes), rows, columns), np.uint8)
    padded = np.zeros((rows * step, columns * step), np.float32)  # the last cells may reach past the image
    for grid, silhouette, box in zip(grids, silhouettes, boxes, strict=True):
        padded[:picture_height, :picture_width] = silhouette
        shares = padded.reshape(rows, step, columns, step).mean(axis=(1, 3))
        left, top = (max(int(np.floor(box[axis] / cell_px[axis])), 0) for axis in (0, 1))
        right, bottom = (max(int(np.ceil(box[2 + axis] / cell_px[axis])), 0) for axis in (0, 1))
        grid[top:bottom, left:right] = np.minimum(shares * 256, 255)[top:bottom, left:right]
    return grids, cell_px


def encode_rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """A boolean image ``(H, W)`` as a compressed COCO run-length code ``{"size": [H, W], "counts": str}``.

    >>> encode_rle(np.array([[False, True], [True, True]]))
    {'size': [2, 2], 'counts': '13'}
    """
    from pycocotools import mask as coco_mask

    code = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(mask.shape[0]), int(mask.shape[1])], "counts": code["counts"].decode("ascii")}


def decode_rle(code: dict[str, Any]) -> NDArray[np.bool_]:
    """A compressed COCO run-length code as a boolean image ``(H, W)``; the inverse of :func:`encode_rle`.

    >>> decode_rle({"size": [2, 2], "counts": "13"})
    array([[False,  True],
           [ True,  True]])
    """
    from pycocotools import mask as coco_mask

    counts = code["counts"]
    packed = {"size": list(code["size"]), "counts": counts.encode("ascii") if isinstance(counts, str) else counts}
    return np.asarray(coco_mask.decode(packed), dtype=np.bool_)


def decode_coco(segmentation: Any, image_size: tuple[int, int] | None = None) -> NDArray[np.bool_]:
    """A COCO ``segmentation`` as a boolean image ``(H, W)``.

    Args:
        segmentation: A run-length code, compressed or not, or a list of polygons ``[x0, y0, x1, y1, ...]``.
        image_size: ``(width, height)`` of the image in pixels, which polygons do not tell.

    Raises:
        ValueError: Polygons without ``image_size``, or a run-length code of another size.

    >>> decode_coco([[0, 0, 2, 0, 2, 2, 0, 2]], (3, 2))
    array([[ True,  True, False],
           [ True,  True, False]])
    """
    from pycocotools import mask as coco_mask

    if not isinstance(segmentation, dict):
        if image_size is None:
            message = "segmentation: expected image_size=(width, height) with polygons, found none"
            raise ValueError(message)
        width, height = image_size
        return decode_rle(coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width)))
    height, width = segmentation["size"]
    if image_size is not None and image_size != (width, height):
        message = f"segmentation: expected a mask of {image_size} pixels, found {(width, height)}"
        raise ValueError(message)
    if isinstance(segmentation["counts"], list):
        return decode_rle(coco_mask.frPyObjects(segmentation, height, width))
    return decode_rle(segmentation)


def make_disjoint(silhouettes: list[NDArray[np.bool_]], order: NDArray[np.integer[Any]]) -> list[NDArray[np.bool_]]:
    """Silhouettes of one image without shared pixels, as MOTS asks.

    Each pixel stays with the first of ``order`` that claims it.

    Args:
        silhouettes: Boolean images of one shape ``(H, W)``.
        order: Row numbers, best first.

    >>> a, b = np.array([[True, True, False]]), np.array([[False, True, True]])
    >>> make_disjoint([a, b], np.array([1, 0]))
    [array([[ True, False, False]]), array([[False,  True,  True]])]
    """
    result = list(silhouettes)
    taken: NDArray[np.bool_] | None = None
    for row in order:
        mask = silhouettes[row] if taken is None else silhouettes[row] & ~taken
        result[row] = mask
        taken = mask.copy() if taken is None else taken | mask
    return result
