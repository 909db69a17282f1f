"""Files and folders to frames: counts, times, pixels, policies, and nothing left behind."""

from __future__ import annotations

import gc
import sys
import threading
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.sources.readers import reader_threads
from tests.sources.videos import drain, level, picture, quadrants, write_video
from tracker.errors import ConfigError, SourceError
from tracker.sources.open import open_source

CONTAINERS = [
    ("mp4", "libx264"),
    ("mov", "libx264"),
    ("mkv", "libx264"),
    ("ts", "libx264"),
    ("flv", "libx264"),
    ("mkv", "libx265"),
    ("avi", "mjpeg"),
    ("avi", "mpeg4"),
    ("avi", "rawvideo"),
    ("mkv", "ffv1"),
    ("webm", "libvpx"),
    ("webm", "libvpx-vp9"),
    ("mpg", "mpeg2video"),
    ("gif", "gif"),
]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize(("suffix", "codec"), CONTAINERS)
def test_containers(tmp_path, suffix: str, codec: str) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else None
    path = write_video(tmp_path / f"a.{suffix}", codec=codec, count=12, rate=25, options=options)
    with open_source(path, network_size=(32, 32)) as source:
        frames = list(source)
    assert source.info.size == (64, 48)
    assert source.info.name == str(path)
    assert source.info.fps == pytest.approx(25, rel=0.01)
    assert source.info.frame_count in {12, None}
    assert not source.info.is_live
    assert source.counters.decoded == len(frames) == 12
    assert (source.counters.broken, source.counters.repaired_times, source.counters.missing) == (0, 0, 0)
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.time_s for frame in frames] == pytest.approx([k / 25 for k in range(12)], abs=0.0011)
    tolerance = 45 if codec == "gif" else 12  # a palette of 256 fixed colours
    for frame in frames:
        assert frame.source == str(path)
        expected = np.array(quadrants(picture(frame.index, (64, 48))))
        assert np.abs(np.array(quadrants(frame.image)) - expected).max() <= tolerance
        assert np.abs(np.array(quadrants(frame.network_image[:24])) - expected).max() <= tolerance


def test_odd_sizes(tmp_path) -> None:
    path = write_video(tmp_path / "odd.mkv", codec="ffv1", size=(67, 45), pixel_format="yuv444p")
    with open_source(path) as source:
        frame = next(source)
    assert frame.image.shape == (45, 67, 3)
    assert np.abs(frame.image.astype(int) - picture(0, (67, 45))).max() <= 6


@pytest.mark.parametrize("pixel_format", ["yuv420p10le", "yuv422p", "gray"])
def test_other_depths(tmp_path, pixel_format: str) -> None:
    path = write_video(tmp_path / "deep.mkv", codec="ffv1", pixel_format=pixel_format, count=3)
    with open_source(path) as source:
        bottom_right = [quadrants(frame.image)[3] for frame in source]
    for index, colour in enumerate(bottom_right):
        assert colour == pytest.approx([level(index)] * 3, abs=3)


def test_variable_rate_times_are_kept(tmp_path) -> None:
    stamps = [0, 40, 80, 500, 510, 2000, 2040, 9000]
    path = write_video(tmp_path / "vfr.mkv", codec="ffv1", count=len(stamps), stamps=stamps)
    with open_source(path) as source:
        assert [frame.time_s for frame in source] == [stamp / 1000 for stamp in stamps]
    assert source.counters.repaired_times == 0


def test_a_stream_that_starts_late_starts_at_zero(tmp_path) -> None:
    path = write_video(tmp_path / "late.mkv", codec="ffv1", count=3, stamps=[5000, 5040, 5080])
    with open_source(path) as source:
        assert [frame.time_s for frame in source] == [0.0, 0.04, 0.08]


def test_a_change_of_size_and_clock_in_mid_stream(tmp_path) -> None:
    """Two transport streams, one behind the other, as a camera does when it is set anew."""
    first = write_video(tmp_path / "1.ts", count=10, size=(64, 48))
    second = write_video(tmp_path / "2.ts", count=10, size=(96, 64))
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    with open_source(both, network_size=(32, 32)) as source:
        frames = list(source)
    assert [frame.size for frame in frames] == [(64, 48)] * 10 + [(96, 64)] * 10
    assert [frame.letterbox.content_size for frame in frames] == [(32, 24)] * 10 + [(32, 21)] * 10
    assert [frame.time_s for frame in frames] == pytest.approx([k / 25 for k in range(20)], abs=0.05)
    assert 1 <= source.counters.repaired_times <= 3


def test_absent_stamps_are_made_from_the_rate_and_counted(tmp_path) -> None:
    path = write_video(tmp_path / "raw.h264", count=6)
    with open_source(path, fps=10) as source:
        assert [frame.time_s for frame in source] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert source.counters.repaired_times == 6
    assert source.info.fps == 10


def test_stride_keeps_the_streams_indexes_and_times(tmp_path) -> None:
    path = write_video(tmp_path / "a.mp4", count=10)
    with open_source(path, stride=4) as source:
        frames = list(source)
    assert [frame.index for frame in frames] == [0, 4, 8]
    assert [frame.time_s for frame in frames] == pytest.approx([0.0, 0.16, 0.32])
    assert source.counters.decoded == 10
    assert source.stage_times.frames == 3


def write_images(folder, sizes) -> None:
    for index, size in enumerate(sizes):
        assert cv2.imwrite(str(folder / f"img{index + 1}.png"), picture(index, size))


def test_a_folder_of_images_of_different_sizes(tmp_path) -> None:
    sizes = [(64, 48), (50, 70), (31, 17), *[(64, 48)] * 8]
    write_images(tmp_path, sizes)
    with open_source(tmp_path, network_size=(32, 32), fps=10) as source:
        frames = list(source)
    assert source.info.frame_count == 11
    assert source.info.duration_s == pytest.approx(1.1)
    assert [frame.size for frame in frames] == sizes
    assert [frame.source for frame in frames] == [str(tmp_path / f"img{k}.png") for k in range(1, 12)]
    assert [frame.time_s for frame in frames] == pytest.approx([k / 10 for k in range(11)])
    for frame in frames:
        assert np.abs(frame.image.astype(int) - picture(frame.index, frame.size)).max() <= 2


def test_images_by_pattern_and_by_list_run_at_30_fps_unless_told(tmp_path) -> None:
    write_images(tmp_path, [(16, 12)] * 3)
    with open_source(str(tmp_path / "img[13].png")) as source:
        assert [frame.time_s for frame in source] == pytest.approx([0.0, 1 / 30])
    with open_source([tmp_path / "img3.png", tmp_path / "img1.png"]) as source:
        assert [frame.source[-8:] for frame in source] == ["img3.png", "img1.png"]


def test_an_unreadable_image_leaves_a_gap_in_time_only(tmp_path) -> None:
    write_images(tmp_path, [(16, 12)] * 4)
    (tmp_path / "img2.png").write_bytes(b"not an image")
    with open_source(tmp_path, fps=10) as source:
        frames = list(source)
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert [frame.time_s for frame in frames] == pytest.approx([0.0, 0.2, 0.3])
    assert (source.counters.broken, source.counters.missing) == (1, 1)


def test_image_names_with_pattern_characters(tmp_path) -> None:
    path = tmp_path / "a%03d*.png"
    assert cv2.imwrite(str(path), picture(0, (16, 12)))
    with open_source(tmp_path) as source:
        assert len(list(source)) == 1


def test_video_names_with_a_colon(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "a.mp4", count=2).rename(tmp_path / "cam:1.mp4")
    with open_source("cam:1.mp4") as source:
        assert len(list(source)) == 2


def test_several_videos_are_not_one_stream(tmp_path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, count=2)
    with pytest.raises(SourceError, match="expected one stream, found 2"):
        open_source(tmp_path)


def test_latest_drops_the_oldest_and_counts(tmp_path) -> None:
    path = write_video(tmp_path / "a.mp4", count=30)
    with open_source(path, policy="latest", queue_size=2, network_size=(32, 32)) as source:
        wait_for(lambda: source.counters.decoded == 30 and not reader_threads())
        frames = list(source)
        counters = source.counters
    assert [frame.index for frame in frames] == [28, 29]
    assert counters.dropped == 28
    assert quadrants(frames[-1].image)[3] == pytest.approx([level(29)] * 3, abs=6)
    assert source.stage_times.frames == 2  # what was dropped was not converted


def test_latest_skips_stale_frames_while_newer_ones_wait(tmp_path) -> None:
    path = write_video(tmp_path / "a.mp4", count=10)
    with open_source(path, policy="latest", queue_size=4, max_age_s=0.001) as source:
        wait_for(lambda: source.counters.decoded == 10 and not reader_threads())
        time.sleep(0.01)
        assert [frame.index for frame in source] == [9]
        assert (source.counters.dropped, source.counters.late) == (6, 3)


def test_all_waits_for_a_slow_consumer(tmp_path) -> None:
    path = write_video(tmp_path / "a.mp4", count=30)
    with open_source(path, queue_size=2) as source:
        time.sleep(0.2)
        assert source.counters.decoded < 30
        assert len(list(source)) == 30
        assert source.counters.dropped == 0


def wait_for(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_closing_in_any_state_leaves_nothing(tmp_path) -> None:
    path = write_video(tmp_path / "a.mp4", count=60)
    with open_source(path):
        pass
    gc.collect()
    files = open_files()
    open_source(path).close()
    half = open_source(path)
    next(half)
    half.close()
    half.close()
    assert list(half) == []
    ended = open_source(path)
    assert len(list(ended)) == 60
    assert list(ended) == []
    ended.close()
    gc.collect()
    assert reader_threads() == []
    assert open_files() <= files  # an earlier test's last file may be closed meanwhile


def test_an_abandoned_source_is_cleaned_up(tmp_path) -> None:
    path = write_video(tmp_path / "a.mp4", count=60)
    gc.collect()  # what earlier tests left open is closed now, not in between
    files = open_files()

    def first_index() -> int:
        for frame in open_source(path):
            return frame.index
        return -1

    assert first_index() == 0
    gc.collect()
    wait_for(lambda: not reader_threads())
    assert open_files() <= files


def test_an_error_in_the_reader_reaches_the_consumer_after_the_frames_before_it(tmp_path, monkeypatch) -> None:
    path = write_video(tmp_path / "a.mp4", count=8)
    from tracker.sources.convert import FrameConverter

    convert = FrameConverter.convert

    def failing(self, picture):
        if picture.index == 3:
            message = "converter broke"
            raise RuntimeError(message)
        return convert(self, picture)

    monkeypatch.setattr(FrameConverter, "convert", failing)
    with open_source(path) as source:
        seen = []
        with pytest.raises(RuntimeError, match="converter broke"):
            drain(source, seen)
    assert [frame.index for frame in seen] == [0, 1, 2]
    assert reader_threads() == []


def test_memory_of_waiting_frames_is_bounded(tmp_path) -> None:
    path = write_video(tmp_path / "a.mp4", count=60)
    with open_source(path, queue_size=3) as source:
        wait_for(lambda: source.counters.decoded >= 4)
        time.sleep(0.05)
        # waiting in the queue, one in the reader's hand, and those FFmpeg's threads return together
        assert source.stage_times.frames <= 4


@pytest.mark.parametrize("rotation", [None, 90])
def test_decoded_pictures_are_freed_without_the_garbage_collector(tmp_path, rotation) -> None:
    path = write_video(tmp_path / "a.mp4", count=60, rotation=rotation)
    gc.collect()
    gc.disable()
    try:
        with open_source(path, network_size=(32, 32)) as source:
            assert len(list(source)) == 60
            alive = sum(type(thing) is av.VideoFrame for thing in gc.get_objects())
    finally:
        gc.enable()
    assert alive <= 4  # the first one's orientation was read, which ties it into a cycle


def test_stage_times_and_samples(tmp_path) -> None:
    path = write_video(tmp_path / "a.mp4", count=20, size=(320, 180))
    with open_source(path, network_size=(160, 96)) as source:
        list(source)
        times, samples = source.stage_times, source.stage_samples
    assert times.frames == len(samples) == 20
    assert times.decode_s > 0
    assert times.convert_s > 0
    assert all(decode_s >= 0 and convert_s >= 0 for decode_s, convert_s in samples)


@pytest.mark.parametrize(
    "wrong",
    [
        {"stride": 0},
        {"fps": 0.0},
        {"policy": "newest"},
        {"queue_size": 0},
        {"timeout_s": 0.0},
        {"decode": "gpu"},
        {"decode_threads": -1},
        {"rtsp_transport": "quic"},
        {"network_size": (0, 4)},
    ],
)
def test_arguments_out_of_range_are_named(tmp_path, wrong) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        open_source(tmp_path, **wrong)


def test_an_interrupt_before_its_thread_runs_leaves_nothing_to_join(tmp_path, monkeypatch) -> None:
    path = write_video(tmp_path / "v.mp4")

    def interrupted(_: threading.Thread) -> None:
        raise KeyboardInterrupt

    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            open_source(path)
    gc.collect()
    assert unraisable == []
