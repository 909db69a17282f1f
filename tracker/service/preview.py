"""Previews of one camera for pages that look at it: states of its tracks, and pictures as JPEG, masked or clear.

Only the newest frame is worked on, at the rate that is asked for. Every size is encoded once for all viewers. A clear
picture goes out at once; a masked one waits until the frames after it are known, and is filled before it is encoded. A
camera that covers persons in all of its pictures has no clear ones: whoever asks for them gets masked ones. Privacy
zones of its site are filled in all.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

from tracker.contacts import ContactState, box_contacts
from tracker.dashboard.wire import compact
from tracker.render.outlines import TRACED_PX, outlines_of
from tracker.render.privacy import HOLD_S, Cover, presence_of
from tracker.render.privacy_paint import fill, without_zones

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from tracker.polygons import Point
    from tracker.types import Frame, TrackedFrame

    Picture = NDArray[np.uint8]
    Polygon = NDArray[np.float32]

__all__ = ["CameraPreview", "Encoded", "Size", "Variant", "picture_of", "state_of", "time_ms"]

Variant = Literal["masked", "clear"]

JPEG_QUALITY = 76
STALE_S = 5.0
"""Pictures that waited longer than this on top of their delay belong to a camera that went away."""

_CONTACT_WORDS = {ContactState.SEEN: "seen", ContactState.HIDDEN: "hidden", ContactState.PREDICTED: "predicted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A picture that is looked at: its width in pixels, and whether all persons in it are filled."""

    width: int
    variant: Variant


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """A finished picture.

    Attributes:
        size: As it was asked for.
        t_ms: Time of its frame, as in its state.
        shown: ``(width, height)`` in pixels: never larger than the camera's own picture.
        jpeg: The picture.
        state: What belongs to it, as JSON.
    """

    size: Size
    t_ms: int
    shown: tuple[int, int]
    jpeg: bytes
    state: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """A picture that is to be masked."""

    t_ms: int
    time_s: float
    image_size: tuple[int, int]
    picture: Picture
    state: bytes


class CameraPreview:
    """Encoder of one camera's previews; used by one thread.

    Args:
        delay_s: Seconds by which masked pictures are late.
        never_clear: Pictures that are asked for as clear ones are masked too.
        zones: Privacy zones of the site, in shares of the picture.
    """

    def __init__(self, delay_s: float, *, never_clear: bool = False, zones: Sequence[Sequence[Point]] = ()) -> None:
        self._delay_s = max(delay_s, HOLD_S) if never_clear else delay_s
        self._never_clear, self._zones = never_clear, zones
        self._cover = Cover(delay_s=self._delay_s)
        self._waiting: deque[_Waiting] = deque()
        self._sizes: frozenset[Size] = frozenset()

    def watch(self, sizes: Iterable[Size]) -> None:
        """Make these pictures from the next frame on."""
        self._sizes = frozenset(sizes)
        if not self._widths(masked=True):
            self._waiting.clear()
            self._cover = Cover(delay_s=self._delay_s)

    def take(self, tracked: TrackedFrame, *, rest: dict[str, Any]) -> tuple[bytes, list[Encoded]]:
        """The state of the newest frame as JSON, and the pictures that are ready with it.

        Args:
            tracked: Newer than the one before.
            rest: What else the state says: ``stream``, ``present``, ``fps``, ``age_s``.
        """
        masked, clear = self._widths(masked=True), self._widths(masked=False)
        outlines = _outlines(tracked, widest=max(masked + clear, default=TRACED_PX))
        t_ms = time_ms(tracked.frame)
        state = compact({"type": "state", "t_ms": t_ms} | rest | state_of(tracked, outlines))
        ready: list[Encoded] = []
        if masked or clear:
            picture = picture_of(tracked.frame, max(masked + clear))
            if picture is not None:
                picture = without_zones(picture, self._zones)
                ready += self._clear(picture, clear, t_ms, state)
                self._delay(picture, masked, tracked.frame, t_ms, state)
        if masked:
            self._cover.add(presence_of(tracked))
            ready += self._covered(masked, tracked.frame.time_s)
        return state, ready

    def _widths(self, *, masked: bool) -> list[int]:
        return sorted({size.width for size in self._sizes if self._is_masked(size) == masked}, reverse=True)

    def _is_masked(self, size: Size) -> bool:
        return self._never_clear or size.variant == "masked"

    def _clear(self, picture: Picture, widths: Sequence[int], t_ms: int, state: bytes) -> list[Encoded]:
        ready = []
        for width in widths:
            picture = shrunk(picture, width)
            ready.append(_encoded(Size(width=width, variant="clear"), picture, t_ms, state))
        return ready

    def _delay(self, picture: Picture, widths: Sequence[int], frame: Frame, t_ms: int, state: bytes) -> None:
        """Have a picture wait for the frames after it; a copy where it is the frame's own, since it is filled later."""
        if not widths:
            return
        small = shrunk(picture, widths[0])
        shared = any(
            image is not None and np.may_share_memory(small, image) for image in (frame.image, frame.network_image)
        )
        own = small.copy() if shared else small
        one = _Waiting(t_ms=t_ms, time_s=frame.time_s, image_size=frame.size, picture=own, state=state)
        self._waiting.append(one)

    def _covered(self, widths: Sequence[int], now_s: float) -> list[Encoded]:
        """The pictures that have waited long enough, filled."""
        ready: list[Encoded] = []
        while self._waiting and not 0 <= now_s - self._waiting[0].time_s < self._delay_s + STALE_S:
            self._waiting.popleft()  # another clock, or a camera that was away: what was about it is gone
        while self._waiting and now_s - self._waiting[0].time_s >= self._delay_s - 1e-6:
            one = self._waiting.popleft()
            picture = one.picture
            fill(picture, self._cover.shapes(one.time_s), one.image_size)
            for width in widths:
                picture = shrunk(picture, width)
                encoded = _encoded(Size(width=width, variant="masked"), picture, one.t_ms, one.state)
                asked = [size for size in self._sizes if size.width == width and self._is_masked(size)]
                ready += [replace(encoded, size=size) for size in asked]
        return ready


def picture_of(frame: Frame, width: int) -> Picture | None:
    """The frame's picture at a width, from the smallest of its images that has as many pixels; never enlarged.

    Returns:
        ``(h, w, 3)`` uint8 BGR with square pixels, perhaps a view of the frame's own; ``None`` without images.
    """
    wide, high = frame.size
    shown = min(width, wide)
    size = (shown, max(round(shown * high / (wide * float(frame.pixel_aspect))), 1))
    image = frame.image
    if frame.network_image is not None and frame.letterbox is not None:
        columns, rows = frame.letterbox.content_size
        if image is None or columns >= shown:
            image = frame.network_image[:rows, :columns]
    if image is None:
        return None
    return _resized(image, size)


def shrunk(picture: Picture, width: int) -> Picture:
    """A picture at a width, or itself where it is no wider."""
    height, wide = picture.shape[:2]
    return picture if wide <= width else _resized(picture, (width, max(round(width * height / wide), 1)))


def _resized(image: Picture, size: tuple[int, int]) -> Picture:
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    shrinks = width >= size[0] and height >= size[1]
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


def _encoded(size: Size, picture: Picture, t_ms: int, state: bytes) -> Encoded:
    _, data = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    shown = (picture.shape[1], picture.shape[0])
    return Encoded(size=size, t_ms=t_ms, shown=shown, jpeg=data.tobytes(), state=state)


def _traced_px(width: int) -> int:
    """Width at which outlines of pictures up to a width are traced."""
    return min(max(width, 160), TRACED_PX)


def _outlines(tracked: TrackedFrame, *, widest: int) -> list[list[Polygon]]:
    """Outlines of the instances that are tracks, with nothing in the place of the others."""
    instances, tracks = tracked.instances, tracked.tracks
    rows = [] if tracks is None else tracks.detection_rows[tracks.detection_rows >= 0].tolist()
    found: list[list[Polygon]] = [[] for _ in range(len(instances))]
    traced = outlines_of(instances, rows, traced_px=_traced_px(widest))
    for row, polygons in zip(rows, traced, strict=True):
        found[row] = polygons
    return found


def time_ms(frame: Frame) -> int:
    """When the frame was taken: UTC, or media time where that is not known."""
    captured_at = frame.captured_at
    return round(frame.time_s * 1000 if captured_at is None else captured_at.timestamp() * 1000)


def state_of(tracked: TrackedFrame, outlines: Sequence[Sequence[Polygon]]) -> dict[str, Any]:
    """The tracks of a frame as pages get them, in shares of the picture with four digits.

    Args:
        tracked: A finished frame.
        outlines: Of its instances.
    """
    width, height = tracked.frame.size
    tracks = tracked.tracks
    state: dict[str, Any] = {"size": [width, height], "tracks": []}
    if tracks is None:
        return state
    share = 1 / np.array([width, height], np.float64)
    contacts = None if tracked.contacts is None else tracked.contacts.of_tracks(tracks.detection_rows, tracks.boxes)
    points = (box_contacts(tracks.boxes.astype(np.float64)) if contacts is None else contacts.points) * share
    states = np.full(len(tracks), ContactState.PREDICTED) if contacts is None else contacts.states
    boxes = np.clip(tracks.boxes * np.concatenate([share, share]), 0, 1).round(4).tolist()
    rows, ids, scores = tracks.detection_rows.tolist(), tracks.ids.tolist(), tracks.scores.tolist()
    classes, shown = tracks.class_ids.tolist(), _in_shares([outlines[row] if row >= 0 else () for row in rows], share)
    for place, (x, y), contact in zip(range(len(rows)), points.round(4).tolist(), states.tolist(), strict=True):
        state["tracks"].append(
            {
                "id": ids[place],
                "class": tracked.class_names[classes[place]],
                "score": round(scores[place], 2),
                "box": boxes[place],
                "outline": shown[place],
                "contact": [x, y, _CONTACT_WORDS[contact]],
                "seen": rows[place] >= 0,
            }
        )
    return state


def _in_shares(outlines: Sequence[Sequence[Polygon]], share: NDArray[np.float64]) -> list[list[list[float]]]:
    """Polygons of tracks as flat lists ``x, y, x, y ...`` in shares of the picture; all points in one computation."""
    flat = [polygon for polygons in outlines for polygon in polygons]
    if not flat:
        return [[] for _ in outlines]
    numbers = np.clip(np.concatenate(flat) * share, 0, 1).round(4).ravel().tolist()
    found: list[list[list[float]]] = []
    start = 0
    for polygons in outlines:
        found.append([])
        for polygon in polygons:
            found[-1].append(numbers[start : start + polygon.size])
            start += polygon.size
    return found
