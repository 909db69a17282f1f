"""A stream's frames through its stages: one at a time, in the order of taking, whichever thread gives them back."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tracker.engine.economy import Found
from tracker.engine.stage import through
from tracker.engine.writer import LastEvents, unforeseen
from tracker.sinks.base import Checkpoint
from tracker.types import Frame, Instances, TrackedFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tracker.engine.economy import Economy
    from tracker.engine.journal import Delivery
    from tracker.engine.meter import StreamMeter
    from tracker.engine.stage import Stage
    from tracker.engine.stillness import Grey
    from tracker.engine.taps import Taps
    from tracker.engine.writer import Writer
    from tracker.errors import TrackerError
    from tracker.events import Event

__all__ = ["OrderedStages", "Taken"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A frame that was taken from a stream.

    Attributes:
        frame: The frame.
        number: In the order of taking.
        detects: Whether the detector is to run.
        grey: Its small grey picture, where the stream has an economy that compares pictures.
    """

    frame: Frame
    number: int
    detects: bool = True
    grey: Grey | None = None


class OrderedStages:
    """The stages of a stream, and what is counted and written after them.

    Args:
        name: Of the stream.
        stages: What is done to each segmented frame, in order.
        economy: Decides which frames the detector sees; has the first ``stages``.
        meter: Counts what went through.
        delivery: Of the events.
        taps: See every frame that went through.
        writer: Of the outputs, where there are any.
        checkpoint_frames: Give the outputs a :class:`tracker.sinks.base.Checkpoint` after so many frames.
        lost: Frames of the source that were left out because the machine was too slow for them.
        failed: Whether the stream has failed: what comes then is dropped.
        failures: Of the stream; a fault at the end of a stage is added.

    Attributes:
        next_index: Index after that of the last frame that went through.
    """

    def __init__(
        self,
        name: str,
        stages: Sequence[Stage],
        *,
        economy: Economy | None,
        meter: StreamMeter,
        delivery: Delivery,
        taps: Taps,
        writer: Writer | None,
        checkpoint_frames: int | None,
        lost: Callable[[], int],
        failed: Callable[[], bool],
        failures: list[TrackerError],
    ) -> None:
        self.next_index = 0
        self._name = name
        self._stages = list(stages)
        self._economy = economy
        self._segment: Callable[[Frame], Instances] = _no_segmenter
        self._meter = meter
        self._delivery = delivery
        self._taps = taps
        self._writer = writer
        self._checkpoint_frames = checkpoint_frames
        self._lost = lost
        self._failed = failed
        self._failures = failures
        self._sorting = threading.Lock()  # of the frames whose turn has not come
        self._found: dict[int, tuple[Taken, Instances, float, Sequence[str]]] = {}
        self._next = 0
        self._processing = False
        self._stepping = threading.Lock()  # of the stages, held for a frame at a time
        self._closed = False  # under that lock

    @property
    def waiting(self) -> int:
        """Frames whose turn has not come."""
        return len(self._found)

    def take(
        self,
        taken: Taken,
        instances: Instances,
        segment_s: float,
        class_names: Sequence[str],
        segment: Callable[[Frame], Instances] | None = None,
    ) -> None:
        """Give a frame's instances back; the frames whose turn it is go through the stages and to the outputs.

        Never waits for another worker: one that is processing frames takes this one along.

        Args:
            taken: The frame.
            instances: Of it; none where the detector did not run.
            segment_s: Seconds of the detector.
            class_names: Names in ``class_ids`` order.
            segment: Segments a frame that has to be after all; streams with an economy need it.
        """
        if segment is not None:
            self._segment = segment
        with self._sorting:
            self._found[taken.number] = (taken, instances, segment_s, class_names)
            if self._processing:
                return
            self._processing = True
        while True:
            with self._sorting:
                found = self._found.pop(self._next, None)
                if found is None:
                    self._processing = False
                    return
                self._next += 1
            try:
                with self._stepping:
                    self._process(*found)
            except BaseException:
                self._processing = False
                raise

    def snapshot(self) -> dict[str, Any] | None:
        """What the stages that outlast a restart keep, between two frames; ``None`` while there is nothing."""
        with self._stepping:
            return self._state([stage for stage in self._stages if stage.outlasts_restart])

    def present(self) -> dict[str, dict[str, int]]:
        """Identities in a site's zones now, by zone and class."""
        with self._stepping:
            return {zone: counts for stage in self._stages for zone, counts in stage.present().items()}

    def queues(self) -> dict[str, int]:
        """Identities in a site's queues now."""
        with self._stepping:
            return {queue: length for stage in self._stages for queue, length in stage.waiting().items()}

    @property
    def notes(self) -> list[str]:
        """What its stages left out or could not do, in words."""
        with self._stepping:
            return [note for stage in self._stages for note in stage.notes()]

    def close(self) -> None:
        """Have the stages end what is open in them, and give what they found to the outputs."""
        with self._stepping:
            if self._closed:
                return
            self._closed = True
            events: list[Event] = []
            try:
                if not self._failed():
                    self._let_go()
                for stage in self._stages:
                    events += stage.close()
            except Exception as failure:  # noqa: BLE001 - the stream is over, its outputs are to be completed
                self._failures.append(unforeseen(self._name, "end its stages", failure))
            new = self._delivery.take(events)
        self._meter.add_events(new)
        last = (*self._delivery.again(), *new)
        if self._writer is not None and last:
            self._writer.put(LastEvents(last))

    def _process(self, taken: Taken, instances: Instances, segment_s: float, class_names: Sequence[str]) -> None:
        """Take one frame through the stages."""
        if self._failed() or self._closed:
            return
        if self._economy is None:
            tracked = TrackedFrame(
                frame=taken.frame,
                instances=instances,
                tracks=None,
                class_names=class_names,
                stage_times_s={"segment": segment_s},
                detected=taken.detects,
            )
            self._advance(through(self._stages, tracked))
        else:
            found = Found(
                frame=taken.frame,
                grey=taken.grey,
                instances=instances if taken.detects else None,
                segment_s=segment_s,
                class_names=class_names,
            )
            for tracked in self._economy.take(found, self._segment):
                self._advance(through(self._economy.later(self._stages), tracked))
        every = self._checkpoint_frames
        if self._writer is not None and every is not None and self._next % every == 0:
            self._let_go()  # after a checkpoint a later process segments the first frame, and so does this one
            self._writer.put(Checkpoint(next_index=self.next_index, state=self._state(self._stages)))

    def _let_go(self) -> None:
        """Finish what the economy holds back, and have it begin anew."""
        if self._economy is not None:
            for tracked in self._economy.flush(self._segment):
                self._advance(through(self._economy.later(self._stages), tracked))

    def _advance(self, tracked: TrackedFrame) -> None:
        """Count a frame that went through the stages, and give it to the outputs."""
        tracked = tracked.without_prototypes()  # outputs may be many frames behind, at 1.4 MB each
        if tracked.events:
            tracked = replace(tracked, events=self._delivery.take(tracked.events))
        self._meter.add(tracked, lost=self._lost)
        if again := self._delivery.again():
            tracked = replace(tracked, events=(*again, *tracked.events))
        self.next_index = tracked.frame.index + 1
        self._taps.give(tracked)
        if self._writer is not None:
            self._writer.put(tracked)

    def _state(self, stages: Sequence[Stage]) -> dict[str, Any] | None:
        """What these stages keep, by name, and the count of identities."""
        states = {stage.name: state for stage in stages if (state := stage.state()) is not None}
        if not states:
            return None
        return {"stages": states, "census": self._meter.census_state(), "events": self._delivery.number}


def _no_segmenter(frame: Frame) -> Instances:
    """In the place of a segmenter, before the first frame came with one.

    Raises:
        RuntimeError: Always.
    """
    message = f"frame {frame.index}: expected a segmenter for the stream's economy, found none"
    raise RuntimeError(message)
