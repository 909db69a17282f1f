"""Ground contacts: where objects stand in the picture, and whether that place is seen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CONTACT_DIGITS", "ContactState", "Contacts", "box_contacts"]

CONTACT_DIGITS = 3
"""Of contacts in pixels: what records write, so that rows say what was counted with."""


class ContactState(IntEnum):
    """Whether a ground contact can be believed."""

    SEEN = 0
    HIDDEN = 1
    PREDICTED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Contacts:
    """Ground contacts of one frame, row by row as the instances or tracks they are of.

    Attributes:
        points: ``(N, 2)`` in image pixels.
        states: ``(N,)`` int8, :class:`ContactState`.
    """

    points: NDArray[np.float64]
    states: NDArray[np.int8]

    def of_tracks(self, detection_rows: NDArray[np.int64], boxes: NDArray[np.float32]) -> Contacts:
        """Contacts of tracks, from those of the instances they took.

        Args:
            detection_rows: ``(M,)`` as in ``Tracks``; -1 gives the predicted box's, as ``PREDICTED``.
            boxes: ``(M, 4)`` of the tracks.
        """
        unseen = detection_rows < 0
        if len(self.points):
            points, states = self.points.take(detection_rows, 0), self.states.take(detection_rows)
        else:
            points, states = np.zeros((len(detection_rows), 2)), np.zeros(len(detection_rows), np.int8)
        if np.count_nonzero(unseen):
            points[unseen] = box_contacts(boxes[unseen].astype(np.float64))
            states[unseen] = ContactState.PREDICTED
        return Contacts(points=points, states=states)


def box_contacts(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Middles of the lower edges ``(N, 2)`` of boxes ``(N, 4)`` xyxy."""
    points = boxes[:, 2:].copy()
    points[:, 0] += boxes[:, 0]
    points[:, 0] /= 2
    return points
