"""Which stream of a container is read, what it says of its pixels, and which of its frames count as missing."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from tests.sources.videos import write_video
from tracker.errors import SourceError
from tracker.sources.notes import notes
from tracker.sources.open import open_source


def write_streams(path, sizes, *, aspect: Fraction | None = None, rotation: int | None = None):
    """One H.264 stream per size, two seconds at 5 fps."""
    with av.open(str(path), "w") as container:
        streams = []
        for width, height in sizes:
            stream = container.add_stream("libx264", rate=5)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            if aspect is not None:
                stream.codec_context.sample_aspect_ratio = aspect
            if rotation is not None:
                stream.set_display_rotation(rotation)
            streams.append(stream)
        for index in range(10):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(
                    np.full((stream.height, stream.width, 3), 20 * index, np.uint8), "bgr24"
                )
                frame.pts, frame.time_base = index, Fraction(1, 5)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode())
    return path


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
@pytest.mark.parametrize("sizes", [[(64, 48), (160, 96)], [(160, 96), (64, 48)]])
def test_the_largest_video_stream_is_read_and_a_note_says_so(tmp_path, suffix: str, sizes) -> None:
    path = write_streams(tmp_path / f"two.{suffix}", sizes)
    with open_source(path) as source:
        frames = list(source)
    assert {frame.size for frame in frames} == {(160, 96)}
    assert len(frames) == 10
    number = sizes.index((160, 96)) + 1
    assert notes(source.info, source.counters) == [f"2 video streams: the largest is read (number {number}, 160 x 96)"]


def test_one_stream_needs_no_note(tmp_path) -> None:
    with open_source(write_streams(tmp_path / "one.mkv", [(64, 48)])) as source:
        list(source)
    assert source.info.notes == ()
    assert source.info.pixel_aspect == 1


@pytest.mark.parametrize(("rotation", "expected"), [(None, Fraction(16, 11)), (90, Fraction(11, 16))])
def test_the_aspect_of_pixels_is_known_and_turned_with_the_picture(tmp_path, rotation, expected) -> None:
    path = write_streams(tmp_path / "pal.mp4", [(64, 48)], aspect=Fraction(16, 11), rotation=rotation)
    with open_source(path) as source:
        assert source.info.pixel_aspect == expected
        assert next(source).size == ((64, 48) if rotation is None else (48, 64))


def test_a_slow_recording_misses_nothing(tmp_path) -> None:
    """The length of a Matroska file ends with its last frame's showing: one second after its time at 1 fps."""
    path = write_video(tmp_path / "slow.mkv", count=5, rate=1)
    with open_source(path) as source:
        assert [frame.time_s for frame in source] == [0, 1, 2, 3, 4]
    assert source.info.duration_s == pytest.approx(5, abs=0.01)
    assert source.counters.missing == 0


def test_frames_that_an_edit_list_hides_are_not_missing(tmp_path) -> None:
    """A cut between key frames without encoding anew: the packets from the key frame on are there, and hidden."""
    whole = write_video(tmp_path / "whole.mp4", count=40, rate=25, gop=20, options={"bf": "0"})
    cut = tmp_path / "cut.mp4"
    with av.open(str(whole)) as source, av.open(str(cut), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is None:
                continue
            shift = int(Fraction(10, 25) / packet.time_base)  # ten frames before zero, which the muxer hides
            packet.pts -= shift
            packet.dts -= shift
            packet.stream = stream
            target.mux(packet)
    with open_source(cut) as source:
        frames = list(source)
    assert source.info.frame_count == 40
    assert len(frames) == 30
    assert source.counters.missing == 0
    assert notes(source.info, source.counters) == []


@pytest.mark.parametrize(
    ("place", "said"), [(24, "a damaged or unusual header of its hevc stream"), (30, "none in 3 packets")]
)
def test_a_damaged_codec_header_is_an_error_of_its_own(tmp_path, place: int, said: str) -> None:
    """One byte of the HEVC decoder configuration: how many parameter sets follow, and a byte of the first of them."""
    path = write_video(tmp_path / "a.mkv", codec="libx265", count=3, options={"x265-params": "log-level=none"})
    with av.open(str(path)) as container:
        extradata = container.streams.video[0].codec_context.extradata
    data = path.read_bytes()
    assert data.count(extradata) == 1
    damaged = bytearray(extradata)
    damaged[place] ^= 0xFF
    path.write_bytes(data.replace(extradata, bytes(damaged)))
    with pytest.raises(SourceError, match=said) as caught:
        open_source(path)
    assert caught.value.remedy
