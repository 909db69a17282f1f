"""Boxes as fractions of the picture: a warning, once, and none for pixels."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tracker import Instances, Tracker


def seen(*boxes: tuple[float, ...]) -> Instances:
    return Instances(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.full(len(boxes), 0.9, np.float32),
        class_ids=np.zeros(len(boxes), np.int64),
    )


def test_fractions_are_warned_of_once() -> None:
    tracker = Tracker(class_count=1)
    tracker.update(seen(), 0.0)
    with pytest.warns(UserWarning, match=r"expected boxes in image pixels, found all of them within 0\.\.1") as told:
        tracker.update(seen((0.1, 0.2, 0.3, 0.4), (0.5, 0.5, 1.0, 1.0)), 0.1)
    assert [one.filename for one in told] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tracker.update(seen((0.1, 0.2, 0.3, 0.4)), 0.2)


def test_pixels_are_not() -> None:
    tracker = Tracker(class_count=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tracker.update(seen((0, 0, 0.9, 0.9), (10, 10, 20, 20)), 0.0)
        tracker.update(seen((0, 0, 0.9, 0.9)), 0.1)
