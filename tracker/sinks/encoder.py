"""Video encoder whose file is readable up to its last second.

MP4 is written in fragments, so that a full disk or a killed process leaves a readable part file, and is rewritten
with its index in front (``faststart``) when it is finished: no picture is encoded twice.
"""

from __future__ import annotations

import contextlib
import io
import os
from dataclasses import dataclass
from fractions import Fraction
from io import FileIO
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import ConfigError, SinkError
from tracker.sinks.part_file import PartFile, refusal, without_rows
from tracker.sinks.sound import SoundTrack
from tracker.sinks.watched_file import BUFFER_BYTES, WatchedFile
from tracker.types import SQUARE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tracker.sinks.sound import Sound

__all__ = ["CONTAINERS", "VideoEncoder"]

ULTRAFAST_PIXELS = 1280 * 720
"""From here on a frame costs 8 ms and more in superfast, a quarter of the default model; in ultrafast 4.6 ms."""

TICKS_PER_S = 90_000
"""The clock of MPEG: divides every usual frame rate, and holds arbitrary times to 11 us."""


@dataclass(frozen=True, slots=True)
class _Container:
    """How one file name suffix is written."""

    format: str
    codecs: tuple[str, ...]
    pixel_format: str = "yuv420p"
    ticks_per_s: int | None = TICKS_PER_S
    fragmented: bool = False


SQUARE_ONLY = frozenset({"webm", "gif"})
"""Formats in which PyAV cannot say how wide a pixel is; their pictures are stretched."""

H264 = ("libx264", "h264_videotoolbox", "libopenh264", "mpeg4")
"""The first that the installed FFmpeg has; PyAV's wheels carry libx264."""

LARGEST_SIDE_PX = {
    "libx264": 16384,
    "h264_videotoolbox": 4096,
    "libopenh264": 4096,
    "mpeg4": 8190,
    "libvpx-vp9": 65535,
    "libvpx": 16383,
    "gif": 65535,
}
"""Sides beyond are refused by encoder or format; in their own words that is an error without a name."""

CONTAINERS = {
    ".mp4": _Container("mp4", H264, fragmented=True),
    ".m4v": _Container("mp4", H264, fragmented=True),
    ".mov": _Container("mov", H264, fragmented=True),
    ".mkv": _Container("matroska", H264, ticks_per_s=1000),
    ".ts": _Container("mpegts", H264),
    ".webm": _Container("webm", ("libvpx-vp9", "libvpx"), ticks_per_s=1000),
    ".avi": _Container("avi", H264, ticks_per_s=None),
    ".gif": _Container("gif", ("gif",), pixel_format="rgb8", ticks_per_s=100),
}


class VideoEncoder:
    """One video stream in one file; not thread-safe.

    Args:
        path: The final path; its suffix chooses the container.
        crf: Constant rate factor of H.264 and VP9, smaller is better and larger; ``None`` for the codec's own default.
        preset: x264's speed preset; ``None`` for superfast, from 1280 x 720 on ultrafast, which halves the CPU time.
        frame_rate: Nominal rate of the source, a hint for rate control; AVI, which knows no times, runs at it.
        sound: Opens the sound that is copied beside the pictures; ``None`` for a silent video.
        threads: Threads of the encoder; ``None`` chooses by size.

    Raises:
        ConfigError: The suffix is unknown, FFmpeg has no encoder for it, or the container does not hold the sound.
        SinkError: The folder is missing or not writable.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        crf: int | None = None,
        preset: str | None = None,
        frame_rate: float | None = None,
        sound: Callable[[], Sound] | None = None,
        threads: int | None = None,
    ) -> None:
        suffix = PurePath(path).suffix.lower()
        if suffix not in CONTAINERS:
            raise ConfigError(path, f"expected a video suffix, found {suffix!r}", f"use one of {' '.join(CONTAINERS)}")
        self._container = CONTAINERS[suffix]
        self._codec = _available(path, self._container.codecs)
        self._crf, self._preset, self._threads = crf, preset, threads
        self._rate = Fraction(frame_rate if frame_rate and 0.1 <= frame_rate <= 1000 else 30).limit_denominator(1001)
        self._sound = None if sound is None else SoundTrack(path, self._container.format, sound)
        self._part = PartFile(path)
        self._file: WatchedFile
        self._output: Any = None
        self._stream: Any = None
        self._start_s = self._shown_s = 0.0
        self._last_tick = -1
        self._finished = False
        self.size: tuple[int, int] | None = None
        self.frames = 0

    def encode(self, image: NDArray[np.uint8], time_s: float, *, pixel_aspect: Fraction = SQUARE) -> None:
        """Add one picture ``(H, W, 3)`` uint8 BGR, shown from ``time_s`` on.

        The first picture sets the size of the video and the aspect of its pixels, as wide as high by default. The size
        is rounded up to even numbers; later ones of other sizes are fitted into it. A time that does not advance is
        moved on by one tick; when the clock jumps back, the video continues with the next frame's time.

        Raises:
            SinkError: The system refuses to write.
        """
        import av

        if pixel_aspect != SQUARE and self._container.format in SQUARE_ONLY:
            image, pixel_aspect = _stretched(image, pixel_aspect), SQUARE
        try:
            if self._output is None:
                self._open(image.shape[1], image.shape[0], pixel_aspect)
                self._start_s = time_s
            time_base = self._stream.codec_context.time_base
            last_s = self._start_s + float(self._last_tick * time_base)
            if time_s < last_s - 1:
                self._start_s += time_s - last_s - 1 / float(self._rate)
            tick = max(round((time_s - self._start_s) / time_base), self._last_tick + 1)
            self._last_tick = tick
            self._copy_sound(until_s=time_s)
            picture = self._picture(image)
            picture.pts, picture.time_base = tick, time_base
            for packet in self._stream.encode(picture):
                self._output.mux(packet)
            self._file.check()
            self.frames += 1
        except (OSError, av.FFmpegError) as failure:
            raise self._refused(failure) from failure

    def part_bytes(self) -> int:
        """Bytes on the disk so far; raises as :meth:`tracker.sinks.part_file.PartFile.size` does."""
        return self._part.size()

    def finish(self) -> None:
        """Flush the encoder and publish the file; safe to call twice.

        A file without a picture is not published. When the system refuses, what is readable is published all the same.

        Raises:
            SinkError: The system refused.
        """
        if self._finished:
            return
        self._finished = True
        if self._output is None:
            self._part.discard()
            self._close_sound()
            return
        failure = self._end()
        if failure is None and self._container.fragmented and not self._part.direct:
            self._put_index_in_front()
        if failure is not None and self._container.fragmented and not self._part.direct:
            _cut_last_fragment(self._part)
        kept = failure is None or self._part.direct or _readable(self._part)
        if kept:
            self._part.publish()
        else:
            self._part.discard()
        if failure is not None:
            refused = self._refused(failure)
            if not kept:
                refused = without_rows(refused)
            raise refused from failure

    def _end(self) -> Exception | None:
        """Flush the encoder and the container; what went wrong, now or before."""
        import av

        failure: Exception | None = None
        try:
            self._copy_sound(until_s=self._shown_s + 1 / float(self._rate))
            for packet in self._stream.encode(None):
                self._output.mux(packet)
        except (OSError, av.FFmpegError) as error:
            failure = error
        try:
            self._output.close()
        except (OSError, av.FFmpegError) as error:
            failure = failure or error
        self._file.close()
        self._close_sound()
        return self._file.failure or failure

    def _copy_sound(self, *, until_s: float) -> None:
        """Copy the sound up to a media time."""
        self._shown_s = until_s
        if self._sound is not None:
            self._sound.copy(self._output, start_s=self._start_s, until_s=until_s)

    def _close_sound(self) -> None:
        if self._sound is not None:
            self._sound.close()

    def _open(self, width: int, height: int, pixel_aspect: Fraction) -> None:
        import av

        size = (width + width % 2, height + height % 2)
        self._check_size(*size)
        self.size = size
        # A fragment or cluster every second: what a killed process loses. The header waits for the first one, because
        # only then is it known how far decoding runs ahead of showing, and the first picture is shown at exactly
        # zero.
        options = {}
        if self._container.fragmented:
            options = {"movflags": "delay_moov+default_base_moof", "frag_duration": "1000000", "frag_size": "16000000"}
        elif self._container.format in {"matroska", "webm"}:
            options = {"cluster_time_limit": "1000"}
        self._file = WatchedFile(self._part.open(), name=str(self._part.part))
        self._output = av.open(
            self._file, "w", format=self._container.format, options=options, buffer_size=BUFFER_BYTES
        )
        stream = self._output.add_stream(self._codec, rate=self._rate, options=self._codec_options())
        stream.width, stream.height = self.size
        stream.pix_fmt = self._container.pixel_format
        if pixel_aspect != SQUARE:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        ticks_per_s = self._container.ticks_per_s
        stream.codec_context.time_base = Fraction(1, ticks_per_s) if ticks_per_s else 1 / self._rate
        stream.time_base = stream.codec_context.time_base
        # One thread up to 720p: no slower in the pipeline, whose other stages fill the cores, and its cost is this
        # thread's own time.
        stream.codec_context.thread_count = self._threads or (1 if width * height <= 1280 * 720 else 2)
        if self._container.pixel_format == "yuv420p":
            # OpenCV converts after ITU-R BT.601, limited range; said so in the stream, players show the colours that
            # were drawn.
            for name, value in (("color_range", 1), ("colorspace", 6), ("color_primaries", 6), ("color_trc", 6)):
                with contextlib.suppress(AttributeError):
                    setattr(stream.codec_context, name, value)
        if self._sound is not None:
            self._sound.begin(self._output)
        self._stream = stream

    def _check_size(self, width: int, height: int) -> None:
        most = LARGEST_SIDE_PX.get(self._codec, max(width, height))
        if max(width, height) <= most:
            return
        name = "H.264" if "264" in self._codec else {"libvpx-vp9": "VP9", "libvpx": "VP8"}.get(self._codec, self._codec)
        fits_webm = self._codec != "libvpx-vp9" and max(width, height) <= LARGEST_SIDE_PX["libvpx-vp9"]
        remedy = "use .webm" if fits_webm else "scale the source down"
        found = f"a picture of {width} x {height} px"
        raise SinkError(self._part.path, f"expected at most {most} px a side for {name}, found {found}", remedy)

    def _codec_options(self) -> dict[str, str]:
        if self._codec == "libx264":
            width, height = self.size or (0, 0)
            usual = "superfast" if width * height < ULTRAFAST_PIXELS else "ultrafast"
            options = {"preset": self._preset or usual, "crf": str(23 if self._crf is None else self._crf)}
            # AVI has no decoding times, so pictures must come in the order in which they are shown.
            return options | ({"bf": "0"} if self._container.format == "avi" else {})
        if self._codec.startswith("libvpx"):
            speed = {"deadline": "realtime", "cpu-used": "8"}
            return speed | {
                "crf": str(33 if self._crf is None else self._crf),
                "b": "0" if self._codec == "libvpx-vp9" else "4M",
            }
        if self._codec == "gif":
            return {}
        return {"b": "6M"}

    def _picture(self, image: NDArray[np.uint8]) -> Any:
        import av
        import cv2

        image = _fitted(image, self.size or (0, 0))
        if self._container.pixel_format != "yuv420p":
            return av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=self._container.pixel_format)
        planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)
        return av.VideoFrame.from_numpy_buffer(planes, format="yuv420p")  # the frame keeps the array: no copy

    def _put_index_in_front(self) -> None:
        """Rewrite the finished fragments as one plain file; where the disk has no room for that, the fragments stay."""
        import av

        plain = None
        try:
            plain = self._part.sibling()
            options = {"movflags": "+faststart"}
            with (
                WatchedFile(FileIO(os.dup(plain.fd), "r+b"), name=str(plain.path)) as file,
                self._part.open() as fragments,
                av.open(fragments, "r", buffer_size=BUFFER_BYTES) as source,
                av.open(file, "w", format=self._container.format, options=options, buffer_size=BUFFER_BYTES) as target,
            ):
                streams = [target.add_stream_from_template(stream) for stream in source.streams]
                for packet in source.demux():
                    if packet.dts is not None:
                        packet.stream = streams[packet.stream.index]
                        target.mux(packet)
            file.check()
        except (OSError, SinkError, av.FFmpegError):
            if plain is not None:
                plain.remove()
        else:
            self._part.adopt(plain)

    def _refused(self, failure: Exception) -> SinkError:
        failure = (self._file.failure if self._output is not None else None) or failure
        if isinstance(failure, OSError):
            return refusal(self._part.path, failure, f"write frame {self.frames}")
        return SinkError(
            self._part.path, f"expected to encode frame {self.frames}, found: {failure}", "choose another format"
        )


def _available(path: str | os.PathLike[str], codecs: tuple[str, ...]) -> str:
    import av

    for codec in codecs:
        if codec in av.codec.codecs_available:
            with contextlib.suppress(av.FFmpegError, ValueError):
                av.codec.Codec(codec, "w")
                return codec
    found = "an FFmpeg without any of them"
    raise ConfigError(
        path, f"expected one of the encoders {', '.join(codecs)}, found {found}", "pip install --upgrade av"
    )


def _cut_last_fragment(part: PartFile) -> None:
    """Cut a fragmented MP4 back to its last whole fragment (ISO/IEC 14496-12: a ``moof`` box and its ``mdat``)."""
    with contextlib.suppress(OSError), io.BufferedRandom(part.open()) as file:
        size = file.seek(0, os.SEEK_END)
        place = whole = 0
        while place + 8 <= size:
            file.seek(place)
            header = file.read(8)
            place += max(int.from_bytes(header[:4], "big"), 8)
            if header[4:] in {b"moov", b"mdat"} and place <= size:
                whole = place
        file.truncate(whole)


def _readable(part: PartFile) -> bool:
    """Whether at least one picture can be read back."""
    import av

    try:
        with part.open() as file, av.open(file, "r") as container:
            return next(container.decode(video=0), None) is not None
    except (OSError, av.FFmpegError, IndexError):
        return False


def _stretched(image: NDArray[np.uint8], pixel_aspect: Fraction) -> NDArray[np.uint8]:
    """The picture with pixels that are as wide as high."""
    import cv2

    height, width = image.shape[:2]
    size = max(round(width * pixel_aspect), 1), height
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _fitted(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture in exactly ``size``: odd edges repeated once, other shapes scaled and centred on black."""
    import cv2

    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    if (width + width % 2, height + height % 2) == size:
        return np.asarray(cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE))
    scale = min(size[0] / width, size[1] / height)
    inner = max(round(width * scale), 1), max(round(height * scale), 1)
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(image, inner, interpolation=method)
    return canvas
