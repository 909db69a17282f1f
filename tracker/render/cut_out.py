"""Cut-outs: the part of a picture around one object, its silhouette outlined, with lines and zones, as JPEG."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from tracker.errors import SinkError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracker.render.site_marks import SiteMarks
    from tracker.types import Instances

__all__ = ["cut_out", "draw_marks", "jpeg_of"]

AROUND = 0.6
"""Of the box' larger side that is shown on every side."""
LEAST_PX = 48
HEIGHT_PX = 240
MOST_WIDTH_PX = 360
LARGEST_SCALE = 4.0
QUALITY = 82
OUTLINE = (0, 230, 255)
SHADE = (20, 18, 16)


def cut_out(
    image: NDArray[np.uint8],
    instances: Instances,
    row: int | None,
    point: tuple[float, float],
    *,
    marks: SiteMarks,
) -> tuple[bytes, tuple[int, int]]:
    """One object and its surroundings.

    Args:
        image: ``(H, W, 3)`` uint8 BGR.
        instances: Of the same picture.
        row: Which one; ``None`` shows the place without an outline.
        point: Place in pixels that is shown where there is no instance.
        marks: Lines and zones.

    Returns:
        A JPEG, and its ``(width, height)``.
    """
    box = instances.boxes[row].astype(np.float64) if row is not None else np.array([*point, *point])
    window = _window(box, image.shape)
    left, top, right, bottom = window
    scale = min(HEIGHT_PX / (bottom - top), MOST_WIDTH_PX / (right - left), LARGEST_SCALE)
    size = max(round((right - left) * scale), 1), max(round((bottom - top) * scale), 1)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    crop = cv2.resize(image[top:bottom, left:right], size, interpolation=method)
    draw_marks(crop, marks, image.shape, (left, top), scale)
    if row is not None:
        _outline(crop, instances, row, (left, top), scale)
    return jpeg_of(np.asarray(crop, np.uint8)), size


def jpeg_of(image: NDArray[np.uint8], *, most_width_px: int | None = None) -> bytes:
    """A picture as JPEG, made smaller where it is wider than wanted.

    Raises:
        SinkError: The encoder refuses it.
    """
    if most_width_px is not None and image.shape[1] > most_width_px:
        height = max(round(image.shape[0] * most_width_px / image.shape[1]), 1)
        image = np.asarray(cv2.resize(image, (most_width_px, height), interpolation=cv2.INTER_AREA), np.uint8)
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise SinkError("audit", f"expected a picture, found an array of {image.shape}", "check the video")
    return bytes(data)


def _window(box: NDArray[np.float64], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """What is shown around a box, within the picture."""
    around = max(AROUND * float(max(box[2] - box[0], box[3] - box[1])), LEAST_PX)
    high, wide = shape[:2]
    left, right = (int(np.clip(value, 0, wide)) for value in (box[0] - around, box[2] + around))
    top, bottom = (int(np.clip(value, 0, high)) for value in (box[1] - around, box[3] + around))
    left, top = min(left, wide - 2), min(top, high - 2)
    return left, top, max(right, left + 2), max(bottom, top + 2)


def draw_marks(
    crop: NDArray[np.uint8], marks: SiteMarks, shape: tuple[int, ...], corner: tuple[int, int], scale: float
) -> None:
    """Draw lines and zones onto a part of a picture.

    Args:
        crop: That part, drawn on.
        marks: Lines and zones.
        shape: Of the whole picture.
        corner: Its pixel at the part's upper left corner.
        scale: Pixels of the part per pixel of the picture.
    """
    lines = [(line.points, False, colour) for line, colour in zip(marks.lines, marks.line_colours, strict=True)]
    zones = [
        (polygon, True, colour)
        for zone, colour in zip(marks.zones, marks.zone_colours, strict=True)
        for polygon in zone.polygons
    ]
    for points, closed, colour in (*lines, *zones):
        pixels = (np.array(points) * (shape[1], shape[0]) - corner) * scale
        corners = np.clip(pixels, -1e4, 1e4).round().astype(np.int32)
        cv2.polylines(crop, [corners], closed, SHADE, 4, cv2.LINE_AA)
        cv2.polylines(crop, [corners], closed, colour, 2, cv2.LINE_AA)


def _outline(crop: NDArray[np.uint8], instances: Instances, row: int, corner: tuple[int, int], scale: float) -> None:
    """The silhouette's edge; the box where there is no mask."""
    box = instances.boxes[row]
    if instances.masks is None:
        corners = ((box.reshape(2, 2) - corner) * scale).round().astype(int).tolist()
        cv2.rectangle(crop, corners[0], corners[1], SHADE, 4, cv2.LINE_AA)
        cv2.rectangle(crop, corners[0], corners[1], OUTLINE, 2, cv2.LINE_AA)
        return
    mask, offset = instances.masks.lift(row, box)
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    moved = [((line + 0.5 + np.array(offset) - corner) * scale).round().astype(np.int32) for line in outlines]
    cv2.polylines(crop, moved, isClosed=True, color=SHADE, thickness=4, lineType=cv2.LINE_AA)
    cv2.polylines(crop, moved, isClosed=True, color=OUTLINE, thickness=2, lineType=cv2.LINE_AA)
