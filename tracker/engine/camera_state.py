"""The camera_state stage: whether the camera still shows its view, as events of the stream."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from tracker.analytics.camera_state import CameraState
from tracker.engine.stage import Stage
from tracker.errors import ConfigError
from tracker.events import Event

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from tracker.analytics.camera_state import CameraChange
    from tracker.engine.snapshot import Kept
    from tracker.plugins import StageContext
    from tracker.types import Frame, TrackedFrame

    Picture = NDArray[np.uint8]

__all__ = ["CameraStateStage", "camera_state"]

LONGER_SIDE_PX, SHORTER_SIDE_PX = 160, 32
"""Of the small picture: large enough for a shift of 0.5 % of the width, small enough for 1 ms."""
THINNED_PX = 640
"""Longer sides from twice this on are thinned out before they are averaged."""
ASPECT_TOLERANCE = 0.02
"""As for sites: a picture whose width to height differs by more is another view."""


class CameraStateStage(Stage):
    """Adds ``dark``, ``frozen``, ``covered`` and ``camera_moved`` to the events of frames that have a picture.

    Args:
        stream: Name of the camera or recording, for the events.
        reference: Grey picture ``(H, W)`` of the view on which the site was drawn, of any size; ``None`` takes the
            first seconds of the stream.
        start_at: When a recording began, where that is declared; else a frame's ``captured_at`` counts.
        revision: Of the site. A new one without a reference picture makes the next pictures the reference.
        picture: How errors name the reference: its file.
    """

    name = "camera_state"

    def __init__(
        self,
        *,
        stream: str,
        reference: Picture | None = None,
        start_at: datetime | None = None,
        revision: int = 0,
        picture: str = "reference picture",
    ) -> None:
        self._stream, self._reference, self._revision = stream, reference, revision
        self._picture = picture
        self._declared = start_at is not None
        self._utc_from_ms: float | None = None if start_at is None else start_at.timestamp() * 1000
        self._state: CameraState | None = None

    def process(self, tracked: TrackedFrame) -> TrackedFrame:
        """The frame with what its picture says of the camera.

        Raises:
            ConfigError: The reference picture has another shape than the stream's.
        """
        frame = tracked.frame
        if frame.image is None and frame.network_image is None:
            return tracked
        state = self._state = self._state or self._new(_small_shape(frame.size), frame.size)
        if tracked.warp is not None:
            state.note_motion(tracked.warp, frame.size, frame.time_s)
        if not state.is_due(frame.time_s) or (pictures := _pictures(frame, state.shape)) is None:
            return tracked
        if not self._declared and frame.captured_at is not None:
            self._utc_from_ms = frame.captured_at.timestamp() * 1000 - frame.time_s * 1000
        changes = state.update(*pictures, frame.time_s)
        return replace(tracked, events=(*tracked.events, *self._events(changes))) if changes else tracked

    def close(self) -> tuple[Event, ...]:
        """What lasts ends with the stream."""
        return () if self._state is None else self._events(self._state.close())

    def state(self) -> dict[str, Any] | None:
        """The reference, the view as it looks now and what lasts; ``None`` before the first picture."""
        if self._state is None or (kept := self._state.state()) is None:
            return None
        return {"revision": self._revision, "shape": list(self._state.shape), "camera": kept}

    def restore(self, kept: Kept) -> None:
        """Continue; a camera that was moved while nothing ran is noticed by its reference of before."""
        if kept.numbers_only:
            return
        camera, (height, width) = kept.state["camera"], kept.state["shape"]
        self._state = self._new((int(height), int(width)))
        shift_s = 0.0 if kept.elapsed_s is None else -kept.elapsed_s - float(camera["time_s"])
        same_view = self._reference is None and int(kept.state["revision"]) == self._revision
        self._state.restore(camera, shift_s=shift_s, same_view=same_view)

    def _new(self, shape: tuple[int, int], size: tuple[int, int] | None = None) -> CameraState:
        """The state of a camera with small pictures of a shape; ``size`` of its pictures, where known, is checked."""
        if self._reference is None:
            return CameraState(shape)
        height, width = self._reference.shape
        if size is not None and not abs(size[0] / size[1] / (width / height) - 1) <= ASPECT_TOLERANCE:
            problem = f"expected a picture of the shape {size[0]} x {size[1]}, found {width} x {height}"
            raise ConfigError(self._picture, problem, "take it anew from this camera")
        return CameraState(shape, np.asarray(cv2.resize(self._reference, shape[::-1], interpolation=cv2.INTER_AREA)))

    def _events(self, changes: Sequence[CameraChange]) -> tuple[Event, ...]:
        return tuple(
            Event(
                kind=change.kind,
                stream=self._stream,
                time_s=change.time_s,
                utc_ms=None if self._utc_from_ms is None else round(self._utc_from_ms + change.time_s * 1000),
                since_s=change.since_s,
                revision=self._revision,
            )
            for change in changes
        )


def camera_state(context: StageContext) -> CameraStateStage:
    """The stage ``camera_state``; its settings are those of the class, ``reference`` as the path of a picture."""
    settings = dict(context.settings)
    path = settings.pop("reference", None)
    reference = None if path is None else _read(Path(path))
    picture = "reference picture" if path is None else str(path)
    return CameraStateStage(stream=context.stream, reference=reference, picture=picture, **settings)


def _read(path: Path) -> Picture:
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as failure:
        problem = f"expected the site's reference picture, found {failure.strerror or failure}"
        raise ConfigError(str(path), problem, "save one, or remove reference_picture from the site") from None
    picture = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if len(data) else None
    if picture is None:
        problem = f"expected a picture (PNG or JPEG), found {len(data)} bytes that are none"
        raise ConfigError(str(path), problem, "save the reference picture again")
    return np.asarray(picture, np.uint8)


def _small_shape(size: tuple[int, int]) -> tuple[int, int]:
    """``(H, W)`` of the small picture of one of ``size``.

    >>> _small_shape((1920, 1080))
    (90, 160)
    """
    scale = LONGER_SIDE_PX / max(size)
    width, height = (max(round(side * scale), SHORTER_SIDE_PX) for side in size)
    return height, width


def _pictures(frame: Frame, shape: tuple[int, int]) -> tuple[Picture, Picture] | None:
    """The small picture of a frame, averaged, and single pixels of it; of the network's input where there is one."""
    picture = frame.shown
    if picture is None:
        return None
    height, width = picture.shape[:2]
    step, thin = (max(max(width, height) // wanted, 1) for wanted in (LONGER_SIDE_PX, THINNED_PX))
    grey = cv2.cvtColor(picture[::thin, ::thin], cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), picture[::step, ::step, 1]
