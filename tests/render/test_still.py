"""One picture drawn and saved without a stream."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.sinks.streams import tracked_frame
from tracker import draw, save_picture
from tracker.errors import ConfigError, SinkError
from tracker.render.annotate import Annotator


def test_a_picture_is_drawn_as_a_stream_shows_it() -> None:
    tracked = tracked_frame(boxes=[(20, 20, 70, 80), (90, 30, 140, 100)])
    image = tracked.frame.image
    assert image is not None
    before = image.copy()
    drawn = draw(image, tracked.instances, tracked.tracks, class_names=tracked.class_names)
    np.testing.assert_array_equal(drawn, Annotator(trail_s=0).draw(tracked))
    np.testing.assert_array_equal(image, before)
    boxed = draw(image, tracked.instances, class_names=tracked.class_names, masks=False, boxes=True)
    assert (boxed[20, 30:40] != before[20, 30:40]).any()
    assert (drawn[40, 40] != boxed[40, 40]).any()
    np.testing.assert_array_equal(draw(image, tracked.instances.empty()), before)


def test_classes_without_names_are_numbered() -> None:
    tracked = tracked_frame(boxes=[(20, 20, 70, 80)], class_ids=[7])
    assert tracked.frame.image is not None
    assert draw(tracked.frame.image, tracked.instances).shape == tracked.frame.image.shape


def test_a_picture_is_saved_whole_or_not_at_all(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    save_picture(tmp_path / "a.png", image)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.png")), image)
    save_picture(str(tmp_path / "a.jpg"), image)
    assert cv2.imread(str(tmp_path / "a.jpg")).shape == image.shape
    with pytest.raises(ConfigError, match=r"expected one of the suffixes \.jpg \.jpeg \.png, found \.webp"):
        save_picture(tmp_path / "a.webp", image)
    with pytest.raises(SinkError, match="mkdir -p"):
        save_picture(tmp_path / "none" / "a.png", image)
    with pytest.raises(SinkError, match=r"expected a picture that \.jpg can hold"):
        save_picture(tmp_path / "a.jpg", np.zeros((1, 70_000, 3), np.uint8))
    assert cv2.imread(str(tmp_path / "a.jpg")).shape == image.shape
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "a.png"]
