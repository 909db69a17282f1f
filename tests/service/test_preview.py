"""Previews: what is watched is encoded once a size, clear at once, masked late and with nobody in it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import cv2
import numpy as np
import pytest

from tests.engine.fakes import frame
from tracker.boxes import Letterbox
from tracker.contacts import Contacts
from tracker.masks.grid_masks import GridMasks
from tracker.service.preview import CameraPreview, Encoded, Size, picture_of
from tracker.types import Frame, Instances, TrackedFrame, Tracks

SIZE = (640, 360)
RED = (0, 0, 255)
MASKED, CLEAR = Size(width=320, variant="masked"), Size(width=320, variant="clear")
REST = {"stream": "gate", "present": {}, "fps": 5.0, "age_s": 0.1}


def shot(number: int, *, person: float | None = 100.0, seen: bool = True, fps: float = 5.0) -> TrackedFrame:
    """A grey picture with a red person of 60 x 160 pixels at an x; unseen ones are not detected, but they are there."""
    picture = np.full((360, 640, 3), 90, np.uint8)
    grids = np.zeros((0, 90, 160), np.uint8)
    boxes = np.zeros((0, 4), np.float32)
    if person is not None:
        left = int(person)
        picture[100:260, left : left + 60] = RED
        if seen:
            grids = np.zeros((1, 90, 160), np.uint8)
            grids[0, 25:65, left // 4 : left // 4 + 15] = 255
            boxes = np.array([[left, 100, left + 60, 260]], np.float32)
    count = len(boxes)
    instances = Instances(
        boxes=boxes,
        scores=np.full(count, 0.9, np.float32),
        class_ids=np.zeros(count, np.int64),
        masks=GridMasks(probabilities=grids, step_px=(4, 4), image_size=SIZE),
    )
    tracks = Tracks(
        ids=np.arange(7, 7 + count),
        detection_rows=np.arange(count),
        boxes=boxes,
        velocities=np.zeros((count, 2), np.float32),
        class_ids=np.zeros(count, np.int64),
        scores=np.full(count, 0.9, np.float32),
        ages_s=np.ones(count, np.float32),
    )
    own = replace(frame(number, size=SIZE, time_s=number / fps), image=picture)
    return TrackedFrame(frame=own, instances=instances, tracks=tracks, class_names=("person",))


def red_px(one: Encoded) -> int:
    """Pixels that are more red than anything else in the picture."""
    picture = cv2.imdecode(np.frombuffer(one.jpeg, np.uint8), cv2.IMREAD_COLOR).astype(int)
    return int(((picture[:, :, 2] - picture[:, :, 1]) > 40).sum())


def taken(*shots: TrackedFrame, sizes=(MASKED,), delay_s: float = 0.5) -> tuple[list[dict], list[Encoded]]:
    preview = CameraPreview(delay_s)
    preview.watch(sizes)
    states, pictures = [], []
    for one in shots:
        state, ready = preview.take(one, rest=REST)
        states.append(json.loads(state))
        pictures += ready
    return states, pictures


def test_a_clear_picture_comes_at_once_and_a_masked_one_half_a_second_later() -> None:
    states, pictures = taken(*(shot(number) for number in range(6)), sizes=(CLEAR, MASKED))
    assert len(states) == 6
    clear = [one for one in pictures if one.size == CLEAR]
    masked = [one for one in pictures if one.size == MASKED]
    assert [one.t_ms for one in clear] == [0, 200, 400, 600, 800, 1000]
    assert [one.t_ms for one in masked] == [0, 200, 400]
    assert all(red_px(one) > 2000 for one in clear)
    assert all(red_px(one) == 0 for one in masked)
    assert {one.shown for one in pictures} == {(320, 180)}
    assert [json.loads(one.state)["t_ms"] for one in masked] == [0, 200, 400]  # of its own frame


@pytest.mark.parametrize("missed", [{2}, {0}, {0, 1}, {3, 4}, {1, 3}])
def test_one_who_is_missed_for_a_moment_does_not_show(missed: set[int]) -> None:
    """Also where nothing was seen yet, or the person walks meanwhile."""
    shots = [shot(number, person=100 + 40 * number, seen=number not in missed) for number in range(8)]
    _, pictures = taken(*shots)
    assert len(pictures) == 5
    bare = [red_px(one) for one in pictures]
    assert max(bare) <= 0.02 * 30 * 80, bare


def test_every_size_is_encoded_once_and_never_enlarged(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []
    encode = cv2.imencode
    monkeypatch.setattr(cv2, "imencode", lambda *given: encoded.append(given[1].shape) or encode(*given))
    sizes = [Size(width=width, variant=variant) for width in (320, 640, 960) for variant in ("masked", "clear")]
    _, pictures = taken(*(shot(number) for number in range(4)), sizes=sizes, delay_s=0.0)
    assert len(encoded) == len(pictures) == 4 * 6
    assert {one.shown for one in pictures} == {(320, 180), (640, 360)}


def test_nobody_looks_nothing_is_encoded() -> None:
    _, pictures = taken(*(shot(number) for number in range(5)), sizes=())
    assert pictures == []


def test_the_frame_s_own_picture_stays_as_it_is() -> None:
    """Outputs draw on it at the same time."""
    shots = [shot(number) for number in range(5)]
    before = [one.frame.image.copy() for one in shots]
    taken(*shots, sizes=[Size(width=640, variant="masked")])
    assert all(np.array_equal(one.frame.image, old) for one, old in zip(shots, before, strict=True))


def test_a_camera_that_was_away_shows_nothing_of_before() -> None:
    preview = CameraPreview(0.5)
    preview.watch([MASKED])
    for number in range(3):
        preview.take(shot(number), rest=REST)
    later = [preview.take(shot(number), rest=REST)[1] for number in range(600, 606)]
    assert [one.t_ms for ready in later for one in ready] == [120_000, 120_200, 120_400]
    jumped = [preview.take(shot(number), rest=REST)[1] for number in range(4)]  # its clock began anew
    assert [one.t_ms for ready in jumped for one in ready] == [0]


def test_those_who_stop_looking_and_come_back_get_no_old_picture() -> None:
    preview = CameraPreview(0.5)
    preview.watch([MASKED])
    for number in range(3):
        preview.take(shot(number), rest=REST)
    preview.watch([])
    preview.watch([MASKED])
    ready = [preview.take(shot(number), rest=REST)[1] for number in range(3, 7)]
    assert [one.t_ms for pictures in ready for one in pictures] == [600]


def test_the_state_has_everything_a_page_draws() -> None:
    one = shot(1)
    contacts = Contacts(points=np.array([[130.0, 260.0]]), states=np.array([1], np.int8))
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    one = replace(one, contacts=contacts, frame=replace(one.frame, captured_at=at))
    [state], _ = taken(one, sizes=())
    [track] = state.pop("tracks")
    assert state == {"type": "state", "t_ms": 1772366400000, "size": [640, 360], **REST}
    [outline] = track.pop("outline")
    assert len(outline) % 2 == 0
    assert min(outline[::2]) == pytest.approx(100 / 640, abs=0.01)
    assert max(outline[1::2]) == pytest.approx(260 / 360, abs=0.01)
    assert track == {
        "id": 7,
        "class": "person",
        "score": 0.9,
        "box": [0.1562, 0.2778, 0.25, 0.7222],
        "contact": [0.2031, 0.7222, "hidden"],
        "seen": True,
    }


def test_a_track_that_coasts_has_no_outline_and_a_predicted_contact() -> None:
    one = shot(1)
    tracks = replace(one.tracks, detection_rows=np.array([-1]))
    [state], _ = taken(replace(one, tracks=tracks), sizes=())
    [track] = state["tracks"]
    assert (track["seen"], track["outline"], track["contact"][2]) == (False, [], "predicted")
    [state], _ = taken(replace(one, tracks=None), sizes=())
    assert state["tracks"] == []


def test_the_segmenter_s_picture_is_taken_where_it_has_the_pixels() -> None:
    letterbox = Letterbox.fit((1280, 720), (640, 384), keep_aspect=True)
    padded = np.zeros((384, 640, 3), np.uint8)
    padded[:360] = 200
    own = Frame(
        index=0,
        time_s=0.0,
        arrived_s=0.0,
        source="a",
        size=(1280, 720),
        network_image=padded,
        letterbox=letterbox,
        image=np.full((720, 1280, 3), 50, np.uint8),
    )
    assert picture_of(own, 320).shape == (180, 320, 3)
    assert picture_of(own, 320).min() == 200  # nothing of the padding
    assert picture_of(own, 960).max() == 50
    assert picture_of(replace(own, image=None), 960).shape == (540, 960, 3)
    assert picture_of(frame(0), 320) is None


def test_pixels_that_are_not_square_are_shown_square() -> None:
    own = replace(frame(0, size=(720, 576)), image=np.zeros((576, 720, 3), np.uint8), pixel_aspect=Fraction(64, 45))
    assert picture_of(own, 640).shape == (360, 640, 3)


def test_a_camera_that_covers_people_has_no_clear_picture_for_anybody() -> None:
    preview = CameraPreview(0.0, never_clear=True)
    preview.watch([CLEAR, MASKED])
    pictures = [one for number in range(8) for one in preview.take(shot(number), rest=REST)[1]]
    assert {one.size for one in pictures} == {CLEAR, MASKED}
    assert all(red_px(one) == 0 for one in pictures)
    assert max(one.t_ms for one in pictures) == 800  # half a second late, whatever the page's own delay is


def test_privacy_zones_are_filled_in_clear_pictures_too() -> None:
    zone = ((0.1, 0.2), (0.3, 0.2), (0.3, 0.8), (0.1, 0.8))
    preview = CameraPreview(0.5, zones=[zone])
    preview.watch([CLEAR])
    given = shot(0)
    before = given.frame.image.copy()
    [picture] = preview.take(given, rest=REST)[1]
    assert red_px(picture) == 0
    assert np.array_equal(given.frame.image, before)
