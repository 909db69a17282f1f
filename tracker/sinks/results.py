"""Lines of MOTChallenge, MOTS and KITTI results, formatted; pure functions.

The lines are what benchmark tools read: frames as numbered in the detections, ids from 1, the class column as it came.
"""

from __future__ import annotations

__all__ = ["KITTI_SEEN", "KITTI_UNSEEN", "kitti_line", "mot_line", "mots_line"]

KITTI_NO_3D = "-1 -1 -1 -1000 -1000 -1000 -10"
"""Size, place and rotation where unknown, as KITTI's devkit wants them."""
KITTI_SEEN = ("-1 -1 -10", KITTI_NO_3D)
KITTI_UNSEEN = ("-1 2 -10", KITTI_NO_3D)
"""Predicted, not seen: largely occluded, in KITTI's levels."""


def mot_line(
    frame: int,
    identity: int,
    box: tuple[float, float, float, float],
    *,
    score: float = 1.0,
    class_id: int = -1,
    visibility: float = -1.0,
) -> str:
    r"""``frame,id,x,y,w,h,conf,class,visibility``, with the line's end.

    Args:
        frame: Frame number, 1 for the first.
        identity: Identity, from 1.
        box: xyxy in image px.
        score: Confidence of the detection.
        class_id: Class column; -1 = none.
        visibility: Visible share; -1 = unknown, 0 = predicted but not seen.

    >>> mot_line(3, 7, (10.0, 20.5, 40.0, 80.0), score=0.75, class_id=1)
    '3,7,10.00,20.50,30.00,59.50,0.75,1,-1\n'
    """
    x1, y1, x2, y2 = box
    return f"{frame},{identity},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},{score:.6g},{class_id},{visibility:g}\n"


def mots_line(frame: int, identity: int, code: str, size: tuple[int, int], *, class_id: int) -> str:
    r"""``frame id class height width rle``, with the line's end.

    Args:
        frame: Frame number, 1 for the first.
        identity: Identity, from 1.
        code: Compressed COCO run-length code.
        size: ``(width, height)`` of the mask.
        class_id: Class column.

    >>> mots_line(3, 7, "13", (2, 2), class_id=1)
    '3 7 1 2 2 13\n'
    """
    return f"{frame} {identity} {class_id} {size[1]} {size[0]} {code}\n"


def kitti_line(
    frame: int,
    identity: int,
    type_word: str,
    box: tuple[float, float, float, float],
    *,
    score: float = 1.0,
    extras: tuple[str, str] = KITTI_SEEN,
) -> str:
    r"""``frame id type truncated occluded alpha left top right bottom h w l x y z rotation score`` and the line's end.

    Left, top, width and height are rounded to 0.01 px as in ``mot_line``, so that both texts score the same.

    Args:
        frame: Frame number, 0 for the first.
        identity: Identity, from 1.
        type_word: ``Car``, ``Pedestrian``, ...
        box: xyxy in image px.
        score: Confidence in 0..1.
        extras: ``truncated occluded alpha``, and ``height width length x y z rotation_y``.

    >>> kitti_line(3, 7, "Car", (10.0, 20.5, 40.0, 80.0), score=0.75)
    '3 7 Car -1 -1 -10 10.00 20.50 40.00 80.00 -1 -1 -1 -1000 -1000 -1000 -10 0.75\n'
    """
    left, top = round(box[0], 2), round(box[1], 2)
    right, bottom = left + round(box[2] - box[0], 2), top + round(box[3] - box[1], 2)
    corners = f"{left:.2f} {top:.2f} {right:.2f} {bottom:.2f}"
    return f"{frame} {identity} {type_word} {extras[0]} {corners} {extras[1]} {score:.6g}\n"
