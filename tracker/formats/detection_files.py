"""Detections files of any format, recognised by their first line; results are written in the format of the detections.

=========  ==================================================  =========================================
format     row                                                 source
=========  ==================================================  =========================================
``mot``    ``frame,id,x,y,w,h,conf[,class[,visibility]]``      MOTChallenge (Dendorfer et al. 2020)
``mots``   ``frame id class h w rle [score]``                  MOTS (Voigtlaender et al. 2019) + a score
``kitti``  ``frame id type ... left top right bottom ...``     KITTI tracking (Geiger et al. 2012), frames from 0
``coco``   ``[{image_id, category_id, bbox, score, ...}]``     COCO results, or annotations with their images
=========  ==================================================  =========================================
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import DetectionsError
from tracker.formats.coco import read_coco
from tracker.formats.columns import lines_of, read_text
from tracker.formats.detections import Detections, pack
from tracker.formats.kitti import KITTI_TYPES, KITTI_UNSEEN, is_kitti, kitti_line, read_kitti
from tracker.formats.mot import is_mot, mot_line, read_mot
from tracker.formats.mots import is_mots, read_mots

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["box_line", "read_detections", "read_videos"]


def read_videos(path: str | Path, *, image_size: tuple[int, int] | None = None) -> Mapping[str, Detections]:
    """The detections of each video of a file, by name; the name is empty where the file names none.

    Args:
        path: The file.
        image_size: ``(width, height)`` of the images where known from elsewhere; COCO polygons need it, and masks
            of height and width exchanged are known by it.

    Raises:
        DetectionsError: A row that is not of the format; names ``file:line``.
        SourceError: The file cannot be read.
    """
    path = Path(path)
    text = read_text(path)
    if text.lstrip()[:1] in ("[", "{") or path.suffix.lower() == ".json":
        return read_coco(path, text, image_size=image_size)
    lines = lines_of(text)
    if not lines:
        return {"": pack(path, "mot", [], places=[])}
    first = lines[0][1]
    if is_mot(first) and not (is_mots(first) and all(is_mots(line) for _, line in lines)):
        return {"": read_mot(path, lines)}
    return {"": read_kitti(path, lines) if is_kitti(first) else read_mots(path, lines, image_size=image_size)}


def read_detections(path: str | Path, *, image_size: tuple[int, int] | None = None) -> Detections:
    """All detections of a file of one video; see :func:`read_videos`.

    Raises:
        DetectionsError: As there, or a file of several videos.
    """
    videos = read_videos(path, image_size=image_size)
    if len(videos) != 1:
        raise DetectionsError(
            path, f"expected one video, found {len(videos)}: {', '.join(videos)}", "read_videos gives each"
        )
    return next(iter(videos.values()))


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
    """One line of a result: KITTI text for KITTI detections, MOTChallenge text for all others.

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
