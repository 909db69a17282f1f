"""Still pictures of a recording's video at any time, for those that may see people."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tracker.polygons import Point

__all__ = ["picture_at", "still"]

MOST_FRAMES = 900
"""Decoded from one key picture on."""
QUALITY = 85

_two = threading.Semaphore(2)


def still(path: Path, at_s: float, *, width: int, zones: Sequence[Sequence[Point]] = ()) -> bytes | None:
    """The picture of a time as JPEG; behind the end the last one; ``None`` where the video cannot be read.

    Args:
        path: The video.
        at_s: Media time.
        width: In pixels, at most that of the video.
        zones: The site's privacy zones, which are filled.
    """
    import cv2

    from tracker.render.privacy_paint import without_zones

    with _two:
        image = picture_at(path, at_s, or_last=True)
    if image is None:
        return None
    image = without_zones(image, zones)
    if width < image.shape[1]:
        height = max(round(image.shape[0] * width / image.shape[1]), 1)
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    made, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes() if made else None


def picture_at(path: Path, at_s: float, *, or_last: bool) -> Any | None:
    """The picture ``(H, W, 3)`` uint8 BGR of a time; ``None`` where there is none.

    Args:
        path: The video.
        at_s: Media time.
        or_last: Behind the end, or a damaged part, the last one that can be read.
    """
    import av

    with contextlib.suppress(av.FFmpegError, OSError), av.open(str(path)) as container:
        video = container.streams.video[0]
        if video.time_base is None:
            return None
        video.thread_type = "AUTO"
        start = video.start_time or 0
        container.seek(start + int(max(at_s, 0.0) / video.time_base), stream=video)
        found = last = None
        with contextlib.suppress(av.FFmpegError):  # of a damaged end: what came before it
            for number, frame in enumerate(container.decode(video)):
                if number >= MOST_FRAMES or frame.pts is None:
                    break
                last = frame
                if float((frame.pts - start) * video.time_base) >= at_s - 1e-3:
                    found = frame
                    break
        chosen = last if or_last else found
        return None if chosen is None else chosen.to_ndarray(format="bgr24")
    return None
