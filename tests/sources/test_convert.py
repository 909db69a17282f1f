"""Pixels: colours, odd sizes, bit depths, rotation, and the letterbox."""

from __future__ import annotations

import struct

import av
import cv2
import numpy as np
import pytest

from tests.sources.videos import picture, quadrants, write_video
from tracker.sources.convert import PADDING, FrameConverter, orientation
from tracker.sources.decoded import Picture
from tracker.sources.open import open_source

BLUE, GREEN, RED = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def converted(frame: av.VideoFrame, **kwargs):
    settings = {"network_size": None, "keep_aspect": True, "want_image": True, **kwargs}
    shown = Picture(frame=frame, index=0, time_s=0.0, arrived_s=0.0, source="test")
    return FrameConverter(**settings).convert(shown)


def planes(pixel_format: str, size: tuple[int, int], values: tuple[int, ...], *, space: int = 2, span: int = 0):
    frame = av.VideoFrame(*size, pixel_format)
    frame.colorspace, frame.color_range = space, span
    for plane, value in zip(frame.planes, values, strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    return frame


@pytest.mark.parametrize(
    ("pixel_format", "space", "span", "yuv", "bgr"),
    [
        ("yuv420p", 5, 1, (81, 90, 240), (0, 0, 254)),  # BT.601 limited: pure red
        ("yuv420p", 1, 1, (63, 102, 240), (0, 0, 255)),  # BT.709 limited: pure red
        ("yuv420p", 2, 0, (81, 90, 240), (0, 0, 254)),  # untagged is BT.601 limited
        ("yuvj420p", 5, 2, (76, 85, 255), (0, 0, 254)),  # JPEG full range: pure red
        ("yuv420p", 5, 2, (76, 85, 255), (0, 0, 254)),
        ("yuv444p", 5, 1, (235, 128, 128), (255, 255, 255)),
        ("yuv420p", 5, 1, (16, 128, 128), (0, 0, 0)),
    ],
)
def test_colour_follows_the_tags(pixel_format: str, space: int, span: int, yuv, bgr) -> None:
    frame = converted(
        planes(pixel_format, (64, 48), yuv, space=space, span=span), network_size=(32, 32), small_height=24
    )
    assert np.abs(frame.image.astype(int) - bgr).max() <= 3
    assert np.abs(frame.small_image.astype(int) - bgr).max() <= 3
    assert np.abs(frame.network_image[:24].astype(int) - bgr).max() <= 3


@pytest.mark.parametrize(
    "pixel_format", ["gray", "rgb24", "bgr24", "bgra", "gbrp", "yuv422p", "yuv420p10le", "nv12", "gray16le"]
)
def test_pixel_formats(pixel_format: str) -> None:
    source = picture(3, (66, 50))
    frame = av.VideoFrame.from_ndarray(source, "bgr24").reformat(format=pixel_format)
    image = converted(frame).image
    reference = (
        source
        if not pixel_format.startswith("gray")
        else cv2.cvtColor(cv2.cvtColor(source, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    )
    assert np.abs(np.array(quadrants(image)) - quadrants(reference)).max() <= 6


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (17, 31), (33, 21), (641, 361), (1279, 719)])
def test_odd_sizes_have_no_skewed_rows(size: tuple[int, int]) -> None:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[:, size[0] // 2 :] = 200
    frame = converted(av.VideoFrame.from_ndarray(image, "bgr24").reformat(format="yuv444p"), network_size=(96, 64))
    assert frame.image.shape == image.shape
    assert frame.image.flags.c_contiguous
    assert np.abs(frame.image.astype(int) - image).max() <= 4
    assert frame.network_image.shape == (64, 96, 3)


def test_letterbox_lies_top_left_and_the_rest_is_padding() -> None:
    frame = converted(av.VideoFrame.from_ndarray(picture(5, (128, 72)), "bgr24"), network_size=(64, 64))
    assert frame.letterbox.content_size == (64, 36)
    assert (frame.network_image[36:] == PADDING).all()
    assert np.abs(np.array(quadrants(frame.network_image[:36])) - quadrants(picture(5, (64, 36)))).max() <= 4
    tall = converted(av.VideoFrame.from_ndarray(picture(5, (72, 128)), "bgr24"), network_size=(64, 64))
    assert (tall.network_image[:, 36:] == PADDING).all()


def test_stretch_fills_the_input() -> None:
    frame = converted(
        av.VideoFrame.from_ndarray(picture(5, (128, 72)), "bgr24"), network_size=(64, 64), keep_aspect=False
    )
    assert frame.letterbox.content_size == (64, 64)
    assert np.abs(np.array(quadrants(frame.network_image)) - quadrants(picture(5, (64, 64)))).max() <= 4


def test_images_that_nobody_wants_are_not_made() -> None:
    frame = converted(av.VideoFrame.from_ndarray(picture(0, (64, 48)), "bgr24"), want_image=False)
    assert frame.image is None
    assert frame.network_image is None
    assert frame.size == (64, 48)


def test_the_two_images_never_share_memory() -> None:
    frame = converted(av.VideoFrame.from_ndarray(picture(0, (64, 48)), "bgr24"), network_size=(64, 48))
    assert not np.shares_memory(frame.image, frame.network_image)
    assert np.array_equal(frame.image, frame.network_image)


def test_downscaling_averages() -> None:
    """A fine checkerboard becomes grey; taking single pixels would give black or white."""
    board = ((np.indices((360, 640)).sum(0) % 2) * 255).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(np.repeat(board[:, :, None], 3, axis=2), "bgr24").reformat(format="yuv420p")
    small = converted(frame, network_size=(160, 90), want_image=False).network_image
    assert np.abs(small[2:-2, 2:-2].astype(int) - 127).max() <= 10


def test_unscaled_conversion_equals_opencv(tmp_path) -> None:
    path = write_video(tmp_path / "a.mp4", size=(320, 180), options={"crf": "12"})
    capture = cv2.VideoCapture(str(path))
    ok, reference = capture.read()
    capture.release()
    with open_source(path) as source:
        image = next(source).image
    assert ok
    assert np.abs(image.astype(int) - reference).mean() < 1.0


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize(
    ("rotation", "mirror", "turned"),
    [
        (0, False, lambda image: image),
        (90, False, lambda image: np.rot90(image, 1)),
        (180, False, lambda image: np.rot90(image, 2)),
        (-90, False, lambda image: np.rot90(image, -1)),
        (0, True, lambda image: image[:, ::-1]),
        (180, True, lambda image: image[::-1]),
    ],
)
def test_rotation_of_both_images(tmp_path, codec: str, rotation: int, mirror: bool, turned) -> None:
    path = write_video(tmp_path / "r.mp4", codec=codec, size=(96, 64), rotation=rotation, mirror=mirror, count=3)
    expected = turned(picture(0, (96, 64)))
    with open_source(path, network_size=(64, 80)) as source:
        frame = next(source)
        assert source.info.size == frame.size == expected.shape[1::-1]
    assert frame.image.flags.c_contiguous
    assert np.abs(np.array(quadrants(frame.image)) - quadrants(expected)).max() <= 12
    width, height = frame.letterbox.content_size
    content = frame.network_image[:height, :width]
    assert np.abs(np.array(quadrants(content)) - quadrants(expected)).max() <= 12
    assert (frame.network_image[height:] == PADDING).all()
    assert (frame.network_image[:, width:] == PADDING).all()


def exif_oriented(jpeg: bytes, value: int) -> bytes:
    """A JPEG with an EXIF orientation tag put into it."""
    ifd = struct.pack("<IHHHIHHI", 8, 1, 0x112, 3, 1, value, 0, 0)
    segment = b"Exif\0\0II*\0" + ifd
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


@pytest.mark.parametrize("value", [1, 3, 6, 8])
def test_exif_orientation_of_photos_equals_opencv(tmp_path, value: int) -> None:
    ok, jpeg = cv2.imencode(".jpg", picture(4, (96, 64)))
    assert ok
    path = tmp_path / "photo.jpg"
    path.write_bytes(exif_oriented(jpeg.tobytes(), value))
    expected = cv2.imread(str(path))
    with open_source(path) as source:
        frame = next(source)
    assert frame.image.shape == expected.shape
    assert np.abs(np.array(quadrants(frame.image)) - quadrants(expected)).max() <= 6


def test_frames_without_a_matrix_are_upright() -> None:
    assert orientation(av.VideoFrame(16, 16, "yuv420p")) == (False, False, False)


def test_small_picture_beside_or_in_the_place_of_the_large_one():
    frame = av.VideoFrame.from_ndarray(picture(0, (64, 48)), "bgr24")
    alone = converted(frame, want_image=False, small_height=24)
    assert alone.image is None
    assert alone.small_image.shape == (24, 32, 3)
    assert alone.size == (64, 48)
    both = converted(frame, small_height=24)
    assert np.array_equal(both.small_image, alone.small_image)
    same = converted(frame, small_height=100)
    assert same.small_image is same.image


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "nv12", "yuv444p"])
@pytest.mark.parametrize("height", [60, 46, 45])
def test_small_picture_is_an_average_of_areas(pixel_format: str, height: int):
    noise = np.random.default_rng(5).integers(0, 256, (90, 160, 1), np.uint8).repeat(3, axis=2)  # grey
    frame = av.VideoFrame.from_ndarray(noise, "bgr24").reformat(format=pixel_format)
    both = converted(frame, small_height=height)
    size = both.small_image.shape[1::-1]
    expected = cv2.resize(both.image, size, interpolation=cv2.INTER_AREA).astype(float)
    moved = cv2.resize(np.roll(both.image, 1, axis=1), size, interpolation=cv2.INTER_AREA)
    error = np.abs(both.small_image - expected).mean()
    assert error < 2
    assert error < np.abs(moved - expected).mean() / 5


def test_small_picture_is_upright(tmp_path):
    path = write_video(tmp_path / "turned.mp4", count=2, size=(64, 48), rotation=90)
    with open_source(path, small_height=32) as source:
        frame = next(source)
    assert frame.size == (48, 64)
    assert frame.small_image.shape == (32, 24, 3)
    expected = cv2.resize(frame.image, (24, 32), interpolation=cv2.INTER_AREA).astype(float)
    assert np.abs(frame.small_image - expected).mean() < 8
