"""Chunks of one output enter in order; the one file that they would have been leaves.

Lines are copied, a Parquet file gets the row groups that it would have had, and the packets of a video are copied with
their times moved: nothing is encoded twice.
"""

from __future__ import annotations

import io
import shutil
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from tracker.errors import SinkError
from tracker.sinks.part_file import PartFile, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["join_chunks", "why_not_joined"]

SINGLE_VIDEOS = {
    ".gif": "a GIF holds its colours once for all pictures",
    ".avi": "an AVI knows no times, and chunks could not be put at theirs",
}
COCO_HEAD, COCO_TAIL = b"[\n", b"\n]\n"


def why_not_joined(path: Path) -> str:
    """Why an output cannot be written in chunks; empty where it can.

    >>> why_not_joined(Path("out/a.parquet")), why_not_joined(Path("a.gif"))
    ('', 'a GIF holds its colours once for all pictures')
    """
    return SINGLE_VIDEOS.get(path.suffix.lower(), "")


def join_chunks(path: Path, chunks: Sequence[Path], starts_s: Sequence[float]) -> None:
    """Put the chunks of an output together and publish it.

    Args:
        path: The final file; its suffix says what the chunks are.
        chunks: At least one, in order.
        starts_s: Media time of each chunk's first frame.

    Raises:
        SinkError: The system refuses, or the pictures of a video changed their size; the chunks stay.
    """
    from tracker.sinks.open import kind_of

    kind = kind_of(path)
    try:
        if kind == "video":
            _join_videos(path, chunks, starts_s)
        elif kind == "parquet":
            _join_tables(path, chunks)
        elif kind == "coco":
            _join_lists(path, chunks)
        else:
            _join_lines(path, chunks, has_head=kind == "csv")
    except OSError as failure:
        raise refusal(path, failure, "put its chunks together") from failure


def _join_lines(path: Path, chunks: Sequence[Path], *, has_head: bool) -> None:
    with PartFile(path) as part, io.BufferedWriter(part.open()) as raw:
        for number, chunk in enumerate(chunks):
            with chunk.open("rb") as lines:
                if has_head and number:
                    lines.readline()
                shutil.copyfileobj(lines, raw)


def _join_lists(path: Path, chunks: Sequence[Path]) -> None:
    """COCO results: every chunk is a JSON list of its own, one entry per line."""
    with PartFile(path) as part, io.BufferedWriter(part.open()) as raw:
        raw.write(COCO_HEAD)
        before = False
        for chunk in chunks:
            entries = chunk.read_bytes().removeprefix(COCO_HEAD).removesuffix(COCO_TAIL)
            if entries:
                raw.write(b",\n" * before + entries)
                before = True
        raw.write(COCO_TAIL)


def _join_tables(path: Path, chunks: Sequence[Path]) -> None:
    """Parquet: rows go through again, since the chunks' row groups would make a slow file of many small ones."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([(field.name, _plain(field.type)) for field in parquet.read_schema(chunks[0])])
    with (
        PartFile(path) as part,
        io.BufferedWriter(part.open()) as raw,
        parquet.ParquetWriter(raw, schema, compression="zstd") as writer,
    ):
        for rows in _groups(parquet.read_table(chunk).cast(schema) for chunk in chunks):
            table = pa.concat_tables(rows).combine_chunks()
            writer.write_table(table, row_group_size=len(table))


def _plain(kind: Any) -> Any:
    """A column's type without what reading adds to it: numbers of nested fields."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _plain(field.type)) for field in kind])
    return pa.list_(_plain(kind.value_type)) if pa.types.is_list(kind) else kind


def _groups(tables: Iterator[Any]) -> Iterator[list[Any]]:
    """Tables whose rows make one row group each, as ``ParquetSink`` has them: it is full when a frame fills it."""
    from tracker.sinks.parquet import GROUP_ROWS

    waiting: list[Any] = []
    count = 0
    for table in tables:
        rest = table
        while len(rest):
            frames = rest.column("frame").to_numpy()
            room = GROUP_ROWS - count  # the row that fills the group; those of the same frame belong to it
            if len(rest) < room:
                break
            end = int(frames.searchsorted(frames[room - 1], side="right"))
            yield [*waiting, rest.slice(0, end)]
            waiting, count, rest = [], 0, rest.slice(end)
        if len(rest):
            waiting.append(rest)
            count += len(rest)
    if waiting:
        yield waiting


def _join_videos(path: Path, chunks: Sequence[Path], starts_s: Sequence[float]) -> None:
    import av

    from tracker.sinks.encoder import CONTAINERS
    from tracker.sinks.watched_file import BUFFER_BYTES, WatchedFile

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
    import av

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
    unknown = len(found) - len(known)  # Matroska notes no times of decoding; the first few cannot be told from it
    shift = round(start_s / found[0].time_base) - found[0].pts if found else 0
    for number, packet in enumerate(found):
        decoded = (known[0] if known else found[0].pts) - unknown + number if packet.dts is None else packet.dts
        packet.pts += shift
        # Pictures are shown at their times; the order of decoding only has to advance over the seam.
        packet.dts = decoded + shift if last is None else max(decoded + shift, last + 1)
        last = packet.dts
        yield packet
