"""Silhouettes of all persons in a picture, held and morphed over the frames in which the model missed one.

A mask of the frame alone leaks where a detection is missing for a few frames. So pictures wait for half a second, and
each is covered with what was seen in it, before it and after it: an identity that was seen on both sides is morphed
between its two silhouettes, one that was lost is held where it was and where its track is predicted, one that appears
is led back. Where a mask is uncertain, an instance is not confirmed yet or a track is only predicted, its box is
covered. What is found here is painted by :mod:`tracker.render.privacy_paint`.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from tracker.render.outlines import uncertain_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray

    from tracker.types import Instances, TrackedFrame

    Silhouette = NDArray[np.uint8]
    Box = NDArray[np.float32]

__all__ = ["CELLS", "HOLD_S", "POSSIBLE", "Cover", "Presence", "Shape", "presence_of"]

HOLD_S = 0.5
"""Seconds for which a silhouette is held after its last sight and before its first one."""
POSSIBLE = 8
"""Probability, of 0 to 255, from which a cell of a mask may show a person: thin limbs take a small part of their cells.
True masks of the rendered scenes leave 0.01 % of the silhouettes bare from one half on."""

CELLS = 48
"""Cells along each side of a silhouette over its box. A silhouette that moves and grows stays the same cells."""
_THERE, _OUTSIDE = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What one instance or predicted track covers.

    Attributes:
        identity: Number of the identity; 0 = none yet.
        box: ``(4,)`` xyxy in image pixels.
        silhouette: ``(CELLS, CELLS)`` uint8 over the box, 255 where it may be, else 0; ``None`` = the box is filled.
        seen: It was detected, else predicted.
    """

    identity: int
    box: Box
    silhouette: Silhouette | None = None
    seen: bool = True

    def moved_to(self, box: Box) -> Shape:
        """The same silhouette, shifted and stretched from its box into another one."""
        return Shape(identity=self.identity, box=box, silhouette=self.silhouette, seen=False)

    def joined(self, other: Shape) -> Shape:
        """Both silhouettes in this one's box, or the box where one of them is not known."""
        joined = None
        if self.silhouette is not None and other.silhouette is not None:
            joined = np.maximum(self.silhouette, other.silhouette)
        return Shape(identity=self.identity, box=self.box, silhouette=joined, seen=self.seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """All persons in one frame.

    Attributes:
        time_s: Media time.
        shapes: Of every instance, tracked or not, and of every track that is predicted.
        uncertain: Of the shapes, those of identities whose box is covered because their mask cannot be believed.
        unconfirmed: Of the shapes, those of instances that are no identity yet.
        predicted: Of the shapes, those of tracks that are not seen.
    """

    time_s: float
    shapes: tuple[Shape, ...] = field(default=())
    uncertain: int = 0
    unconfirmed: int = 0
    predicted: int = 0


def presence_of(tracked: TrackedFrame, *, class_ids: Collection[int] | None = None) -> Presence:
    """What a frame shows of people: silhouettes of tracks, boxes of all other detections.

    Masks are taken as they were segmented, before they were divided among tracks: of a person before a car neither may
    show. Silhouettes of a promptable segmenter are covered beside them.

    Args:
        tracked: A finished frame.
        class_ids: Classes that are covered; ``None`` = all. Of a track both the instance's class and that of the vote
            are asked: either is enough.
    """
    instances, tracks = tracked.instances, tracked.tracks
    identities = np.zeros(len(instances), np.int64)
    wanted = _among(instances.class_ids, class_ids)
    shapes: list[Shape] = []
    if tracks is not None:
        seen = tracks.detection_rows >= 0
        voted = _among(tracks.class_ids, class_ids)
        identities[tracks.detection_rows[seen]] = tracks.ids[seen]
        wanted[tracks.detection_rows[seen]] |= voted[seen]
        coasting = ~seen & voted
        for identity, box in zip(tracks.ids[coasting].tolist(), tracks.boxes[coasting], strict=True):
            shapes.append(Shape(identity=identity, box=box, seen=False))
    predicted = len(shapes)
    rows = np.flatnonzero(wanted & (identities > 0))
    uncertain = uncertain_rows(instances)
    outlined: dict[int, Silhouette] = {}
    if tracked.outlined is not None:
        outlined = _silhouettes(instances, rows[tracked.outlined[rows]])
        if tracked.segmented is not None:
            uncertain[: len(tracked.segmented)] |= uncertain_rows(tracked.segmented)
    if tracked.segmented is not None:
        uncertain[len(tracked.segmented) :] = True  # filled in by a second pass, between two sights
    found = _found(tracked, rows[~uncertain[rows]])
    for row in np.flatnonzero(wanted).tolist():
        drawn = found.get(row)
        shapes.append(Shape(identity=int(identities[row]), box=instances.boxes[row], silhouette=drawn))
        if drawn is not None and row in outlined:
            shapes.append(replace(shapes[-1], silhouette=outlined[row]))
    return Presence(
        time_s=tracked.frame.time_s,
        shapes=tuple(shapes),
        uncertain=sum(1 for row in rows.tolist() if row not in found),
        unconfirmed=int(wanted.sum()) - len(rows),
        predicted=predicted,
    )


def _found(tracked: TrackedFrame, rows: NDArray[np.int64]) -> dict[int, Silhouette]:
    """Silhouettes of those rows ``(M,)`` that have one, as segmented where that is known."""
    found: dict[int, Silhouette] = {}
    for instances in (tracked.segmented, tracked.instances):
        if instances is not None:
            found |= _silhouettes(instances, rows[rows < len(instances)])
            rows = np.array([row for row in rows.tolist() if row not in found], np.int64)
    return found


def _silhouettes(instances: Instances, rows: NDArray[np.int64]) -> dict[int, Silhouette]:
    """All that may belong to instances, without holes, by row ``(M,)``; of those of which anything may be there."""
    masks = instances.masks
    if masks is None or not len(rows):
        return {}
    boxes = instances.boxes[rows].T.astype(np.float64)  # (4, M)
    across = ((boxes[2:] - boxes[:2]).max(axis=1) / masks.grid_step_px).max()  # cells of the masks in the largest box
    finer = max(math.ceil(across / (CELLS - 1)), 1)
    points = CELLS * finer
    # The outermost points lie on the box's sides, or as good as: a mask may have part of a cell there.
    margin = (boxes[2:] - boxes[:2]) * (0.5 / (points - 1) - 1e-6)
    boxes = np.concatenate([boxes[:2] - margin, boxes[2:] + margin])
    possible: NDArray[np.bool_] = masks.sample(boxes, rows, points).reshape(len(rows), points, points) >= POSSIBLE
    if finer > 1:  # no cell of a mask lies between two points
        possible = np.any(possible.reshape(len(rows), CELLS, finer, CELLS, finer), axis=(2, 4))
    # One sheet with all of them, each in a frame of nothing that joins the others': filled at once, from a corner.
    sheet = np.zeros((len(rows), CELLS + 2, CELLS + 2), np.uint8)
    inside = sheet[:, 1:-1, 1:-1]
    np.multiply(possible, np.uint8(_THERE), out=inside)
    cv2.floodFill(sheet.reshape(-1, CELLS + 2), None, (0, 0), (_OUTSIDE,))
    filled = np.negative((inside != _OUTSIDE).view(np.uint8))  # 255 or 0
    return {row: silhouette for row, silhouette in zip(rows.tolist(), filled, strict=True) if silhouette.any()}


def _among(class_ids: NDArray[np.int64], wanted: Collection[int] | None) -> NDArray[np.bool_]:
    """Flags of the rows ``(N,)`` of these classes."""
    return np.ones(len(class_ids), np.bool_) if wanted is None else np.isin(class_ids, list(wanted))


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
        """Everything to be covered in the picture of a frame that was added, from the frames about it."""
        window = [one for one in self._presences if abs(one.time_s - time_s) <= self._hold_s + 1e-6]
        now = next((one for one in window if one.time_s == time_s), Presence(time_s=time_s))
        before = [one for one in window if one.time_s < time_s]
        after = [one for one in window if one.time_s > time_s]
        later = [one for one in self._presences if one.time_s > time_s]
        seen = {shape.identity: shape for shape in now.shapes if shape.seen and shape.identity}
        predicted = {shape.identity: shape.box for shape in now.shapes if not shape.seen}
        found = list(now.shapes)
        last = _by_identity(reversed(before))
        first = _by_identity(iter(after))
        for identity in last.keys() | first.keys():
            sights = last.get(identity), first.get(identity)
            if identity not in seen:
                found += _bridged(time_s, *sights, before=before, after=later)
                if sights[0] is not None and sights[1] is None and identity in predicted:
                    found.append(sights[0][1].moved_to(predicted[identity]))
            elif sights[0] is not None and sights[1] is not None:
                found += _bridged(time_s, *sights, before=before, after=later)  # a mask may lack a part in one frame
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
    before: Sequence[Presence],
    after: Sequence[Presence],
) -> Iterator[Shape]:
    """Shapes of an identity at a time, from its sights about it: between two, or held and led on from the nearest."""
    if last is not None and first is not None:
        (from_s, one), (to_s, other) = last, first
        share = (time_s - from_s) / (to_s - from_s)
        yield one.moved_to((one.box + share * (other.box - one.box)).astype(np.float32)).joined(other)
    elif last is not None:
        yield last[1]
        earlier = _by_identity(one for one in before if one.time_s < last[0]).get(last[1].identity)
        if earlier is not None:
            yield _led(last, earlier, time_s)
    elif first is not None:
        yield first[1]
        later = _by_identity(one for one in after if one.time_s > first[0]).get(first[1].identity)
        if later is not None:
            yield _led(first, later, time_s)


def _led(nearest: tuple[float, Shape], other: tuple[float, Shape], time_s: float) -> Shape:
    """The nearest sight's silhouette, moved on to a time as it moved between two sights."""
    (at_s, shape), (other_s, further) = nearest, other
    share = (time_s - at_s) / (other_s - at_s)
    return shape.moved_to((shape.box + share * (further.box - shape.box)).astype(np.float32))
