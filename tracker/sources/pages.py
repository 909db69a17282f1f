"""All pictures of one image file: pages of a TIFF, frames of an animated WebP with their times.

By OpenCV: FFmpeg 8.1 reads the first page of a TIFF and no animated WebP.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from tracker.sources.picture_files import page_sizes

__all__ = ["all_pictures"]

MOST_BYTES = 1 << 30
"""Most memory of the pictures of one file, which are decoded at once; of larger ones the first is used."""
BYTES_PER_PIXEL = 4


def all_pictures(data: bytes, *, count: int, size: tuple[int, int], rate: float | None) -> list[tuple[Any, float]]:
    """Every picture ``(H, W, 3)`` uint8 BGR with the time at which it is shown, in seconds.

    Args:
        data: The whole file.
        count: How many it announces.
        size: ``(width, height)`` of the first.
        rate: Pictures per second; ``None`` for the file's own times, where it has some, else 30.

    Returns:
        Nothing where they are too large together, or cannot be read.
    """
    import cv2

    pixels = sum(width * height for width, height in page_sizes(data) or [size] * count)
    if pixels * BYTES_PER_PIXEL > MOST_BYTES:
        return []
    buffer = np.frombuffer(data, np.uint8)
    shown_s: list[float] = []
    images: Any = ()
    level = cv2.utils.logging.getLogLevel()
    try:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # of a damaged file it would tell on stderr
        if data[:4] == b"RIFF" and hasattr(cv2, "imdecodeanimation"):  # from OpenCV 4.11 on
            good, animation = cv2.imdecodeanimation(buffer)
            images = animation.frames if good else ()
            shown_s = [max(int(ms), 1) / 1000 for ms in animation.durations] if good else []
        elif data[:4] != b"RIFF":
            images = cv2.imdecodemulti(buffer, cv2.IMREAD_COLOR)[1]
    except cv2.error:
        return []
    finally:
        cv2.utils.logging.setLogLevel(level)
    if rate is not None or len(shown_s) != len(images):
        shown_s = [1 / (rate or 30.0)] * len(images)
    times = itertools.accumulate(shown_s, initial=0.0)
    return [(np.ascontiguousarray(image[..., :3], np.uint8), time_s) for image, time_s in zip(images, times)]  # noqa: B905 - one time more: the end
