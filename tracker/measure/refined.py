"""Result lines of refined recordings, with morphed masks in the gaps."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from tracker.formats.detection_files import box_line
from tracker.formats.mots import mots_line
from tracker.formats.run_length import decode_rle, encode_rle
from tracker.refine.morph import between
from tracker.refine.recording import Recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from tracker.formats.detections import Detections
    from tracker.formats.sequences import Sequence
    from tracker.refine.refine import Refined

__all__ = ["recording_of", "refined_lines"]

LEAST_VISIBLE = 0.5
"""Share of a morphed mask that no seen mask covers, below which it is left out: such a mask is hidden, not missed."""
CACHED_MASKS = 256

Crop = tuple["NDArray[np.bool_]", tuple[int, int]]


def recording_of(sequence: Sequence, rate: float) -> Recording:
    """The sequence's detections for the second pass; its frame 0 is ``sequence.first_frame``."""
    detections = sequence.detections
    numbers = np.arange(sequence.first_frame, sequence.length + 2)
    return Recording(
        times_s=np.arange(1, len(numbers)) / rate,
        starts=np.searchsorted(detections.frames, numbers),
        boxes=detections.boxes,
        scores=detections.scores,
        class_ids=detections.class_ids,
    )


def refined_lines(sequence: Sequence, refined: Refined, *, filled: bool = True) -> Iterator[str]:
    """The lines of all frames, ordered by frame, then identity.

    Args:
        sequence: The detections.
        refined: Result of the second pass.
        filled: Also write places where an identity was not seen (visibility 0, KITTI's occluded 2; masks morphed).
    """
    detections = sequence.detections
    if detections.image_size is not None:
        yield from _mask_lines(sequence, refined, filled=filled)
        return
    for place, row in enumerate(refined.detections.tolist()):
        if row >= 0 or filled:
            yield box_line(
                detections,
                row,
                int(refined.frames[place]) + sequence.first_frame,
                int(refined.ids[place]),
                tuple(refined.boxes[place].tolist()),
                score=float(refined.scores[place]),
                class_id=int(refined.class_ids[place]),
            )


def _mask_lines(sequence: Sequence, refined: Refined, *, filled: bool) -> Iterator[str]:
    detections = sequence.detections
    size = detections.image_size
    if size is None:
        return
    crop_of = functools.lru_cache(CACHED_MASKS)(functools.partial(_crop, detections))
    for frame in range(sequence.length - sequence.first_frame + 1):
        rows = refined.rows(frame)
        codes = {
            place: detections.codes[refined.detections[place]]
            for place in range(rows.start, rows.stop)
            if refined.detections[place] >= 0
        }
        missing = [place for place in range(rows.start, rows.stop) if refined.detections[place] < 0]
        if filled and missing:
            codes |= _morphed(refined, missing, crop_of, size, seen=list(codes.values()))
        for place in sorted(codes):
            number, class_id = int(refined.ids[place]), int(refined.class_ids[place])
            yield mots_line(frame + sequence.first_frame, number, codes[place], size, class_id=class_id)


def _morphed(
    refined: Refined, places: list[int], crop_of: Callable[[int], Crop], size: tuple[int, int], *, seen: list[str]
) -> dict[int, str]:
    """Codes of the masks in gaps; pixels of seen masks stay theirs, and the nearer of two takes what both claim."""
    width, height = size
    free = np.ones((height, width), np.bool_)
    for code in seen:
        free &= ~decode_rle({"size": [height, width], "counts": code})
    codes = {}
    # On a common ground what stands lower in the image is nearer.
    for place in sorted(places, key=lambda place: (-refined.boxes[place, 3], place)):
        left, top, right, bottom = np.rint(refined.boxes[place]).astype(int).tolist()
        right, bottom = max(right, left + 1), max(bottom, top + 1)
        before, after = crop_of(int(refined.befores[place]))[0], crop_of(int(refined.afters[place]))[0]
        shape = between(before, after, float(refined.shares[place]), (right - left, bottom - top)) >= 0
        x, y = max(left, 0), max(top, 0)
        part = shape[y - top : max(height - top, 0), x - left : max(width - left, 0)]
        mask = part & free[y : y + part.shape[0], x : x + part.shape[1]]
        if mask.any() and mask.sum() >= LEAST_VISIBLE * shape.sum():
            full = np.zeros((height, width), np.bool_)
            full[y : y + part.shape[0], x : x + part.shape[1]] = mask
            free &= ~full
            codes[place] = str(encode_rle(full)["counts"])
    return codes


def _crop(detections: Detections, row: int) -> Crop:
    """The mask of one detection, cut to its box, and where its top left pixel lies."""
    width, height = detections.image_size or (0, 0)
    left, top, right, bottom = detections.boxes[row].astype(int).tolist()
    mask = decode_rle({"size": [height, width], "counts": detections.codes[row]})
    return mask[top:bottom, left:right], (left, top)
