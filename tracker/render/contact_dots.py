"""Dots where objects stand on the ground: filled where that place is seen, hollow where it is hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.contacts import ContactState
from tracker.render.colour import class_colour, identity_colour

if TYPE_CHECKING:
    from tracker.render.canvas import Canvas
    from tracker.render.colour import Bgr
    from tracker.types import TrackedFrame

__all__ = ["draw_contacts"]

EDGE: Bgr = (255, 255, 255)
CASING: Bgr = (28, 24, 22)
FAR_OUTSIDE_PX = 1 << 20
"""OpenCV's fixed-point coordinates overflow beyond."""


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
        if row >= 0 and max(abs(points[row][0]), abs(points[row][1])) < FAR_OUTSIDE_PX:
            _dot(canvas, points[row], colour, hollow=states[row] != ContactState.SEEN)


def _dot(canvas: Canvas, point: list[float], colour: Bgr, *, hollow: bool) -> None:
    import cv2

    radius = max(canvas.diagonal_px / 290, 2.5)
    centre = round(point[0] * 16), round(point[1] * 16)
    pen_px = max(round(radius * 0.45), 1)
    rings: tuple[tuple[float, Bgr, int], ...]
    if hollow:
        rings = ((0.5, CASING, 2 * pen_px + 1), (0.5, colour, pen_px))
    else:
        rings = ((1.0, CASING, cv2.FILLED), (0.5, EDGE, cv2.FILLED), (-0.25, colour, cv2.FILLED))
    for wider, tone, thickness in rings:
        cv2.circle(canvas.image, centre, round((radius + wider * pen_px) * 16), tone, thickness, cv2.LINE_AA, 4)
