"""Damaged files give what they hold, and count the rest; unusable ones give one error with its remedy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.sources.videos import textured, write_audio, write_video
from tracker.errors import SourceError
from tracker.sources.open import open_source


def read(path):
    with open_source(path) as source:
        frames = list(source)
    times_s = [frame.time_s for frame in frames]
    assert all(later > earlier for earlier, later in itertools.pairwise(times_s))
    assert [frame.index for frame in frames] == list(range(len(frames)))
    return frames, source.counters


@pytest.mark.parametrize("suffix", ["mp4", "ts", "mkv"])
def test_a_broken_stretch_in_the_middle_is_counted_not_fatal(tmp_path, suffix: str) -> None:
    path = write_video(tmp_path / f"a.{suffix}", count=60, size=(160, 96), draw=textured)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = np.random.default_rng(1).bytes(3000)
    path.write_bytes(data)
    frames, counters = read(path)
    assert len(frames) >= 50
    assert frames[-1].time_s == pytest.approx(59 / 25, abs=0.01)
    if suffix != "mkv":  # whose demuxer finds the next cluster without a word
        assert counters.broken + counters.concealed >= 1


@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "ffv1"), ("mp4", "libx264")])
def test_broken_packets_are_skipped_and_counted(tmp_path, suffix: str, codec: str) -> None:
    """Two packets, found through the demuxer, are overwritten: exactly those are lost."""
    import av

    path = write_video(tmp_path / f"a.{suffix}", codec=codec, count=20, size=(160, 96), draw=textured, gop=1)
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data = path.read_bytes()
    for packet in (packets[5], packets[11]):
        assert data.count(packet) == 1
        data = data.replace(packet, b"\xff" * len(packet))
    path.write_bytes(data)
    frames, counters = read(path)
    assert counters.broken == 2
    assert len(frames) == counters.decoded == 18
    assert frames[5].time_s == pytest.approx(6 / 25, abs=0.002)  # the lost frame's time stays empty


def test_truncated_mp4_without_its_index(tmp_path) -> None:
    path = write_video(tmp_path / "a.mp4", count=60, size=(160, 96), draw=textured)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(SourceError, match="moov atom") as caught:
        open_source(path)
    assert "copy it again" in caught.value.remedy


def test_truncated_mp4_with_its_index_gives_what_it_has(tmp_path) -> None:
    path = write_video(
        tmp_path / "a.mp4", count=60, size=(160, 96), draw=textured, container_options={"movflags": "faststart"}
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    frames, counters = read(path)
    assert 10 <= len(frames) < 60
    assert counters.missing == 60 - len(frames)


@pytest.mark.parametrize("suffix", ["mkv", "ts"])
def test_truncated_streams_give_what_they_have(tmp_path, suffix: str) -> None:
    path = write_video(tmp_path / f"a.{suffix}", count=60, size=(160, 96), draw=textured)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    frames, counters = read(path)
    assert 10 <= len(frames) < 60
    if suffix == "mkv":  # which tells its length at the start
        assert counters.missing == pytest.approx(60 - len(frames), abs=1)


def empty(path):
    path.write_bytes(b"")
    return path


def text(path):
    path.write_text("Häuser, this is no video\n" * 40, encoding="utf-8")
    return path


def noise(path):
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    return path


def no_frames(path):
    import av

    with av.open(str(path), "w", options={"movflags": "empty_moov+frag_keyframe"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    return path


@pytest.mark.parametrize(
    ("make", "name", "said"),
    [
        (empty, "a.mp4", r"empty file \(0 bytes\)"),
        (empty, "a.jpg", r"empty file \(0 bytes\)"),
        (text, "a.mp4", "a text file"),
        (text, "a.txt", "a text file"),
        (text, "a.jpg", "cannot be decoded"),
        (noise, "a.mp4", "does not recognise"),
        (no_frames, "a.mp4", "zero frames"),
        (write_audio, "a.mp4", r"only audio \(aac\)"),
        (lambda path: path, "missing.mp4", "no such file"),
        (lambda path: path, "missing.jpg", "no such file"),
    ],
)
def test_unusable_files(tmp_path, make, name: str, said: str) -> None:
    path = make(tmp_path / name)
    with pytest.raises(SourceError, match=said) as caught:
        open_source(path)
    assert str(caught.value).startswith(f"{path}: expected ")
    assert caught.value.remedy
    assert "\n" not in caught.value.problem + caught.value.remedy


def test_a_cover_picture_is_not_a_video(tmp_path) -> None:
    import av

    path = tmp_path / "song.mp3"
    cover = write_video(tmp_path / "cover.jpg", codec="mjpeg", count=1).read_bytes()
    with av.open(str(path), "w") as container:
        audio = container.add_stream("libmp3lame", rate=44100)
        audio.layout = "mono"
        image = container.add_stream("mjpeg", rate=1)
        image.width, image.height, image.pix_fmt = 64, 48, "yuvj420p"
        image.disposition = av.stream.Disposition.attached_pic
        packet = av.Packet(cover)
        packet.stream = image
        container.start_encoding()
        container.mux(packet)
        for _ in range(10):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.float32), "fltp", "mono")
            frame.sample_rate = 44100
            container.mux(audio.encode(frame))
        container.mux(audio.encode())
    with pytest.raises(SourceError, match="found only audio"):
        open_source(path)


def test_a_folder_of_broken_images(tmp_path) -> None:
    for index in range(3):
        text(tmp_path / f"{index}.png")
    with pytest.raises(SourceError, match="3 files that cannot be decoded"):
        open_source(tmp_path)


def test_no_camera_is_an_error_with_a_remedy(tmp_path) -> None:
    with pytest.raises(SourceError, match="expected a camera, found no") as caught:
        open_source("/dev/video93")
    assert caught.value.remedy
