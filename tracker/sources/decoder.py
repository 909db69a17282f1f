"""Video decoder on FFmpeg: stream description and decoded pictures with media time, nothing converted.

:class:`VideoDecoder` reads what FFmpeg reads; see :mod:`tracker.sources.images` for image files. Both decode their
first picture on construction, so whatever makes a source unusable is an error at once.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import av

from tracker.sources import hardware, problems
from tracker.sources.capture import created_at, shown_at
from tracker.sources.clock import MediaClock
from tracker.sources.container import open_container
from tracker.sources.convert import orientation
from tracker.sources.cpu import WorkerClock
from tracker.sources.decoded import Picture, SourceCounters, SourceInfo
from tracker.sources.limits import MAX_PIXELS, codec_options
from tracker.sources.missing import Received, missing_frames
from tracker.sources.pipes import PIPE_S, can_wait, open_pipe
from tracker.sources.protocols import is_endless
from tracker.sources.stamps import DECODING_TIMES_ONLY, FrameStamps
from tracker.sources.streams import choose_stream, pixel_aspect
from tracker.sources.structure import broken_at

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping
    from fractions import Fraction

    from tracker.sources.address import Address
    from tracker.types import TimeFrom

__all__ = ["SourceContext", "VideoDecoder"]

DEFAULT_FPS = 30.0
"""Frame rate of image sequences, and of streams that do not know their own."""

MAX_READ_ERRORS = 64
"""Read errors in a row after which a recording counts as over: one per lost sample in a truncated MP4."""

UNTIMED_FORMATS = frozenset({"mpjpeg", "mjpeg", "h264", "hevc", "m4v"})
"""Formats that carry no time: FFmpeg numbers their frames at 25 a second, whatever the camera does."""

UNSTAMPED_FRAMES = 5
"""After so many frames without a stamp at the start of a live stream none is expected: the first of an RTSP stream
never has one (FFmpeg 8.1), those after it do."""

MAX_DAMAGED = 64
"""Most damaged packets that are kept in the list; some never become a picture, and a camera runs without end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceContext:
    """Options of the opener of a source; each kind of source uses those that apply to it.

    Attributes:
        timeout_s: Longest wait for a network stream or camera, on opening and on each read.
        fps: Frames per second of streams that carry no time stamps; ``None`` for the kind's default.
        threads: FFmpeg's decoding threads, 0 = one more than there are cores.
        decode: Where to decode; see :func:`tracker.sources.hardware.choose`.
        rtsp_transport: ``tcp`` or ``udp``.
        ffmpeg_options: Further options of FFmpeg's demuxer.
        max_pixels: Most pixels of a picture.
    """

    timeout_s: float = 10.0
    fps: float | None = None
    threads: int = 0
    decode: hardware.DecodeChoice = "auto"
    rtsp_transport: str = "tcp"
    ffmpeg_options: Mapping[str, str] | None = None
    max_pixels: int = MAX_PIXELS


class VideoDecoder:
    """Anything FFmpeg opens: a file, a camera, a network address.

    Args:
        address: What to open; its kind is ``video``, ``camera`` or ``network``.
        context: Time-outs, threads, the device that decodes, limits, options of FFmpeg's demuxer.

    Raises:
        SourceError: When it cannot be opened, holds no video, or no frame of it can be decoded, not even by the device
            that was asked for.
        ConfigError: There is no such device here.
    """

    def __init__(self, address: Address, context: SourceContext) -> None:
        self._accelerator = hardware.choose(context.decode)
        self.counters = SourceCounters()
        self._name = address.name
        self._fps = fps = context.fps
        self._timeout_s = PIPE_S if address.once else context.timeout_s
        self._max_pixels = context.max_pixels
        self._pipe = open_pipe(address) if address.once and can_wait() else None
        self._container: Any = None
        try:
            self._container = open_container(
                address,
                timeout_s=self._timeout_s,
                rtsp_transport=context.rtsp_transport,
                ffmpeg_options=context.ffmpeg_options or {},
                accelerator=self._accelerator,
                pipe=self._pipe,
            )
            self._stream: Any
            self._stream, self._notes = choose_stream(self._name, self._container)
            codec = self._stream.codec_context
            problems.check_pixels(self._name, (codec.width, codec.height), context.max_pixels)
            self._is_pipe = address.once
            self._is_remote = address.kind != "video" or address.once
            self._is_live = address.kind == "camera" or is_endless(address, self._container)
            rate = self._rate()
            self._interval_s = 1 / (fps or rate)
            self._clock = MediaClock(interval_s=self._interval_s)
            self._stamps = FrameStamps(
                time_base=self._stream.time_base,
                rate=rate,
                decoding_times_only=self._container.format.name in DECODING_TIMES_ONLY,
            )
            with WorkerClock.recording() as self.workers:
                # Threads that each take a frame hold frames back, two of them here: too late for a live view
                self._stream.thread_type = "SLICE" if self._is_live else "AUTO"
                codec.thread_count = context.threads
                codec.options = codec_options(context.max_pixels)
                try:
                    codec.open(strict=False)
                except problems.READ_ERRORS as error:
                    raise problems.damaged_header(self._name, codec.name, error) from error
            self._received = Received()
            self._file = address.target if address.kind == "video" and not address.once else ""
            self._pixel_aspect: Fraction | None = None
            self._unstamped = 0
            self._coded_size: tuple[int, int] | None = None
            self._damaged: set[int] = set()  # stamps of packets that the demuxer found damaged
            self._time_from: TimeFrom = "stamps"
            self._created = created_at({**self._stream.metadata, **self._container.metadata})
            self._decoded = self._decode()
            self._first: Picture | None = next(self._decoded, None)
            self.info = self._describe(rate)
        except BaseException:
            self.close()
            raise

    def pictures(self) -> Iterator[Picture]:
        """Decoded pictures to the end of the stream, once."""
        first, self._first = self._first, None
        if first is not None:
            yield first
            del first
        yield from self._decoded
        self._look_back()

    def interrupt(self) -> None:
        """Nothing to wake: every wait is FFmpeg's and ends by time-out."""

    def close(self) -> None:
        """Release the file or connection and FFmpeg's threads."""
        container, self._container = self._container, None
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            os.close(pipe)
        if container is None:
            return
        self._first = None
        if hasattr(self, "workers"):
            self.workers.freeze()
        if hasattr(self, "_decoded"):
            self._decoded.close()
            del self._decoded
        self._stream = None
        container.close()

    def _rate(self) -> float:
        """Average frames per second; implausible values of containers (90000, 0) are ignored."""
        for rate in (self._stream.average_rate, self._stream.guessed_rate):
            if rate is not None and 0.01 <= rate <= 1000:
                return float(rate)
        return self._fps or DEFAULT_FPS

    def _describe(self, rate: float) -> SourceInfo:
        if self._first is None:
            raise problems.no_frames(self._name, packets=self._received.packets, broken=self.counters.broken)
        stream, container, first = self._stream, self._container, self._first.frame
        duration_s = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        if duration_s <= 0 and container.duration:
            duration_s = container.duration / 1e6
        size = (first.width, first.height)
        return SourceInfo(
            name=self._name,
            size=size[::-1] if orientation(first)[0] else size,
            fps=self._fps if self._fps and self._time_from == "rate" else rate,
            frame_count=stream.frames or None,
            duration_s=duration_s if duration_s > 0 and not self._is_live else None,
            is_live=self._is_live,
            codec=stream.codec_context.name,
            time_from=self._time_from,
            decoder=self._device() or "cpu",
            decoder_refused=self._accelerator.name if self._accelerator is not None and not self._device() else "",
            pixel_aspect=self._aspect_of(first),
            start_s=self._start_s(),
            notes=self._notes,
        )

    def _start_s(self) -> float:
        """When the first picture is shown, on the container's clock."""
        stream = self._stream
        if self._container.format.name in DECODING_TIMES_ONLY and stream.start_time is not None:
            return float(stream.start_time * stream.time_base)  # stamps are late by the decoder's delay
        return float(self._clock.origin_s or 0.0)

    def _device(self) -> str:
        """The device that makes the pictures, empty for the CPU.

        Raises:
            SourceError: The device that was asked for does not take this stream.
        """
        accelerator, context = self._accelerator, self._stream.codec_context
        if accelerator is None:
            return ""
        if accelerator.used_by(context):
            return accelerator.name
        if accelerator.required:
            raise problems.not_on_device(self._name, accelerator.name, f"{context.name} {context.pix_fmt}")
        return ""

    def _look_where_decoded(self, frame: av.VideoFrame) -> None:
        """After a change of size: a device that took the stream before may leave it to the CPU now, or the reverse."""
        size, self._coded_size = self._coded_size, (frame.width, frame.height)
        if self._accelerator is None or size in {None, self._coded_size}:
            return
        device = self._device()
        refused = "" if device else self._accelerator.name
        self.info = replace(self.info, decoder=device or "cpu", decoder_refused=refused)

    def _look_back(self) -> None:
        """Note what did not come, at the end of a recording."""
        if self._container is None or self._is_live:
            return
        counters, info = self.counters, self.info
        self._received.decoded = counters.decoded
        counters.missing = missing_frames(
            self._stream, self._container, self._received, duration_s=info.duration_s, fps=info.fps
        )
        if self._file and not (counters.missing or counters.broken or counters.concealed):
            place = broken_at(self._file)
            if place is not None:
                note = f"the file is damaged or cut off at byte {place}: frames behind that may be missing"
                self.info = replace(info, notes=(*info.notes, note))

    def _decode(self) -> Generator[Picture]:
        """Pictures of every packet that can be decoded."""
        counters, clock = self.counters, self._clock
        for packet in self._packets():
            try:
                frames = self._stream.decode(packet)
            except EOFError:
                return
            except problems.READ_ERRORS as error:
                if failure := problems.out_of_means(self._name, error):
                    raise failure from error
                context = self._stream.codec_context
                problems.check_pixels(self._name, (context.width, context.height), self._max_pixels)
                counters.broken += 1
                self._received.refused += packet is not None and not packet.is_discard
                continue
            if packet is not None and packet.is_corrupt and packet.pts is not None:
                self._damaged = {*(self._damaged if len(self._damaged) < MAX_DAMAGED else ()), packet.pts}
            for frame in frames:
                self._look_where_decoded(frame)
                arrived_s = time.monotonic()
                time_s = clock.time_s(self._stamp_s(frame, arrived_s))
                self._received.end_s = time_s + self._shown_s(frame)
                self._received.interlaced |= frame.interlaced_frame
                counters.repaired_times = clock.repairs
                counters.concealed += frame.is_corrupt or frame.pts in self._damaged
                self._damaged.discard(frame.pts)
                index = counters.decoded
                counters.decoded += 1
                yield Picture(
                    frame=frame,
                    index=index,
                    time_s=time_s,
                    arrived_s=arrived_s,
                    source=self._name,
                    time_from=self._time_from,
                    pixel_aspect=self._aspect_of(frame),
                    captured_at=datetime.now(UTC) if self._is_live else shown_at(self._created, time_s),
                )

    def _aspect_of(self, frame: av.VideoFrame) -> Fraction:
        """The aspect of the stream's pixels; known for good from the first picture on."""
        if self._pixel_aspect is None:
            self._pixel_aspect = pixel_aspect(self._stream, turned=orientation(frame)[0])
        return self._pixel_aspect

    def _stamp_s(self, frame: av.VideoFrame, arrived_s: float) -> Fraction | float | None:
        """When the frame is to be shown, on the stream's own clock or, where that is worthless, on this machine's."""
        stamp: Fraction | int | None = frame.pts if frame.pts is not None else frame.dts
        if self.counters.decoded == 0:
            if self._is_live and self._container.format.name in UNTIMED_FORMATS:
                self._time_from = "arrival"
            elif stamp is None and not self._is_live:
                self._time_from = "rate"
        if stamp is None and self._is_live:
            self._unstamped += 1
            if self._unstamped == self.counters.decoded + 1 == UNSTAMPED_FRAMES and self._time_from == "stamps":
                self._time_from = "arrival"
                self.info = replace(self.info, time_from="arrival")
        if self._time_from == "arrival":
            return arrived_s
        if not self._is_live:
            return self._stamps.of(frame)
        base = frame.time_base or self._stream.time_base
        return None if stamp is None or base is None else stamp * base

    def _shown_s(self, frame: av.VideoFrame) -> float:
        """How long a frame is shown, in seconds; the container's word, else the interval of its rate."""
        base = frame.time_base or self._stream.time_base
        shown_s = float(frame.duration * base) if frame.duration and base else self._interval_s
        stamp = self._stamps.last_s
        if stamp is not None:
            self._received.stamped_end_s = max(self._received.stamped_end_s, float(stamp) + shown_s)
        return shown_s

    def _packets(self) -> Iterator[Any]:
        """Packets to the end, over read errors of recordings; PyAV's generator ends at each error and is begun anew."""
        errors = 0
        while True:
            try:
                for packet in self._container.demux(self._stream.index):
                    errors = 0
                    self._received.packets += packet.size > 0 and not packet.is_discard
                    yield packet
            except (
                av.error.InvalidDataError,
                IndexError,
            ):  # IndexError: damage announced a stream that PyAV does not know
                failure = None
            except problems.READ_ERRORS as error:  # a remote end that is gone will not come back by itself
                failure = problems.out_of_means(self._name, error)
                if failure is None and self._is_remote:
                    failure = problems.explain_read(self._name, error, self._timeout_s, is_pipe=self._is_pipe)
            else:
                return
            if failure is not None:
                raise failure
            self.counters.broken += 1
            errors += 1
            if errors >= MAX_READ_ERRORS:
                yield None
                return
