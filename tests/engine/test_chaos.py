"""Real parts under stress: eight cameras, one that dies and returns with another size, threads that must end."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest

from tests.segment.models import end2end_model
from tests.sources.cameras import MjpegCamera, wait_until
from tracker.associate.tracker import Tracker
from tracker.engine.opener import open_stream
from tracker.engine.plan import plan_camera
from tracker.engine.scheduler import Engine
from tracker.segment.session import OnnxSegmenter
from tracker.settings.stream import CameraSettings


@pytest.fixture
def segmenter(tmp_path):
    return OnnxSegmenter(end2end_model(tmp_path / "constant.onnx"), device="cpu", threads=1)


@pytest.fixture
def engine(segmenter):
    """Closed at the end of a test that failed, too: its connections would be counted in the next one."""
    running = Engine(segmenter=segmenter, workers=2)
    yield running
    running.close()


def add(engine: Engine, segmenter, name: str, url: str, **settings):
    config = CameraSettings(name=name, url=url, **settings)
    stream = open_stream(plan_camera(config), segmenter=segmenter, tracker=lambda: Tracker(class_count=2))
    engine.add(stream)
    return stream


@pytest.mark.slow
def test_eight_cameras_one_model_and_one_that_comes_and_goes(engine, segmenter, tmp_path) -> None:
    cameras = [MjpegCamera(size=(160, 96), rate=25) for _ in range(8)]
    streams = [
        add(engine, segmenter, f"c{n}", camera.url(), records=(str(tmp_path / "{name}-{time}.jsonl"),))
        for n, camera in enumerate(cameras)
    ]
    assert wait_until(lambda: all(stream.meter.figures().frames > 20 for stream in streams))
    cameras[0].kill()
    assert wait_until(lambda: streams[0].state == "lost")
    before = [stream.meter.figures().frames for stream in streams]

    def gained() -> list[int]:
        return [stream.meter.figures().frames - start for stream, start in zip(streams, before, strict=True)]

    assert wait_until(lambda: min(gained()[1:]) > 10, 60)  # all the others go on
    assert gained()[0] <= 8  # what was waiting or under way
    assert [stream.source.counters.reconnects for stream in streams[1:]] == [0] * 7
    cameras[0].size = (320, 192)
    cameras[0].start()
    assert wait_until(lambda: streams[0].meter.figures().frames > before[0] + 10)
    engine.close()
    for camera in cameras:
        camera.kill()
    for stream in streams:
        rows = [
            json.loads(line)
            for part in sorted(tmp_path.glob(f"{stream.name}-*.jsonl"))
            for line in part.read_text().splitlines()
        ]
        frames = [row["frame"] for row in rows]
        assert frames == sorted(frames)
        assert not stream.failures
    wide = [row for row in rows_of(tmp_path, "c0") if row["mask"]["size"] == [192, 320]]
    assert wide
    assert max(row["box"][2] for row in wide) == pytest.approx(288, abs=2)  # 0.9 of the new width


def rows_of(folder, name: str) -> list[dict]:
    parts = sorted(folder.glob(f"{name}-*.jsonl"))
    return [json.loads(line) for part in parts for line in part.read_text().splitlines()]


def test_cameras_that_flap_leave_no_threads_behind(engine, segmenter) -> None:
    camera = MjpegCamera(size=(160, 96), rate=50)
    others = set(threading.enumerate())
    stream = add(engine, segmenter, "flaky", camera.url(), timeout_s=1.0)
    assert wait_until(lambda: stream.meter.figures().frames > 5)

    def connections() -> int:
        return sum(thread.name == "camera-connection" for thread in set(threading.enumerate()) - others)

    for _ in range(3):
        frames = stream.meter.figures().frames
        camera.kill()
        assert wait_until(lambda: stream.state == "lost")
        camera.start()
        assert wait_until(lambda frames=frames: stream.meter.figures().frames > frames + 5)
    assert wait_until(lambda: connections() <= 1)
    engine.close()
    camera.kill()
    assert wait_until(lambda: connections() == 0)
    assert np.isfinite(stream.meter.figures().age_p99_s)
