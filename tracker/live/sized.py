"""One camera's frames and their instances enter, in the same order; tracks leave, whatever size the picture takes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from tracker.live.steady import SteadyTracker

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from tracker.pipeline import Associator
    from tracker.types import Frame, Instances, Tracks

__all__ = ["SizedTracker"]


class SizedTracker:
    """A :class:`tracker.live.steady.SteadyTracker` for a pipeline, which hands trackers no picture sizes.

    Args:
        tracker: The tracker of one stream.
    """

    def __init__(self, tracker: Associator) -> None:
        self._warped = _Warped(tracker)
        self._steady = SteadyTracker(self._warped)
        self._sizes: deque[tuple[int, int]] = deque()
        self._first_size: tuple[int, int] | None = None

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
            warp: ``(2, 3)`` how the camera moved; left out while the picture has another size than the first one.
        """
        size = self._sizes.popleft()
        self._first_size = self._first_size or size
        self._warped.warp = warp if size == self._first_size else None
        return self._steady.update(instances, time_s, size)


class _Warped:
    """Hands a frame's camera motion past the steady tracker, once: the empty picture after an outage uses it up."""

    def __init__(self, tracker: Associator) -> None:
        self.warp: NDArray[np.float64] | None = None
        self._tracker = tracker

    def update(self, instances: Instances, time_s: float) -> Tracks:
        warp, self.warp = self.warp, None
        return self._tracker.update(instances, time_s, warp=warp)
