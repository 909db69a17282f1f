"""Sound copied beside annotated pictures: the same packets at the same times, and what is refused before any work."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.command import Run
from tests.segment.models import end2end_model
from tests.sources.videos import picture, write_video

RATE = 25
SIZE = (64, 48)


def write_recording(path: Path, *, codec: str = "aac", seconds: int = 4, begins_s: float = 0.0) -> Path:
    """Pictures and a tone that rises; ``begins_s`` is the time of the first picture where the container has times."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE)
        video.width, video.height = SIZE
        video.pix_fmt = "yuv420p"
        clock = Fraction(1, RATE if path.suffix == ".avi" else 1000)  # an AVI shows a picture at every tick
        video.codec_context.time_base = clock
        rate = 48_000
        audio = container.add_stream(codec, rate=rate, layout="mono")
        samples = 1024
        tone = np.sin(np.cumsum(np.linspace(0.01, 0.3, rate * seconds + samples)))
        done_s = 0.0
        for index in range(RATE * seconds):
            frame = av.VideoFrame.from_ndarray(picture(index, SIZE), "bgr24")
            frame.pts, frame.time_base = round((begins_s + index / RATE) / clock), clock
            container.mux(video.encode(frame))
            while done_s < (index + 1) / RATE:
                begin = round(done_s * rate)
                sound = av.AudioFrame.from_ndarray(
                    (tone[None, begin : begin + samples] * 9000).astype(np.int16), "s16", "mono"
                )
                sound.sample_rate, sound.time_base = rate, Fraction(1, rate)
                sound.pts = begin + round(begins_s * rate)
                container.mux(audio.encode(sound))
                done_s = (begin + samples) / rate
        container.mux(video.encode())
        container.mux(audio.encode())
    return path


def packets(path: Path) -> dict[bytes, float]:
    """Every audio packet with its time after the first picture; AAC without the header that transport streams have."""
    with av.open(str(path)) as container:
        first = next(container.decode(video=0)).time
    with av.open(str(path)) as container:
        found = [(bytes(packet), packet.pts * packet.time_base) for packet in container.demux(audio=0) if packet.size]
    return {
        data[7:] if data[:2] in {b"\xff\xf1", b"\xff\xf9"} else data: float(time - Fraction(first))
        for data, time in found
    }


@pytest.fixture
def model(tmp_path: Path) -> tuple[str, Path]:
    return "--model", end2end_model(tmp_path / "model.onnx")


@pytest.mark.quick("out.mov-in.mp4", "out.mp4-in.ts", "out.ts-in.mkv", "out.mkv-in.mov", "out.avi-in.avi")
@pytest.mark.parametrize("source", ["in.mp4", "in.mkv", "in.ts", "in.mov", "in.avi"])
@pytest.mark.parametrize("output", ["out.mp4", "out.mkv", "out.ts", "out.mov", "out.avi"])
def test_packets_are_copied_in_time_with_the_pictures(
    run: Run, tmp_path: Path, model: tuple[str, Path], source: str, output: str
) -> None:
    avi = "avi" in source + output  # pictures of an AVI are timed to a few frames, AAC not at all
    path = write_recording(
        tmp_path / source, codec="mp2" if avi else "aac", begins_s=0.0 if source.endswith("avi") else 3.0
    )
    result = run("segment", path, *model, "--sound", "--save", tmp_path / output)
    assert result.status == 0, result.text
    before, after = packets(path), packets(tmp_path / output)
    assert len(after) > 150
    assert set(after) <= set(before)
    loose_s = 0.065 if avi else 0.03
    assert max(abs(after[data] - before[data]) for data in after) < loose_s
    # Nothing but what lies before the first picture and after the last one is left out
    assert all(time > 3.85 for data, time in before.items() if data not in after and time > loose_s)
    with av.open(str(tmp_path / output)) as container:
        assert len(list(container.decode(video=0))) == RATE * 4
        assert float(container.duration / 1e6) < 4.2


@pytest.mark.quick("options0", "options1")
@pytest.mark.parametrize("options", [("--limit", "25"), ("--stride", "3"), ("--refine",)])
def test_it_ends_with_the_last_picture(
    run: Run, tmp_path: Path, model: tuple[str, Path], options: tuple[str, ...]
) -> None:
    path = write_recording(tmp_path / "in.mkv")
    result = run("track", path, *model, "--sound", "--save", tmp_path / "out.mp4", *options)
    assert result.status == 0, result.text
    end_s = 1.0 if "--limit" in options else 4.0
    times = sorted(packets(tmp_path / "out.mp4").values())
    assert end_s - 0.15 < times[-1] < end_s + 0.12
    assert np.diff(times).max() < 0.03


@pytest.mark.parametrize(
    ("codec", "source", "output", "fits"),
    [
        ("aac", "in.mp4", "out.webm", False),
        ("aac", "in.mp4", "out.gif", False),
        ("aac", "in.mp4", "out.avi", False),
        ("pcm_s16le", "in.mov", "out.ts", False),
        ("pcm_s16le", "in.mov", "out.avi", True),
        ("ac3", "in.avi", "out.mp4", True),
        ("libopus", "in.mkv", "out.webm", True),
        ("pcm_s16le", "in.mov", "out.mp4", True),
        ("pcm_alaw", "in.mov", "out.mp4", False),
        ("pcm_alaw", "in.mov", "out.mkv", False),
        ("libmp3lame", "in.mkv", "out.mp4", True),
    ],
)
def test_a_codec_that_the_container_does_not_hold_is_refused_first(
    run: Run, tmp_path: Path, model: tuple[str, Path], *, codec: str, source: str, output: str, fits: bool
) -> None:
    path = write_recording(tmp_path / source, codec=codec, seconds=1)
    result = run("segment", path, *model, "--sound", "--save", tmp_path / output)
    if fits:
        assert result.status == 0, result.text
        assert len(packets(tmp_path / output)) > 5
        return
    assert (result.status, result.out) == (2, "")
    assert "expected sound that" in result.err
    assert "which it does not" in result.err
    assert f"save it as {'.mov' if output.endswith('mkv') else '.mkv'}" in result.err
    assert not (tmp_path / output).exists()


def test_a_recording_without_sound_is_saved_with_a_note(run: Run, tmp_path: Path, model: tuple[str, Path]) -> None:
    path = write_video(tmp_path / "in.mp4", count=5)
    result = run("segment", path, *model, "--sound", "--save", tmp_path / "out.mp4")
    assert result.status == 0, result.text
    assert "it has no sound that could be copied" in result.text
    assert (tmp_path / "out.mp4").is_file()


def test_what_has_no_sound_to_read_beside_its_pictures_is_refused(
    run: Run, tmp_path: Path, model: tuple[str, Path]
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64, 3), np.uint8))
    os.mkfifo(tmp_path / "pipe")
    write_recording(tmp_path / "in.mp4", seconds=1)
    out = ("--save", tmp_path / "out.mp4")
    for source, output, found in (
        (tmp_path / "a.png", out, "found images"),
        ("0", out, "found a camera"),
        ("rtsp://127.0.0.1:9/x", out, "found a network stream"),
        (tmp_path / "pipe", out, "found a pipe, which is read once"),
        (tmp_path / "in.mp4", (), "expected a video to copy the sound into"),
        (tmp_path / "in.mp4", ("--save", tmp_path / "x-{frame}.jpg"), "expected a video to copy the sound into"),
    ):
        result = run("track", source, *model, "--sound", *output)
        assert result.status == 2, source
        assert "--sound" in result.err
        assert found in result.err
