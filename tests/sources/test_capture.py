"""When a picture was taken, by the wall clock: from the container, from its arrival, or not known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import av
import pytest

from tests.sources.cameras import MjpegCamera
from tests.sources.videos import write_video
from tracker.sources.open import open_source


def dated(source, target, moment: str):
    """The same video, with a date of creation in its container."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        written.metadata["creation_time"] = moment
        stream = written.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                written.mux(packet)
    return target


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_recording_counts_from_its_date_of_creation(tmp_path, suffix: str) -> None:
    video = dated(write_video(tmp_path / "a.mp4", count=5), tmp_path / f"b{suffix}", "2026-03-01T12:30:00.000000Z")
    with open_source(video) as source:
        frames = list(source)
    begun = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    assert [frame.captured_at for frame in frames] == [begun + timedelta(seconds=frame.time_s) for frame in frames]
    assert frames[-1].time_s == pytest.approx(4 / 25)


def test_a_clock_that_nobody_set_is_not_believed(tmp_path) -> None:
    plain = write_video(tmp_path / "a.mp4", count=2)
    old = dated(plain, tmp_path / "b.mkv", "1970-01-01T00:00:10.000000Z")
    for video in (plain, old):
        with open_source(video) as source:
            assert [frame.captured_at for frame in source] == [None, None]


def test_a_cameras_picture_was_taken_when_it_arrived() -> None:
    before = datetime.now(UTC)
    with MjpegCamera(size=(160, 96), rate=25) as camera, open_source(camera.url()) as source:
        first, second = next(source), next(source)
    assert first.captured_at is not None
    assert second.captured_at is not None
    assert before < first.captured_at < second.captured_at < datetime.now(UTC)
    apart_s = (second.captured_at - first.captured_at).total_seconds()
    assert apart_s == pytest.approx(second.arrived_s - first.arrived_s, abs=0.005)
