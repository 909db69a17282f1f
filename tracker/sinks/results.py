"""Values of one identity in one frame enter, one line of a MOTChallenge or MOTS result leaves; pure formatting.

The lines are what benchmark tools read: frames as numbered in the detections, ids from 1, the class column as it came.
"""

from __future__ import annotations

__all__ = ["mot_line", "mots_line"]


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
