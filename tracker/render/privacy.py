"""Opaque fill of all persons in a picture, held and morphed over the frames in which the model missed one.

A live mask leaks where a detection is missing for a few frames. So pictures wait for half a second, and each is covered
with what was seen in it, before it and after it: an identity that was seen on both sides is morphed between its two
silhouettes, one that was lost is held where it was and where its track is predicted, one that appears is led back.
Silhouettes are dilated; where a mask is uncertain its box is filled.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np

from tracker.render.outlines import outlines_of, uncertain_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from tracker.types import TrackedFrame

    Polygon = NDArray[np.float32]
    Box = NDArray[np.float32]

__all__ = ["FILL", "HOLD_S", "Cover", "Presence", "Shape", "fill", "presence_of"]

HOLD_S = 0.5
"""Seconds for which a silhouette is held after its last sight and before its first one."""
DILATED_PX, DILATED_SHARE = 4.0, 0.06
"""A silhouette is dilated by pixels of the camera's picture or by a share of its height, whichever is more."""
FILL = (104, 98, 92)
"""A grey that is no object's colour, as (blue, green, red)."""
_FRACTION_BITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What one instance or predicted track covers.

    Attributes:
        identity: Number of the identity; 0 = none yet.
        box: ``(4,)`` xyxy in image pixels.
        polygons: Its outlines ``(P, 2)`` in image pixels; none = the box is filled.
        seen: It was detected, else predicted.
    """

    identity: int
    box: Box
    polygons: tuple[Polygon, ...] = ()
    seen: bool = True

    def moved_to(self, box: Box) -> Shape:
        """The same silhouette, shifted and stretched from its box into another one."""
        sides = np.maximum(self.box[2:] - self.box[:2], 1e-3)
        scale = (box[2:] - box[:2]) / sides
        polygons = tuple(((polygon - self.box[:2]) * scale + box[:2]).astype(np.float32) for polygon in self.polygons)
        return Shape(identity=self.identity, box=box, polygons=polygons, seen=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """All persons in one frame.

    Attributes:
        time_s: Media time.
        shapes: Of every instance, tracked or not, and of every track that is predicted.
    """

    time_s: float
    shapes: tuple[Shape, ...] = field(default=())


def presence_of(tracked: TrackedFrame, outlines: Sequence[Sequence[Polygon]] | None = None) -> Presence:
    """What a frame shows of people: silhouettes of tracks, boxes of all other detections.

    Args:
        tracked: A finished frame.
        outlines: By instance, those of tracks at least, where they were traced already.
    """
    instances, tracks = tracked.instances, tracked.tracks
    polygons = outlines_of(instances, range(len(instances))) if outlines is None else outlines
    uncertain = uncertain_rows(instances)
    identities = np.zeros(len(instances), np.int64)
    shapes: list[Shape] = []
    if tracks is not None:
        seen = tracks.detection_rows >= 0
        identities[tracks.detection_rows[seen]] = tracks.ids[seen]
        for identity, box in zip(tracks.ids[~seen].tolist(), tracks.boxes[~seen], strict=True):
            shapes.append(Shape(identity=identity, box=box, seen=False))
    for row, identity in enumerate(identities.tolist()):
        drawn = () if uncertain[row] or not identity else tuple(polygons[row])
        shapes.append(Shape(identity=identity, box=instances.boxes[row], polygons=drawn))
    return Presence(time_s=tracked.frame.time_s, shapes=tuple(shapes))


class Cover:
    """Presences of one stream about the pictures that wait to be covered.

    Args:
        delay_s: How long pictures wait for the frames after them.
        hold_s: How long a silhouette is held.
    """

    def __init__(self, *, delay_s: float = HOLD_S, hold_s: float = HOLD_S) -> None:
        self._hold_s, self._kept_s = hold_s, delay_s + hold_s
        self._presences: deque[Presence] = deque()

    def add(self, presence: Presence) -> None:
        """Take the next frame's; times that jump back begin anew."""
        if self._presences and presence.time_s <= self._presences[-1].time_s:
            self._presences.clear()
        self._presences.append(presence)
        while self._presences[0].time_s < presence.time_s - self._kept_s - 1e-6:
            self._presences.popleft()

    def shapes(self, time_s: float) -> list[Shape]:
        """Everything to be filled in the picture of a frame that was added, from the frames about it."""
        window = [one for one in self._presences if abs(one.time_s - time_s) <= self._hold_s + 1e-6]
        now = next((one for one in window if one.time_s == time_s), Presence(time_s=time_s))
        before = [one for one in window if one.time_s < time_s]
        after = [one for one in window if one.time_s > time_s]
        later = [one for one in self._presences if one.time_s > time_s]
        seen = {shape.identity for shape in now.shapes if shape.seen and shape.identity}
        predicted = {shape.identity: shape.box for shape in now.shapes if not shape.seen}
        found = list(now.shapes)
        last = _by_identity(reversed(before))
        first = _by_identity(iter(after))
        for identity in (last.keys() | first.keys()) - seen:
            found += _bridged(
                time_s, last.get(identity), first.get(identity), predicted=predicted.get(identity), after=later
            )
        for one in (*before, *after):
            found += [shape for shape in one.shapes if not shape.identity]
        return found


def _by_identity(presences: Iterator[Presence]) -> dict[int, tuple[float, Shape]]:
    """Where and when each identity was seen in the first of the presences that shows it."""
    found: dict[int, tuple[float, Shape]] = {}
    for one in presences:
        for shape in one.shapes:
            if shape.seen and shape.identity and shape.identity not in found:
                found[shape.identity] = one.time_s, shape
    return found


def _bridged(
    time_s: float,
    last: tuple[float, Shape] | None,
    first: tuple[float, Shape] | None,
    *,
    predicted: Box | None,
    after: Sequence[Presence],
) -> Iterator[Shape]:
    """Shapes of an identity that is not seen at a time, from its sights about it."""
    if last is not None and first is not None:
        (from_s, one), (to_s, other) = last, first
        share = (time_s - from_s) / (to_s - from_s)
        box = (one.box + share * (other.box - one.box)).astype(np.float32)
        yield from (one.moved_to(box), other.moved_to(box))
    elif last is not None:
        shape = last[1]
        yield shape
        if predicted is not None:
            yield shape.moved_to(predicted)
    elif first is not None:
        at_s, shape = first
        yield shape
        later = _by_identity(one for one in after if one.time_s > at_s).get(shape.identity)
        if later is not None:
            back = (time_s - at_s) / (later[0] - at_s)
            yield shape.moved_to((shape.box + back * (later[1].box - shape.box)).astype(np.float32))


def fill(picture: NDArray[np.uint8], shapes: Sequence[Shape], image_size: tuple[int, int]) -> None:
    """Fill shapes opaquely, dilated, in place.

    Args:
        picture: ``(h, w, 3)`` uint8 of the whole image at any size.
        shapes: In image pixels.
        image_size: ``(width, height)`` of the image that the shapes are of.
    """
    height, width = picture.shape[:2]
    gain = np.array([width / image_size[0], height / image_size[1]])
    for shape in shapes:
        reach = max(DILATED_PX, DILATED_SHARE * float(shape.box[3] - shape.box[1])) * float(gain.max())
        if not shape.polygons:
            (left, top), (right, bottom) = shape.box[:2] * gain - reach, shape.box[2:] * gain + reach
            corners = (int(np.floor(left)), int(np.floor(top))), (int(np.ceil(right)), int(np.ceil(bottom)))
            cv2.rectangle(picture, *corners, FILL, cv2.FILLED)
            continue
        outlines = [
            np.round((polygon * gain - 0.5) * (1 << _FRACTION_BITS)).astype(np.int32) for polygon in shape.polygons
        ]
        cv2.fillPoly(picture, outlines, FILL, cv2.LINE_8, _FRACTION_BITS)
        pen = 2 * int(np.ceil(reach)) + 1
        cv2.polylines(picture, outlines, True, FILL, pen, cv2.LINE_8, _FRACTION_BITS)
