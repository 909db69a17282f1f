"""Hourly tiles of one stream while they grow, for the store that keeps them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tracker.heat import TILE_MS, HeatSum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.heat import HeatSteps, HeatTile

__all__ = ["GrowingTiles"]

WRITE_S = 5.0
"""Seconds of presence that a killed process loses at most."""


class GrowingTiles:
    """What the frames of a stream added, hour by hour, until it is written.

    Args:
        stream: Name of the stream, as in its events.

    Attributes:
        waiting_since_s: When the first frame came that is not written, on the monotonic clock.
    """

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._sum = HeatSum()
        self._tile: tuple[bool, int] | None = None
        self._ended: list[HeatTile] = []
        self._fresh = False
        self.waiting_since_s = time.monotonic()

    def add(self, steps: HeatSteps, class_names: Sequence[str]) -> None:
        """Take a frame; frames come in order of time, but a camera's clock may be set back."""
        tile = (steps.utc, steps.time_ms // TILE_MS * TILE_MS)
        if self._tile is not None and (tile != self._tile or steps.shape != self._sum.shape):
            self._ended.append(self._sum.tile(self._stream, self._tile[1]))
            self._sum = HeatSum()
        self._tile = tile
        self._sum.add_steps(steps, class_names)
        if not self._fresh:
            self._fresh, self.waiting_since_s = True, time.monotonic()

    @property
    def due(self) -> bool:
        """Whether there is something that has waited long enough."""
        return bool(self._ended) or (self._fresh and time.monotonic() - self.waiting_since_s >= WRITE_S)

    def tiles(self) -> list[HeatTile]:
        """What is not written yet: hours that are over, and the one that lasts as it is now."""
        if self._tile is None or not self._fresh:
            return list(self._ended)
        return [*self._ended, self._sum.tile(self._stream, self._tile[1])]

    def written(self) -> None:
        """What :meth:`tiles` gave is in the store."""
        self._ended, self._fresh = [], False
