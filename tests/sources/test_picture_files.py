"""Image files of several pictures, cut-off JPEGs, and what is said of them."""

from __future__ import annotations

import os
import struct
import zlib

import av
import cv2
import numpy as np
import pytest

from tests.sources.videos import picture, write_video
from tracker.errors import SourceError
from tracker.sources import pages
from tracker.sources.notes import notes
from tracker.sources.open import open_source
from tracker.sources.picture_files import is_animated_png, is_cut_off_jpeg, picture_count

SIZE = (64, 48)


def write_tiff(path, count: int):
    assert cv2.imwritemulti(str(path), [picture(index, SIZE) for index in range(count)])
    return path


def write_apng(path, count: int):
    """Frames of a tenth of a second; the name must say apng, or FFmpeg writes pictures one over the other."""
    with av.open(str(path), "w", format="apng") as container:
        stream = container.add_stream("apng", rate=10)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "rgb24"
        for index in range(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index, SIZE), "bgr24")))
        container.mux(stream.encode())
    return path


def animated_webp(count: int) -> bytes:
    """Still WebP files put into ``ANMF`` chunks (RFC 9649, section 2.7)."""
    frames = b""
    for index in range(count):
        still = cv2.imencode(".webp", picture(index, SIZE))[1].tobytes()[12:]
        head = b"\0" * 6 + (SIZE[0] - 1).to_bytes(3, "little") + (SIZE[1] - 1).to_bytes(3, "little")
        body = head + (100).to_bytes(3, "little") + b"\0" + still
        frames += b"ANMF" + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    flags = b"\x02\0\0\0" + (SIZE[0] - 1).to_bytes(3, "little") + (SIZE[1] - 1).to_bytes(3, "little")
    chunks = b"VP8X" + struct.pack("<I", 10) + flags + b"ANIM" + struct.pack("<I", 6) + b"\0" * 6 + frames
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def read(path, **options):
    with open_source(path, **options) as source:
        frames = list(source)
    return frames, notes(source.info, source.counters)


@pytest.mark.parametrize("options", [{}, {"fps": 10}])
def test_pages_of_a_tiff_named_by_itself_are_read_in_order(tmp_path, options) -> None:
    path = write_tiff(tmp_path / "pages.tif", 3)
    assert picture_count(path.read_bytes()) == 3
    with open_source(path, **options) as source:
        frames = list(source)
    rate = options.get("fps", 30)
    assert [frame.time_s for frame in frames] == pytest.approx([0, 1 / rate, 2 / rate])
    assert all(np.array_equal(frame.image, picture(frame.index, SIZE)) for frame in frames)
    assert (source.info.frame_count, source.info.fps) == (3, pytest.approx(rate))
    assert notes(source.info, source.counters) == []


def test_pages_that_are_too_large_together_are_left_with_a_note(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(pages, "MOST_BYTES", 3 * 64 * 48 * 4 - 1)
    frames, told = read(write_tiff(tmp_path / "pages.tif", 3))
    assert len(frames) == 1
    remedy = "(ffmpeg or another converter makes a GIF, an MP4 or single images of it)"
    assert told == [f"pages.tif holds 3 pictures: only the first is used {remedy}"]


def test_a_cut_off_tiff_says_which_pages_are_missing(tmp_path) -> None:
    path = write_tiff(tmp_path / "pages.tif", 4)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 5 // 8])
    frames, told = read(path)
    assert 1 <= len(frames) < 4
    assert told[0].endswith("announced frames missing")


def test_a_tiff_whose_pages_form_a_ring_is_counted_once() -> None:
    """One directory without entries whose link leads back to itself."""
    assert picture_count(b"II*\0" + struct.pack("<IHI", 8, 0, 8)) == 1
    assert picture_count(b"MM\0*" + struct.pack(">IHI", 8, 0, 0)) == 1
    assert picture_count(b"II*\0" + struct.pack("<I", 4000)) == 1


@pytest.mark.skipif(not hasattr(cv2, "imdecodeanimation"), reason="OpenCV before 4.11 reads no animated WebP")
def test_an_animated_webp_named_by_itself_is_read_whole_with_its_times(tmp_path) -> None:
    path = tmp_path / "moving.webp"
    path.write_bytes(animated_webp(4))
    assert picture_count(path.read_bytes()) == 4
    frames, told = read(path)
    assert [frame.time_s for frame in frames] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert [frame.size for frame in frames] == [SIZE] * 4
    for frame in frames:
        assert np.abs(frame.image.astype(int) - picture(frame.index, SIZE))[30:44, 40:60].max() <= 12
    assert told == []


def test_an_animated_webp_in_a_folder_gives_its_first_picture_and_says_so(tmp_path, monkeypatch) -> None:
    (tmp_path / "moving.webp").write_bytes(animated_webp(4))
    cv2.imwrite(str(tmp_path / "still.webp"), picture(1, SIZE))
    frames, told = read(tmp_path)
    assert [frame.size for frame in frames] == [SIZE] * 2
    assert np.abs(frames[0].image.astype(int) - picture(0, SIZE))[:20, :28].max() <= 12
    only = "moving.webp holds 4 pictures: only the first is used"
    assert told == [f"{only} (name such a file by itself to read all of it)"]
    monkeypatch.delattr(cv2, "imdecodeanimation", raising=False)
    (tmp_path / "still.webp").unlink()
    frames, told = read(tmp_path)
    assert len(frames) == 1
    assert told[0].startswith(only)


def test_an_animated_png_named_by_itself_is_read_whole_with_its_times(tmp_path) -> None:
    path = write_apng(tmp_path / "moving.png", 4)
    assert is_animated_png(path.read_bytes())
    frames, told = read(path)
    assert [frame.time_s for frame in frames] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert all(np.array_equal(frame.image, picture(frame.index, SIZE)) for frame in frames)
    assert told == []


def test_animations_in_a_folder_are_one_picture_each_and_one_note(tmp_path) -> None:
    for name in ("a", "b"):
        write_apng(tmp_path / f"{name}.png", 3)
    cv2.imwrite(str(tmp_path / "c.png"), picture(2, SIZE))
    frames, told = read(tmp_path)
    assert len(frames) == 3
    assert [note.partition(" (")[0] for note in told] == [
        "2 files hold several pictures, such as a.png: only the first is used"
    ]


def test_a_still_png_holds_one_picture() -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bytes(13))
    assert picture_count(start + chunk(b"IDAT", b"") + chunk(b"acTL", struct.pack(">II", 9, 0))) == 1
    assert picture_count(start + chunk(b"acTL", struct.pack(">II", 9, 0)) + chunk(b"IDAT", b"")) == 9
    assert picture_count(start + b"\xff\xff\xff\xffacTL") == 1


@pytest.mark.parametrize(("share", "cut"), [(0.5, True), (1.0, False)])
def test_half_a_jpeg_gets_a_note(tmp_path, share: float, cut: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    data = cv2.imencode(".jpg", noise)[1].tobytes()
    path = tmp_path / "a.jpg"
    path.write_bytes(data[: int(len(data) * share)])
    assert is_cut_off_jpeg(path.read_bytes()) is cut
    frames, told = read(path)
    assert len(frames) == 1
    assert told == (["1 damaged frames patched by the decoder"] if cut else [])


def test_what_follows_a_jpeg_and_fill_bytes_in_it_do_not_matter() -> None:
    data = cv2.imencode(".jpg", picture(0, SIZE))[1].tobytes()
    assert not is_cut_off_jpeg(data + b"appended by the camera \xff\xda")
    assert not is_cut_off_jpeg(data[:2] + b"\xff" + data[2:])
    assert not is_cut_off_jpeg(b"no image")


def test_names_that_are_no_utf_8_are_shown_with_their_bytes(tmp_path) -> None:
    for name in (b"a1.png", b"b\xe9.png"):
        (tmp_path / os.fsdecode(name)).write_bytes(cv2.imencode(".png", picture(0, SIZE))[1].tobytes())
    frames, _ = read(tmp_path)
    assert [frame.source.rpartition("/")[2] for frame in frames] == ["a1.png", "b\\xe9.png"]
    video = write_video(tmp_path / "v.mp4", count=2).rename(tmp_path / os.fsdecode(b"v\xe9.mp4"))
    with open_source(video) as source:
        assert len(list(source)) == 2
    assert source.info.name.endswith("v\\xe9.mp4")


def test_images_beyond_the_limit_of_pixels(tmp_path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), picture(0, SIZE))
    cv2.imwrite(str(tmp_path / "b.png"), picture(0, (200, 100)))
    frames, told = read(tmp_path, max_pixels=5000)
    assert [frame.size for frame in frames] == [SIZE]
    assert "1 images of more than 0.005 megapixels skipped" in told
    with pytest.raises(SourceError, match=r"at most 0\.005 megapixels, found 200 x 100") as caught:
        open_source(tmp_path / "b.png", max_pixels=5000)
    assert caught.value.remedy


@pytest.mark.parametrize("where", ["", "img1"])
def test_seqinfo_beside_or_above_the_images_gives_their_rate(tmp_path, where: str) -> None:
    folder = tmp_path / where
    folder.mkdir(exist_ok=True)
    for index in range(3):
        cv2.imwrite(str(folder / f"{index:06d}.png"), picture(index, SIZE))
    (tmp_path / "seqinfo.ini").write_text("\ufeff[Sequence]\nname=100%\nframeRate=10\n", encoding="utf-8")
    frames, _ = read(folder)
    assert [frame.time_s for frame in frames] == pytest.approx([0.0, 0.1, 0.2])
    frames, _ = read(folder, fps=5)
    assert [frame.time_s for frame in frames] == pytest.approx([0.0, 0.2, 0.4])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[Sequence]\nframeRate=-3\n", "frameRate"),
        ("framerate=10", r"\[Sequence\]"),
        ("[Sequence]\nframeRate=x", "'x'"),
    ],
)
def test_a_damaged_seqinfo_is_named(tmp_path, text: str, said: str) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), picture(0, SIZE))
    (tmp_path / "seqinfo.ini").write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=said) as caught:
        open_source(tmp_path)
    assert caught.value.offender.endswith("seqinfo.ini")
    assert "--fps" in caught.value.remedy
    with open_source(tmp_path, fps=10) as source:
        assert source.info.fps == 10
