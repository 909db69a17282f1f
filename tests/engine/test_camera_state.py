"""State of a camera from its pictures: faults are told with their times, harmless changes not, at any frame rate."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import cv2
import numpy as np
import pytest

from tests.engine.camera_faults import (
    END_S,
    FAULTS,
    FROM_S,
    HARMLESS,
    TO_S,
    picture,
    shifted,
    tracked,
    watch,
)
from tracker import ConfigError, open_source
from tracker.associate.camera import CameraMotion
from tracker.engine.camera_state import CameraStateStage, camera_state
from tracker.engine.snapshot import Kept
from tracker.engine.stage import CameraMotionStage
from tracker.plugins import STAGES, StageContext
from tracker.types import Instances, Letterbox, TrackedFrame

RATES = (30.0, 15.0, 5.0)
NOTHING = HARMLESS["nothing"]


@pytest.mark.quick(
    "lights out-5.0",
    "turn 20 %-5.0",
    "turn 1.5 degrees-5.0",
    "other view-5.0",
    "shift 2 %-5.0",
    "shift 10 px-5.0",
    "freeze-5.0",
    "black-5.0",
)
@pytest.mark.parametrize("fps", [pytest.param(fps, marks=pytest.mark.slow if fps > 5 else ()) for fps in RATES])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_with_its_times(fault: str, fps: float) -> None:
    kinds, change = FAULTS[fault]
    events = watch("shop", fps, change, freeze=fault == "freeze")
    assert sorted(event.kind for event in events if event.since_s is None) == sorted(kinds.split())
    for kind in kinds.split():
        began, ended = (event for event in events if event.kind == kind)
        assert began.since_s is None
        assert ended.since_s == began.time_s
        assert FROM_S <= began.time_s <= FROM_S + 1.5
        assert TO_S <= ended.time_s <= TO_S + 1.5
        assert (began.identity, began.stream, began.place) == (0, "cam", "")


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["shift 2 %", "spray", "freeze", "lights out"])
def test_the_same_on_a_road(fault: str) -> None:
    kind, change = FAULTS[fault]
    events = watch("road", 15.0, change, freeze=fault == "freeze")
    assert [(event.kind, event.since_s is None) for event in events] == [(kind, True), (kind, False)]


@pytest.mark.quick("nothing-5.0", "wind-5.0", "dusk-5.0", "infrared-5.0", "other lights-5.0")
@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("change", HARMLESS)
def test_light_wind_and_noise_are_no_fault(change: str, fps: float) -> None:
    assert watch("shop", fps, HARMLESS[change]) == []


@pytest.mark.parametrize("fps", [pytest.param(fps, marks=pytest.mark.slow if fps > 5 else ()) for fps in RATES])
def test_an_outage_is_no_state_of_the_camera(fps: float) -> None:
    assert watch("shop", fps, NOTHING, outage=(10.0, 13.0)) == []


def test_a_shift_of_half_a_percent_is_not_told() -> None:
    assert watch("shop", 15.0, shifted(0.005)) == []


def test_what_lasts_ends_with_the_stream() -> None:
    stage = CameraStateStage(stream="cam")
    events = [e for i in range(60) for e in stage.process(tracked(np.zeros((360, 640, 3), np.uint8), i, i / 4)).events]
    assert [(event.kind, event.time_s, event.since_s) for event in events] == [("dark", 0, None), ("frozen", 0, None)]
    assert [(event.kind, event.time_s, event.since_s) for event in stage.close()] == [
        ("dark", 14.5, 0),
        ("frozen", 14.5, 0),
    ]


@pytest.mark.parametrize(("moving_px", "kinds"), [(0, ["frozen", "frozen"]), (16, [])])
def test_an_object_that_moves_before_a_still_picture_is_no_freeze(moving_px: int, kinds: list[str]) -> None:
    """Codecs repeat an empty scene bit by bit: whatever moves there must be counted."""
    stage, events = CameraStateStage(stream="cam"), []
    for index in range(50):
        image = picture("shop", 0).copy()
        image[200 : 200 + moving_px, 6 * index : 6 * index + moving_px] = 255
        events += stage.process(tracked(image, index, index / 2)).events
    assert [event.kind for event in (*events, *stage.close())] == kinds


def test_the_network_picture_is_enough_and_its_padding_is_not_seen() -> None:
    stage, box = CameraStateStage(stream="cam"), Letterbox.fit((640, 360), (320, 320))
    events = []
    for index in range(round(END_S * 2)):
        image = picture("shop", index * 500)
        small = np.full((320, 320, 3), 114, np.uint8)
        small[:180] = cv2.resize(image if index < 30 else shifted(0.02)(image, 0), (320, 180))
        frame = tracked(None, index, index / 2, network_image=small, letterbox=box)
        events += stage.process(frame).events
    [event] = events
    assert event.kind == "camera_moved"
    assert 15.0 <= event.time_s <= 16.0


def test_frames_without_a_picture_pass() -> None:
    stage, frame = CameraStateStage(stream="cam"), tracked(None, 0, 0.0)
    assert stage.process(frame) is frame
    assert (stage.state(), stage.close()) == (None, ())


def test_the_wall_clock_stands_in_the_events() -> None:
    stage = CameraStateStage(stream="cam", start_at=datetime.fromtimestamp(1000, UTC))
    dark = np.zeros((360, 640, 3), np.uint8)
    [event] = [e for i in range(10) for e in stage.process(tracked(dark, i, 5 + i / 4)).events]
    assert (event.time_s, event.utc_ms) == (5.0, 1_005_000)
    stage = CameraStateStage(stream="cam", revision=3)
    at = datetime(2026, 3, 1, tzinfo=UTC)
    [event] = [e for i in range(10) for e in stage.process(tracked(dark, i, i / 4, captured_at=at)).events]
    assert (event.revision, event.utc_ms) == (3, int(at.timestamp() * 1000) - 2000)


def reference(tmp_path, image: np.ndarray) -> str:
    path = tmp_path / "gate.png"
    assert cv2.imwrite(str(path), image)
    return str(path)


def test_a_camera_that_was_moved_before_the_start(tmp_path) -> None:
    """Against the picture on which the site was drawn, by day and of another size; the first frames are moved."""
    path = reference(tmp_path, cv2.resize(picture("shop", 0), (1280, 720)))
    for by, expected in ((0.0, []), (0.02, ["camera_moved"])):
        make = STAGES.load("camera_state")
        stage = make(StageContext(stream="cam", settings={"reference": path, "revision": 1}))
        events = []
        for index in range(16):
            image = shifted(by)(picture("shop", index * 500) // 2, 0)
            events += stage.process(tracked(image, index, index / 2)).events
        assert [event.kind for event in events] == expected


def test_a_reference_picture_that_is_none_is_one_clear_error(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.png: expected the site's reference picture, found No such file"):
        camera_state(StageContext(stream="cam", settings={"reference": tmp_path / "gone.png"}))
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ConfigError, match=r"text\.png: expected a picture \(PNG or JPEG\), found 10 bytes"):
        camera_state(StageContext(stream="cam", settings={"reference": tmp_path / "text.png"}))
    path = reference(tmp_path, np.zeros((480, 640, 3), np.uint8))
    stage = camera_state(StageContext(stream="cam", settings={"reference": path}))
    with pytest.raises(ConfigError, match=f"{re.escape(str(path))}: expected a picture of the shape 640 x 360"):
        stage.process(tracked(picture("shop", 0), 0, 0.0))


def shown(stage: CameraStateStage, by: float, *, first: int, count: int, from_s: float = 0.0) -> list:
    found = []
    for index in range(first, first + count):
        image = shifted(by)(picture("shop", index * 500), 0)
        found += stage.process(tracked(image, index, from_s + index / 2)).events
    return [(event.kind, event.time_s, event.since_s) for event in found]


def test_a_restart_keeps_the_reference_and_what_lasts() -> None:
    before = CameraStateStage(stream="cam", revision=1)
    assert shown(before, 0.0, first=0, count=8) == []
    after = CameraStateStage(stream="cam", revision=1)
    after.restore(Kept(state=before.state(), elapsed_s=60.0))
    assert shown(after, 0.02, first=0, count=8) == [("camera_moved", 0.0, None)]
    later = CameraStateStage(stream="cam", revision=1)
    later.restore(Kept(state=after.state(), elapsed_s=10.0))
    assert shown(later, 0.0, first=0, count=8) == [("camera_moved", 0.0, -13.5)]


def test_a_restart_in_the_dark() -> None:
    """The dark begins before there is any reference, and ends after the restart."""
    before, after = CameraStateStage(stream="cam"), CameraStateStage(stream="cam")
    assert before.state() is None
    dark = np.zeros((360, 640, 3), np.uint8)
    [began] = [e for i in range(6) for e in before.process(tracked(dark, i, i / 2)).events]
    after.restore(Kept(state=before.state(), elapsed_s=3.5))
    assert (began.kind, began.time_s) == ("dark", 0.0)
    assert shown(after, 0.0, first=0, count=8) == [("dark", 0.0, -6.0)]


def test_a_new_revision_of_the_site_takes_the_view_as_it_is() -> None:
    before = CameraStateStage(stream="cam", revision=1)
    shown(before, 0.0, first=0, count=8)
    assert shown(before, 0.02, first=8, count=8) == [("camera_moved", 4.5, None)]
    after = CameraStateStage(stream="cam", revision=2)
    after.restore(Kept(state=before.state(), elapsed_s=1.0))
    [(kind, time_s, since_s)] = shown(after, 0.02, first=0, count=12)
    assert (kind, time_s, since_s) == ("camera_moved", 1.5, -4.0)
    fresh = CameraStateStage(stream="cam", revision=2)
    fresh.restore(Kept(state=before.state(), elapsed_s=1.0, numbers_only=True))
    assert shown(fresh, 0.02, first=0, count=12) == []


def on_clip(path, every: int = 1) -> list[tuple[str, float]]:
    """States of a real clip, with camera motion as the engine has it; one row where a state ends with the clip."""
    motion, stage = CameraMotionStage(CameraMotion()), CameraStateStage(stream="cam")
    found = []
    with open_source(path, network_size=(640, 384), want_image=False, stride=every) as source:
        for frame in source:
            one = TrackedFrame(frame=frame, instances=Instances.empty(), tracks=None, class_names=())
            found += stage.process(motion.process(one)).events
    return [(event.kind, event.time_s) for event in found]


@pytest.mark.slow
@pytest.mark.parametrize("clip", ["traffic.mp4", "retail.mp4", "street.mp4", "crowd.mp4", "corridor.mp4"])
def test_no_state_on_clips_of_fixed_cameras(data_root, clip: str) -> None:
    assert on_clip(data_root / "clips" / clip) == []


@pytest.mark.parametrize("clip", ["dashcam.mp4", "moving_pedestrians.avi"])
def test_a_moving_camera_is_moved_at_once(data_root, clip: str) -> None:
    [(kind, time_s)] = on_clip(data_root / "clips" / clip)
    assert kind == "camera_moved"
    assert time_s < 2.5
