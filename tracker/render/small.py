"""Tracked frames at fewer lines, for pictures that are saved smaller than their source."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tracker.boxes import at_height
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tracker.types import Frame, Instances, TrackedFrame

__all__ = ["drawn_small", "made_small"]


def drawn_small(
    draw: Callable[[TrackedFrame], NDArray[np.uint8]], height: int, tracked_frame: TrackedFrame
) -> NDArray[np.uint8]:
    """What ``draw`` makes of the frame at ``height`` lines: ``(h, w, 3)`` uint8 BGR.

    Raises:
        ConfigError: The frame carries no picture.
    """
    return draw(made_small(tracked_frame, height))


def made_small(tracked_frame: TrackedFrame, height: int) -> TrackedFrame:
    """The frame with its picture, and all pixel positions that are drawn, at ``height`` lines; never larger.

    ``Frame.small_image`` is taken where it has that size; else the full-size picture is averaged over areas. Velocities
    and camera motion, which nothing draws, stay in pixels of the source.

    Raises:
        ConfigError: The frame carries no picture.
    """
    frame = tracked_frame.frame
    size = at_height(frame.size, height)
    picture = _picture(frame, size)
    small = replace(frame, size=size, image=picture, small_image=None, network_image=None, letterbox=None)
    if size == frame.size:
        return replace(tracked_frame, frame=small)
    scale = size[0] / frame.size[0], size[1] / frame.size[1]
    twice = np.tile(np.array(scale, np.float32), 2)
    tracks, contacts, predicted = tracked_frame.tracks, tracked_frame.contacts, tracked_frame.predicted_masks
    return replace(
        tracked_frame,
        frame=small,
        instances=_scaled(tracked_frame.instances, scale, twice, size),
        tracks=None if tracks is None else replace(tracks, boxes=tracks.boxes * twice),
        contacts=None if contacts is None else replace(contacts, points=contacts.points * scale),
        predicted_masks=None if predicted is None else replace(predicted, masks=predicted.masks.scaled(scale, size)),
        segmented=None,
    )


def _picture(frame: Frame, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The frame's picture at ``size``."""
    if frame.small_image is not None and frame.small_image.shape[1::-1] == size:
        return frame.small_image
    if frame.image is None:
        problem = "expected frames with pixels to draw on, found none"
        raise ConfigError(frame.source, problem, "open the source with images, or with small_height")
    if size == frame.size:
        return frame.image
    import cv2

    return np.asarray(cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _scaled(
    instances: Instances, scale: tuple[float, float], twice: NDArray[np.float32], size: tuple[int, int]
) -> Instances:
    masks = None if instances.masks is None else instances.masks.scaled(scale, size)
    return replace(instances, boxes=instances.boxes * twice, masks=masks, coefficients=None, prototypes=None)
