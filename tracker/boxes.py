"""Box geometry: areas, overlaps and conversions of boxes ``(N, 4)`` xyxy; the placement of an image in a network.

A box is ``x1, y1, x2, y2`` in pixels with ``x2 >= x1``; an edge at ``x`` lies between pixels, so a box that covers
exactly one pixel is ``0, 0, 1, 1``. Functions keep the floating type they are given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.floating[Any]]

__all__ = [
    "Letterbox",
    "areas",
    "at_height",
    "clip",
    "cxcywh",
    "expand",
    "intersections",
    "iou",
    "iou_paired",
    "xywh",
    "xyxy_from_cxcywh",
    "xyxy_from_xywh",
]


def at_height(size: tuple[int, int], height: int) -> tuple[int, int]:
    """``(width, height)`` of a picture made smaller to ``height`` lines, its width even; never larger than it is.

    >>> at_height((1920, 1080), 720), at_height((640, 360), 720)
    ((1280, 720), (640, 360))
    """
    if height >= size[1]:
        return size
    return max(2 * round(size[0] * height / size[1] / 2), 2), height


def areas(boxes: Boxes) -> Boxes:
    """Areas in square pixels.

    Args:
        boxes: ``(N, 4)`` xyxy.

    Returns:
        ``(N,)``; zero for an empty or inverted box.

    >>> areas(np.array([[0.0, 0.0, 4.0, 3.0], [2.0, 2.0, 1.0, 5.0]]))
    array([12.,  0.])
    """
    return np.asarray(np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0))


def intersections(a: Boxes, b: Boxes) -> Boxes:
    """All-pairs intersection areas ``(N, M)`` of ``a (N, 4)`` and ``b (M, 4)``.

    >>> intersections(np.array([[0.0, 0.0, 4.0, 4.0]]), np.array([[2.0, 2.0, 6.0, 6.0], [9.0, 9.0, 10.0, 10.0]]))
    array([[4., 0.]])
    """
    width = np.minimum(a[:, None, 2], b[None, :, 2]) - np.maximum(a[:, None, 0], b[None, :, 0])
    height = np.minimum(a[:, None, 3], b[None, :, 3]) - np.maximum(a[:, None, 1], b[None, :, 1])
    return np.asarray(np.maximum(width, 0) * np.maximum(height, 0))


def iou(a: Boxes, b: Boxes) -> Boxes:
    """All-pairs intersection over union ``(N, M)``; zero where both boxes are empty.

    >>> iou(np.array([[0.0, 0.0, 4.0, 4.0]]), np.array([[0.0, 0.0, 4.0, 2.0]]))
    array([[0.5]])
    """
    shared = intersections(a, b)
    union = areas(a)[:, None] + areas(b)[None, :] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def iou_paired(a: Boxes, b: Boxes) -> Boxes:
    """Row-by-row intersection over union ``(N,)`` of ``a (N, 4)`` and ``b (N, 4)``.

    >>> iou_paired(np.array([[0.0, 0.0, 4.0, 4.0]]), np.array([[0.0, 0.0, 4.0, 2.0]]))
    array([0.5])
    """
    width = np.minimum(a[:, 2], b[:, 2]) - np.maximum(a[:, 0], b[:, 0])
    height = np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1])
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    union = areas(a) + areas(b) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def clip(boxes: Boxes, width_px: float, height_px: float) -> Boxes:
    """Boxes cut at the image's edges; a box outside becomes empty at the edge.

    >>> clip(np.array([[-2.0, 1.0, 5.0, 9.0]]), 4, 8)
    array([[0., 1., 4., 8.]])
    """
    limits = np.array([width_px, height_px, width_px, height_px], dtype=boxes.dtype)
    return np.asarray(np.minimum(np.maximum(boxes, 0), limits))


def expand(boxes: Boxes, fraction: float) -> Boxes:
    """Boxes grown about their centre by ``fraction`` of their width and height on each side.

    Source: C-BIoU (Yang et al. 2023), equation 1.

    >>> expand(np.array([[0.0, 0.0, 10.0, 20.0]]), 0.5)
    array([[ -5., -10.,  15.,  30.]])
    """
    margin = (boxes[:, 2:] - boxes[:, :2]) * fraction
    return np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1)


def cxcywh(boxes: Boxes) -> Boxes:
    """xyxy to centre x, centre y, width, height.

    >>> cxcywh(np.array([[0.0, 0.0, 4.0, 2.0]]))
    array([[2., 1., 4., 2.]])
    """
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


def xyxy_from_cxcywh(boxes: Boxes) -> Boxes:
    """Centre x, centre y, width, height to xyxy; the inverse of :func:`cxcywh`.

    >>> xyxy_from_cxcywh(np.array([[2.0, 1.0, 4.0, 2.0]]))
    array([[0., 0., 4., 2.]])
    """
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def xywh(boxes: Boxes) -> Boxes:
    """xyxy to left, top, width, height, the MOTChallenge and COCO order.

    >>> xywh(np.array([[1.0, 1.0, 4.0, 3.0]]))
    array([[1., 1., 3., 2.]])
    """
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def xyxy_from_xywh(boxes: Boxes) -> Boxes:
    """Left, top, width, height to xyxy; the inverse of :func:`xywh`.

    >>> xyxy_from_xywh(np.array([[1.0, 1.0, 3.0, 2.0]]))
    array([[1., 1., 4., 3.]])
    """
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterbox:
    """Placement of an image in the network's input: scaled, anchored at the top left, the rest padded.

    Attributes:
        image_size: ``(width, height)`` of the image in pixels.
        network_size: ``(width, height)`` of the network's input in pixels.
        content_size: ``(width, height)`` of the scaled image inside the input.
    """

    image_size: tuple[int, int]
    network_size: tuple[int, int]
    content_size: tuple[int, int]

    @classmethod
    def fit(cls, image_size: tuple[int, int], network_size: tuple[int, int], *, keep_aspect: bool = True) -> Letterbox:
        """The largest placement of the image in the network's input.

        Args:
            image_size: ``(width, height)`` in pixels.
            network_size: ``(width, height)`` in pixels.
            keep_aspect: Scale both axes alike and pad right and below; else stretch to fill (official YOLACT).

        >>> Letterbox.fit((1280, 720), (640, 384)).content_size
        (640, 360)
        """
        if not keep_aspect:
            return cls(image_size=image_size, network_size=network_size, content_size=network_size)
        scale = min(network_size[0] / image_size[0], network_size[1] / image_size[1])
        content = (
            min(max(round(image_size[0] * scale), 1), network_size[0]),
            min(max(round(image_size[1] * scale), 1), network_size[1]),
        )
        return cls(image_size=image_size, network_size=network_size, content_size=content)

    @property
    def scale(self) -> tuple[float, float]:
        """Network pixels per image pixel, ``(x, y)``."""
        return self.content_size[0] / self.image_size[0], self.content_size[1] / self.image_size[1]
