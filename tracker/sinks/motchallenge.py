"""Records as MOTChallenge text (boxes) and MOTS text (disjoint masks as COCO run-length codes); frames count from 1.

Classes are numbered by name, as readers of each format expect: see :func:`tracker.formats.mot.mot_classes` and
:func:`tracker.formats.mots.mots_classes`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from tracker.formats.mot import mot_classes, mot_line
from tracker.formats.mots import mots_classes, mots_line
from tracker.formats.run_length import disjoint_crops, encode_crop
from tracker.sinks.silhouettes import silhouette_of
from tracker.sinks.text import TextSink

if TYPE_CHECKING:
    import os

    from tracker.sinks.base import SinkContext
    from tracker.types import TrackedFrame

__all__ = ["MotSink", "MotsSink"]


class MotSink(TextSink):
    """``frame,id,x,y,w,h,conf,class,visibility``, one line per identity and frame.

    Without tracking it is a detections file: id and visibility are -1.

    Args:
        path: The final path.
        coasting: Keep lines of identities that are predicted but not seen, or filled in by a second pass; their
            visibility is 0, of the others 1.
        final_classes: As for :class:`tracker.sinks.text.TextSink`.
    """

    row_pattern: ClassVar[re.Pattern[bytes]] = re.compile(rb"\d+,(?P<id>\d+),(?:[^,]*,){5}(?P<class>[^,]+),")

    def __init__(self, path: str | os.PathLike[str], *, coasting: bool = True, final_classes: bool = True) -> None:
        self._coasting = coasting
        super().__init__(path, final_classes=final_classes)

    @classmethod
    def open(cls, address: str, context: SinkContext) -> Self:
        """Open it at a path; see :class:`tracker.sinks.base.Sink`."""
        return cls(address, coasting=context.coasting is not False, final_classes=context.final_classes)

    def _lines(self, tracked_frame: TrackedFrame) -> str:
        tracks, instances = tracked_frame.tracks, tracked_frame.instances
        owner = instances if tracks is None else tracks
        count = len(owner)
        ids = [-1] * count if tracks is None else tracks.ids.tolist()
        visibility = [-1] * count if tracks is None else (tracks.detection_rows >= 0).astype(int).tolist()
        frame = tracked_frame.frame.index + 1
        numbers = mot_classes(tracked_frame.class_names)
        return "".join(
            mot_line(frame, identity, tuple(box), score=round(score, 4), class_id=numbers[class_id], visibility=visible)
            for identity, visible, box, score, class_id in zip(
                ids, visibility, owner.boxes.tolist(), owner.scores.tolist(), owner.class_ids.tolist(), strict=True
            )
            if visible != 0 or self._coasting
        )


class MotsSink(TextSink):
    """``frame id class height width rle``, one line per identity and frame whose silhouette is seen.

    Without tracking it is a detections file: the id is 0 and the score is a seventh column.

    Masks of one frame share no pixel, as the format asks: the better score keeps it. Lines whose mask is empty then
    are left out.
    """

    shows_silhouettes: ClassVar[bool] = True
    # Of a detections file, whose ids are all 0, the lines end in a seventh column.
    row_pattern: ClassVar[re.Pattern[bytes]] = re.compile(rb"\d+ (?P<id>\d+) (?P<class>\d+) \d+ \d+ [^ ]+$")

    @classmethod
    def open(cls, address: str, context: SinkContext) -> Self:
        """Open it at a path; see :class:`tracker.sinks.base.Sink`."""
        return cls(address, final_classes=context.final_classes)

    def _lines(self, tracked_frame: TrackedFrame) -> str:
        tracks, instances = tracked_frame.tracks, tracked_frame.instances
        masks = instances.masks
        if masks is None:
            return ""
        rows = np.arange(len(instances)) if tracks is None else tracks.detection_rows
        kept = np.flatnonzero(rows >= 0)
        owner = instances if tracks is None else tracks
        crops = [silhouette_of(instances, int(rows[n])) for n in kept]
        crops = disjoint_crops(crops, np.argsort(-owner.scores[kept], kind="stable"), masks.image_size)
        frame = tracked_frame.frame.index + 1
        numbers = mots_classes(tracked_frame.class_names)
        lines = []
        for n, (crop, origin) in zip(kept.tolist(), crops, strict=True):
            if crop.any():
                code = encode_crop(crop, origin, masks.image_size)
                lines.append(
                    mots_line(
                        frame,
                        0 if tracks is None else int(tracks.ids[n]),
                        code["counts"],
                        masks.image_size,
                        class_id=numbers[int(owner.class_ids[n])],
                        score=float(instances.scores[n]) if tracks is None else None,
                    )
                )
        return "".join(lines)
