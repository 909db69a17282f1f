"""Decoded pictures to frames: colour conversion, the one resize to the network, rotation.

Resize and colour conversion are one pass of swscale. Its cost in thread-CPU milliseconds per frame, YUV 4:2:0 to BGR
(2-core machine, FFmpeg 8.1, real clips, best of three), and PSNR in dB against a full-quality conversion followed by
area averaging:

==========================  =============  =============  ==============
clip -> BGR size            FAST_BILINEAR  BILINEAR       AREA
==========================  =============  =============  ==============
640x360 -> same             0.07           0.07           0.07  (45.0)
640x360 -> 416x234          0.27  (32.9)   0.32  (42.8)   0.34  (46.8)
1280x720 -> same            0.28           0.28           0.29  (45.0)
1280x720 -> 640x360         0.53  (35.9)   0.59  (44.9)   0.58  (45.7)
1920x1080 -> same           0.76           0.65           0.64  (43.7)
1920x1080 -> 640x360        0.60  (20.8)   1.03  (34.5)   0.78  (42.2)
==========================  =============  =============  ==============

So AREA: the best picture at the price of the others. A smaller picture for saving is scaled as YUV 4:2:0 first and
converted after that, which filters half as many samples: 1920x1080 -> 1280x720 takes 1.5 in the place of 2.2 ms
(another machine, best of 8), at 45.3 instead of 46.5 dB. The network's picture is made in one pass.

Colour follows the stream's tags; where it has none, swscale takes BT.601 at every size, as OpenCV does, and so as most
training pictures were made.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, cast

import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from tracker.boxes import at_height
from tracker.errors import SourceError
from tracker.sources.problems import READ_ERRORS, out_of_means
from tracker.types import Frame, Letterbox

if TYPE_CHECKING:
    import av
    from numpy.typing import NDArray

    from tracker.sources.decoded import Picture

__all__ = ["PADDING", "FrameConverter", "orientation"]

PADDING = 114
"""Grey level of the letterbox's padding, the YOLOX and Ultralytics convention."""

HALF_CHROMA = frozenset({"yuv420p", "yuvj420p"})
"""Pixel formats with 1.5 samples a pixel, where BGR has 3."""


class FrameConverter:
    """Pictures of one stream to frames; keeps one scaler per output, since a scaler is set up anew when sizes change.

    Args:
        network_size: ``(width, height)`` of the segmenter's input, or ``None`` for frames without ``network_image``.
        keep_aspect: Letterbox (top left, padded right and below) rather than stretch.
        want_image: Whether frames carry the full-size ``image``.
        small_height: Lines of the ``small_image`` that frames carry; ``None`` for none. Pictures are not enlarged.

    Attributes:
        shows_image: They carry it for a while although it was not wanted from the beginning.
    """

    def __init__(
        self,
        *,
        network_size: tuple[int, int] | None,
        keep_aspect: bool,
        want_image: bool,
        small_height: int | None = None,
    ) -> None:
        _keep_freed_memory()
        self._network_size = network_size
        self._keep_aspect = keep_aspect
        self._want_image = want_image
        self._small_height = small_height
        self.shows_image = False
        self._turn_key: tuple[int, int, int] | None = None
        self._turn = (False, False, False)
        self._image_scaler = VideoReformatter()
        self._small_scaler = VideoReformatter()
        self._small_colours = VideoReformatter()
        self._network_scaler = VideoReformatter()

    def convert(self, picture: Picture) -> Frame:
        """The frame of a picture, upright, with the images that were asked for.

        Raises:
            SourceError: When swscale cannot read the pixel format, or memory is out.
        """
        decoded = picture.frame
        coded = (decoded.width, decoded.height)
        turn = self._orientation(decoded, coded)
        size = coded[::-1] if turn[0] else coded
        letterbox, image, small_image, network_image = None, None, None, None
        try:
            if self._want_image or self.shows_image:
                image = np.ascontiguousarray(_upright(_bgr(self._image_scaler, decoded, coded), turn))
            if self._small_height is not None:
                small = at_height(size, self._small_height)
                if image is not None and small == size:
                    small_image = image
                else:
                    scaled = self._small_bgr(decoded, small[::-1] if turn[0] else small)
                    small_image = np.ascontiguousarray(_upright(scaled, turn))
            if self._network_size is not None:
                letterbox = Letterbox.fit(size, self._network_size, keep_aspect=self._keep_aspect)
                content = letterbox.content_size
                if image is not None and content == size:
                    network_image = _padded(image, self._network_size)
                else:
                    scaled = _bgr(self._network_scaler, decoded, content[::-1] if turn[0] else content)
                    network_image = _padded(_upright(scaled, turn), self._network_size)
        except (*READ_ERRORS, MemoryError) as error:
            if failure := out_of_means(picture.source, error):
                raise failure from error
            problem = f"expected pixels that can be shown in colour, found {decoded.format.name} ({error})"
            raise SourceError(
                picture.source, problem, "convert the video, for example with ffmpeg -pix_fmt yuv420p"
            ) from error
        return Frame(
            index=picture.index,
            time_s=picture.time_s,
            arrived_s=picture.arrived_s,
            source=picture.source,
            size=size,
            image=image,
            small_image=small_image,
            network_image=network_image,
            letterbox=letterbox,
            time_from=picture.time_from,
            pixel_aspect=picture.pixel_aspect,
            captured_at=picture.captured_at,
        )

    def _small_bgr(self, decoded: av.VideoFrame, size: tuple[int, int]) -> NDArray[np.uint8]:
        """``(h, w, 3)`` BGR at a ``size`` that is not larger; see the module's docstring."""
        if decoded.format.name in HALF_CHROMA and size[0] % 2 == size[1] % 2 == 0:
            decoded = self._small_scaler.reformat(
                decoded, width=size[0], height=size[1], interpolation=Interpolation.AREA, threads=1
            )
        return _bgr(self._small_colours, decoded, size)

    def _orientation(self, frame: av.VideoFrame, coded: tuple[int, int]) -> tuple[bool, bool, bool]:
        """:func:`orientation`, asked again only when size or angle change.

        A frame whose side data was read forms a reference cycle in PyAV 18 and lives until the garbage collector runs:
        with 1080p at 3 MB a frame that came to 500 MB.
        """
        key = (*coded, frame.rotation)
        if key != self._turn_key:
            self._turn_key, self._turn = key, orientation(frame)
        return self._turn


def orientation(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    """How stored pixels become upright: transpose, then mirror left-right, then mirror top-bottom.

    The display matrix maps stored ``(x, y)`` to shown ``(m0 x + m3 y, m1 x + m4 y)`` (QuickTime file format, track
    header). Angles between quarter turns are taken as the nearest one.
    """
    rotation = frame.rotation
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV 18 cannot list side data of kinds it has no name for, such as EXIF: the angle is used
        quarter = round(rotation / 90) % 4  # counter-clockwise
        return quarter % 2 == 1, quarter in {2, 3}, quarter in {1, 2}
    if data is None:
        return False, False, False
    matrix = np.frombuffer(data, np.int32)  # type: ignore[call-overload,unused-ignore]
    if abs(int(matrix[0])) >= abs(int(matrix[1])):
        return False, bool(matrix[0] < 0), bool(matrix[4] < 0)
    return True, bool(matrix[3] < 0), bool(matrix[1] < 0)


@functools.cache
def _keep_freed_memory() -> None:
    """Let glibc keep the memory of freed frames instead of handing it back to the system after each one.

    Freeing a block of just under 32 MB raises its dynamic thresholds for good (mallopt(3), M_MMAP_THRESHOLD). Without
    this each 1080p frame costs 450 page faults, and its conversion 3.1 instead of 2.0 ms. Other C libraries ignore it.
    """
    block = np.empty(31 << 20, np.uint8)
    del block


def _bgr(scaler: VideoReformatter, frame: av.VideoFrame, size: tuple[int, int]) -> NDArray[np.uint8]:
    """``(h, w, 3)`` BGR at ``size``; a view of FFmpeg's buffer, so rows may be strided."""
    # threads=1: swscale's own threads cost more than they bring below 4K and hide their CPU time from the stage clock
    scaled = scaler.reformat(
        frame, width=size[0], height=size[1], format="bgr24", interpolation=Interpolation.AREA, threads=1
    )
    return cast("NDArray[np.uint8]", scaled.to_ndarray())


def _upright(pixels: NDArray[np.uint8], turn: tuple[bool, bool, bool]) -> NDArray[np.uint8]:
    """Stored pixels in upright orientation, ``(h, w, 3)``."""
    transpose, mirror_x, mirror_y = turn
    if transpose:
        import cv2  # only rotated video needs it: faster than a strided NumPy copy

        pixels = cv2.transpose(pixels)  # type: ignore[assignment,unused-ignore]
    if mirror_x or mirror_y:
        pixels = pixels[:: -1 if mirror_y else 1, :: -1 if mirror_x else 1]
    return pixels


def _padded(content: NDArray[np.uint8], network_size: tuple[int, int]) -> NDArray[np.uint8]:
    """``content`` in the top left of a new array of the network's size.

    A new array per frame: it outlives the queue inside the segmenter's batch, and a 640x384 one costs 0.04 ms.
    """
    width, height = network_size
    rows, columns = content.shape[:2]
    padded = np.empty((height, width, 3), np.uint8)
    padded[:rows, :columns] = content
    padded[rows:] = PADDING
    padded[:rows, columns:] = PADDING
    return padded
