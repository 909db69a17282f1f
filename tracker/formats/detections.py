"""Detections of one sequence as arrays ordered by frame; masks averaged to a small grid on demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tracker.errors import DetectionsError
from tracker.formats.columns import GREATEST_NUMBER, GREATEST_PX
from tracker.formats.run_length import coco_code
from tracker.masks.adapters import GRID_CELLS, GRID_STEP_PX
from tracker.masks.grid_masks import GridMasks
from tracker.types import Instances

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Detections", "pack"]

GREATEST_GAP = 1_000_000
"""Frames without a detection between two with one (nine hours at 30 fps); more is a wrong number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detections:
    """All detections of one sequence as arrays, ordered by frame, in file order within a frame.

    Attributes:
        format: ``mot``, ``mots``, ``kitti`` or ``coco``.
        frames: ``(D,)`` int64 frame numbers as in the file.
        boxes: ``(D, 4)`` float64 xyxy in image px.
        scores: ``(D,)`` float64; 1 where the file has none.
        class_ids: ``(D,)`` int64 class column as in the file; -1 where the file has none.
        visibilities: ``(D,)`` float64 visibility column; -1 where the file has none.
        codes: Run-length codes of the masks as in the file, empty for boxes.
        extras: For ``kitti`` what else each row says, as in the file: ``truncated occluded alpha``, and
            ``height width length x y z rotation_y``; else empty.
        image_size: ``(width, height)`` of the masks, ``None`` for boxes.
        skipped_empty: Rows left out because their box or mask had no area (published detection files contain a few).
        notes: What was read otherwise than it stands in the file, or left out; for the user.
    """

    format: str
    frames: NDArray[np.int64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    class_ids: NDArray[np.int64]
    visibilities: NDArray[np.float64]
    codes: tuple[str, ...] = ()
    extras: tuple[tuple[str, str], ...] = ()
    image_size: tuple[int, int] | None = None
    skipped_empty: int = 0
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frames)

    def rows(self, frame: int) -> slice:
        """The rows of one frame."""
        first, last = np.searchsorted(self.frames, [frame, frame + 1])
        return slice(int(first), int(last))

    def instances(self, frame: int) -> Instances:
        """The instances of one frame in file order, masks averaged to a small grid."""
        rows = self.rows(frame)
        return Instances(
            boxes=self.boxes[rows].astype(np.float32),
            scores=self.scores[rows].astype(np.float32),
            class_ids=self.class_ids[rows],
            masks=self._masks(rows),
        )

    def _masks(self, rows: slice) -> GridMasks | None:
        if self.image_size is None:
            return None
        width, height = self.image_size
        step = GRID_STEP_PX
        while max(width, height) > GRID_CELLS * step:
            step *= 2
        shape = (-(-height // step), -(-width // step))
        grids = np.zeros((rows.stop - rows.start, *shape), np.uint8)
        for grid, code in zip(grids, self.codes[rows], strict=True):
            _average(code, self.image_size, step, grid)
        return GridMasks(probabilities=grids, step_px=(float(step), float(step)), image_size=self.image_size)


def _average(code: str, image_size: tuple[int, int], step: int, grid: NDArray[np.uint8]) -> None:
    """Fill ``grid`` with the share of each ``step`` x ``step`` cell that the mask covers, 255 = all of it."""
    from pycocotools import mask as coco_mask

    packed = coco_code(code, image_size)
    x, y, box_width, box_height = (int(value) for value in coco_mask.toBbox(packed))
    left, top = x // step, y // step
    right, bottom = -(-(x + box_width) // step), -(-(y + box_height) // step)
    pixels = coco_mask.decode(packed)[top * step : bottom * step, left * step : right * step]
    # At the right and bottom edge of the image the last cell reaches past it.
    padded = np.zeros(((bottom - top) * step, (right - left) * step), np.uint16)
    padded[: pixels.shape[0], : pixels.shape[1]] = pixels
    sums = np.add.reduceat(
        np.add.reduceat(padded, np.arange(0, padded.shape[0], step), 0), np.arange(0, padded.shape[1], step), 1
    )
    grid[top:bottom, left:right] = np.minimum(sums * (256 // step) // step, 255)


def pack(
    path: Path,
    layout: str,
    rows: Sequence[tuple[float, ...]],
    *,
    places: Sequence[int],
    unit: str = "",
    codes: Sequence[str] = (),
    extras: Sequence[tuple[str, str]] = (),
    skipped: int = 0,
    size: tuple[int, int] | None = None,
    notes: tuple[str, ...] = (),
) -> Detections:
    """Rows ``frame, x1, y1, x2, y2, score, class, visibility`` in any order as detections.

    Args:
        path: The file, for messages.
        layout: Its format.
        rows: What was read.
        places: Line (or entry) of each row.
        unit: What ``places`` count where not lines.
        codes: A run-length code for each row, or none.
        extras: KITTI's further fields for each row, or none.
        skipped: Rows left out already.
        size: ``(width, height)`` of the masks.
        notes: What the user should know.

    Raises:
        DetectionsError: Numbers out of any range, or frame numbers that jump by a million; names ``file:line``.
    """
    table = np.array(rows, np.float64).reshape(-1, 8)
    _check_range(path, table, places, unit)
    order = np.argsort(table[:, 0], kind="stable")
    table = table[order]
    gaps = np.diff(table[:, 0], prepend=0.0)
    if len(table) and gaps.max() > GREATEST_GAP:
        place = int(gaps.argmax())
        raise DetectionsError(
            f"{path}:{unit}{places[order[place]]}",
            f"expected frame numbers without great gaps, found {table[place, 0]:.0f} after "
            f"{table[place, 0] - gaps[place]:.0f}",
            "number the frames from 0 or 1",
        )
    return Detections(
        format=layout,
        frames=table[:, 0].astype(np.int64),
        boxes=table[:, 1:5],
        scores=table[:, 5],
        class_ids=table[:, 6].astype(np.int64),
        visibilities=table[:, 7],
        codes=tuple(codes[place] for place in order) if codes else (),
        extras=tuple(extras[place] for place in order) if extras else (),
        image_size=size if codes else None,
        skipped_empty=skipped,
        notes=notes,
    )


def _check_range(path: Path, table: NDArray[np.float64], places: Sequence[int], unit: str) -> None:
    for columns, least, greatest, what in (
        (slice(0, 1), 0, GREATEST_NUMBER, "a frame number from 0"),
        (slice(1, 5), -GREATEST_PX, GREATEST_PX, "a box in pixels"),
        (slice(6, 7), -GREATEST_NUMBER, GREATEST_NUMBER, "a class number"),
    ):
        wrong = ~((table[:, columns] >= least) & (table[:, columns] <= greatest)).all(axis=1)
        if wrong.any():
            row = int(wrong.argmax())
            found = ", ".join(f"{value:g}" for value in table[row, columns])
            raise DetectionsError(
                f"{path}:{unit}{places[row]}", f"expected {what}, found {found}", "correct the number"
            )
