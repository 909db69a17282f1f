"""Image file formats that hold several pictures, and JPEG files that were cut off."""

from __future__ import annotations

import struct

__all__ = ["is_animated_png", "is_cut_off_jpeg", "picture_count"]

PNG = b"\x89PNG\r\n\x1a\n"
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
        return _tiff_pages(data)
    return 1


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
    if not data.startswith(b"\xff\xd8"):
        return False
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        place += 2 + length
        if marker == 0xDA:  # start of scan: in the coded pixels behind it 0xFF is always followed by zero or a restart
            return data.find(b"\xff\xd9", place) < 0
    return False


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


def _tiff_pages(data: bytes) -> int:
    """Length of the list of image file directories (TIFF 6.0, section 2), reduced copies and masks left out."""
    order = "<" if data[:2] == b"II" else ">"
    pages = 0
    seen: set[int] = set()
    (place,) = struct.unpack_from(f"{order}I", data, 4) if len(data) >= 8 else (0,)
    while place and place + 2 <= len(data) and place not in seen and len(seen) < MAX_PAGES:
        seen.add(place)
        (count,) = struct.unpack_from(f"{order}H", data, place)
        kind = 0  # tag NewSubfileType: 1 a reduced copy, 2 one page of many, 4 a mask
        for entry in range(place + 2, min(place + 2 + 12 * count, len(data) - 11), 12):
            tag, size = struct.unpack_from(f"{order}HH", data, entry)
            if tag == 254:
                (kind,) = struct.unpack_from(f"{order}{'H' if size == 3 else 'I'}", data, entry + 8)
        pages += not kind & 5
        link = place + 2 + 12 * count
        (place,) = struct.unpack_from(f"{order}I", data, link) if link + 4 <= len(data) else (0,)
    return max(pages, 1)
