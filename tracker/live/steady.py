"""Instances and the picture's size enter, tracks leave; a stream that changes its size keeps its identities."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tracker.types import InstanceMasks, Instances, Tracks

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Associator", "SteadyTracker"]


class Associator(Protocol):
    """Instances in, identities out. :class:`tracker.associate.tracker.Tracker` is the one that ships."""

    def update(self, instances: Instances, time_s: float) -> Tracks:
        """Take the next frame's instances at media time ``time_s``."""
        ...


class SteadyTracker:
    """A tracker that always sees pictures of the first size: cameras and playlists switch resolution in mid-stream.

    Args:
        tracker: The tracker of one stream.
    """

    def __init__(self, tracker: Associator) -> None:
        self._tracker = tracker
        self._size: tuple[int, int] | None = None

    def update(self, instances: Instances, time_s: float, size: tuple[int, int]) -> Tracks:
        """Take the next frame's instances.

        Args:
            instances: In pixels of a picture of ``size``.
            time_s: Media time in seconds.
            size: ``(width, height)`` of the picture in pixels.

        Returns:
            The tracks, in pixels of the same picture.
        """
        if self._size is None:
            self._size = size
        if size == self._size:
            return self._tracker.update(instances, time_s)
        scale = np.array([self._size[0] / size[0], self._size[1] / size[1]], np.float32)
        tracks = self._tracker.update(_scaled(instances, scale, self._size), time_s)
        back = np.float32(1) / scale
        return replace(tracks, boxes=tracks.boxes * np.tile(back, 2), velocities=tracks.velocities * back)


def _scaled(instances: Instances, scale: NDArray[np.float32], size: tuple[int, int]) -> Instances:
    masks = instances.masks
    if masks is not None:
        step_px = (masks.step_px[0] * float(scale[0]), masks.step_px[1] * float(scale[1]))
        masks = InstanceMasks(probabilities=masks.probabilities, step_px=step_px, image_size=size)
    return replace(instances, boxes=instances.boxes * np.tile(scale, 2), masks=masks)
