"""The central types refuse what does not fit together, and say what they expected and found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.errors import SourceError, TrackerError
from tracker.types import Frame, GridMasks, Instances, Letterbox, Tracks


def instances(count: int, **changes: object) -> Instances:
    fields: dict[str, object] = {
        "boxes": np.zeros((count, 4), np.float32),
        "scores": np.zeros(count, np.float32),
        "class_ids": np.zeros(count, np.int64),
    }
    return Instances(**(fields | changes))  # type: ignore[arg-type]


def test_zero_instances_are_rows_not_none() -> None:
    empty = Instances.empty()
    assert len(empty) == 0
    assert empty.boxes.shape == (0, 4)


def test_wrong_shapes_name_field_expected_and_found() -> None:
    with pytest.raises(ValueError, match=r"Instances\.boxes: expected shape \('n', 4\).*found \(3, 5\)"):
        instances(3, boxes=np.zeros((3, 5), np.float32))
    with pytest.raises(ValueError, match=r"Instances\.scores: expected shape \(3,\).*found \(2,\)"):
        instances(3, scores=np.zeros(2, np.float32))
    with pytest.raises(ValueError, match=r"Instances\.class_ids: .*float64"):
        instances(3, class_ids=np.zeros(3))
    masks = GridMasks(probabilities=np.zeros((2, 4, 4), np.uint8), step_px=(4, 4), image_size=(16, 16))
    with pytest.raises(ValueError, match="expected 3 masks, one per box, found 2"):
        instances(3, masks=masks)


def test_take_selects_every_field() -> None:
    masks = GridMasks(
        probabilities=np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8),
        step_px=(4, 4),
        image_size=(8, 8),
    )
    taken = instances(3, scores=np.array([0.1, 0.2, 0.3], np.float32), masks=masks).take(np.array([2, 0]))
    np.testing.assert_allclose(taken.scores, [0.3, 0.1])
    assert taken.masks is not None
    np.testing.assert_array_equal(taken.masks.probabilities[:, 0, 0], [2, 0])


def test_tracks_check_their_rows() -> None:
    with pytest.raises(ValueError, match=r"Tracks\.velocities: expected shape \(1, 2\)"):
        Tracks(
            ids=np.ones(1, np.int64),
            detection_rows=np.zeros(1, np.int64),
            boxes=np.zeros((1, 4), np.float32),
            velocities=np.zeros((1, 3), np.float32),
            class_ids=np.zeros(1, np.int64),
            scores=np.zeros(1, np.float32),
            ages_s=np.zeros(1, np.float32),
        )


def test_frame_checks_its_pictures() -> None:
    common = {"index": 0, "time_s": 0.0, "arrived_s": 0.0, "source": "x", "size": (6, 4)}
    Frame(**common, image=np.zeros((4, 6, 3), np.uint8))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"Frame\.image: expected shape \(4, 6, 3\)"):
        Frame(**common, image=np.zeros((6, 4, 3), np.uint8))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="belong together"):
        Frame(**common, network_image=np.zeros((4, 6, 3), np.uint8))  # type: ignore[arg-type]


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([(640, 384), (416, 416), (550, 550)]))
def test_letterbox_fills_one_side_and_keeps_the_aspect(width: int, height: int, network: tuple[int, int]) -> None:
    box = Letterbox.fit((width, height), network)
    assert box.content_size[0] <= network[0]
    assert box.content_size[1] <= network[1]
    assert box.content_size[0] == network[0] or box.content_size[1] == network[1]
    # Rounding to whole pixels may stretch by at most half a pixel.
    exact = min(network[0] / width, network[1] / height)
    assert abs(box.content_size[0] - width * exact) <= max(0.5, 1 - width * exact)
    assert abs(box.content_size[1] - height * exact) <= max(0.5, 1 - height * exact)


def test_letterbox_can_stretch() -> None:
    assert Letterbox.fit((100, 50), (550, 550), keep_aspect=False).scale == (5.5, 11.0)


def test_errors_say_what_to_do() -> None:
    error = SourceError("clip.mp4", "expected a video, found text", "give a file FFmpeg can open")
    assert isinstance(error, TrackerError)
    assert str(error) == "clip.mp4: expected a video, found text\n  remedy: give a file FFmpeg can open"
