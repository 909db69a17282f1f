"""Chunks of a recording: its packets from key frame to key frame, copied into files that decode by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from tracker.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Chunk", "cut"]

KEEPS_ITS_FORMAT = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".ts"})
"""Containers that a chunk is written in as well; others become Matroska: AVI refuses parts of H.264 with reordering."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One part of a recording.

    Attributes:
        number: From 0.
        path: Of its file.
        first: Number of its first frame in the recording, by the count of packets.
        frames: Packets in it.
    """

    number: int
    path: Path
    first: int
    frames: int


def cut(path: str, folder: Path, *, chunk_s: float) -> Iterator[Chunk]:
    """Cut the largest video stream of a recording; every chunk is given once its file is closed.

    Args:
        path: Of the recording.
        folder: Where the chunks are written.
        chunk_s: Shortest length of a chunk: it ends before the first key frame after that.

    Raises:
        SourceError: It cannot be read as a container with one video stream.
    """
    suffix = Path(path).suffix.lower()
    try:
        with av.open(path) as source:
            stream = max(source.streams.video, key=lambda one: (one.width or 0) * (one.height or 0))
            yield from _cut(source, stream, folder, suffix if suffix in KEEPS_ITS_FORMAT else ".mkv", chunk_s)
    except (av.FFmpegError, OSError, ValueError) as failure:
        problem = f"expected packets that can be copied, found: {failure}"
        raise SourceError(path, problem, "run it without --split") from failure


def _cut(source: Any, stream: Any, folder: Path, suffix: str, chunk_s: float) -> Iterator[Chunk]:
    writer: _Writer | None = None
    number = first = 0
    for packet in source.demux(stream):
        if packet.size == 0:
            continue
        if writer is not None and packet.is_keyframe and writer.length_s(packet) >= chunk_s:
            yield writer.close(number, first)
            number, first, writer = number + 1, first + writer.frames, None
        if writer is None:
            writer = _Writer(folder / f"{number:06d}{suffix}", stream, packet)
        writer.write(packet)
    if writer is not None:
        yield writer.close(number, first)


class _Writer:
    """One chunk under way."""

    def __init__(self, path: Path, stream: Any, packet: Any) -> None:
        self.frames = 0
        self._path = path
        self._file = av.open(path, "w")
        self._stream = self._file.add_stream_from_template(stream)
        self._start = packet.dts if packet.dts is not None else packet.pts
        self._time_base = stream.time_base

    def length_s(self, packet: Any) -> float:
        """Seconds from the first packet to this one."""
        now = packet.dts if packet.dts is not None else packet.pts
        if now is None or self._start is None:
            return 0.0
        return float((now - self._start) * self._time_base)

    def write(self, packet: Any) -> None:
        """Copy one packet; times begin at 0."""
        shift = self._start or 0
        if packet.dts is not None:
            packet.dts -= shift
        if packet.pts is not None:
            packet.pts -= shift
        packet.stream = self._stream
        self._file.mux(packet)
        self.frames += 1

    def close(self, number: int, first: int) -> Chunk:
        """Finish the file."""
        self._file.close()
        return Chunk(number=number, path=self._path, first=first, frames=self.frames)
