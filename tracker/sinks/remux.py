"""Remuxing of chunks of one video: encoded packets are copied with their times moved, nothing is encoded twice."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import av

from tracker.errors import SinkError
from tracker.sinks.encoder import CONTAINERS
from tracker.sinks.part_file import PartFile
from tracker.sinks.watched_file import BUFFER_BYTES, WatchedFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["join_videos"]


def join_videos(path: Path, chunks: Sequence[Path], starts_s: Sequence[float]) -> None:
    """Put videos of one codec and size together and publish the result; as :meth:`tracker.sinks.base.Sink.join`."""
    container = CONTAINERS[PurePath(path).suffix.lower()]
    options = {"movflags": "+faststart"} if container.fragmented else {}
    try:
        with PartFile(path) as part, WatchedFile(part.open(), name=str(part.part)) as file:
            with av.open(file, "w", format=container.format, options=options, buffer_size=BUFFER_BYTES) as target:
                _copy_packets(path, chunks, starts_s, target)
            file.check()
    except av.FFmpegError as failure:
        raise SinkError(path, f"expected to put its chunks together, found: {failure}", "see the chunks") from failure


def _copy_packets(path: Path, chunks: Sequence[Path], starts_s: Sequence[float], target: Any) -> None:
    """The chunks' packets, one chunk after another, into an open container."""
    stream, size, last = None, None, None
    for chunk, start_s in zip(chunks, starts_s, strict=True):
        with av.open(str(chunk)) as source:
            video = source.streams.video[0]
            if stream is None:
                stream, size = target.add_stream_from_template(video), (video.width, video.height)
            if (video.width, video.height) != size:
                found = f"{video.width} x {video.height} from {start_s:.1f} s on"
                problem = f"expected pictures of one size, {size[0]} x {size[1]}, found {found}"  # type: ignore[index]
                raise SinkError(path, problem, f"the chunks are in {chunk.parent}")
            for packet in _moved(source.demux(video), start_s - starts_s[0], last):
                last = packet.dts
                packet.stream = stream
                target.mux(packet)


def _moved(packets: Iterator[Any], start_s: float, last: int | None) -> Iterator[Any]:
    """A chunk's packets, the first shown at ``start_s`` and decoded after ``last``."""
    found = [packet for packet in packets if packet.pts is not None]  # what ends a demuxer's stream has none
    known = [packet.dts for packet in found if packet.dts is not None]
    unknown = len(found) - len(known)  # Matroska notes no times of decoding; the first few cannot be derived
    shift = round(start_s / found[0].time_base) - found[0].pts if found else 0
    for number, packet in enumerate(found):
        decoded = (known[0] if known else found[0].pts) - unknown + number if packet.dts is None else packet.dts
        packet.pts += shift
        # Pictures are shown at their times; the order of decoding only has to advance over the seam.
        packet.dts = decoded + shift if last is None else max(decoded + shift, last + 1)
        last = packet.dts
        yield packet
