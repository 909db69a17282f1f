"""Annotated pictures as JPEG or PNG files, one or one per frame."""

from __future__ import annotations

import contextlib
import math
import os
import re
import time
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, ClassVar, Self

from tracker.errors import ConfigError, SinkError
from tracker.sinks.base import Sink
from tracker.sinks.part_file import PartFile, check_place, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from tracker.sinks.base import SinkContext
    from tracker.types import TrackedFrame

__all__ = ["SUFFIXES", "PictureSink", "numbered_files", "picture_files", "save_picture"]

SUFFIXES = (".jpg", ".jpeg", ".png")

JPEG_QUALITY = 95
PLACEHOLDERS = ("{frame}", "{image}")


def picture_files(path: str | os.PathLike[str], images: Sequence[Path]) -> list[Path]:
    """The files that a path with ``{image}`` stands for, one per image of the source.

    >>> [str(file) for file in picture_files("out/{image}.jpg", [Path("in/a.png"), Path("in/b.png")])]
    ['out/a.jpg', 'out/b.jpg']
    """
    text = os.fspath(path)
    if "{image}" not in text or "{frame}" in text:
        return [Path(text)]
    return [Path(text.replace("{image}", image.stem)) for image in images]


def numbered_files(path: str | os.PathLike[str], images: Sequence[Path]) -> list[Path]:
    """The files that are there already and that a path with ``{frame}`` would replace.

    Args:
        path: As the user wrote it.
        images: Of the source, whose number of frames is known so; empty for a video.
    """
    name, folder = PurePath(path).name, Path(path).parent
    if "{frame}" not in name or not folder.is_dir():
        return []
    pattern = re.escape(name).replace(re.escape("{frame}"), r"(?P<frame>\d{6,})", 1)
    pattern = pattern.replace(re.escape("{frame}"), "(?P=frame)").replace(re.escape("{image}"), ".+")
    found = ((re.fullmatch(pattern, entry.name), entry) for entry in sorted(folder.iterdir()))
    most = len(images) or math.inf
    return [entry for match, entry in found if match is not None and int(match["frame"]) < most]


class PictureSink(Sink):
    """Draws every frame and writes it as a picture.

    Args:
        path: ``x.jpg`` for a single picture; ``{frame}`` in the file's name is the frame's number in six digits, and
            ``{image}`` the name of the image that it was read from, without its suffix.
        draw: Makes the annotated picture ``(H, W, 3)`` uint8 BGR of a frame.

    Raises:
        ConfigError: The suffix is unknown, or a placeholder stands in the folder's name.
        SinkError: The folder is missing or not writable.
    """

    needs_images: ClassVar[bool] = True
    draws_only: ClassVar[bool] = True
    shows_silhouettes: ClassVar[bool] = True

    def __init__(self, path: str | os.PathLike[str], *, draw: Callable[[TrackedFrame], NDArray[np.uint8]]) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in SUFFIXES:
            found = self.path.suffix or "none"
            problem = f"expected one of the suffixes {' '.join(SUFFIXES)}, found {found}"
            raise ConfigError(path, problem, "change the file name")
        if any(placeholder in str(self.path.parent) for placeholder in PLACEHOLDERS):
            problem = f"expected {' or '.join(PLACEHOLDERS)} in the file's name, found it in the folder's"
            raise ConfigError(path, problem, "name one folder for all pictures")
        self._draw = draw
        self._cpu_s = {"draw": 0.0, "encode": 0.0}
        self._several = any(placeholder in self.path.name for placeholder in PLACEHOLDERS)
        self._single = None if self._several else PartFile(path)
        if self._several:
            check_place(self.path)
        self._written: set[Path] = set()
        self.frames = 0

    @classmethod
    def open(cls, address: str, context: SinkContext) -> Self:
        """Open it at a path; see :class:`tracker.sinks.base.Sink`.

        Raises:
            ConfigError: The context says nothing of how to draw.
        """
        if context.draw is None:
            problem = "expected a context with a drawing function for pictures, found none"
            raise ConfigError(address, problem, "open it with tracker.open_sink, or set SinkContext.draw")
        return cls(address, draw=context.draw)

    @classmethod
    def why_not_joined(cls, address: str) -> str:
        """Pictures are never put together."""
        return f"{PurePath(address).name} stands for pictures, each a file of its own"

    @property
    def address(self) -> str:
        """The path, as the user wrote it."""
        return str(self.path)

    @property
    def cpu_s(self) -> Mapping[str, float]:
        """CPU seconds of ``draw`` and ``encode``."""
        return self._cpu_s

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Draw one frame and write its picture; each of several is published at once.

        Raises:
            SinkError: A second picture for a path that names one, a picture over its own source or over another one
                of this run, or the system refuses.
        """
        part = self._part_of(tracked_frame)
        started_s = time.thread_time()
        image = self._draw(tracked_frame)
        drawn_s = time.thread_time()
        _write_picture(part, image)
        self._cpu_s["draw"] += drawn_s - started_s
        self._cpu_s["encode"] += time.thread_time() - drawn_s
        self.frames += 1
        if part is not self._single:
            part.publish()

    def close(self) -> None:
        """Publish a single picture; safe to call twice.

        Raises:
            SinkError: The system refuses.
        """
        part, self._single = self._single, None
        if part is None:
            return
        if self.frames:
            part.publish()
        else:
            part.discard()

    def _part_of(self, tracked_frame: TrackedFrame) -> PartFile:
        """Where the picture of a frame is written."""
        frame = tracked_frame.frame
        if self._single is not None and self.frames == 0:
            return self._single
        if not self._several:
            example = self.path.with_name(f"{self.path.stem}-{{frame}}{self.path.suffix}")
            problem = f"expected a single picture for this path, found frame {frame.index} as well"
            raise SinkError(self.path, problem, f"write {example} for a picture of every frame, or name a video")
        name = self.path.name.replace("{frame}", f"{frame.index:06d}").replace("{image}", PurePath(frame.source).stem)
        path = self.path.with_name(name)
        if path in self._written:
            problem = f"expected a name of its own for every picture, found {name} a second time"
            raise SinkError(path, problem, "write {frame} into the name as well")
        if path.exists() and Path(frame.source).exists() and path.samefile(frame.source):
            raise SinkError(path, "expected another file than the source, found the source", "choose another folder")
        self._written.add(path)
        return PartFile(path)


def save_picture(path: str | os.PathLike[str], image: NDArray[np.uint8]) -> None:
    """Write one picture ``(H, W, 3)`` uint8 BGR as JPEG or PNG, by the suffix; it appears whole or not at all.

    Raises:
        ConfigError: The suffix is neither's.
        SinkError: The system refuses, the folder is missing, or the format does not hold pictures of that size.
    """
    if PurePath(path).suffix.lower() not in SUFFIXES:
        found = PurePath(path).suffix or "none"
        problem = f"expected one of the suffixes {' '.join(SUFFIXES)}, found {found}"
        raise ConfigError(path, problem, "change the file name")
    with PartFile(path) as part:
        _write_picture(part, image)


def _write_picture(part: PartFile, image: NDArray[np.uint8]) -> None:
    import cv2

    suffix = part.path.suffix.lower()
    options = [] if suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    data = None
    with contextlib.suppress(cv2.error):
        data = cv2.imencode(suffix, image, options)[1]
    if data is None or not len(data):
        height, width = image.shape[:2]
        part.discard()
        problem = f"expected a picture that {suffix} can hold, found one of {width} x {height} pixels"
        raise SinkError(part.path, problem, "choose .png, or scale the source down")
    try:
        with part.open() as file:
            file.write(data.tobytes())
    except OSError as failure:
        part.discard()
        raise refusal(part.path, failure, "write the picture") from failure
