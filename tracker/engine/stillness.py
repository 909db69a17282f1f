"""Stillness of a picture: a cheap measure of whether anything moved since an earlier picture of a fixed camera.

Both pictures are grey, about 160 px long and slightly blurred, so that sensor noise averages out. The median difference
is taken off: a lamp or an exposure that makes everything lighter is no motion. What is left is averaged over blocks of
4 x 4 cells, because a small object changes a few cells by much and noise all of them by little. The picture of the last
segmented frame is the one to compare with, not the picture before: whatever comes slowly adds up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tracker.types import Frame

Grey = NDArray[np.uint8]

__all__ = ["Grey", "grey_of", "is_still"]

LONGER_SIDE_PX = 160
BLUR_CELLS = 3
BLOCK_CELLS = 4
LEVEL = 4.0
"""Grey levels of 255 by which a block must change on average, above what all blocks change by."""
NOISE = 2.0
"""How many times the median change of all blocks is noise: codecs redraw the whole picture at their key frames."""


def grey_of(frame: Frame) -> Grey | None:
    """A frame's small grey picture ``(h, w)``, without the letterbox's padding; ``None`` where it has no pixels."""
    picture = frame.shown
    if picture is None:
        return None
    height, width = picture.shape[:2]
    factor = LONGER_SIDE_PX / max(width, height)
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    small = cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.blur(small, (BLUR_CELLS, BLUR_CELLS)))


def is_still(picture: Grey, earlier: Grey) -> bool:
    """Whether nothing moved between two pictures of :func:`grey_of`; pictures of different sizes are not still."""
    if picture.shape != earlier.shape:
        return False
    blocks = changes(picture, earlier)
    return bool(blocks.max() < LEVEL + NOISE * np.median(blocks))


def changes(picture: Grey, earlier: Grey) -> NDArray[np.float32]:
    """Mean change ``(h / 4, w / 4)`` of each block in grey levels, without what is common to all cells."""
    difference = picture.astype(np.float32) - earlier
    difference = np.abs(difference - np.median(difference))
    height, width = difference.shape
    size = (max(width // BLOCK_CELLS, 1), max(height // BLOCK_CELLS, 1))
    return np.asarray(cv2.resize(difference, size, interpolation=cv2.INTER_AREA))
