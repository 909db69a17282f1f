"""Structure of container files: the byte at which the chain of their elements breaks.

FFmpeg's demuxers look for the next element that they know and say nothing of what lay between. Formats that announce no
number of frames (GIF, animated PNG, Matroska and WebM, FLV) are chains of elements with lengths, which damage breaks.
"""

from __future__ import annotations

import mmap
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["broken_at"]

WHOLE_BYTES = 256 << 20
"""Clusters of larger Matroska files are not looked into: that would read the whole file a second time."""

EBML, SEGMENT, CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
IN_SEGMENT = {
    0x114D9B74: "SeekHead",
    0x1549A966: "Info",
    0x1654AE6B: "Tracks",
    CLUSTER: "Cluster",
    0x1C53BB6B: "Cues",
    0x1941A469: "Attachments",
    0x1043A770: "Chapters",
    0x1254C367: "Tags",
    0xEC: "Void",
    0xBF: "CRC-32",
}
IN_CLUSTER = {
    0xE7: "Timestamp",
    0xA3: "SimpleBlock",
    0xA0: "BlockGroup",
    0xAB: "PrevSize",
    0xA7: "Position",
    0xAF: "EncryptedBlock",
    0x5854: "SilentTracks",
    0xEC: "Void",
    0xBF: "CRC-32",
}
"""Elements by their number (RFC 9559)."""
FLV_TAGS = {8, 9, 18}
"""Sound, pictures and data (Adobe, FLV specification 10.1, annex E)."""


def broken_at(path: str) -> int | None:
    """Where the structure of a file breaks, in bytes from its start; ``None`` where it is whole or not looked at.

    Args:
        path: A regular file.
    """
    try:
        with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            walk = next((walk for start, walk in _WALKS.items() if data[: len(start)] == start), None)
            return None if walk is None else walk(data)
    except (OSError, ValueError):  # empty, or gone
        return None


def _gif(data: mmap.mmap) -> int | None:
    """Blocks behind the colour table up to the trailer (GIF89a, appendix A)."""
    size = len(data)
    place = 13 + _colours(data, 10)
    while place < size:
        block = data[place]
        if block == 0x3B:
            return None
        start = place
        if block == 0x2C and place + 10 < size:
            place += 10 + _colours(data, place + 9) + 1
        elif block == 0x21:
            place += 2
        elif block == 0:  # some writers fill with zeros
            place += 1
            continue
        else:
            return start
        while place < size and data[place]:
            place += 1 + data[place]
        place += 1
    return size


def _colours(data: mmap.mmap, flags_at: int) -> int:
    """Bytes of a colour table by its flags."""
    flags = data[flags_at] if flags_at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _png(data: mmap.mmap) -> int | None:
    """Chunks up to ``IEND``, each with its checksum."""
    place, size = 8, len(data)
    while place + 12 <= size:
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        if end > size:
            return size
        if zlib.crc32(data[place + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            return place
        if data[place + 4 : place + 8] == b"IEND":
            return None
        place = end
    return size


def _flv(data: mmap.mmap) -> int | None:
    """Tags, each with its kind and its size before it and its size behind it."""
    size = len(data)
    place = int.from_bytes(data[5:9], "big") + 4
    while place + 11 <= size:
        if data[place] & 0x1F not in FLV_TAGS:
            return place
        end = place + 15 + int.from_bytes(data[place + 1 : place + 4], "big")
        if end - 4 > size:
            return size
        place = end
    return None if place >= size - 4 else place


def _matroska(data: mmap.mmap) -> int | None:
    """Elements of the segment, and in smaller files those of its clusters."""
    size, place, cluster_end = len(data), 0, 0
    outside = {EBML: "EBML", SEGMENT: "Segment", **IN_SEGMENT}
    while place < size:
        number, length, start = _element(data, place)
        is_inside = place < cluster_end and number in IN_CLUSTER
        if not is_inside and number not in outside:
            return place
        end = size if length is None else start + length
        if end > size:
            return size
        if is_inside and end > cluster_end:
            return place
        if number == CLUSTER and (size <= WHOLE_BYTES or length is None):
            cluster_end = end
            end = start
        place = start if number == SEGMENT else end
    return None


def _element(data: mmap.mmap, place: int) -> tuple[int, int | None, int]:
    """Number, length (``None`` = unknown) and first byte of content of an EBML element (RFC 8794, section 4 to 6)."""
    width = 9 - data[place].bit_length() if data[place] else 9
    number = int.from_bytes(data[place : place + width], "big") if width <= 4 else -1
    place += width
    first = data[place] if place < len(data) else 0
    width = 9 - first.bit_length() if first else 9
    mask = (1 << (7 * width)) - 1
    length = int.from_bytes(data[place : place + width], "big") & mask
    return number if width <= 8 else -1, None if length == mask else length, place + width


_WALKS: dict[bytes, Callable[[mmap.mmap], int | None]] = {
    b"GIF8": _gif,
    b"\x89PNG": _png,
    b"FLV": _flv,
    EBML.to_bytes(4, "big"): _matroska,
}
