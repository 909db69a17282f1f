"""Annotated videos read back by PyAV."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import threading

import av
import numpy as np
import pytest

from tests.sinks.full_disk import small_files
from tests.sinks.streams import CLASS_NAMES, stream, tracked_frame
from tracker.errors import ConfigError, SinkError
from tracker.plugins import open_sink
from tracker.render.annotate import Annotator
from tracker.sinks.encoder import VideoEncoder
from tracker.sinks.video import VideoSink


def read(path):
    with av.open(str(path)) as container:
        picture_list = list(container.decode(video=0))
        return [float(picture.time) for picture in picture_list], [
            picture.to_ndarray(format="bgr24") for picture in picture_list
        ]


@pytest.mark.parametrize("suffix", ["mp4", "m4v", "mov", "mkv", "webm", "avi", "gif", "ts"])
def test_every_container_gives_back_every_frame(tmp_path, suffix):
    path = tmp_path / f"out.{suffix}"
    with open_sink(path, class_names=CLASS_NAMES, frame_rate=25) as sink:
        for frame in stream():
            sink.write(frame)
    times, pictures = read(path)
    assert len(pictures) == 20
    assert pictures[0].shape == (120, 160, 3)
    assert np.diff(times) == pytest.approx(0.04, abs=2e-3)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_irregular_times_are_kept(tmp_path, suffix):
    moments = [10.0, 10.04, 10.2, 10.21, 12.5, 12.6]
    path = tmp_path / f"out.{suffix}"
    with open_sink(path, class_names=CLASS_NAMES, frame_rate=30) as sink:
        for index, time_s in enumerate(moments):
            sink.write(tracked_frame(index, boxes=[], time_s=time_s))
    times, _ = read(path)
    assert times == pytest.approx([moment - 10 for moment in moments], abs=1e-3)


def test_times_that_stand_still_or_go_back_do_not_break_the_file(tmp_path):
    path = tmp_path / "out.mp4"
    with open_sink(path, class_names=CLASS_NAMES) as sink:
        for index, time_s in enumerate([0.0, 0.04, 0.04, 0.01, 0.2]):
            sink.write(tracked_frame(index, boxes=[], time_s=time_s))
    times, _ = read(path)
    assert len(times) == 5
    assert all(after > before for before, after in itertools.pairwise(times))
    assert times[-1] == pytest.approx(0.2, abs=1e-3)


def test_a_clock_that_jumps_back_goes_on(tmp_path):
    path = tmp_path / "out.mp4"
    with open_sink(path, class_names=CLASS_NAMES, frame_rate=25) as sink:
        for index, time_s in enumerate([100.0, 100.04, 100.08, 3.0, 3.04, 3.5]):
            sink.write(tracked_frame(index, boxes=[], time_s=time_s))
    times, _ = read(path)
    assert times == pytest.approx([0, 0.04, 0.08, 0.12, 0.16, 0.62], abs=2e-3)


def test_the_index_stands_in_front(tmp_path):
    path = tmp_path / "out.mp4"
    with open_sink(path, class_names=CLASS_NAMES) as sink:
        for frame in stream():
            sink.write(frame)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert b"moof" not in data


def test_colours_survive(tmp_path):
    path = tmp_path / "out.mp4"
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)]
    encoder = VideoEncoder(path, crf=10)
    for index, colour in enumerate(colours):
        encoder.encode(np.full((64, 64, 3), colour, np.uint8), index * 0.1)
    encoder.finish()
    _, pictures = read(path)
    for colour, picture in zip(colours, pictures, strict=True):
        assert np.abs(picture[20:40, 20:40].astype(int) - colour).max() <= 12
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.colorspace == 6
        assert container.streams.video[0].codec_context.name == "h264"


def test_odd_sizes_are_padded_by_repeating_the_edge(tmp_path):
    path = tmp_path / "out.mp4"
    with open_sink(path, class_names=CLASS_NAMES) as sink:
        sink.write(tracked_frame(boxes=[], size=(161, 121), grey=200))
    _, pictures = read(path)
    assert pictures[0].shape == (122, 162, 3)
    assert np.abs(pictures[0][-1].astype(int) - 200).max() < 10


def test_frames_of_other_sizes_are_fitted_into_the_first(tmp_path):
    path = tmp_path / "out.mp4"
    with open_sink(path, class_names=CLASS_NAMES) as sink:
        for index, size in enumerate([(160, 120), (320, 240), (100, 300), (50, 20)]):
            sink.write(tracked_frame(index, boxes=[], size=size, grey=200))
    _, pictures = read(path)
    assert {picture.shape for picture in pictures} == {(120, 160, 3)}
    assert np.abs(pictures[1].astype(int) - 200).max() < 10
    assert pictures[2][60, 5].max() < 20
    assert np.abs(pictures[2][60, 80].astype(int) - 200).max() < 20


def test_what_is_drawn_is_what_is_encoded(tmp_path):
    path = tmp_path / "out.mkv"
    drawn = []
    annotator = Annotator()

    def draw(tracked):
        drawn.append(annotator.draw(tracked))
        return drawn[-1]

    with open_sink(path, class_names=CLASS_NAMES, crf=5, draw=draw) as sink:
        for frame in stream():
            sink.write(frame)
    _, pictures = read(path)
    assert len(drawn) == 20
    for image, picture in zip(drawn, pictures, strict=True):
        # Colour is stored at half the resolution; brightness is what must agree.
        assert np.abs(image.mean(axis=2) - picture.mean(axis=2)).mean() < 4


def test_a_video_without_frames_is_no_file(tmp_path):
    with open_sink(tmp_path / "out.mp4", class_names=CLASS_NAMES):
        pass
    assert not list(tmp_path.iterdir())


def test_an_error_while_drawing_comes_out_once_and_keeps_the_video(tmp_path):
    path = tmp_path / "out.mp4"
    sink = open_sink(path, class_names=CLASS_NAMES)
    frames = list(stream())
    for frame in frames[:5]:
        sink.write(frame)
    bare = dataclasses.replace(frames[5], frame=dataclasses.replace(frames[5].frame, image=None))

    def until_it_is_noticed():
        for _ in range(100):
            sink.write(bare)

    with pytest.raises(ConfigError, match="pixels"):
        until_it_is_noticed()
    sink.close()
    assert len(read(path)[0]) == 5


def test_the_queue_is_bounded(tmp_path):
    gate = threading.Event()

    class Slow(Annotator):
        def draw(self, tracked_frame):
            gate.wait(10)
            return super().draw(tracked_frame)

    sink = VideoSink(tmp_path / "out.mp4", draw=Slow().draw)
    written = []

    def write_all():
        for frame in stream():
            sink.write(frame)
            written.append(frame)

    writer = threading.Thread(target=write_all)
    writer.start()
    writer.join(0.3)
    assert len(written) <= 6
    gate.set()
    writer.join(10)
    sink.close()
    assert sink.frames == 20


def test_cpu_time_is_accounted(tmp_path):
    with open_sink(tmp_path / "out.mp4", class_names=CLASS_NAMES) as sink:
        for frame in stream():
            sink.write(frame)
    assert set(sink.cpu_s) == {"draw", "encode"}
    assert all(seconds > 0 for seconds in sink.cpu_s.values())


def test_a_part_file_of_a_killed_process_is_readable(tmp_path):
    encoder = VideoEncoder(tmp_path / "out.mp4")
    rng = np.random.default_rng(0)
    for index in range(100):
        encoder.encode(rng.integers(0, 255, (120, 160, 3)).astype(np.uint8), index / 25)
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(next(tmp_path.glob(".out.mp4.*.part")).read_bytes())
    encoder.finish()
    with av.open(str(copy)) as container:
        decoded = 0
        try:
            for _ in container.decode(video=0):
                decoded += 1
        except av.FFmpegError:
            pass
    assert decoded >= 25


def test_when_ffmpeg_lacks_the_encoder(tmp_path, monkeypatch):
    monkeypatch.setattr(av.codec, "codecs_available", {"gif"})
    with pytest.raises(ConfigError, match="libx264"):
        open_sink(tmp_path / "out.mp4", class_names=CLASS_NAMES)
    assert not list(tmp_path.iterdir())


def test_unwritable_after_opening(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    sink = open_sink(folder / "out.mp4", class_names=CLASS_NAMES)
    next(folder.glob(".out.mp4.*.part")).unlink()
    folder.rmdir()
    sink.write(tracked_frame(boxes=[]))
    with pytest.raises(SinkError, match="No such file"):
        sink.close()


def test_a_disk_that_takes_no_whole_second_keeps_nothing_and_says_so(tmp_path):
    encoder = VideoEncoder(tmp_path / "out.mp4", frame_rate=25)
    noise = np.random.default_rng(1).integers(0, 256, (120, 160, 3), np.uint8)
    with small_files(4096):
        with contextlib.suppress(SinkError):
            for number in range(60):
                encoder.encode(np.roll(noise, number * 7, axis=1), number / 25)
        with pytest.raises(SinkError) as refused:
            encoder.finish()
    assert refused.value.remedy.endswith("; nothing of use had been written yet, and what stood there stays")
    assert list(tmp_path.iterdir()) == []
