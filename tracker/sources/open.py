"""Opening of any source: file, folder, pattern, camera or network address."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from tracker import plugins
from tracker.errors import ConfigError, SourceError
from tracker.sources.address import expand_sources
from tracker.sources.hardware import DECODE_CHOICES
from tracker.sources.limits import MAX_PIXELS
from tracker.sources.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tracker.sources.address import SourceLike
    from tracker.sources.decoded import Decoder
    from tracker.sources.hardware import DecodeChoice
    from tracker.types import NetworkInput

__all__ = ["open_source"]


def open_source(
    source: SourceLike | Sequence[SourceLike],
    *,
    like: NetworkInput | None = None,
    network_size: tuple[int, int] | None = None,
    keep_aspect: bool = True,
    want_image: bool = True,
    small_height: int | None = None,
    stride: int = 1,
    fps: float | None = None,
    policy: Literal["auto", "all", "latest"] = "auto",
    queue_size: int | None = None,
    max_age_s: float | None = None,
    timeout_s: float = 10.0,
    decode: DecodeChoice = "auto",
    decode_threads: int = 0,
    rtsp_transport: Literal["tcp", "udp"] = "tcp",
    ffmpeg_options: Mapping[str, str] | None = None,
    max_pixels: int = MAX_PIXELS,
    on_ready: Callable[[], None] | None = None,
) -> Source:
    """Open one stream of frames; its first frame is decoded before this returns: an unusable source is an error here.

    Args:
        source: A video file, an image, a folder or pattern or list of images, a camera (``0``, ``"0"``,
            ``"/dev/video0"``), an ``rtsp://``, ``http(s)://``, ``rtmp://``, ``srt://`` or ``udp://`` address, one with
            a scheme of :data:`tracker.plugins.SOURCES`, or an entry of
            :func:`tracker.sources.address.expand_sources`, which also splits what stands for several streams.
        like: The segmenter that is to see the frames: stands for its ``network_size`` and ``keep_aspect``.
        network_size: ``(width, height)`` of the segmenter's input; frames then carry ``network_image`` at that size.
        keep_aspect: Letterbox into ``network_size`` rather than stretch.
        want_image: Whether frames carry the full-size image; without it, pixels are converted at network size only.
        small_height: Frames also carry the picture at this many lines, ``Frame.small_image``; it is not enlarged.
        stride: Deliver every n-th frame; indexes and times stay those of the stream.
        fps: Frames per second of image sequences (default: what a ``seqinfo.ini`` beside or above them says, else 30),
            and of streams without time stamps.
        policy: ``all`` delivers every frame and lets the reader wait; ``latest`` drops the oldest waiting frame when
            the consumer is slow. ``auto``: ``latest`` for live streams, else ``all``.
        queue_size: Most frames waiting; default 4 for ``all``, 2 for ``latest``. Together they hold at most 256 MB,
            :data:`tracker.sources.limits.QUEUE_BYTES`, a single frame apart.
        max_age_s: With ``latest``, skip frames that waited longer than this while a newer one is there.
        timeout_s: Longest wait for a network stream or camera, on opening and on each read.
        decode: Where to decode: ``cpu``, ``cuda``, ``vaapi`` or ``videotoolbox``; ``auto`` takes the first device that
            works here, and the CPU for streams that it does not take (see ``SourceInfo.decoder``).
        decode_threads: FFmpeg's threads, 0 = one more than there are cores.
        rtsp_transport: ``tcp``, or ``udp`` for cameras that have nothing else.
        ffmpeg_options: Further demuxer options, such as ``{"video_size": "1280x720"}`` for a camera.
        max_pixels: Most pixels of a picture; larger ones are an error, in the middle of a stream too. In a folder of
            images they are skipped, and a note says so.
        on_ready: Called on the reader's thread when a frame waits; see :meth:`Source.poll`.

    Returns:
        An open source; use it in a ``with`` block.

    Raises:
        SourceError: Not there, not a video, no video stream, no frame, or not one stream but several.
        ConfigError: An argument out of range, or a decoding device that is not there.
    """
    if like is not None:
        if network_size is not None:
            raise ConfigError("network_size", "expected one of like and network_size, found both", "leave one out")
        network_size, keep_aspect = like.network_size, like.keep_aspect
    for fits, name, expected, found in (
        (stride >= 1, "stride", "1 or more", stride),
        (fps is None or 0 < fps <= 1000, "fps", "a rate above 0 and up to 1000", fps),
        (policy in {"auto", "all", "latest"}, "policy", "auto, all or latest", policy),
        (queue_size is None or queue_size >= 1, "queue_size", "1 or more", queue_size),
        (timeout_s > 0, "timeout_s", "more than 0 seconds", timeout_s),
        (decode in DECODE_CHOICES, "decode", f"one of {', '.join(DECODE_CHOICES)}", decode),
        (max_pixels >= 1, "max_pixels", "1 or more", max_pixels),
        (decode_threads >= 0, "decode_threads", "0 or more", decode_threads),
        (rtsp_transport in {"tcp", "udp"}, "rtsp_transport", "tcp or udp", rtsp_transport),
        (small_height is None or small_height >= 1, "small_height", "1 or more", small_height),
        (network_size is None or min(network_size) >= 1, "network_size", "(width, height) in pixels", network_size),
    ):
        if not fits:
            raise ConfigError(name, f"expected {expected}, found {found!r}", "leave it out to take the default")
    addresses = expand_sources(source)
    if len(addresses) > 1:
        shown = ", ".join(address.name for address in addresses[:3]) + (", ..." if len(addresses) > 3 else "")
        raise SourceError(
            source if isinstance(source, str) else f"{len(addresses)} sources",
            f"expected one stream, found {len(addresses)} ({shown})",
            "open them one by one: each video is a stream with a tracker of its own",
        )
    # Only now: FFmpeg's libraries load slowly
    from tracker.sources.convert import FrameConverter
    from tracker.sources.decoder import SourceContext

    started_s = time.thread_time()
    context = SourceContext(
        timeout_s=timeout_s,
        fps=fps,
        threads=decode_threads,
        decode=decode,
        rtsp_transport=rtsp_transport,
        ffmpeg_options=ffmpeg_options,
        max_pixels=max_pixels,
    )
    decoder: Decoder = plugins.SOURCES.load(addresses[0].kind)(addresses[0], context)
    chosen: Literal["all", "latest"] = ("latest" if decoder.info.is_live else "all") if policy == "auto" else policy
    return Source(
        decoder=decoder,
        converter=FrameConverter(
            network_size=network_size, keep_aspect=keep_aspect, want_image=want_image, small_height=small_height
        ),
        policy=chosen,
        queue_size=queue_size or (4 if chosen == "all" else 2),
        stride=stride,
        max_age_s=max_age_s,
        opening_s=time.thread_time() - started_s,
        on_ready=on_ready,
    )
