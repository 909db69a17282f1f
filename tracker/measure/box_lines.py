"""A box of one identity and its detection enter; its line leaves, in the format of the detections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.sinks.results import KITTI_UNSEEN, kitti_line, mot_line
from tracker.sources.kitti import KITTI_TYPES

if TYPE_CHECKING:
    from tracker.sources.detections import Detections

__all__ = ["box_line"]


def box_line(
    detections: Detections,
    row: int,
    frame: int,
    identity: int,
    box: tuple[float, float, float, float],
    *,
    score: float,
    class_id: int,
) -> str:
    """KITTI text for KITTI detections, MOTChallenge text for all others.

    Args:
        detections: What the identity was found among.
        row: Its row there; -1 where it is presumed present but not seen (visibility 0; in KITTI's text occluded 2).
        frame: Frame number as in the detections.
        identity: Identity, from 1.
        box: xyxy in image px.
        score: Confidence in 0..1.
        class_id: Class as in the detections.
    """
    if detections.format == "kitti":
        extras = detections.extras[row] if row >= 0 else KITTI_UNSEEN
        return kitti_line(frame, identity, KITTI_TYPES[class_id], box, score=score, extras=extras)
    visibility = float(detections.visibilities[row]) if row >= 0 else 0.0
    return mot_line(frame, identity, box, score=score, class_id=class_id, visibility=visibility)
