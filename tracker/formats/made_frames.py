"""Frames that are put together from rows: their instances, tracks and contacts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tracker.contacts import Contacts, ContactState
from tracker.formats.frame_rows import FrameRows
from tracker.types import Instances, Tracks

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from tracker.events import Event
    from tracker.recount import FrameNotes

__all__ = ["NO_ROWS", "Made", "by_boxes", "by_contacts", "nothing_in", "with_sights"]

NO_ROWS = FrameRows(
    place="",
    index=0,
    time_s=None,
    ids=np.zeros(0, np.int64),
    classes=(),
    boxes=np.zeros((0, 4), np.float32),
    ages_s=np.zeros(0, np.float32),
    coasting=np.zeros(0, np.bool_),
    points=np.zeros((0, 2)),
    states=np.zeros(0, np.int8),
)


@dataclass(slots=True, kw_only=True)
class Made:
    """A frame that is being put together.

    Attributes:
        time_s: Media time.
        rows: Of identities; ``None`` for none.
        notes: Of the frame.
        size: Of the picture.
        captured_at: When, where it is known.
        sights: Contacts of identities that are confirmed later.
        ended: Identities that end.
        earlier: ``(identity, frames ago, instance)`` of identities that are confirmed here.
        events: Of the camera.
    """

    time_s: float
    rows: FrameRows | None = None
    notes: FrameNotes | None = None
    size: tuple[int, int] = (0, 0)
    captured_at: datetime | None = None
    sights: list[tuple[float, float]] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    earlier: list[tuple[int, int, int]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


def nothing_in(made: Made) -> tuple[Instances, Tracks, Contacts]:
    """A frame without rows."""
    points, states = with_sights(np.zeros((0, 2)), np.zeros(0, np.int8), made)
    nobody = np.zeros(0, np.int64)
    instances = _instances(np.zeros((0, 4), np.float32), nobody, points)
    return instances, _tracks(None, nobody, nobody, made), Contacts(points=points, states=states)


def by_contacts(rows: FrameRows, class_ids: NDArray[np.int64], made: Made) -> tuple[Instances, Tracks, Contacts]:
    """Every row is an instance, those of predicted identities without being taken."""
    assert rows.points is not None  # noqa: S101 - checked when it was read
    assert rows.states is not None  # noqa: S101 - likewise
    points, states = with_sights(rows.points, rows.states, made)
    taken = np.where(rows.coasting, -1, np.arange(len(rows.ids)))
    tracks = _tracks(rows, taken, class_ids, made)
    return _instances(rows.boxes, class_ids, points), tracks, Contacts(points=points, states=states)


def by_boxes(rows: FrameRows, class_ids: NDArray[np.int64], made: Made) -> tuple[Instances, Tracks, Contacts | None]:
    """Seen rows are instances without masks, whose contacts are found as those of any."""
    seen = ~rows.coasting
    taken = np.where(seen, np.cumsum(seen) - 1, -1)
    tracks = _tracks(rows, taken, class_ids, made)
    return _instances(rows.boxes[seen], class_ids[seen], np.zeros((int(seen.sum()), 2))), tracks, None


def with_sights(
    points: NDArray[np.float64], states: NDArray[np.int8], made: Made
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Contacts and their states with those of identities that are confirmed later."""
    if not made.sights:
        return points, states
    seen = np.full(len(made.sights), ContactState.SEEN, np.int8)
    return np.concatenate([points, np.array(made.sights, np.float64)]), np.concatenate([states, seen])


def _instances(boxes: NDArray[np.float32], class_ids: NDArray[np.int64], points: NDArray[np.float64]) -> Instances:
    """Instances of boxes, and of places beyond them."""
    more = len(points) - len(boxes)
    if more:
        places = np.tile(points[len(boxes) :], 2).astype(np.float32)
        boxes, class_ids = np.concatenate([boxes, places]), np.concatenate([class_ids, np.zeros(more, np.int64)])
    return Instances(boxes=boxes, scores=np.zeros(len(boxes), np.float32), class_ids=class_ids)


def _tracks(rows: FrameRows | None, taken: NDArray[np.int64], class_ids: NDArray[np.int64], made: Made) -> Tracks:
    count = len(taken)
    return Tracks(
        ids=taken if rows is None else rows.ids,
        detection_rows=taken,
        boxes=np.zeros((0, 4), np.float32) if rows is None else rows.boxes,
        velocities=np.zeros((count, 2), np.float32),
        class_ids=class_ids,
        scores=np.zeros(count, np.float32),
        ages_s=np.zeros(0, np.float32) if rows is None else rows.ages_s,
        ended_ids=np.array(made.ended, np.int64),
        earlier_rows=np.array(made.earlier, np.int64).reshape(-1, 3),
    )
