"""Parts between a camera and its tracks: sizes that change under a tracker, and what a stream says in the log."""

from __future__ import annotations

import logging

import numpy as np

from tests.engine.fakes import CountingTracker, FakeSource, SlowSegmenter, box, frame, stream
from tracker.engine.opener import open_stream
from tracker.engine.plan import plan_camera
from tracker.engine.steady import SteadyTracker
from tracker.settings.yaml_file import parse_service_settings
from tracker.sources.address import Address
from tracker.sources.reconnect import Link
from tracker.types import Frame, Instances, TrackedFrame, Tracks


def test_everything_that_the_file_says_of_a_camera_reaches_its_connection(monkeypatch) -> None:
    told = {}

    def note(address: Address, **options: object) -> FakeSource:
        told.update(options, address=address)
        return FakeSource("gate").open(options["on_ready"], options["on_link"])

    monkeypatch.setattr("tracker.sources.reconnect.open_live", note)
    text = """
cameras:
  - name: gate
    url: rtsp://viewer:${GATE}@127.0.0.1:9/x
    transport: udp
    timeout_s: 3
    stall_s: 7
    max_age_s: 0.5
    stride: 2
    fps: 12
    decode: cpu
    policy: latest
    options: {buffer_size: 1000000}
"""
    camera = parse_service_settings(text, environment={"GATE": "c4n4ry"}).cameras[0]
    one = open_stream(plan_camera(camera), segmenter=SlowSegmenter(), tracker=CountingTracker)
    one.start(lambda: None)
    assert told["address"].target == "rtsp://viewer:c4n4ry@127.0.0.1:9/x"
    assert told["address"].name == "gate"
    expected = {
        "rtsp_transport": "udp",
        "timeout_s": 3.0,
        "stall_s": 7.0,
        "max_age_s": 0.5,
        "stride": 2,
        "fps": 12.0,
        "decode": "cpu",
        "policy": "latest",
        "queue_size": 1,
        "ffmpeg_options": {"buffer_size": "1000000"},
        "network_size": SlowSegmenter.network_size,
        "want_image": False,
    }
    assert {key: told[key] for key in expected} == expected
    one.close()


class WarpTracker:
    """Remembers what it was shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, list[float], object]] = []

    def update(self, instances: Instances, time_s: float, *, warp=None) -> Tracks:
        self.seen.append((len(instances), instances.boxes.ravel().tolist(), warp))
        return Tracks(
            ids=np.arange(1, len(instances) + 1),
            detection_rows=np.arange(len(instances)),
            boxes=instances.boxes,
            velocities=np.zeros((len(instances), 2), np.float32),
            class_ids=instances.class_ids,
            scores=instances.scores,
            ages_s=np.zeros(len(instances), np.float32),
        )


def untracked(one: Frame, instances: Instances, warp: np.ndarray) -> TrackedFrame:
    return TrackedFrame(frame=one, instances=instances, tracks=None, class_names=("person",), warp=warp)


def test_a_tracker_sees_one_size_and_no_motion_across_a_change_of_it() -> None:
    inner = WarpTracker()
    sized = SteadyTracker(inner)
    frames = [frame(0, size=(64, 48)), frame(1, size=(128, 96)), frame(2, size=(64, 48))]
    warp = np.eye(2, 3)
    boxes = [box(10, 10, 20), box(20, 20, 40), box(10, 10, 20)]
    tracks = [sized.process(untracked(one, found, warp)).tracks for one, found in zip(frames, boxes, strict=True)]
    assert [values for _, values, _ in inner.seen] == [[10, 10, 30, 30]] * 3
    assert [given is warp for _, _, given in inner.seen] == [True, False, True]
    assert [one.boxes.ravel().tolist() for one in tracks] == [one.boxes.ravel().tolist() for one in boxes]


def test_after_an_outage_the_tracker_sees_nobody_first() -> None:
    inner = WarpTracker()
    sized = SteadyTracker(inner)
    for k, time_s in enumerate([0.0, 0.04, 0.08, 0.12, 9.0]):
        sized.process(untracked(frame(k, time_s=time_s), box(), np.eye(2, 3)))
    assert [count for count, _, _ in inner.seen] == [1, 1, 1, 1, 0, 1]


def test_what_is_to_be_known_of_a_camera_is_logged_once(caplog, monkeypatch) -> None:
    monkeypatch.setattr(logging.getLogger("tracker.live"), "propagate", True)
    caplog.set_level(logging.INFO, "tracker.live")
    source = FakeSource("gate")
    one = stream(source)
    one.start(lambda: None)
    for link in (
        Link(state="live", note="cuda does not take it: the CPU decodes"),
        Link(state="live", note="its clock runs off"),
        Link(state="lost", problem="broken off", retry_s=1.0),
        Link(state="lost", problem="broken off", retry_s=2.0),
        Link(state="live"),
    ):
        source.on_link(link)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["camera connected", "camera note", "camera note", "camera lost", "camera back"]
    assert [record.note for record in caplog.records if record.getMessage() == "camera note"] == [
        "cuda does not take it: the CPU decodes",
        "its clock runs off",
    ]
    assert one.state == "live"
    assert one.problem == ""
