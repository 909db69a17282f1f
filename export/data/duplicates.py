"""Duplicate pictures, byte-equal or nearly so.

A difference hash of 64 bits finds the candidates: two that differ in at most three bits agree in one of four bands of
16 (pigeonhole), so that no pair is compared that shares none. A 64 x 64 thumbnail decides: every cell must lie within
the range of the other's 3 x 3 cells there, for scaling moves edges by part of a cell, and an object that came or went
leaves that range.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from tracker.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BITS_APART = 3
GREY_APART = 12  # of 255, beyond the range
THUMBNAIL = 64


class Fingerprint(NamedTuple):
    """What a picture is recognised by."""

    digest: str  # SHA-256 of the file
    code: int  # 64-bit difference hash
    thumbnail: np.ndarray  # (64, 64) uint8 grey


def fingerprint(path: Path) -> Fingerprint:
    """Fingerprint of a picture file.

    Raises:
        SourceError: not readable as a picture.
    """
    data = path.read_bytes()
    buffer = np.frombuffer(data, np.uint8)
    grey = cv2.imdecode(buffer, cv2.IMREAD_GRAYSCALE) if len(buffer) else None
    if grey is None:
        raise SourceError(path, "expected a picture, found a file that does not decode", "replace or remove it")
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA).astype(np.int16)
    bits = np.packbits(small[:, 1:] > small[:, :-1])
    thumbnail = cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return Fingerprint(hashlib.sha256(data).hexdigest(), int.from_bytes(bits.tobytes(), "big"), thumbnail)


def find_duplicates(prints: Sequence[Fingerprint], sets: Sequence[str], order: Sequence[int]) -> dict[int, int]:
    """Rows to leave out -> the row that stays in their place.

    Equal files are duplicates anywhere; nearly equal pictures only between sets, for frames of one clip are alike and
    yet show their objects elsewhere.

    Args:
        prints: one a picture.
        sets: the set of each picture.
        order: all rows, the ones to keep first.
    """
    dropped: dict[int, int] = {}
    by_digest: dict[str, int] = {}
    bands: dict[tuple[int, int], list[int]] = {}
    for row in order:
        same = by_digest.get(prints[row].digest)
        if same is None:
            same = next(
                (
                    other
                    for other in candidates(prints, bands, row)
                    if sets[other] != sets[row] and alike(prints, row, other)
                ),
                None,
            )
        if same is not None:
            dropped[row] = same
            continue
        by_digest[prints[row].digest] = row
        for band in range(4):
            bands.setdefault((band, prints[row].code >> 16 * band & 0xFFFF), []).append(row)
    return dropped


def candidates(prints: Sequence[Fingerprint], bands: dict[tuple[int, int], list[int]], row: int) -> list[int]:
    """Kept rows whose hash differs in at most three bits, each once, in order."""
    code = prints[row].code
    near = {other for band in range(4) for other in bands.get((band, code >> 16 * band & 0xFFFF), ())}
    return sorted(other for other in near if (prints[other].code ^ code).bit_count() <= BITS_APART)


def alike(prints: Sequence[Fingerprint], first: int, second: int) -> bool:
    """Does each thumbnail lie within the other's range, everywhere?"""
    one, other = prints[first].thumbnail, prints[second].thumbnail
    return within(one, other) and within(other, one)


def within(grey: np.ndarray, other: np.ndarray) -> bool:
    """Is every cell of a thumbnail in the range of the other's 3 x 3 cells there, give or take `GREY_APART`?"""
    around = np.ones((3, 3), np.uint8)
    low, high = cv2.erode(other, around).astype(int), cv2.dilate(other, around).astype(int)
    return bool(((grey > low - GREY_APART) & (grey < high + GREY_APART)).all())
