"""One camera's frames and their instances enter, in the same order; tracks leave, whatever size the picture takes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from tracker.engine.steady import SteadyTracker

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from tracker.engine.pipeline import Associator
    from tracker.types import Frame, Instances, Tracks

__all__ = ["SizedTracker"]


class SizedTracker:
    """A :class:`tracker.engine.steady.SteadyTracker` for a pipeline, which hands trackers no picture sizes.

    Args:
        tracker: The tracker of one stream.
    """

    def __init__(self, tracker: Associator) -> None:
        self._steady = SteadyTracker(tracker)
        self._sizes: deque[tuple[int, int]] = deque()

    def watch(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The same frames; each one's size is kept until its instances come."""
        for frame in frames:
            self._sizes.append(frame.size)
            yield frame

    def update(self, instances: Instances, time_s: float, *, warp: NDArray[np.float64] | None = None) -> Tracks:
        """Take the instances of the next frame that was watched.

        Args:
            instances: In pixels of that frame.
            time_s: Media time in seconds.
            warp: ``(2, 3)`` how the camera moved.
        """
        return self._steady.update(instances, time_s, self._sizes.popleft(), warp=warp)
