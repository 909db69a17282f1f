"""Small tracked streams with known shapes enter the sinks under test."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tracker.types import Frame, GridMasks, Instances, TrackedFrame, Tracks

CLASS_NAMES = ("person", "bicycle", "car")
STEP_PX = 4


def disk_masks(boxes: np.ndarray, size: tuple[int, int]) -> GridMasks:
    """Ellipses that fill the boxes, on a grid of 4 pixels."""
    width, height = size
    x = (np.arange(-(-width // STEP_PX)) + 0.5) * STEP_PX
    y = (np.arange(-(-height // STEP_PX)) + 0.5) * STEP_PX
    probabilities = np.zeros((len(boxes), len(y), len(x)), np.uint8)
    for row, (x1, y1, x2, y2) in enumerate(boxes):
        distance = ((x[None] - (x1 + x2) / 2) / max((x2 - x1) / 2, 1)) ** 2
        distance = distance + ((y[:, None] - (y1 + y2) / 2) / max((y2 - y1) / 2, 1)) ** 2
        probabilities[row] = np.clip(255 * (1.5 - distance), 0, 255)
    return GridMasks(probabilities=probabilities, step_px=(STEP_PX, STEP_PX), image_size=size)


def tracked_frame(
    index: int = 0,
    *,
    boxes: list[tuple[float, float, float, float]],
    ids: list[int] | None = None,
    coasting: list[bool] | None = None,
    class_ids: list[int] | None = None,
    ended: tuple[int, ...] = (),
    size: tuple[int, int] = (160, 120),
    time_s: float | None = None,
    masks: bool = True,
    tracked: bool = True,
    source: str = "stream",
    grey: int = 90,
    age_s: float = 0.5,
) -> TrackedFrame:
    """One frame; every box is an instance unless it coasts."""
    count = len(boxes)
    array = np.array(boxes, np.float32).reshape(-1, 4)
    coasts = np.array(coasting or [False] * count, np.bool_)
    classes = np.array(class_ids or [2] * count, np.int64)
    scores = np.linspace(0.9, 0.5, count).astype(np.float32)
    seen = array[~coasts]
    instances = Instances(
        boxes=seen,
        scores=scores[~coasts],
        class_ids=classes[~coasts],
        masks=disk_masks(seen, size) if masks else None,
    )
    rows = np.full(count, -1, np.int64)
    rows[~coasts] = np.arange(len(seen))
    tracks = Tracks(
        ids=np.array(ids or range(1, count + 1), np.int64),
        detection_rows=rows,
        boxes=array,
        velocities=np.full((count, 2), 12.5, np.float32),
        class_ids=classes,
        scores=scores,
        ages_s=np.full(count, age_s, np.float32),
        ended_ids=np.array(ended, np.int64),
    )
    time_s = index / 25 if time_s is None else time_s
    image = np.full((size[1], size[0], 3), grey, np.uint8)
    return TrackedFrame(
        frame=Frame(index=index, time_s=time_s, arrived_s=time_s, source=source, size=size, image=image),
        instances=instances,
        tracks=tracks if tracked else None,
        class_names=CLASS_NAMES,
    )


def stream(count: int = 20, *, size: tuple[int, int] = (160, 120), tracked: bool = True) -> Iterator[TrackedFrame]:
    """Two objects that cross; one coasts in the middle, and nobody is there at the end."""
    for index in range(count):
        if index >= count - 3:
            yield tracked_frame(index, boxes=[], ended=(1, 2) if index == count - 3 else (), size=size, tracked=tracked)
            continue
        x = 4.0 + 5 * index
        boxes = [(x, 40.25, x + 40, 80.5), (100.0 - 3 * index, 30.0, 130.0 - 3 * index, 90.0)]
        coasts = [False, 8 <= index < 11] if tracked else None
        yield tracked_frame(index, boxes=boxes, coasting=coasts, class_ids=[2, 0], size=size, tracked=tracked)
