"""Small videos and images with known content for the source tests: every frame's grey level tells its number."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tracker.types import Frame

PIXEL_FORMATS = {"mjpeg": "yuvj420p", "rawvideo": "bgr24", "gif": "rgb8"}


def picture(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Top left quadrant blue, top right green, bottom left red, bottom right grey with a level that counts frames."""
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (255, 0, 0)
    image[: height // 2, width // 2 :] = (0, 255, 0)
    image[height // 2 :, : width // 2] = (0, 0, 255)
    image[height // 2 :, width // 2 :] = level(index)
    return image


def level(index: int) -> int:
    return 40 + 6 * (index % 30)


def textured(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Moving noise: packets of some size, so that there is something to damage."""
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    return np.roll(noise, 3 * index, axis=1)


def write_video(
    path: Path,
    *,
    codec: str = "libx264",
    count: int = 12,
    size: tuple[int, int] = (64, 48),
    rate: int = 25,
    draw=picture,
    pixel_format: str | None = None,
    rotation: int | None = None,
    mirror: bool = False,
    stamps: Sequence[int] | None = None,
    gop: int = 12,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Encode ``count`` frames; ``stamps`` are presentation times in milliseconds, else they follow ``rate``."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format or PIXEL_FORMATS.get(codec, "yuv420p")
        stream.gop_size = gop
        if stamps is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation is not None or mirror:
            stream.set_display_rotation(rotation or 0, hflip=mirror)
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(draw(index, size), "bgr24")
            if stamps is not None:
                frame.pts, frame.time_base = stamps[index], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_audio(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        stream.layout = "mono"
        for _ in range(10):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate = 44100
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def quadrants(image: NDArray[np.uint8]) -> list[list[float]]:
    """Mean BGR of the inner parts of the quadrants: top left, top right, bottom left, bottom right."""
    height, width = image.shape[:2]
    rows = (slice(height // 8, 3 * height // 8), slice(5 * height // 8, 7 * height // 8))
    columns = (slice(width // 8, 3 * width // 8), slice(5 * width // 8, 7 * width // 8))
    return [image[row, column].reshape(-1, 3).mean(0).tolist() for row in rows for column in columns]


def drain(source: Iterable[Frame], frames: list[Frame]) -> None:
    """All frames into ``frames``, which keeps those before an error."""
    for frame in source:
        frames.append(frame)
