"""Association of one stream: a tracker that survives changes of size, outages and restarts of the process."""

from __future__ import annotations

import copy
import statistics
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tracker.associate.calibration import HISTORY
from tracker.engine.stage import Stage
from tracker.errors import TrackerError
from tracker.types import Instances, Tracks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracker.engine.snapshot import Kept
    from tracker.plugins import StageContext
    from tracker.types import TrackedFrame

__all__ = ["Associator", "SteadyTracker", "associate"]

OUTAGE_S = 2.0
"""A stream that showed nothing for longer shows another scene: an object in an old place is another one."""

OUTAGE_INTERVALS = 5
"""And longer than this many usual intervals: cameras of one frame in three seconds have no outage all the time."""

RESTART_STEP_S = 0.001

TRIAL_STEP_S = 0.5
"""Between the two pictures that a restored tracker is tried with: long enough for all that happens at most so often."""


class Associator(Protocol):
    """Instances in, identities out. :class:`tracker.associate.tracker.Tracker` is the one that ships."""

    def update(self, instances: Instances, time_s: float, *, warp: NDArray[np.float64] | None = None) -> Tracks:
        """Take the next frame's instances at media time ``time_s``; ``warp (2, 3)``, if any: how the camera moved."""
        ...


class SteadyTracker(Stage):
    """The associate stage: a tracker of one stream.

    It always sees pictures of the first size, since cameras and playlists switch resolution in mid-stream. After an
    outage it is shown an empty picture first, so that no new arrival takes an identity of before. Its state can be kept
    and restored in another process.

    Args:
        tracker: The tracker of one stream.
    """

    name = "associate"

    def __init__(self, tracker: Associator) -> None:
        self._tracker = tracker
        self._size: tuple[int, int] | None = None
        self._last_s: float | None = None  # on the tracker's clock, which continues over restarts
        self._offset_s = 0.0
        self._restored_s: float | None = None
        self._intervals_s: deque[float] = deque(maxlen=5)
        self._between = 0  # frames since the last update that the detector did not see
        self._warp: NDArray[np.float64] | None = None  # the camera's motion in them
        self._gaps: deque[int] = deque(maxlen=HISTORY)  # frames from each update back to the one before, newest first

    def process(self, tracked: TrackedFrame) -> TrackedFrame:
        """The frame with its tracks, and with masks of which each cell belongs to one of them."""
        frame = tracked.frame
        if not tracked.detected and not tracked.skipped:  # no instance was missed in one that was skipped
            return replace(tracked, tracks=self.predict(frame.time_s, frame.size, warp=tracked.warp))
        tracks = self.update(tracked.instances, frame.time_s, frame.size, warp=self._moved(tracked.warp))
        tracks = replace(tracks, earlier_rows=self._in_frames(tracks.earlier_rows))
        self._between, self._warp = 0, None
        return replace(tracked, tracks=tracks).divided()

    @property
    def living(self) -> int:
        """Tracks that have not ended, tentative and lost ones included.

        Raises:
            TrackerError: The tracker does not tell.
        """
        tracker: Any = self._tracker
        if not hasattr(tracker, "living"):
            problem = f"expected a tracker with `living`, found {type(tracker).__name__}"
            raise TrackerError("economy", problem, "let the detector see every frame")
        return int(tracker.living)

    def predict(self, time_s: float, size: tuple[int, int], *, warp: NDArray[np.float64] | None = None) -> Tracks:
        """The tracks of a frame that the detector did not see; arguments as those of :meth:`update`.

        Raises:
            TrackerError: The tracker cannot predict.
        """
        tracker: Any = self._tracker
        if not hasattr(tracker, "predicted"):
            problem = f"expected a tracker with `predicted`, found {type(tracker).__name__}"
            raise TrackerError("detect_every", problem, "let the detector see every frame")
        self._between += 1
        self._warp = self._moved(warp)
        warp, scale = self._warp, np.ones(2, np.float32)
        if self._size is not None and size != self._size:
            scale = np.array([self._size[0] / size[0], self._size[1] / size[1]], np.float32)
            warp = None if warp is None else warp * scale[:, None] / np.append(scale, np.float32(1))
        tracks: Tracks = tracker.predicted(time_s + self._offset_s, warp=warp)
        back = np.float32(1) / scale
        return replace(tracks, boxes=tracks.boxes * np.tile(back, 2), velocities=tracks.velocities * back)

    def update(
        self,
        instances: Instances,
        time_s: float,
        size: tuple[int, int],
        *,
        warp: NDArray[np.float64] | None = None,
    ) -> Tracks:
        """Take the next frame's instances.

        Args:
            instances: In pixels of a picture of ``size``.
            time_s: Media time in seconds.
            size: ``(width, height)`` of the picture in pixels.
            warp: ``(2, 3)`` how the camera moved since the picture before, which had the same size.

        Returns:
            The tracks, in pixels of the same picture.
        """
        if self._restored_s is not None:
            self._offset_s, self._restored_s = self._restored_s - time_s, None
        time_s += self._offset_s
        if self._size is None:
            self._size = size
        given_up = self._end_outage(time_s)
        if size == self._size:
            tracks = self._take(instances, time_s, warp)
        else:
            scale = np.array([self._size[0] / size[0], self._size[1] / size[1]], np.float32)
            if warp is not None:
                warp = warp * scale[:, None] / np.append(scale, np.float32(1))
            tracks = self._take(_scaled(instances, scale, self._size), time_s, warp)
            back = np.float32(1) / scale
            tracks = replace(tracks, boxes=tracks.boxes * np.tile(back, 2), velocities=tracks.velocities * back)
        if len(given_up):
            tracks = replace(tracks, ended_ids=np.union1d(given_up, tracks.ended_ids))
        return tracks

    def _moved(self, warp: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        """How the camera moved since the last update, with ``warp (2, 3)`` of the last frame."""
        if warp is None or self._warp is None:
            return self._warp if warp is None else warp
        return np.asarray(warp @ np.vstack([self._warp, [0.0, 0.0, 1.0]]))

    def _in_frames(self, earlier_rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Detections of before with the number of frames since, in place of that of updates."""
        self._gaps.appendleft(self._between + 1)
        if max(self._gaps) == 1 or not len(earlier_rows):
            return earlier_rows
        frames = np.cumsum([0, *self._gaps])
        known = earlier_rows[earlier_rows[:, 1] < len(frames)].copy()
        known[:, 1] = frames[known[:, 1]]
        return known

    def state(self) -> dict[str, Any] | None:
        """The tracker's own state and the clock; ``None`` before the first frame, or where the tracker keeps none."""
        tracker: Any = self._tracker
        if self._last_s is None or self._size is None or not hasattr(tracker, "state"):
            return None
        return {
            "tracker": tracker.state(),
            "size": np.array(self._size),
            "last_s": self._last_s,
            "intervals_s": np.array(self._intervals_s),
            "between": self._between,
            "gaps": np.array(self._gaps, np.int64),
            "warp": np.zeros((0, 3)) if self._warp is None else self._warp,
        }

    def restore(self, kept: Kept) -> None:
        """Continue from what :meth:`state` gave in another tracker of the same kind.

        Raises:
            Exception: It gave something else.
        """
        tracker: Any = self._tracker
        next_id = int(kept.state["tracker"]["next_id"]) + kept.skip_ids
        if kept.numbers_only:
            tracker.restore(tracker.state() | {"next_id": next_id})
            return
        tracker.restore(kept.state["tracker"] | {"next_id": next_id})
        self._size = (int(kept.state["size"][0]), int(kept.state["size"][1]))
        self._last_s = float(kept.state["last_s"])
        if kept.elapsed_s is not None:
            self._restored_s = self._last_s + max(kept.elapsed_s, RESTART_STEP_S)
        self._intervals_s.extend(np.asarray(kept.state["intervals_s"]).tolist())
        self._between = int(kept.state.get("between", 0))
        self._gaps.extend(np.asarray(kept.state.get("gaps", ()), np.int64).tolist())
        warp = np.asarray(kept.state.get("warp", ()), np.float64)
        self._warp = warp if warp.size else None
        self._try()

    def _try(self) -> None:
        """Show a copy two pictures: a state can be taken over and still fail the stream at the first one.

        Raises:
            Exception: What a frame would have met with.
        """
        trial = copy.deepcopy(self)
        size, time_s = self._size or (1, 1), self._last_s or 0.0
        boxes = np.zeros((0, 4), np.float32)
        for step in (1, 2):
            ids = np.zeros(len(boxes), np.int64)
            instances = Instances(boxes=boxes, scores=np.ones(len(boxes), np.float32), class_ids=ids)
            boxes = trial.update(instances, time_s + step * TRIAL_STEP_S, size).boxes
            if not np.isfinite(boxes).all():
                message = "boxes that are not finite"
                raise ValueError(message)

    def _take(self, instances: Instances, time_s: float, warp: NDArray[np.float64] | None) -> Tracks:
        if warp is None:
            return self._tracker.update(instances, time_s)
        return self._tracker.update(instances, time_s, warp=warp)

    def _end_outage(self, time_s: float) -> NDArray[np.int64]:
        """Note the time; after an outage show the tracker an empty picture, and return the identities that it ended."""
        last_s, self._last_s = self._last_s, time_s
        if last_s is None:
            return np.zeros(0, np.int64)
        step_s = time_s - last_s
        usual_s = statistics.median(self._intervals_s) if len(self._intervals_s) >= 3 else None
        self._intervals_s.append(step_s)
        if usual_s is None or step_s <= max(OUTAGE_S, OUTAGE_INTERVALS * usual_s):
            return np.zeros(0, np.int64)
        return self._tracker.update(Instances.empty(), time_s - RESTART_STEP_S / 2).ended_ids


def _scaled(instances: Instances, scale: NDArray[np.float32], size: tuple[int, int]) -> Instances:
    masks = instances.masks
    if masks is not None:
        masks = masks.scaled((float(scale[0]), float(scale[1])), size)
    return replace(instances, boxes=instances.boxes * np.tile(scale, 2), masks=masks)


def associate(context: StageContext) -> SteadyTracker:
    """The stage ``associate``; its setting ``tracker`` makes the tracker."""
    return SteadyTracker(context.settings["tracker"]())
