"""Memory that one stream may take, and a machine that has none left."""

from __future__ import annotations

import errno
import os
import time

import av
import numpy as np
import pytest

from tests.segment.models import end2end_model
from tests.sources.videos import drain, picture, textured, write_video
from tracker.errors import SourceError
from tracker.settings.stream import RunSettings
from tracker.sources import source as source_module
from tracker.sources.convert import FrameConverter
from tracker.sources.decoded import Picture
from tracker.sources.limits import MAX_PIXELS, bytes_of
from tracker.sources.open import open_source
from tracker.types import Frame


def gif_header(width: int, height: int) -> bytes:
    """A GIF of one colour table and one picture without pixels."""
    screen = b"GIF89a" + width.to_bytes(2, "little") + height.to_bytes(2, "little") + b"\x80\0\0" + bytes(6)
    place = b"," + bytes(4) + width.to_bytes(2, "little") + height.to_bytes(2, "little") + b"\0"
    return screen + (place + b"\x02\x02\x4c\x01\0") * 24 + b";"


def test_a_small_file_that_announces_a_huge_picture_is_refused_before_it_is_decoded(tmp_path) -> None:
    path = tmp_path / "bomb.gif"
    path.write_bytes(gif_header(16000, 16000))
    assert path.stat().st_size < 600
    started_s = time.monotonic()
    with pytest.raises(SourceError, match=r"at most 100 megapixels, found 16000 x 16000 \(256 megapixels\)") as caught:
        open_source(path)
    assert time.monotonic() - started_s < 10
    assert "scale it down" in caught.value.remedy


LARGE = (20_000).to_bytes(2, "big"), (20_000).to_bytes(4, "big"), (20_000).to_bytes(4, "little")
HEADERS = {
    "large.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + 2 * LARGE[1] + b"\x08\0\0\0\0" + bytes(4),
    "large.jpg": b"\xff\xd8\xff\xe0\0\x04\0\0\xff\xc0\0\x0b\x08" + 2 * LARGE[0] + b"\x01\x01\x11\0",
    "large.bmp": b"BM" + bytes(12) + b"\x28\0\0\0" + 2 * LARGE[2] + b"\x01\0\x18\0" + bytes(24),
    "large.tiff": b"MM\0*\0\0\0\x08\0\x02"
    + b"".join(bytes((1, tag, 0, 4, 0, 0, 0, 1)) + LARGE[1] for tag in (0, 1))
    + bytes(4),
}
"""Headers of pictures of 20000 x 20000."""


@pytest.mark.parametrize("name", HEADERS)
def test_a_picture_that_ffmpeg_cannot_hold_is_refused_by_its_size(tmp_path, name: str) -> None:
    """FFmpeg opens none of them and says nothing of their size."""
    path = tmp_path / name
    path.write_bytes(HEADERS[name])
    with pytest.raises(SourceError, match=r"at most 100 megapixels, found 20000 x 20000 \(400 megapixels\)") as caught:
        open_source(path)
    assert "scale it down or cut it into tiles" in caught.value.remedy
    with pytest.raises(SourceError, match="at most 250 megapixels"):
        open_source(path, max_pixels=500_000_000)


def test_the_limit_is_a_setting_of_a_stream(run, tmp_path) -> None:
    assert RunSettings(sources="x").max_pixels == MAX_PIXELS
    path = write_video(tmp_path / "a.mp4", count=2, size=(64, 48))
    model = ("--model", end2end_model(tmp_path / "model.onnx"), "--refine", "--save", tmp_path / "out.mp4")
    refused = run("track", path, *model, "--max-pixels", 3071)
    assert refused.status == 2
    assert "at most 0.003071 megapixels, found 64 x 48" in refused.err
    assert "remedy: --max-pixels 3072 (max_pixels: 3072) where memory allows it" in refused.err
    assert run("track", path, *model, "--max-pixels", 3072).status == 0


def test_the_limit_is_an_option(tmp_path) -> None:
    path = write_video(tmp_path / "a.mp4", count=2, size=(64, 48))
    assert MAX_PIXELS == 100_000_000
    with open_source(path, max_pixels=64 * 48) as source:
        assert len(list(source)) == 2
    with pytest.raises(SourceError, match="found 64 x 48"):
        open_source(path, max_pixels=64 * 48 - 1)


def test_larger_pictures_in_the_middle_of_a_stream_end_it_with_an_error(tmp_path) -> None:
    first = write_video(tmp_path / "1.ts", count=10, size=(64, 48), draw=textured)
    second = write_video(tmp_path / "2.ts", count=10, size=(256, 192), draw=textured)
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    frames: list[Frame] = []
    with (
        open_source(both, max_pixels=10_000) as source,
        pytest.raises(SourceError, match=r"at most 0\.01 megapixels, found 256 x 192"),
    ):
        drain(source, frames)
    assert {frame.size for frame in frames} == {(64, 48)}
    assert len(frames) >= 8  # the decoder may hold two back


def test_the_bytes_of_waiting_frames_and_pictures() -> None:
    frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "bgr24")
    assert bytes_of(Picture(frame=frame, index=0, time_s=0, arrived_s=0, source="a")) >= 48 * 64 * 3
    image = np.zeros((48, 64, 3), np.uint8)
    assert bytes_of(Frame(index=0, time_s=0, arrived_s=0, source="a", size=(64, 48), image=image)) == 48 * 64 * 3
    assert bytes_of(Frame(index=0, time_s=0, arrived_s=0, source="a", size=(64, 48))) == 0


def test_a_stream_of_large_frames_waits_with_fewer_of_them(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(source_module, "QUEUE_BYTES", 2 * 64 * 48 * 3)
    path = write_video(tmp_path / "a.mp4", count=30)
    with open_source(path, queue_size=10) as source:
        time.sleep(0.3)
        assert source.waiting == 2
        assert [frame.index for frame in source] == list(range(30))


class OutOf:
    """A stream whose decoder reports that the machine has run out of something, from the sixth packet on."""

    def __init__(self, stream, error: Exception) -> None:
        self._stream, self._error, self._packets = stream, error, 0

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

    def decode(self, packet):
        self._packets += 1
        if self._packets > 5:
            raise self._error
        return self._stream.decode(packet)


@pytest.mark.parametrize(
    ("kind", "number", "said"),
    [
        (av.error.MemoryError, errno.ENOMEM, "out of memory"),
        (av.error.OSError, errno.ENOSPC, "disk full"),
        (av.error.OSError, errno.EMFILE, "too many open files"),
    ],
)
def test_what_the_machine_lacks_is_not_told_as_damage(tmp_path, monkeypatch, kind, number: int, said: str) -> None:
    from tracker.sources import decoder

    choose_stream = decoder.choose_stream

    def without(name, container):
        stream, told = choose_stream(name, container)
        return OutOf(stream, kind(number, os.strerror(number))), told

    monkeypatch.setattr(decoder, "choose_stream", without)
    path = write_video(tmp_path / "a.mp4", count=12, options={"bf": "0"})
    with pytest.raises(SourceError, match=said) as caught, open_source(path, decode="cpu", decode_threads=1) as source:
        list(source)
    assert "broken" not in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("where", ["image", "network"])
def test_memory_that_runs_out_in_conversion(monkeypatch, where: str) -> None:
    from tracker.sources import convert

    def refuse(*_args, **_options):
        raise MemoryError

    monkeypatch.setattr(convert, "_bgr", refuse)
    frame = av.VideoFrame.from_ndarray(picture(0, (64, 48)), "bgr24")
    converter = FrameConverter(network_size=(32, 32), keep_aspect=True, want_image=where == "image")
    with pytest.raises(SourceError, match="out of memory"):
        converter.convert(Picture(frame=frame, index=0, time_s=0, arrived_s=0, source="a"))


def test_an_image_that_cannot_be_read_for_want_of_memory(tmp_path, monkeypatch) -> None:
    from tracker.sources import images

    def refuse(*_args, **_options):
        raise av.error.MemoryError(errno.ENOMEM, "Cannot allocate memory")

    (tmp_path / "a.png").write_bytes(b"whatever")
    monkeypatch.setattr(images.av, "open", refuse)
    with pytest.raises(SourceError, match="out of memory"):
        open_source(tmp_path / "a.png")
