"""Camera motion: sparse global motion compensation between consecutive frames.

Sparse global motion compensation as BoT-SORT does it (Aharon et al. 2022, section 3.2): corners of the scenery
(Shi and Tomasi 1994) are followed by pyramidal Lucas-Kanade and a rotation with scale and shift is fitted by RANSAC.
Here it runs on a picture of about 320 px made from the network's input, and corners on instances are left out.

The *reference* is the picture that the next one is compared with. While the scenery has moved by less than ``still_px``
since, no warp is reported and the reference stays, so that sub-pixel noise never adds up. After ``rest_s`` without
motion the camera counts as resting: motion is estimated every ``check_s`` only, with a third of the corners, which
costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tracker.types import Frame, Instances

Floats = NDArray[np.float64]
Picture = NDArray[np.uint8]

__all__ = ["CameraMotion"]

LONGER_SIDE_PX = 320
"""About the size of the picture on which motion is estimated: corners cost 0.4 ms there and 1.4 ms at twice the
size."""
CORNERS = 100
CORNER_QUALITY, CORNER_DISTANCE_PX = 0.01, 8
WINDOW_PX, PYRAMID_LEVELS = 13, 3
RESIDUAL_PX = 0.75
"""A corner agrees with the warp up to here, in pixels of the small picture."""
LEAST_AGREEING, LEAST_SHARE = 12, 0.35
"""How many corners must agree, and what share of all: one consensus of what is seen, lost corners count against it."""
LEAST_SPREAD = 0.12
"""Standard deviation of the agreeing corners about their centre, as a share of the picture's diagonal (0.29 where they
lie everywhere): a warp fitted to one spot says nothing about the rest. A band is enough, as house fronts over a
road."""
LARGEST_SCALE, LARGEST_TURN_RAD, LARGEST_SHIFT = 1.25, 0.3, 0.5
"""Limits of a possible warp between two frames: zoom factor, roll, shift as a share of the picture's side."""
EXCLUDED_SCORE = 0.2
"""Instances from this score on are left out of the scenery."""
EXCLUDED_PROBABILITY = 64
"""Mask cells from this probability (0-255) on are left out too: the rim of a silhouette moves with the object."""


class CameraMotion:
    """Estimates the camera's motion from one frame to the next that it is given, whatever time lies between.

    Args:
        still_px: A picture whose corners moved by less, in pixels of the small picture, counts as the same view.
        rest_s: Seconds without motion after which the camera counts as resting.
        check_s: Seconds between two estimates for a resting camera.
    """

    def __init__(self, *, still_px: float = 0.25, rest_s: float = 1.0, check_s: float = 0.1) -> None:
        self._still_px, self._rest_s, self._check_s = still_px, rest_s, check_s
        self._reference: Picture | None = None
        self._corners: NDArray[np.float32] = np.zeros((0, 2), np.float32)
        self._size: tuple[int, int] | None = None
        self._moved_s = 0.0
        self._checked_s = 0.0
        self._skipped = False

    def update(self, frame: Frame, instances: Instances) -> Floats | None:
        """The warp from the frame before to this one.

        Args:
            frame: With ``network_image`` or ``image``; without either the result is ``None``.
            instances: What was segmented in it, in image pixels.

        Returns:
            ``(2, 3)`` rotation with scale and shift from image pixels of the frame before to those of this one.
            ``None`` for no motion, and where it cannot be estimated: too few corners, a cut, too large a shift.
        """
        if self._is_resting(frame.time_s) and frame.time_s - self._checked_s < self._check_s:
            self._skipped = True
            return None
        picture = _small_picture(frame)
        if picture is None:
            return None
        if self._reference is None or self._reference.shape != picture.shape or self._size != frame.size:
            self._moved_s = frame.time_s
            self._set_reference(picture, frame, instances)
            return None
        warp, agreeing = self._follow(picture, frame)
        self._checked_s = frame.time_s
        if warp is not None and _farthest(warp, frame.size) * picture.shape[1] < self._still_px * frame.size[0]:
            self._skipped = False
            if agreeing < 0.6:  # light and objects change, corners get lost
                self._set_reference(picture, frame, instances)
            return None
        # The warp spans the skipped frames too, but the tracks that were matched in them have already moved with it.
        reported = None if self._skipped else warp
        self._moved_s = frame.time_s
        self._set_reference(picture, frame, instances)
        return reported

    def state(self) -> dict[str, Any]:
        """Everything needed to continue later, as plain arrays and numbers."""
        return {
            "reference": self._reference,
            "corners": self._corners.copy(),
            "size": None if self._size is None else np.array(self._size),
            "moved_s": self._moved_s,
            "looked_s": self._checked_s,
            "skipped": self._skipped,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        reference, size = state["reference"], state["size"]
        self._reference = None if reference is None or not np.size(reference) else np.asarray(reference, np.uint8)
        self._size = None if size is None or not len(size) else (int(size[0]), int(size[1]))
        self._corners = np.asarray(state["corners"], np.float32).reshape(-1, 2)
        self._moved_s, self._checked_s = float(state["moved_s"]), float(state["looked_s"])
        self._skipped = bool(state["skipped"])

    def _is_resting(self, time_s: float) -> bool:
        return self._reference is not None and time_s - self._moved_s > self._rest_s

    def _set_reference(self, picture: Picture, frame: Frame, instances: Instances) -> None:
        """Make this picture the one that later ones are compared with."""
        scenery = _scenery(picture, frame, instances)
        found = cv2.goodFeaturesToTrack(picture, CORNERS, CORNER_QUALITY, CORNER_DISTANCE_PX, mask=scenery)
        self._corners = np.zeros((0, 2), np.float32) if found is None else found.reshape(-1, 2)
        self._reference, self._size = picture, frame.size
        self._checked_s, self._skipped = frame.time_s, False

    def _follow(self, picture: Picture, frame: Frame) -> tuple[Floats | None, float]:
        """The warp from the reference to ``picture`` in image pixels, and the share of corners that agree with it."""
        corners = self._corners if not self._is_resting(frame.time_s) else np.ascontiguousarray(self._corners[::3])
        if self._reference is None or len(corners) < LEAST_AGREEING:
            return None, 0.0
        moved, found, _ = cv2.calcOpticalFlowPyrLK(
            self._reference, picture, corners, None, winSize=(WINDOW_PX, WINDOW_PX), maxLevel=PYRAMID_LEVELS
        )
        height, width = picture.shape
        inside = (found[:, 0] > 0) & ((moved >= 0) & (moved < (width, height))).all(axis=1)
        if np.count_nonzero(inside) < LEAST_AGREEING:
            return None, 0.0
        # Pixel centres of the small picture to image pixels, whose edges are whole numbers.
        step = np.array([frame.size[0] / width, frame.size[1] / height])
        before, after = (corners[inside] + 0.5) * step, (moved[inside] + 0.5) * step
        warp, agrees = cv2.estimateAffinePartial2D(before, after, ransacReprojThreshold=RESIDUAL_PX * float(step.max()))
        if warp is None or not np.isfinite(warp).all():
            return None, 0.0
        agreeing = before[agrees[:, 0] > 0]
        share = len(agreeing) / len(corners)
        if len(agreeing) < LEAST_AGREEING or share < LEAST_SHARE:
            return None, share
        wide = float(np.hypot(*agreeing.std(axis=0))) >= LEAST_SPREAD * float(np.hypot(*frame.size))
        return (np.asarray(warp) if wide and _is_possible(warp, frame.size) else None), share


def _small_picture(frame: Frame) -> Picture | None:
    """The frame in grey, about :data:`LONGER_SIDE_PX` long, without the letterbox's padding."""
    picture = frame.shown
    if picture is None:
        return None
    height, width = picture.shape[:2]
    factor = max(round(max(width, height) / LONGER_SIDE_PX), 1)
    size = (max(width // factor, 1), max(height // factor, 1))
    small = picture if factor == 1 else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY))


def _scenery(picture: Picture, frame: Frame, instances: Instances) -> Picture:
    """``(h, w)`` 255 where corners may lie: outside the masks of instances, or outside their boxes without masks."""
    height, width = picture.shape
    shown = np.flatnonzero(instances.scores >= EXCLUDED_SCORE)
    masks = instances.masks
    if masks is None:
        scenery = np.full((height, width), 255, np.uint8)
        low_x, low_y, high_x, high_y = _cells(instances.boxes[shown], (frame.size[0] / width, frame.size[1] / height))
        for x0, y0, x1, y1 in zip(low_x, low_y, high_x, high_y, strict=True):
            scenery[y0:y1, x0:x1] = 0
        return scenery
    covered = np.zeros(masks.grid_shape, np.uint8)
    low_x, low_y, high_x, high_y = _cells(instances.boxes[shown], masks.grid_step_px)
    for row, x0, y0, x1, y1 in zip(shown.tolist(), low_x, low_y, high_x, high_y, strict=True):
        part = covered[y0:y1, x0:x1]
        np.maximum(part, masks.grid(row)[y0:y1, x0:x1], out=part)
    # The grid may reach past the picture where the network's input was padded.
    step_x, step_y = masks.grid_step_px
    seen = covered[: max(round(frame.size[1] / step_y), 1), : max(round(frame.size[0] / step_x), 1)]
    grown = cv2.dilate(seen, np.ones((3, 3), np.uint8))
    free = np.where(grown < EXCLUDED_PROBABILITY, np.uint8(255), np.uint8(0))
    return np.asarray(cv2.resize(free, (width, height), interpolation=cv2.INTER_NEAREST))


def _cells(boxes: NDArray[np.float32], step_px: tuple[float, float]) -> list[list[int]]:
    """Whole cells that cover each box: four lists of low x, low y, high x, high y, none below zero."""
    low = np.floor(boxes[:, :2] / step_px)
    high = np.ceil(boxes[:, 2:] / step_px)
    edges = np.nan_to_num(np.concatenate([low, high], axis=1), posinf=1e6, neginf=0)
    return np.clip(edges, 0, 1e6).astype(np.int64).T.tolist()  # type: ignore[no-any-return]


def _farthest(warp: Floats, size: tuple[int, int]) -> float:
    """How far the corner of an image of ``size`` that moves most moves, px."""
    width, height = size
    corners = np.array([[0.0, width, 0.0, width], [0.0, 0.0, height, height]])
    moved = warp[:, :2] @ corners + warp[:, 2:]
    return float(np.hypot(*(moved - corners)).max())


def _is_possible(warp: Floats, size: tuple[int, int]) -> bool:
    """Whether the warp lies within the limits of a camera's motion between two frames."""
    scale, turn = float(np.hypot(warp[0, 0], warp[1, 0])), float(np.arctan2(warp[1, 0], warp[0, 0]))
    middle = np.array(size) / 2
    shift = np.abs(warp[:, :2] @ middle + warp[:, 2] - middle) / size
    turns_little = 1 / LARGEST_SCALE < scale < LARGEST_SCALE and abs(turn) < LARGEST_TURN_RAD
    return bool(turns_little and (shift < LARGEST_SHIFT).all())
