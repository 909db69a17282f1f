"""Pixels that are not square, from the recording into the annotated video."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from tests.sinks.streams import CLASS_NAMES, tracked_frame
from tests.sources.test_streams import write_streams
from tracker.engine.second_pass import _pictured
from tracker.plugins import open_sink
from tracker.sinks.encoder import VideoEncoder
from tracker.sources.open import open_source
from tracker.types import TrackedFrame


def aspects(path) -> tuple[Fraction | None, Fraction | None]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        next(container.decode(video=0))
        return stream.sample_aspect_ratio, stream.codec_context.sample_aspect_ratio


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "ts"])
def test_the_aspect_of_a_recording_s_pixels_stays_in_the_video(tmp_path, suffix: str) -> None:
    recording = write_streams(tmp_path / "pal.mp4", [(64, 48)], aspect=Fraction(16, 11))
    path = tmp_path / f"out.{suffix}"
    plain = tracked_frame(0, boxes=[])
    with open_source(recording) as source, open_sink(path, class_names=CLASS_NAMES, frame_rate=5) as sink:
        for frame in source:
            assert frame.pixel_aspect == Fraction(16, 11)
            sink.write(
                TrackedFrame(frame=frame, instances=plain.instances, tracks=plain.tracks, class_names=CLASS_NAMES)
            )
    assert Fraction(16, 11) in aspects(path)


@pytest.mark.parametrize("suffix", ["webm", "gif"])
def test_pictures_are_stretched_where_the_format_cannot_say_it(tmp_path, suffix: str) -> None:
    path = tmp_path / f"out.{suffix}"
    encoder = VideoEncoder(path, frame_rate=5)
    for index in range(3):
        encoder.encode(np.full((48, 66, 3), 90, np.uint8), index / 5, pixel_aspect=Fraction(16, 11))
    encoder.finish()
    with av.open(str(path)) as container:
        assert {(frame.width, frame.height) for frame in container.decode(video=0)} == {(96, 48)}


def test_square_pixels_are_written_as_before(tmp_path) -> None:
    image = np.full((48, 64, 3), 90, np.uint8)
    for name, options in (("a.mkv", {}), ("b.mkv", {"pixel_aspect": Fraction(1)})):
        encoder = VideoEncoder(tmp_path / name, frame_rate=5)
        for index in range(3):
            encoder.encode(image, index / 5, **options)
        encoder.finish()
    with av.open(str(tmp_path / "a.mkv")) as first, av.open(str(tmp_path / "b.mkv")) as second:
        packets = [[bytes(packet) for packet in container.demux(video=0)] for container in (first, second)]
    assert packets[0] == packets[1]


def test_a_second_pass_keeps_it(tmp_path) -> None:
    recording = write_streams(tmp_path / "pal.mp4", [(64, 48)], aspect=Fraction(16, 11))
    with open_source(recording) as again:
        spooled = tracked_frame(0, boxes=[], size=(64, 48)).frame
        assert _pictured(spooled, again).pixel_aspect == Fraction(16, 11)
