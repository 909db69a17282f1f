"""Occlusion order: which of two overlapping objects stands before the other, from their masks.

Where the boxes of two objects overlap, the pixels there belong to the one in front. Where the masks share them evenly,
or there are none, the one whose ground contact is seen lower in the picture is nearer to the camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tracker.contacts import ContactState
from tracker.masks.instance_masks import PROBABILITY_THRESHOLD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracker.analytics.geometry import Floats, Rows
    from tracker.contacts import Contacts
    from tracker.types import Instances

__all__ = ["OcclusionOrder", "occlusion_order"]

CELLS = 16
"""Samples along each side of an overlap."""
LEAST_OVERLAP = 0.02
"""Of the smaller box; less is a touch."""
DECISIVE_SHARE = 0.65
"""Of the overlap's pixels that one of two must own to be the one in front."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OcclusionOrder:
    """Pairs of instances of which one stands before the other.

    Attributes:
        front, behind: ``(P,)`` rows.
        shares: ``(P,)`` float64, of the overlap's owned pixels, those of the one in front; NaN where the ground
            contacts decided.
    """

    front: Rows
    behind: Rows
    shares: Floats

    def __len__(self) -> int:
        return len(self.front)


def occlusion_order(instances: Instances, contacts: Contacts, rows: NDArray[np.int64] | None = None) -> OcclusionOrder:
    """Who stands before whom; pairs of which nothing is known are left out.

    Args:
        instances: Of one frame.
        contacts: Of the instances.
        rows: ``(M,)`` instances to look at, such as those that are identities; all by default.
    """
    rows = np.arange(len(instances)) if rows is None else rows
    boxes = instances.boxes[rows].astype(np.float64)
    corner = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    sides = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - corner
    sizes = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    shared = np.where((sides > 0).all(axis=2), sides.prod(axis=2), 0.0)
    overlaps = shared > LEAST_OVERLAP * np.minimum(sizes[:, None], sizes)
    first, second = np.triu(overlaps, 1).nonzero()
    area = np.concatenate([corner[first, second], corner[first, second] + sides[first, second]], axis=1)
    share = _owned(instances, rows[first], rows[second], area)
    points, seen = contacts.points[rows], contacts.states[rows] == ContactState.SEEN
    lower = points[first, 1] - points[second, 1]
    by_contact = np.where(seen[first] & seen[second], np.sign(lower), 0.0)
    by_mask = np.where(share >= DECISIVE_SHARE, 1.0, np.where(share <= 1 - DECISIVE_SHARE, -1.0, 0.0))
    verdict = np.where(by_mask != 0, by_mask, by_contact)
    known = verdict != 0
    first, second, share, by_mask, verdict = (part[known] for part in (first, second, share, by_mask, verdict))
    leads = verdict > 0
    return OcclusionOrder(
        front=rows[np.where(leads, first, second)],
        behind=rows[np.where(leads, second, first)],
        shares=np.where(by_mask == 0, np.nan, np.where(leads, share, 1 - share)),
    )


def _owned(instances: Instances, first: Rows, second: Rows, area: Floats) -> Floats:
    """The first one's share of the owned pixels of each area ``(P, 4)``; one half where nobody owns any."""
    if instances.masks is None or not len(first):
        return np.full(len(first), 0.5)
    one = instances.masks.sample(area.T, first, CELLS).astype(np.int64)
    two = instances.masks.sample(area.T, second, CELLS).astype(np.int64)
    of_first = ((one >= PROBABILITY_THRESHOLD) & (one > two)).sum(axis=1)
    of_second = ((two >= PROBABILITY_THRESHOLD) & (two > one)).sum(axis=1)
    total = of_first + of_second
    return np.asarray(np.where(total > 0, of_first / np.maximum(total, 1), 0.5))
