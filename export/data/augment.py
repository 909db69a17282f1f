"""Augmentation: random placement, colour and degradation of one labelled picture at network size."""

from __future__ import annotations

import cv2
import numpy as np

from export.data.archive import IGNORE, PAD_VALUE, Picture, Sample
from export.networks.yolact_nano import MASK_STRIDE

MIN_VISIBLE_SHARE = 0.3  # of an object's box after cropping; what is left of it below that is an ignore region
MIN_SIDE_PX = 3.0
JITTER = (0.6, 1.9)


def letterbox_scale(size: tuple[int, int], target: tuple[int, int]) -> float:
    """The scale that fits an image (height, width) into the network input (height, width)."""
    return min(target[0] / size[0], target[1] / size[1])


def to_sample(
    picture: Picture,
    target: tuple[int, int],
    rng: np.random.Generator | None,
    *,
    window_of: tuple[int, int] | None = None,
    jitter: tuple[float, float] = JITTER,
) -> Sample:
    """One picture at network size (height, width); without `rng` just letterboxed to the top left.

    Args:
        picture: with its labels.
        target: the size of the sample.
        rng: draws place, scale, mirror and colours.
        window_of: the canvas (height, width) of which this is a window at the same scale; None for whole pictures.
        jitter: lowest and highest scale of whole pictures, 1 being the one that fits.
    """
    image = picture.image
    if rng is None:
        fit = letterbox_scale(image.shape[:2], target)
        transform = np.diag([fit, fit, 1.0])
    else:
        mirror = np.array([[-1.0, 0.0, image.shape[1]], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        flip = mirror if rng.random() < 0.5 else np.eye(3)
        shown = [item.box for item in picture.items if item.class_id != IGNORE]
        wanted = move_corners(shown[int(rng.integers(len(shown)))].tolist(), flip) if shown else None
        if window_of is None:
            transform = place_whole(image.shape[:2], target, rng, jitter=jitter) @ flip
        else:
            transform = place_window(image.shape[:2], target, wanted, rng, whole=window_of) @ flip
    moved = warp(image, transform, target)
    if rng is not None:
        moved = degrade(moved, rng)
    boxes, class_ids, weights, masks, ignore = [], [], [], [], []
    for item in picture.items:
        box, visible = move_box(item.box, transform, target)
        if visible <= 0.0:
            continue
        small = min(box[2] - box[0], box[3] - box[1]) < MIN_SIDE_PX
        mask = None
        if item.class_id != IGNORE and item.mask is not None and visible >= MIN_VISIBLE_SHARE and not small:
            mask = move_mask(item.mask, item.box, transform, box, target)
        if mask is None or mask.max() < 128:
            ignore.append(box)
            continue
        boxes.append(box)
        class_ids.append(item.class_id)
        weights.append(item.weight)
        masks.append(mask)
    grid = (target[0] // MASK_STRIDE, target[1] // MASK_STRIDE)
    return Sample(
        image=moved,
        boxes=np.asarray(boxes, np.float32).reshape(-1, 4),
        class_ids=np.asarray(class_ids, np.int64),
        weights=np.asarray(weights, np.float32),
        masks=np.asarray(masks, np.uint8).reshape(-1, *grid),
        ignore=np.asarray(ignore, np.float32).reshape(-1, 4),
        labelled=picture.labelled,
        complete=picture.complete,
        masks_only=picture.masks_only,
    )


def place_whole(
    size: tuple[int, int], target: tuple[int, int], rng: np.random.Generator, *, jitter: tuple[float, float]
) -> np.ndarray:
    """(3, 3) map from image to network pixels (continuous: pixel i covers i .. i + 1), about the whole picture.

    Large-scale jitter after Ghiasi et al. 2021; their 0.1 makes most objects too small for a network of this size.
    """
    fit = letterbox_scale(size, target)
    if rng.random() < 0.25:
        return np.diag([fit, fit, 1.0])
    scale = fit * np.exp(rng.uniform(*np.log(jitter)))
    aspect = np.exp(rng.uniform(-0.12, 0.12))
    across, down = scale * aspect, scale / aspect
    free = np.array([target[1] - size[1] * across, target[0] - size[0] * down])
    offset = rng.uniform(np.minimum(free, 0.0), np.maximum(free, 0.0))
    return np.array([[across, 0.0, offset[0]], [0.0, down, offset[1]], [0.0, 0.0, 1.0]])


def place_window(
    size: tuple[int, int],
    target: tuple[int, int],
    wanted: np.ndarray | None,
    rng: np.random.Generator,
    *,
    whole: tuple[int, int],
) -> np.ndarray:
    """(3, 3) map that shows a window with the `wanted` object (box xyxy) at the scale it has in a whole picture.

    A network of convolutions learns from a window what it learns from a picture, at the cost of the window.
    """
    scale = letterbox_scale(size, whole) * np.exp(rng.uniform(np.log(0.6), np.log(1.6)))
    aspect = np.exp(rng.uniform(-0.12, 0.12))
    factors = np.array([scale * aspect, scale / aspect])
    shown, window = np.array([size[1], size[0]]) * factors, np.array([target[1], target[0]], float)
    low, high = np.minimum(window - shown, 0.0), np.maximum(window - shown, 0.0)  # where the picture's corner may lie
    if wanted is not None:
        first, last = wanted[:2] * factors, wanted[2:] * factors
        ends = np.sort(np.stack((-first, window - last)), axis=0)  # the object inside, or the window inside the object
        low, high = np.clip(ends[0], low, high), np.clip(ends[1], low, high)
    offset = rng.uniform(low, high)
    return np.array([[factors[0], 0.0, offset[0]], [0.0, factors[1], offset[1]], [0.0, 0.0, 1.0]])


def move_corners(box: list[float], transform: np.ndarray) -> np.ndarray:
    """Box xyxy through a map that keeps axes, (4,)."""
    corners = np.array([[box[0], box[1], 1.0], [box[2], box[3], 1.0]]) @ transform.T
    return np.concatenate((corners[:, :2].min(axis=0), corners[:, :2].max(axis=0)))


def warp(image: np.ndarray, transform: np.ndarray, target: tuple[int, int]) -> np.ndarray:
    """Resample to (height, width), averaging where it shrinks."""
    shrink = max(abs(transform[0, 0]), abs(transform[1, 1]))
    if shrink < 0.75:  # bilinear alone would skip pixels, and the run-time resize does not
        image = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        transform = transform @ np.diag([1 / shrink, 1 / shrink, 1.0])
    return cv2.warpAffine(
        image,
        centred(transform)[:2],
        (target[1], target[0]),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(PAD_VALUE, PAD_VALUE, PAD_VALUE),
    )


def centred(transform: np.ndarray) -> np.ndarray:
    """The same map for OpenCV, whose integer coordinates are pixel centres."""
    half = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    return np.linalg.inv(half) @ transform @ half


def move_box(box: np.ndarray, transform: np.ndarray, target: tuple[int, int]) -> tuple[np.ndarray, float]:
    """Box xyxy in the image -> clipped box in the network input, and the share of it that is inside."""
    low, high = np.split(move_corners(box.tolist(), transform), 2)
    limit = np.array([target[1], target[0]], float)
    inside_low, inside_high = low.clip(0, limit), high.clip(0, limit)
    share = np.prod(inside_high - inside_low) / max(np.prod(high - low), 1e-6)
    return np.concatenate((inside_low, inside_high)), float(share)


def move_mask(
    mask: np.ndarray, source_box: list[float], transform: np.ndarray, box: np.ndarray, target: tuple[int, int]
) -> np.ndarray:
    """A mask inside its box -> coverage 0..255 on the prototype grid; tightens `box` in place to what is visible."""
    x0, y0 = np.floor(box[:2] / MASK_STRIDE).astype(int)
    x1, y1 = np.ceil(box[2:] / MASK_STRIDE).astype(int)
    shift = np.array([[1.0, 0.0, -x0 * MASK_STRIDE], [0.0, 1.0, -y0 * MASK_STRIDE], [0.0, 0.0, 1.0]])
    origin = np.array([[1.0, 0.0, source_box[0]], [0.0, 1.0, source_box[1]], [0.0, 0.0, 1.0]])
    size = ((x1 - x0) * MASK_STRIDE, (y1 - y0) * MASK_STRIDE)
    moved = cv2.warpAffine(mask, centred(shift @ transform @ origin)[:2], size, flags=cv2.INTER_LINEAR)
    columns, rows = np.flatnonzero((moved > 127).any(axis=0)), np.flatnonzero((moved > 127).any(axis=1))
    grid = np.zeros((target[0] // MASK_STRIDE, target[1] // MASK_STRIDE), np.uint8)
    if len(columns):
        edges = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)
        edges += np.array([x0, y0, x0, y0]) * MASK_STRIDE
        box[:2], box[2:] = np.maximum(box[:2], edges[:2] - 0.5), np.minimum(box[2:], edges[2:] + 0.5)
        grid[y0:y1, x0:x1] = cv2.resize(moved, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    return grid


def degrade(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brightness, contrast, colour, and now and then blur, noise or JPEG artefacts, as cameras have them."""
    if rng.random() < 0.8:
        gain = rng.uniform(0.7, 1.3) * np.exp(rng.uniform(-0.12, 0.12, 3))
        table = (np.arange(256)[:, None] - 110.0) * gain + 110.0 + rng.uniform(-30, 30)
        picture = cv2.LUT(picture, table.clip(0, 255).astype(np.uint8)[None])
    if rng.random() < 0.1:
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    kind = rng.random()
    if kind < 0.08:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 1.5))
    elif kind < 0.16:
        code = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 80))])[1]
        picture = cv2.imdecode(code, cv2.IMREAD_COLOR)
    elif kind < 0.2:
        noise = rng.normal(0.0, rng.uniform(3, 12), (*picture.shape[:2], 1))
        picture = (picture + noise).clip(0, 255).astype(np.uint8)
    return picture
