"""Economy of one stream: which frames need the segmenter, decided in the order of the frames.

Motion gate: a frame in which nothing moved since the last segmented one has no instances, if no track lives.
Interpolation, for recordings: of two frames one is held back until the next one is segmented. Where it is plain which
instance of that one is which track's, the tracks of the frame that was held back lie between; else it is segmented.

A decision depends on pictures and instances only, never on the speed of a machine: a recording gives the same result
with one worker and with many. :meth:`Economy.expects` guesses the decision when a frame is taken, so that what is
needed is segmented ahead; a wrong guess costs time and changes nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tracker import boxes as box_algebra
from tracker.engine.interpolated import between
from tracker.engine.stage import through
from tracker.engine.stillness import is_still
from tracker.types import Instances, TrackedFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from tracker.engine.stage import Stage
    from tracker.engine.steady import SteadyTracker
    from tracker.engine.stillness import Grey
    from tracker.types import Frame

__all__ = ["Economy", "Found"]

SEGMENT_S = 1.0
"""From one segmented frame to the next at most."""
LONGEST_STEP_S = 1 / 20 + 1e-3
"""Between two frames at most, for one of them to be interpolated: KITTI, at 10 fps, loses 1.2 of HOTA."""
LEAST_IOU = 0.5
"""Of a track's box and its instance two frames later: below it moved too far to be explained."""
NEAR = 1.0
"""In the place where a track was, grown by so many of its sizes on each side, an instance of its class is its own."""
MARGIN = 0.5
"""By which a track's overlap with its own instance exceeds that with any other one. It, :data:`LEAST_IOU` and
:data:`BACK_OFF_S` were chosen on the twelve DanceTrack sequences, at 20 fps: HOTA 57.8, where every frame gives 58.2
and every second one 55.1."""
LEAST_OVERLAP = 0.1
"""A smaller overlap is none."""
BACK_OFF_S = 0.1
"""After a frame that had to be segmented after all, all of them are for so long."""


MOST_GUESSED = 64
"""Comparisons that are remembered from the guess about a frame to its decision: more than are in flight."""


class _Compared(NamedTuple):
    grey: Grey
    last: Grey
    still: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One frame on its way through the economy.

    Attributes:
        frame: The picture and its times.
        grey: Its small grey picture; ``None`` where it has no pixels.
        instances: ``None`` where it was not segmented ahead.
        segment_s: Seconds of that.
        class_names: Names in ``class_ids`` order.
    """

    frame: Frame
    grey: Grey | None
    instances: Instances | None
    segment_s: float
    class_names: Sequence[str]

    @property
    def known(self) -> Instances:
        """The instances; none of a frame that was not segmented."""
        return Instances.empty() if self.instances is None else self.instances

    def segmented(self, segment: Callable[[Frame], Instances]) -> Found:
        """The frame with its instances, by ``segment`` where it was not segmented ahead."""
        if self.instances is not None:
            return self
        started_s = time.perf_counter()
        instances = segment(self.frame)
        return replace(self, instances=instances, segment_s=self.segment_s + time.perf_counter() - started_s)


class Economy:
    """Takes a stream's frames in their order and gives them back tracked, now and then two at once.

    Args:
        stages: From the first one to the association.
        tracker: The last of them.
        fills: Frames may be interpolated: the stream is a recording.
    """

    def __init__(self, stages: Sequence[Stage], tracker: SteadyTracker, *, fills: bool) -> None:
        self._stages, self._tracker, self._fills = list(stages), tracker, fills
        self._grey: Grey | None = None  # of the last segmented frame, like the next two
        self._segmented_s = 0.0
        self._key: TrackedFrame | None = None  # where it is the last frame, and may have one after it interpolated
        self._held: Found | None = None
        self._time_s: float | None = None
        self._hold_from_s = -np.inf
        self._ahead = False  # whether the last frame was expected to need the segmenter
        self._compared: dict[int, _Compared] = {}  # by the small pictures of frames that are guessed and not decided

    def expects(self, frame: Frame, grey: Grey | None) -> bool:
        """Whether a frame that is taken now will probably need the segmenter."""
        quiet = not self._tracker.living and self._still(frame.time_s, grey, 0.0, guesses=True)
        between = self._fills and self._ahead and frame.time_s >= self._hold_from_s
        self._ahead = not quiet and not between
        return self._ahead

    def later(self, stages: Sequence[Stage]) -> Sequence[Stage]:
        """The rest of a stream's stages."""
        return stages[len(self._stages) :]

    def take(self, found: Found, segment: Callable[[Frame], Instances]) -> Iterator[TrackedFrame]:
        """The frames that are decided with this one.

        Args:
            found: The next frame.
            segment: Segments a frame.
        """
        frame = found.frame
        guessed = self._compared.pop(id(found.grey), None)
        step_s = np.inf if self._time_s is None else frame.time_s - self._time_s
        self._time_s = frame.time_s
        if (held := self._held) is not None:
            self._held = None
            yield from self._decide(held, found, segment, step_s)
        elif not self._tracker.living and self._still(frame.time_s, found.grey, step_s, guessed=guessed):
            self._key = None
            yield self._through(found, skipped=True)
        elif self._may_hold(frame, step_s):
            self._held = found
        else:
            yield self._segment(found, segment)

    def flush(self, segment: Callable[[Frame], Instances]) -> Iterator[TrackedFrame]:
        """What is held back, since no frame follows; then begin anew: the next frame is segmented."""
        held, self._held = self._held, None
        if held is not None:
            yield self._segment(held, segment)
        self._grey = self._key = self._time_s = None
        self._compared.clear()
        self._hold_from_s = -np.inf

    def _still(
        self,
        time_s: float,
        grey: Grey | None,
        step_s: float,
        *,
        guessed: _Compared | None = None,
        guesses: bool = False,
    ) -> bool:
        """Whether nothing moved since the last segmented frame, and the next frame is early enough to be another.

        A comparison of a guess is remembered for the decision, which is about the same two pictures in most cases.
        """
        last = self._grey  # which another thread may take away, while this one guesses
        if grey is None or last is None or time_s + step_s > self._segmented_s + SEGMENT_S + 1e-6:
            return False
        if guessed is not None and guessed.grey is grey and guessed.last is last:
            return guessed.still
        still = is_still(grey, last)
        if guesses and len(self._compared) < MOST_GUESSED:
            self._compared[id(grey)] = _Compared(grey, last, still)
        return still

    def _may_hold(self, frame: Frame, step_s: float) -> bool:
        key = self._key
        if not self._fills or key is None or key.frame.size != frame.size:
            return False
        return step_s <= LONGEST_STEP_S and frame.time_s >= self._hold_from_s

    def _decide(
        self, held: Found, found: Found, segment: Callable[[Frame], Instances], step_s: float
    ) -> Iterator[TrackedFrame]:
        """The frame that was held back, and this one."""
        key = self._key
        found = found.segmented(segment)
        fits = step_s <= LONGEST_STEP_S and found.frame.size == held.frame.size
        if key is not None and fits and explained(key, found.known):
            middle = self._through(held, interpolated=True)
            after = self._through(found)
            self._note(found, after)
            yield between(key, middle, after)
            yield after
        else:
            self._hold_from_s = found.frame.time_s + BACK_OFF_S
            yield self._segment(held, segment)
            yield self._segment(found, segment)

    def _segment(self, found: Found, segment: Callable[[Frame], Instances]) -> TrackedFrame:
        found = found.segmented(segment)
        tracked = self._through(found)
        self._note(found, tracked)
        return tracked

    def _note(self, found: Found, tracked: TrackedFrame) -> None:
        self._grey, self._segmented_s, self._key = found.grey, found.frame.time_s, tracked

    def _through(self, found: Found, *, skipped: bool = False, interpolated: bool = False) -> TrackedFrame:
        detected = not (skipped or interpolated)
        tracked = TrackedFrame(
            frame=found.frame,
            instances=found.known if detected else Instances.empty(),
            tracks=None,
            class_names=found.class_names,
            stage_times_s={"segment": found.segment_s},
            detected=detected,
            skipped=skipped,
            interpolated=interpolated,
        )
        return through(self._stages, tracked)


def explained(key: TrackedFrame, instances: Instances) -> bool:
    """Whether it is plain which instance two frames later is which track's, without the frame between.

    Every track overlaps one instance by :data:`LEAST_IOU`, and any other one by :data:`MARGIN` less, as every
    instance does with the tracks. Where a track has no instance, none that is free may be near: it would have moved
    too fast. Far from all others, it was missed or has gone.

    Args:
        key: The frame before, with its tracks.
        instances: Of the frame after.
    """
    tracks = key.tracks
    if tracks is None:
        return True
    seen = tracks.detection_rows >= 0
    boxes, classes = tracks.boxes[seen], tracks.class_ids[seen]
    if not len(boxes) or not len(instances):
        return True
    overlaps = box_algebra.iou(boxes, instances.boxes)  # (N, M)
    if _is_ambiguous(overlaps) or _is_ambiguous(overlaps.T):
        return False
    same = classes[:, None] == instances.class_ids[None]
    found = (overlaps * same).max(axis=1) >= LEAST_IOU
    if found.all():
        return True
    free = (overlaps * same).max(axis=0) < LEAST_IOU
    near = box_algebra.intersections(box_algebra.expand(boxes[~found], NEAR), instances.boxes[free]) > 0
    return not bool((near & same[~found][:, free]).any())


def _is_ambiguous(overlaps: NDArray[np.float32]) -> bool:
    """Whether some row's two largest of ``(N, M)`` overlaps are alike."""
    if overlaps.shape[1] < 2:
        return False
    second, first = np.partition(overlaps, -2, axis=1)[:, -2:].T
    return bool(((first - second < MARGIN) & (second > LEAST_OVERLAP)).any())
