"""Real footage, where it is present: every frame arrives, in time."""

from __future__ import annotations

import pytest

from tracker.sources.open import open_source

CLIPS = {
    "traffic.mp4": (341, (640, 360), 29.97),
    "retail.mp4": (603, (1920, 1080), 30.0),
    "street.mp4": (905, (640, 352), 24.01),
    "crowd.mp4": (460, (800, 450), 23.98),
    "corridor.mp4": (1394, (768, 432), 10.0),
    "moving_pedestrians.avi": (205, (1280, 720), 50.0),
}


@pytest.mark.data
@pytest.mark.parametrize("name", CLIPS)
def test_clip(data_root, name: str) -> None:
    count, size, fps = CLIPS[name]
    with open_source(data_root / "clips" / name, network_size=(416, 416), want_image=False, stride=50) as source:
        frames = list(source)
    assert source.counters.decoded == count
    assert (source.counters.broken, source.counters.repaired_times, source.counters.missing) == (0, 0, 0)
    assert source.info.size == size
    assert source.info.fps == pytest.approx(fps, abs=0.02)
    assert source.info.duration_s == pytest.approx(count / fps, rel=0.01)
    assert [frame.index for frame in frames] == list(range(0, count, 50))
    assert frames[-1].time_s == pytest.approx(frames[-1].index / fps, rel=0.01)
