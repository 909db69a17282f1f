"""A tracked frame enters, the picture people look at leaves: silhouettes, identities and trails over the footage.

Sizes follow the picture's diagonal, so that 360p and 4K read alike. Everything is blended in the region it covers; the cost follows the
objects, not the picture.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from tracker.errors import ConfigError
from tracker.masks import lift
from tracker.sinks.colour import Bgr, class_colour, identity_colour
from tracker.sinks.label import Sprite, label_sprite, plain_sprite, stamp
from tracker.sinks.trails import Trails

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracker.types import TrackedFrame, Tracks

__all__ = ["Annotator", "clock_text"]

CANDIDATES = ((0.5, 0.0, -1.0), (0.0, 0.0, -1.0), (1.0, 0.0, -1.0), (0.5, 1.0, 0.0), (0.5, 0.0, 0.0))
"""Where a label may sit: along the box's width, along its height, and by how many label heights it is moved: above, below, inside."""


class Annotator:
    """Draws tracked frames; keeps trails and label places between them, so use one per stream.

    Args:
        masks: Fill silhouettes.
        boxes: Draw boxes also where there are silhouettes; where there are none, boxes are always drawn.
        labels: Write ``car 12`` (without identities ``car 0.83``) at each object.
        trail_s: Length of the trails in seconds, 0 for none.
        coasting: ``"faint"`` shows identities that are predicted but not seen as dashed boxes, ``"hidden"`` does not.
        coasting_s: How long a coasting identity is shown at most: later predictions drift away from the object.
        header: Write the time and the number of living identities in the top left corner.
        opacity: Of the silhouettes, 0..1.
        scale: Multiplies line widths and font sizes.

    Raises:
        ConfigError: A value is out of range.
    """

    def __init__(
        self,
        *,
        masks: bool = True,
        boxes: bool = False,
        labels: bool = True,
        trail_s: float = 2.0,
        coasting: Literal["faint", "hidden"] = "faint",
        coasting_s: float = 0.8,
        header: bool = False,
        opacity: float = 0.42,
        scale: float = 1.0,
    ) -> None:
        if coasting not in {"faint", "hidden"}:
            raise ConfigError("coasting", f"expected faint or hidden, found {coasting!r}", "choose one of the two")
        for name, value, low, high in (("opacity", opacity, 0, 1), ("scale", scale, 0.25, 8), ("trail_s", trail_s, 0, 3600)):
            if not low <= value <= high:
                raise ConfigError(name, f"expected a number from {low} to {high}, found {value}", "change the value")
        self._masks, self._boxes, self._labels, self._header = masks, boxes, labels, header
        self._coasting, self._coasting_s = coasting, coasting_s
        self._opacity, self._scale = opacity, scale
        self._trails = Trails(length_s=trail_s) if trail_s > 0 else None
        self._seen_s: dict[int, float] = {}
        self._places: dict[int, int] = {}

    def draw(self, tracked_frame: TrackedFrame) -> NDArray[np.uint8]:
        """The annotated picture ``(H, W, 3)`` uint8 BGR; the frame's own picture is not touched.

        Raises:
            ConfigError: The frame carries no picture.
        """
        frame = tracked_frame.frame
        if frame.image is None:
            raise ConfigError(frame.source, "expected frames with pixels to draw on, found none", "open the source with images")
        image = frame.image.copy()
        pen = _Pen.for_size(frame.size, self._scale)
        if tracked_frame.tracks is None:
            self._draw_instances(image, tracked_frame, pen)
        else:
            self._draw_tracks(image, tracked_frame, tracked_frame.tracks, pen)
        if self._header:
            _draw_header(image, tracked_frame, pen)
        return image

    def _draw_instances(self, image: NDArray[np.uint8], tracked_frame: TrackedFrame, pen: _Pen) -> None:
        instances = tracked_frame.instances
        labels = _Labels(image, pen)
        for row in _back_to_front(instances.boxes):
            class_id = int(instances.class_ids[row])
            colour = class_colour(class_id)
            self._draw_body(image, tracked_frame, int(row), instances.boxes[row], colour, pen)
            text = f"{tracked_frame.class_names[class_id]} {instances.scores[row]:.2f}"
            labels.add(text, instances.boxes[row], colour)
        if self._labels:
            labels.draw({})

    def _draw_tracks(self, image: NDArray[np.uint8], tracked_frame: TrackedFrame, tracks: Tracks, pen: _Pen) -> None:
        time_s = tracked_frame.frame.time_s
        ids, rows = tracks.ids.tolist(), tracks.detection_rows.tolist()
        seen = [row >= 0 for row in rows]
        self._remember(tracked_frame, tracks, pen)
        shown = [
            visible or (self._coasting == "faint" and 0 <= time_s - self._seen_s.get(identity, -math.inf) <= self._coasting_s)
            for identity, visible in zip(ids, seen, strict=True)
        ]
        order = [int(n) for n in _back_to_front(tracks.boxes) if shown[n]]
        if self._trails is not None:
            for n in order:
                self._trails.draw(image, ids[n], identity_colour(ids[n]), pen.trail_px, 1.0 if seen[n] else 0.5)
        labels = _Labels(image, pen)
        for n in order:
            colour = identity_colour(ids[n])
            box = tracks.boxes[n]
            if seen[n]:
                self._draw_body(image, tracked_frame, rows[n], box, colour, pen)
            else:
                _draw_dashed(image, box, colour, pen)
            labels.add(
                f"{tracked_frame.class_names[tracks.class_ids[n]]} {ids[n]}", box, colour, identity=ids[n], faint=not seen[n]
            )
        if self._labels:
            labels.draw(self._places)

    def _remember(self, tracked_frame: TrackedFrame, tracks: Tracks, pen: _Pen) -> None:
        """Take note of who is seen where, and forget who has ended."""
        time_s = tracked_frame.frame.time_s
        living = set(tracks.ids.tolist())
        for identity, row, box in zip(tracks.ids.tolist(), tracks.detection_rows.tolist(), tracks.boxes.tolist(), strict=True):
            if row >= 0:
                self._seen_s[identity] = time_s
                if self._trails is not None:
                    self._trails.add(identity, (box[0] + box[2]) / 2, box[3], time_s, pen.diagonal_px)
        if self._trails is not None:
            self._trails.forget(tracks.ended_ids.tolist())
            self._trails.expire(time_s)
        if len(self._seen_s) > len(living):
            self._seen_s = {identity: seen for identity, seen in self._seen_s.items() if identity in living}
            self._places = {identity: place for identity, place in self._places.items() if identity in living}

    def _draw_body(
        self, image: NDArray[np.uint8], tracked_frame: TrackedFrame, row: int, box: NDArray[np.floating], colour: Bgr, pen: _Pen
    ) -> None:
        masks = tracked_frame.instances.masks
        if masks is None or not self._masks:
            _draw_box(image, box, colour, pen)
            return
        # Silhouettes are cut to the instance's own box: that is what the segmenter said.
        silhouette, (x, y) = lift(masks, row, tracked_frame.instances.boxes[row])
        if silhouette.size:
            _draw_silhouette(image, tracked_frame.frame.image, silhouette.view(np.uint8), x, y, colour, self._opacity, pen)
        if self._boxes or not silhouette.any():
            _draw_box(image, box, colour, pen)


class _Pen:
    """Sizes in pixels for one picture size."""

    __slots__ = ("contour_px", "diagonal_px", "font_px", "line_px", "small_font_px", "trail_px")

    def __init__(self, width: int, height: int, scale: float) -> None:
        self.diagonal_px = math.hypot(width, height)
        unit = self.diagonal_px * scale
        self.font_px = max(round(3.5 * scale + unit * 0.0084), 8)
        self.small_font_px = max(round(self.font_px * 0.82), 8)
        self.contour_px = max(round(unit / 1100), 1)
        self.line_px = max(round(unit / 800), 1)
        self.trail_px = max(round(unit / 420), 2)

    @staticmethod
    @lru_cache(maxsize=16)
    def for_size(size: tuple[int, int], scale: float) -> _Pen:
        return _Pen(*size, scale)


def clock_text(time_s: float) -> str:
    """Media time as people read it.

    >>> clock_text(75.25), clock_text(3600.0)
    ('1:15.2', '1:00:00.0')
    """
    sign = "-" if time_s < 0 else ""
    tenths = int(abs(time_s) * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{tenths // 10:02d}.{tenths % 10}"
    return f"{sign}{hours}:{minutes:02d}:{seconds}" if hours else f"{sign}{minutes}:{seconds}"


def _back_to_front(boxes: NDArray[np.floating]) -> NDArray[np.intp]:
    """Rows ordered by where they touch the ground: what stands lower in the picture is nearer and covers what is behind."""
    return np.argsort(boxes[:, 3], kind="stable")


def _draw_silhouette(
    image: NDArray[np.uint8],
    footage: NDArray[np.uint8],
    silhouette: NDArray[np.uint8],
    x: int,
    y: int,
    colour: Bgr,
    opacity: float,
    pen: _Pen,
) -> None:
    """Tint the footage under the silhouette and outline it.

    The tint starts from the untouched footage: a nearer body covers trails and bodies behind it, as in the world.
    """
    import cv2  # noqa: PLC0415 - records are written without OpenCV

    cut = (slice(y, y + silhouette.shape[0]), slice(x, x + silhouette.shape[1]))
    region = image[cut]
    tint = np.empty_like(region)
    cv2.rectangle(tint, (0, 0), (tint.shape[1], tint.shape[0]), colour, cv2.FILLED)
    # 80 us on a 200 x 500 region, against 280 us of a look-up table per colour and 420 us of a product and a sum.
    cv2.copyTo(cv2.addWeighted(footage[cut], 1 - opacity, tint, opacity, 0, dst=tint), silhouette, region)
    outlines, _ = cv2.findContours(silhouette, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    # OpenCV fills every piece of a thick antialiased line with its caps: fewer, longer pieces cost a quarter and look the same.
    step = 2 * pen.contour_px
    smooth = [_smoothed(outline[:, 0], 2 * pen.contour_px + 3, step) for outline in outlines if len(outline) > 8]
    if smooth:
        cv2.polylines(region, smooth, True, colour, pen.contour_px, cv2.LINE_AA, 4)


def _smoothed(outline: NDArray[np.int32], window: int, step: int) -> NDArray[np.int32]:
    """Every ``step``-th point of a closed outline ``(n, 2)``, averaged over ``window`` neighbours so that there is no staircase.

    Returns:
        Points in sixteenths of a pixel.
    """
    count = len(outline)
    window = min(window, count // 2)
    around = np.concatenate([outline[-(window // 2) :], outline, outline[: window - window // 2]])
    sums = np.cumsum(around, axis=0)
    return ((sums[window : window + count : step] - sums[:count:step]) * 16 // window).astype(np.int32)


def _draw_box(image: NDArray[np.uint8], box: NDArray[np.floating], colour: Bgr, pen: _Pen) -> None:
    import cv2  # noqa: PLC0415 - records are written without OpenCV

    x1, y1, x2, y2 = (round(float(v)) for v in box)
    cv2.rectangle(image, (x1, y1), (x2, y2), colour, pen.line_px, cv2.LINE_AA)


def _draw_dashed(image: NDArray[np.uint8], box: NDArray[np.floating], colour: Bgr, pen: _Pen) -> None:
    """A thin dashed box for an identity that is predicted, not seen."""
    import cv2  # noqa: PLC0415 - records are written without OpenCV

    x1, y1, x2, y2 = (float(v) for v in box)
    dash = max(6.0 * pen.contour_px, 5.0)
    dashes = []
    for ax, ay, bx, by in ((x1, y1, x2, y1), (x2, y1, x2, y2), (x2, y2, x1, y2), (x1, y2, x1, y1)):
        count = min(max(int(math.hypot(bx - ax, by - ay) / (2 * dash)), 1), 200)
        ends = np.linspace(0, 1, 4 * count + 1)
        # Half a dash at each end of an edge, so that the corners are closed.
        starts = np.concatenate([[0.0], ends[3::4]])
        stops = np.concatenate([ends[1::4][:1], np.minimum(ends[3::4] + 0.5 / count, 1)])
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            dashes.append(
                np.array(
                    [[ax + (bx - ax) * start, ay + (by - ay) * start], [ax + (bx - ax) * stop, ay + (by - ay) * stop]], np.float32
                )
            )
    cv2.polylines(image, [np.round(line * 16).astype(np.int32) for line in dashes], False, colour, pen.contour_px, cv2.LINE_AA, 4)


class _Labels:
    """Collects one picture's labels and puts them where they cover one another least."""

    def __init__(self, image: NDArray[np.uint8], pen: _Pen) -> None:
        self._image, self._pen = image, pen
        self._wanted: list[tuple[NDArray[np.floating], Sprite, int | None]] = []
        # Occupied places on a grid of 4 pixels: looking a place up costs a microsecond whatever the number of labels.
        self._taken = np.zeros((image.shape[0] // 4 + 1, image.shape[1] // 4 + 1), np.bool_)

    def add(
        self, text: str, box: NDArray[np.floating], colour: Bgr, *, identity: int | None = None, faint: bool = False
    ) -> None:
        small = float(box[3] - box[1]) < 3.5 * self._pen.font_px
        font_px = self._pen.small_font_px if small else self._pen.font_px
        self._wanted.append((box, label_sprite(text, font_px, colour, 0.55 if faint else 1.0), identity))

    def draw(self, places: dict[int, int]) -> None:
        """Stamp all labels, nearest object first; ``places`` remembers each identity's choice so that labels do not jump about."""
        chosen: list[tuple[Sprite, int, int]] = []
        for box, sprite, identity in reversed(self._wanted):
            first = places.get(identity, 0) if identity is not None else 0
            best: tuple[float, int, int, int] | None = None
            for candidate in (first, *(n for n in range(len(CANDIDATES)) if n != first)):
                x, y = self._position(box, sprite, candidate)
                covered = float(self._cells(x, y, sprite).mean())
                if best is None or covered < best[0] - 0.1:
                    best = covered, x, y, candidate
                if covered == 0:
                    break
            if best is None:
                continue
            _, x, y, candidate = best
            self._cells(x, y, sprite)[...] = True
            if identity is not None:
                places[identity] = candidate
            chosen.append((sprite, x, y))
        for sprite, x, y in reversed(chosen):
            stamp(self._image, sprite, x, y)

    def _position(self, box: NDArray[np.floating], sprite: Sprite, candidate: int) -> tuple[int, int]:
        """Top left corner of the label, kept inside the picture."""
        along_x, along_y, shift = CANDIDATES[candidate]
        width, height = sprite.size
        x1, y1, x2, y2 = (float(v) for v in box)
        gap = self._pen.contour_px + 1
        x = x1 + (x2 - x1 - width) * along_x
        y = y1 + (y2 - y1) * along_y + height * shift + (gap if shift == 0 else -gap)
        return (
            int(min(max(x, 0), max(self._image.shape[1] - width, 0))),
            int(min(max(y, 0), max(self._image.shape[0] - height, 0))),
        )

    def _cells(self, x: int, y: int, sprite: Sprite) -> NDArray[np.bool_]:
        width, height = sprite.size
        return self._taken[y // 4 : (y + height) // 4 + 1, x // 4 : (x + width) // 4 + 1]


def _draw_header(image: NDArray[np.uint8], tracked_frame: TrackedFrame, pen: _Pen) -> None:
    count = len(tracked_frame.instances) if tracked_frame.tracks is None else len(tracked_frame.tracks)
    noun = "objects" if tracked_frame.tracks is None else "identities"
    text = f"{clock_text(tracked_frame.frame.time_s)}    {count}  {noun}"
    margin = round(pen.font_px * 0.6)
    stamp(image, plain_sprite(text, pen.font_px, 500, (245, 245, 245), 0.55), margin, margin)
