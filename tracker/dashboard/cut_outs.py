"""Cut-outs of an identity from a recording's video, where its events say that it stood."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from tracker.dashboard.stills import picture_at

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tracker.polygons import Point

__all__ = ["CutOut", "cut_out", "cut_outs_of", "live_cut_out"]

MOST = 6
APART_MS = 700
"""Less apart in time they show the same."""
HEIGHT, WIDTH = 0.42, 0.24
"""Of the part that is shown, as shares of the picture; its lower edge is a little below the contact."""
BELOW = 0.04
LATE_MS = 500
"""How much later than its path a masked picture is."""
LARGEST_PX = 360

_two = threading.Semaphore(2)


class CutOut(NamedTuple):
    """When (in media seconds) and where (in shares of the picture) an identity stood."""

    media_s: float
    x: float
    y: float


def cut_outs_of(events: Sequence[dict[str, Any]], began_ms: int | None) -> list[CutOut]:
    """Places at which an identity can be seen, a few over its life.

    Args:
        events: Of one identity, by time.
        began_ms: When the recording began, UTC; ``None`` = its events have media times.
    """
    found: list[CutOut] = []
    last_ms = -APART_MS
    for event in events:
        sighting = event["after"] or event["before"]
        if sighting is None or (event["utc"] and began_ms is None):
            continue
        media_ms = sighting["t_ms"] - (began_ms or 0 if event["utc"] else 0)
        if media_ms >= 0 and media_ms - last_ms >= APART_MS:
            found.append(CutOut(media_ms / 1000, sighting["x"], sighting["y"]))
            last_ms = media_ms
    step = max(len(found) / MOST, 1)
    return [found[int(number * step)] for number in range(min(len(found), MOST))]


def cut_out(path: Path, wanted: CutOut, zones: Sequence[Sequence[Point]] = ()) -> bytes | None:
    """One cut-out as JPEG; ``None`` where the video has no picture of that time.

    Args:
        path: The video.
        wanted: When and where.
        zones: The site's privacy zones, which are filled.
    """
    with _two:
        image = picture_at(path, wanted.media_s, or_last=False)
        return None if image is None else _cropped(image, wanted, zones)


def live_cut_out(jpeg: bytes, path: Sequence[tuple[int, float, float]]) -> bytes | None:
    """Where an identity is now, cut out of a camera's newest picture, as JPEG.

    Args:
        jpeg: The picture.
        path: Times in milliseconds and places of the identity, at least one.
    """
    import cv2
    import numpy as np

    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        return None
    _, x, y = min(path, key=lambda entry: abs(entry[0] - (path[-1][0] - LATE_MS)))
    return _cropped(image, CutOut(0.0, x, y), ())


def _cropped(image: Any, wanted: CutOut, zones: Sequence[Sequence[Point]]) -> bytes | None:
    import cv2

    from tracker.render.privacy_paint import without_zones

    image = without_zones(image, zones)
    height, width = image.shape[:2]
    bottom = min(round((wanted.y + BELOW) * height), height)
    top = max(bottom - round(HEIGHT * height), 0)
    left = max(round((wanted.x - WIDTH / 2) * width), 0)
    right = min(left + round(WIDTH * width), width)
    if bottom - top < 2 or right - left < 2:
        return None
    part = image[top:bottom, left:right]
    scale = min(LARGEST_PX / max(part.shape[:2]), 1.0)
    if scale < 1:
        part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    made, data = cv2.imencode(".jpg", part, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return data.tobytes() if made else None
