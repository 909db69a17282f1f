"""Frames made smaller before they are drawn: every position that is drawn follows the picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.sinks.streams import disk_masks, tracked_frame
from tracker.contacts import Contacts
from tracker.errors import ConfigError
from tracker.render.annotate import Annotator
from tracker.render.small import drawn_small, made_small
from tracker.types import PredictedMasks

BOXES = [(40.0, 40.0, 100.0, 90.0), (20.0, 20.0, 40.0, 60.0)]


def shown():
    tracked = tracked_frame(boxes=BOXES, coasting=[False, True])
    contacts = Contacts(points=np.array([[70.0, 90.0]]), states=np.zeros(1, np.int8))
    masks = disk_masks(np.array(BOXES[1:], np.float32), tracked.frame.size)
    predicted = PredictedMasks(rows=np.array([1]), masks=masks)
    return replace(tracked, contacts=contacts, predicted_masks=predicted)


def test_everything_that_is_drawn_is_scaled() -> None:
    small = made_small(shown(), 60)
    assert small.frame.size == (80, 60)
    assert small.frame.image.shape == (60, 80, 3)
    assert small.instances.boxes.tolist() == [[20.0, 20.0, 50.0, 45.0]]
    assert small.tracks.boxes.tolist() == [[20.0, 20.0, 50.0, 45.0], [10.0, 10.0, 20.0, 30.0]]
    assert small.contacts.points.tolist() == [[35.0, 45.0]]
    assert small.instances.masks.image_size == small.predicted_masks.masks.image_size == (80, 60)
    silhouette = small.instances.masks.full(0, small.instances.boxes[0])
    rows, columns = silhouette.nonzero()
    assert abs(columns.mean() + 0.5 - 35) < 1
    assert abs(rows.mean() + 0.5 - 32.5) < 1


def test_the_small_picture_is_taken_where_it_has_the_size() -> None:
    tracked = shown()
    grey = np.full((60, 80, 3), 7, np.uint8)
    frame = replace(tracked.frame, image=None, small_image=grey)
    assert made_small(replace(tracked, frame=frame), 60).frame.image is grey
    other = replace(tracked.frame, small_image=grey)
    assert made_small(replace(tracked, frame=other), 30).frame.image.shape == (30, 40, 3)


def test_nothing_is_enlarged() -> None:
    tracked = shown()
    assert made_small(tracked, 720).frame.image is tracked.frame.image
    picture = drawn_small(Annotator().draw, 720, tracked)
    assert np.array_equal(picture, Annotator().draw(tracked))


def test_frames_without_pixels_are_refused() -> None:
    tracked = shown()
    bare = replace(tracked, frame=replace(tracked.frame, image=None))
    with pytest.raises(ConfigError, match="expected frames with pixels to draw on"):
        made_small(bare, 60)
