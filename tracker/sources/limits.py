"""Limits on the memory that one stream may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.types import Frame

if TYPE_CHECKING:
    from tracker.sources.decoded import Picture

__all__ = ["FFMPEG_PIXELS", "MAX_PIXELS", "QUEUE_BYTES", "bytes_of", "codec_options"]

MAX_PIXELS = 100_000_000
"""Most pixels of a picture: three times 8K video (33 million), and the sensors of nearly all cameras. A picture of that
size takes 300 MB as BGR. The header of a file of 572 bytes can announce 256 million."""

FFMPEG_PIXELS = 250_000_000
"""Most pixels that may be asked for: FFmpeg takes no picture of 2**31 / 8 pixels and more, its margins included."""

QUEUE_BYTES = 256 << 20
"""Most bytes that wait in the queue of one stream: its usual four frames up to 4K (100 MB), two of 8K."""


def codec_options(max_pixels: int) -> dict[str, str]:
    """Options with which FFmpeg's decoders refuse larger pictures, in the middle of a stream too."""
    return {"max_pixels": str(max_pixels)}


def bytes_of(item: Picture | Frame) -> int:
    """Memory that a waiting picture or frame holds, in bytes."""
    if isinstance(item, Frame):
        return sum(image.nbytes for image in (item.image, item.small_image, item.network_image) if image is not None)
    return sum(plane.buffer_size for plane in item.frame.planes)
