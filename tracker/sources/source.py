"""Source of frames: reader thread, bounded hand-off, drop policy, counters, stage times."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
import weakref
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

from tracker.sources.handoff import Handoff
from tracker.sources.limits import QUEUE_BYTES, bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from tracker.sources.convert import FrameConverter
    from tracker.sources.decoded import Decoder, Picture, SourceCounters, SourceInfo
    from tracker.types import Frame

__all__ = ["Source", "StageTimes"]

JOIN_S = 2.0
"""How long closing waits for the reader: a file's stops within a frame, one that hangs on a network at its time-out."""

SAMPLES = 4096
"""Per-frame stage times that are kept for percentiles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTimes:
    """CPU seconds spent so far, for benchmarks.

    Attributes:
        decode_s: Opening, reading and decoding, FFmpeg's own threads included where the system tells (Linux).
        convert_s: Colour conversion, resize and rotation.
        frames: Frames converted.
    """

    decode_s: float
    convert_s: float
    frames: int


class _Meter:
    """The sums behind :class:`StageTimes`; decoding and converting may be on different threads, each has its sum."""

    def __init__(self, opening_s: float) -> None:
        self.decode_s = opening_s  # reader thread only; FFmpeg's workers are asked for when wanted
        self.convert_s = 0.0
        self.frames = 0
        self.samples: deque[tuple[float, float]] = deque(maxlen=SAMPLES)


class Source:
    """Frames of one stream, in order, once: a context manager that is its own iterator.

    Made by :func:`tracker.sources.open.open_source`. With policy ``all`` the reader thread decodes and converts, and
    waits when the queue is full. With ``latest`` it only decodes and drops the oldest picture when the queue is full;
    the consumer's thread converts what it takes, so that dropped frames cost no conversion.

    Args:
        decoder: An open stream.
        converter: Turns its pictures into frames.
        policy: ``all``, ``latest``, or ``auto`` where only the first picture tells: ``latest`` for live streams.
        queue_size: Most frames waiting; fewer where they are so large that they pass
            :data:`tracker.sources.limits.QUEUE_BYTES`.
        stride: Deliver every n-th frame.
        max_age_s: With ``latest``, skip frames that waited longer while a newer one is there.
        opening_s: CPU seconds that opening the decoder took, charged to decoding.
        on_ready: Called on the reader's thread when a frame waits or the stream is over, for consumers of many
            streams; see :meth:`poll`.
    """

    def __init__(
        self,
        *,
        decoder: Decoder,
        converter: FrameConverter,
        policy: Literal["auto", "all", "latest"],
        queue_size: int,
        stride: int = 1,
        max_age_s: float | None = None,
        opening_s: float = 0.0,
        on_ready: Callable[[], None] | None = None,
    ) -> None:
        self._decoder = decoder
        self._converter = converter
        self._max_age_s = max_age_s
        self._late = 0
        self._meter = _Meter(opening_s)
        self._handoff: Handoff[Picture | Frame] = Handoff(
            capacity=queue_size,
            drop_oldest=policy == "latest",
            on_change=on_ready,
            max_bytes=QUEUE_BYTES,
            size_of=bytes_of,
        )
        arguments = (decoder, converter, self._handoff, self._meter)
        options = {"stride": stride, "chooses": policy == "auto"}
        self._thread = threading.Thread(target=_read, args=arguments, kwargs=options, name="source-reader", daemon=True)
        # The thread holds no reference to this object: a source that is dropped half-way is collected and stops its
        # thread
        self._finalizer = weakref.finalize(self, _stop, decoder, self._handoff, self._thread)
        self._thread.start()

    def __iter__(self) -> Iterator[Frame]:
        """The source itself: frames are delivered once."""
        return self

    def __next__(self) -> Frame:
        """The next frame.

        Raises:
            SourceError: When the stream broke off or cannot be converted.
        """
        item = self._handoff.get()
        while item is not None and self._is_stale(item):
            self._late += 1
            item = self._handoff.get()
        if item is None:
            raise StopIteration
        return self._frame(item)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        width, height = self.info.size
        return f"Source({self.info.name!r}, {width}x{height}, {self.info.fps:.2f} fps, {self.info.codec})"

    @property
    def info(self) -> SourceInfo:
        """Description of the stream; of a reconnecting one, of its latest connection."""
        return self._decoder.info

    @property
    def waiting(self) -> int:
        """Frames that wait, plus one for the error that ended the stream."""
        return self._handoff.waiting

    @property
    def ended(self) -> bool:
        """Whether no frame waits and none will arrive."""
        return self._handoff.over

    @property
    def exhausted(self) -> bool:
        """Whether no further frame will arrive after those that wait."""
        return self._handoff.exhausted

    def wait(self) -> None:
        """Wait for the first frame, which stays there to be taken: from now on :attr:`info` is known.

        Raises:
            SourceError: There will be none.
        """
        self._handoff.wait()

    def poll(self) -> Frame | None:
        """The next frame if one waits now, else ``None``; frames older than ``max_age_s`` are skipped and counted.

        Raises:
            SourceError: When the stream broke off or cannot be converted.
        """
        with contextlib.suppress(queue.Empty):
            while (item := self._handoff.get(0)) is not None:
                if self._max_age_s is None or not self._handoff.drop_oldest or _age_s(item) <= self._max_age_s:
                    return self._frame(item)
                self._late += 1
        return None

    @property
    def counters(self) -> SourceCounters:
        """A snapshot of the counts of packets and frames; the reader may be a few frames ahead of the consumer."""
        return replace(self._decoder.counters, dropped=self._handoff.dropped, late=self._late)

    @property
    def stage_times(self) -> StageTimes:
        """A snapshot of the CPU time spent so far."""
        decode_s = self._meter.decode_s + self._decoder.workers.spent_s()
        return StageTimes(decode_s=decode_s, convert_s=self._meter.convert_s, frames=self._meter.frames)

    @property
    def stage_samples(self) -> list[tuple[float, float]]:
        """``(decode_s, convert_s)`` of the last frames, at most 4096, with policy ``all``.

        FFmpeg's threads run ahead, so a single value is rough and only sums are exact; with ``latest`` frames are
        converted later and ``convert_s`` is zero.
        """
        return list(self._meter.samples)

    def show_images(self, *, wanted: bool) -> None:
        """Have frames carry their full-size images, or only where they were opened with them, from now on."""
        self._converter.shows_image = wanted

    def close(self) -> None:
        """Stop reading and release everything; frames still waiting are dropped. Safe in any state, and twice."""
        self._finalizer()

    def _is_stale(self, item: Picture | Frame) -> bool:
        if self._max_age_s is None or not self._handoff.drop_oldest or len(self._handoff) == 0:
            return False
        return _age_s(item) > self._max_age_s

    def _frame(self, item: Picture | Frame) -> Frame:
        if not self._handoff.drop_oldest:
            return item  # type: ignore[return-value]
        return _timed_convert(item, self._converter, self._meter)  # type: ignore[arg-type]


def _age_s(item: Picture | Frame) -> float:
    return time.monotonic() - item.arrived_s


def _read(
    decoder: Decoder,
    converter: FrameConverter,
    handoff: Handoff[Picture | Frame],
    meter: _Meter,
    *,
    stride: int,
    chooses: bool,
) -> None:
    """The reader thread: decode to the end, an error or the consumer's close; whatever happens reaches the consumer."""
    failure: BaseException | None = None
    try:
        pictures = decoder.pictures()
        spent_s = decoder.workers.spent_s()
        started_s = time.thread_time()
        for picture in pictures:
            if chooses:
                handoff.drop_oldest, chooses = decoder.info.is_live, False
            if picture.index % stride:
                if handoff.closed:
                    break
                continue
            now_s, workers_s = time.thread_time(), decoder.workers.spent_s()
            decode_s = now_s - started_s
            meter.decode_s += decode_s
            decode_s += workers_s - spent_s
            spent_s = workers_s
            item: Picture | Frame = picture if handoff.drop_oldest else _timed_convert(picture, converter, meter)
            meter.samples.append((decode_s, time.thread_time() - now_s))
            if not handoff.put(item):
                break
            del item, picture
            started_s = time.thread_time()
        else:
            meter.decode_s += time.thread_time() - started_s
    except BaseException as error:  # noqa: BLE001 - raised again in the consumer's thread
        failure = error
    finally:
        decoder.close()
        handoff.finish(failure)


def _timed_convert(picture: Picture, converter: FrameConverter, meter: _Meter) -> Frame:
    started_s = time.thread_time()
    frame = converter.convert(picture)
    meter.convert_s += time.thread_time() - started_s
    meter.frames += 1
    return frame


def _stop(decoder: Decoder, handoff: Handoff[Picture | Frame], thread: threading.Thread) -> None:
    handoff.close()
    decoder.interrupt()
    started = thread.ident is not None  # an interrupt may have come before
    if started and thread is not threading.current_thread():
        thread.join(JOIN_S)
