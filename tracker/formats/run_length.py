"""COCO run-length codes of silhouettes: check before decoding, encode, decode; outlines as polygons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "coco_code",
    "decode_crop",
    "decode_rle",
    "disjoint_crops",
    "encode_crop",
    "encode_polygons",
    "encode_rle",
    "encode_runs",
    "polygons",
    "row_runs",
    "run_total",
    "silhouette_of_runs",
]

GREATEST_PIXELS = 2**28
"""Images beyond are refused: a code of a few letters could ask for any amount of memory."""
GROUP_BITS = 5
LONGEST_GROUPS = 7
"""Groups of five bits that a run below ``2**31`` and its sign need; more is no code that an encoder writes."""

Crop = tuple["NDArray[np.bool_]", tuple[int, int]]
"""A boolean crop ``(h, w)`` and its top left ``(x, y)`` in the image, from ``InstanceMasks.lift``."""


def encode_rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """A boolean image ``(H, W)`` as a compressed COCO run-length code ``{"size": [H, W], "counts": str}``.

    >>> encode_rle(np.array([[False, True], [True, True]]))
    {'size': [2, 2], 'counts': '13'}
    """
    from pycocotools import mask as coco_mask

    code = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(mask.shape[0]), int(mask.shape[1])], "counts": code["counts"].decode("ascii")}


def decode_rle(code: dict[str, Any]) -> NDArray[np.bool_]:
    """A compressed COCO run-length code as a boolean image ``(H, W)``; the inverse of :func:`encode_rle`.

    >>> decode_rle({"size": [2, 2], "counts": "13"})
    array([[False,  True],
           [ True,  True]])
    """
    from pycocotools import mask as coco_mask

    counts = code["counts"]
    packed = {"size": list(code["size"]), "counts": counts.encode("ascii") if isinstance(counts, str) else counts}
    return np.asarray(coco_mask.decode(packed), dtype=np.bool_)


def encode_crop(crop: NDArray[np.bool_], origin: tuple[int, int], image_size: tuple[int, int]) -> dict[str, Any]:
    """The compressed COCO run-length code of the whole image that holds ``crop`` and nothing else.

    Equal to encoding the full-size mask, without making it: on a 200 x 500 crop of a 1920 x 1080 image 0.04 ms against
    2.1 ms.

    Args:
        crop: Boolean ``(h, w)``.
        origin: Image position ``(x, y)`` of its top left pixel.
        image_size: ``(width, height)`` of the image; the crop lies inside.

    >>> encode_crop(np.array([[True]]), (1, 0), (2, 2))
    {'size': [2, 2], 'counts': '211'}
    """
    from pycocotools import mask as coco_mask

    width, height = image_size
    lengths = run_lengths(crop, origin, image_size)
    code = coco_mask.frPyObjects({"size": [height, width], "counts": lengths}, height, width)
    return {"size": [height, width], "counts": code["counts"].decode("ascii")}


def run_lengths(crop: NDArray[np.bool_], origin: tuple[int, int], image_size: tuple[int, int]) -> NDArray[np.int64]:
    """Lengths of alternating runs of zeros and ones, column by column over the whole image, zeros first."""
    import cv2

    width, height = image_size
    rows, columns = crop.shape
    # One zero row under the crop ends every column's run, unless columns join because the crop is as high as the image.
    stride = rows if rows == height else rows + 1
    padded = np.zeros((columns, stride), np.uint8)
    if crop.size:
        cv2.transpose(crop.view(np.uint8), dst=padded[:, :rows])  # a quarter of NumPy's time
    flat = padded.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    column, row = np.divmod(changes, stride) if changes.size else (changes, changes)
    places = (column + origin[0]) * height + origin[1] + row
    edges = [np.zeros(1, np.int64)]
    if flat.size and flat[0]:
        edges.append(np.array([origin[0] * height + origin[1]]))
    edges.append(places)
    if flat.size and flat[-1]:
        edges.append(np.array([(origin[0] + columns) * height]))
    last = int(edges[-1][-1]) if edges[-1].size else 0
    if last != width * height:
        edges.append(np.array([width * height]))
    joined = np.concatenate(edges)
    return joined[1:] - joined[:-1]


def decode_crop(code: dict[str, Any]) -> Crop:
    """The part of a code's image that its ones fill, and where that lies; the inverse of :func:`encode_crop`.

    The whole image is never made: only the columns between the first and the last one.

    Raises:
        ValueError: The code is none, or describes another number of pixels than its size.

    >>> decode_crop({"size": [2, 2], "counts": "211"})
    (array([[ True]]), (1, 0))
    """
    height, width = code["size"]
    lengths = _lengths(code["counts"])
    if lengths is None or int(lengths.sum()) != height * width:
        message = f"expected a run-length code of {width} x {height} pixels, found another"
        raise ValueError(message)
    ends = np.cumsum(lengths)
    begins, stops = ends[:-1:2], ends[1::2]  # of ones
    filled = stops > begins
    begins, stops = begins[: len(stops)][filled], stops[filled]
    if not len(begins):
        return np.zeros((0, 0), np.bool_), (0, 0)
    left, right = int(begins[0]) // height, (int(stops[-1]) - 1) // height
    steps = np.zeros((right - left + 1) * height + 1, np.int8)
    steps[begins - left * height] += 1
    steps[stops - left * height] -= 1
    columns = np.cumsum(steps[:-1], dtype=np.int8).reshape(-1, height).view(np.bool_)
    rows = np.flatnonzero(columns.any(axis=0))
    top, bottom = int(rows[0]), int(rows[-1])
    return np.ascontiguousarray(columns[:, top : bottom + 1].T), (left, top)


def row_runs(crop: NDArray[np.bool_]) -> list[int]:
    """Lengths of alternating runs of zeros and ones, row by row over a crop, zeros first: CVAT's masks.

    >>> row_runs(np.array([[True, True, False], [False, True, True]]))
    [0, 2, 2, 2]
    """
    flat = crop.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    first = [0] if flat.size and flat[0] else []
    return [*first, *np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()]


def silhouette_of_runs(runs: list[int], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The crop ``(h, w)`` of :func:`row_runs`.

    Raises:
        ValueError: The runs have another sum, or one is negative.

    >>> silhouette_of_runs([0, 2, 2, 2], (2, 3)).astype(int).tolist()
    [[1, 1, 0], [0, 1, 1]]
    """
    height, width = shape
    if min(runs, default=-1) < 0 or sum(runs) != height * width:
        message = f"expected runs of {width} x {height} pixels, found {sum(runs)}"
        raise ValueError(message)
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(height, width)


def disjoint_crops(crops: list[Crop], order: NDArray[np.integer[Any]], image_size: tuple[int, int]) -> list[Crop]:
    """Silhouettes of one image without shared pixels, as MOTS asks: each pixel stays with the first of ``order``.

    Args:
        crops: Boolean crops with their image positions.
        order: ``(N,)`` row numbers, best first.
        image_size: ``(width, height)`` of the image in pixels.

    >>> crops = [(np.array([[True, True]]), (0, 0)), (np.array([[True, True]]), (1, 0))]
    >>> [crop.tolist() for crop, _ in disjoint_crops(crops, np.array([1, 0]), (3, 1))]
    [[[True, False]], [[True, True]]]
    """
    taken = np.zeros(image_size[::-1], np.bool_)
    result = list(crops)
    for row in order.tolist():
        crop, (x, y) = crops[row]
        below = taken[y : y + crop.shape[0], x : x + crop.shape[1]]
        result[row] = (crop & ~below, (x, y))
        below |= crop
    return result


def polygons(crop: NDArray[np.bool_], origin: tuple[int, int]) -> list[list[int]]:
    """Outer outlines as COCO polygons ``[x, y, x, y, ...]`` along the pixels' edges, in image pixels; holes are filled.

    >>> polygons(np.array([[True, True]]), (3, 5))
    [[3, 5, 3, 6, 5, 6, 5, 5]]
    """
    import cv2

    if not crop.size:
        return []
    # On doubled pixels an outline touches both edges of every pixel, so that halving it upwards gives the edges
    # themselves.
    doubled = crop.view(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    outlines, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [((outline.reshape(-1, 2) + 1) // 2 + np.array(origin)).reshape(-1).tolist() for outline in outlines]


def run_total(code: str) -> int:
    """Pixels that a compressed COCO run-length code describes; -1 for text that is no such code.

    pycocotools trusts codes: cut ones make it read on behind their end, and hang. Check here first.

    >>> run_total("13"), run_total("13o"), run_total("b'13'")
    (4, -1, -1)
    """
    lengths = _lengths(code)
    return -1 if lengths is None else int(lengths.sum())


def _lengths(code: str) -> NDArray[np.int64] | None:
    """Lengths of the runs of a compressed code, zeros first; ``None`` for text that is no such code."""
    if not code or not code.isascii():
        return None
    bits = np.frombuffer(code.encode("ascii"), np.uint8).astype(np.int64) - 48
    if bits.min() < 0 or bits.max() > 63:
        return None
    last = (bits & 32) == 0
    if not last[-1]:
        return None
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > LONGEST_GROUPS:
        return None
    shifts = GROUP_BITS * (np.arange(len(bits)) - np.repeat(starts, lengths))
    values = np.add.reduceat((bits & 31) << shifts, starts)
    values -= np.where(bits[ends] & 16, np.int64(1) << (GROUP_BITS * lengths), 0)
    # From the fourth run on, a number is the difference to the run before the last.
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values if values.min() >= 0 else None


def coco_code(code: str, size: tuple[int, int]) -> dict[str, Any]:
    """A run-length code as pycocotools takes it; ``size`` is ``(width, height)``."""
    return {"size": [size[1], size[0]], "counts": code.encode("ascii")}


def encode_runs(lengths: NDArray[np.int64], size: tuple[int, int]) -> str:
    """The compressed code of uncompressed run lengths, zeros first, whose sum is the image's area."""
    from pycocotools import mask as coco_mask

    width, height = size
    code = coco_mask.frPyObjects({"size": [height, width], "counts": lengths.tolist()}, height, width)
    return str(code["counts"].decode("ascii"))


def encode_polygons(outlines: list[list[float]], size: tuple[int, int]) -> str:
    """The compressed code of the union of polygons ``[x, y, x, y, ...]`` near or inside the image."""
    from pycocotools import mask as coco_mask

    width, height = size
    return str(coco_mask.merge(coco_mask.frPyObjects(outlines, height, width))["counts"].decode("ascii"))
