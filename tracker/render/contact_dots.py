"""Dots where objects stand on the ground: filled where that place is seen, hollow where it is hidden."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tracker.contacts import ContactState
from tracker.render.colour import class_colour, identity_colour

if TYPE_CHECKING:
    from tracker.render.canvas import Canvas
    from tracker.render.colour import Bgr
    from tracker.types import TrackedFrame

__all__ = ["draw_contacts"]

EDGE: Bgr = (255, 255, 255)
CASING: Bgr = (28, 24, 22)


def draw_contacts(canvas: Canvas, tracked: TrackedFrame, *, by_class: bool) -> None:
    """Draw the contact of every identity that is seen, or without tracking of every instance; nothing without contacts.

    Args:
        canvas: What is drawn on.
        tracked: With ``contacts``.
        by_class: Dots have the colours of classes.
    """
    if tracked.contacts is None:
        return
    points, states = tracked.contacts.points.tolist(), tracked.contacts.states.tolist()
    if tracked.tracks is None:
        colours = [class_colour(class_id) for class_id in tracked.instances.class_ids.tolist()]
        rows = list(range(len(points)))
    else:
        tracks = tracked.tracks
        numbers = tracks.class_ids if by_class else tracks.ids
        paint = class_colour if by_class else identity_colour
        rows = tracks.detection_rows.tolist()
        colours = [paint(number) for number in numbers.tolist()]
    for row, colour in zip(rows, colours, strict=True):
        if row >= 0:
            _dot(canvas, points[row], colour, hollow=states[row] != ContactState.SEEN)


def _dot(canvas: Canvas, point: list[float], colour: Bgr, *, hollow: bool) -> None:
    import cv2

    radius = max(canvas.diagonal_px / 290, 2.5)
    pen_px = max(round(radius * 0.45), 1)
    reach = math.ceil(radius + 2 * pen_px) + 1
    left, top = max(math.floor(point[0]) - reach, 0), max(math.floor(point[1]) - reach, 0)
    region = canvas.image[top : max(math.floor(point[1]) + reach, 0), left : max(math.floor(point[0]) + reach, 0)]
    if not region.size:
        return
    below = region.copy() if hollow else None
    centre = round((point[0] - left) * 16), round((point[1] - top) * 16)
    inner = round((radius - 0.25 * pen_px) * 16)
    for wide, tone in ((round((radius + pen_px) * 16), CASING), (round((radius + 0.5 * pen_px) * 16), EDGE)):
        cv2.circle(region, centre, wide, tone, cv2.FILLED, cv2.LINE_AA, 4)
    if below is None:
        cv2.circle(region, centre, inner, colour, cv2.FILLED, cv2.LINE_AA, 4)
    else:
        hole = np.zeros(region.shape[:2], np.uint8)
        cv2.circle(hole, centre, inner, (255,), cv2.FILLED, cv2.LINE_AA, 4)
        share = hole[..., None].astype(np.uint16)
        region[...] = (below * share + region * (255 - share)) // 255
