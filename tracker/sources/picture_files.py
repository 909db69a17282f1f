"""Image file formats that hold several pictures, and JPEG files that were cut off."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["is_animated_png", "is_cut_off_jpeg", "page_sizes", "picture_count", "picture_size"]

PNG = b"\x89PNG\r\n\x1a\n"
KIND, WIDTH, HEIGHT = 254, 256, 257
"""Tags of a TIFF; the kind ``NewSubfileType`` is 1 for a reduced copy, 2 for one page of many, 4 for a mask."""
MAX_PAGES = 100_000
"""A TIFF's pages are a linked list, which a damaged file may close to a ring."""


def picture_count(data: bytes) -> int:
    """How many pictures an image file holds: animated PNG and WebP, TIFF with several pages; else 1.

    Args:
        data: The whole file.

    >>> picture_count(b"no image at all")
    1
    """
    if data.startswith(PNG):
        return _apng_frames(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return max(sum(name == b"ANMF" for name, _, _ in _riff_chunks(data)), 1)
    if data[:4] in {b"II*\0", b"MM\0*"}:
        return max(sum(1 for _ in _tiff_pages(data)), 1)
    return 1


def picture_size(data: bytes) -> tuple[int, int] | None:
    """``(width, height)`` by the header of a PNG, JPEG, TIFF or BMP; ``None`` for what is none of them.

    Args:
        data: The whole file.

    >>> picture_size(PNG + bytes(8) + (20_000).to_bytes(4, "big") + (10).to_bytes(4, "big"))
    (20000, 10)
    """
    if data.startswith(PNG) and len(data) >= 24:
        return struct.unpack_from(">II", data, 16)
    if data.startswith(b"BM") and len(data) >= 26:
        width, height = struct.unpack_from("<ii", data, 18)
        return abs(width), abs(height)
    if data[:4] in {b"II*\0", b"MM\0*"}:
        return next(iter(page_sizes(data)), None)
    for marker, place, _ in _jpeg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC} and place + 9 <= len(data):  # start of frame
            height, width = struct.unpack_from(">HH", data, place + 5)
            return width, height
    return None


def is_animated_png(start: bytes) -> bool:
    """Whether a file that starts like this is an animated PNG.

    Args:
        start: Its first bytes; 64 kB are enough for what stands before the pixels.
    """
    return start.startswith(PNG) and _apng_frames(start) > 1


def is_cut_off_jpeg(data: bytes) -> bool:
    """Whether a JPEG file (ITU-T T.81, annex B) ends within its pixels, the rest of which are grey.

    Args:
        data: The whole file.
    """
    for marker, _, end in _jpeg_segments(data):
        if marker == 0xDA:  # start of scan: in the coded pixels behind it 0xFF is always followed by zero or a restart
            return data.find(b"\xff\xd9", end) < 0
    return False


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """``(marker, start, end)`` of the segments before the pixels of a JPEG; none of other files."""
    place = 2
    while data.startswith(b"\xff\xd8") and place + 4 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        yield marker, place, place + 2 + length
        place += 2 + length


def _apng_frames(data: bytes) -> int:
    """The number of frames in the chunk ``acTL``, which stands before the pixels; 1 without."""
    place = len(PNG)
    while place + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        if name == b"acTL":
            return int.from_bytes(data[place + 8 : place + 12], "big") or 1
        if name == b"IDAT":
            return 1
        place += 12 + length
    return 1


def _riff_chunks(data: bytes) -> list[tuple[bytes, int, int]]:
    """``(name, start, length)`` of the chunks behind the header of a RIFF file."""
    chunks, place = [], 12
    while place + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, place)
        chunks.append((name, place + 8, length))
        place += 8 + length + length % 2
    return chunks


def page_sizes(data: bytes) -> list[tuple[int, int]]:
    """``(width, height)`` of every page of a TIFF; 0 where a page does not say. Of other files nothing.

    Args:
        data: The whole file.
    """
    if data[:4] not in {b"II*\0", b"MM\0*"}:
        return []
    return [(tags.get(WIDTH, 0), tags.get(HEIGHT, 0)) for tags in _tiff_pages(data) if tags]


def _tiff_pages(data: bytes) -> Iterator[dict[int, int]]:
    """What the image file directories say (TIFF 6.0, section 2), reduced copies and masks left out.

    A last page that is announced and lies behind the file's end says nothing.
    """
    order = "<" if data[:2] == b"II" else ">"
    seen: set[int] = set()
    (place,) = struct.unpack_from(f"{order}I", data, 4) if len(data) >= 8 else (0,)
    while place and place + 2 <= len(data) and place not in seen and len(seen) < MAX_PAGES:
        seen.add(place)
        (count,) = struct.unpack_from(f"{order}H", data, place)
        tags: dict[int, int] = {KIND: 0}
        for entry in range(place + 2, min(place + 2 + 12 * count, len(data) - 11), 12):
            tag, size = struct.unpack_from(f"{order}HH", data, entry)
            if tag in {KIND, WIDTH, HEIGHT}:
                (tags[tag],) = struct.unpack_from(f"{order}{'H' if size == 3 else 'I'}", data, entry + 8)
        if not tags[KIND] & 5:
            yield tags
        link = place + 2 + 12 * count
        (place,) = struct.unpack_from(f"{order}I", data, link) if link + 4 <= len(data) else (0,)
    if place + 2 > len(data):
        yield {}
