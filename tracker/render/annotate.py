"""Annotated frames: masks, labels and trails drawn over the footage.

Sizes follow the picture's diagonal, so that 360p and 4K are equally readable. Everything is blended in the region it
covers; the cost follows the objects, not the picture.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from tracker.boxes import areas, clip, iou
from tracker.errors import ConfigError
from tracker.render.canvas import Canvas
from tracker.render.colour import class_colour, identity_colour
from tracker.render.label import plain_sprite, stamp
from tracker.render.label_board import LabelBoard
from tracker.render.trails import Trails

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracker.render.colour import Bgr
    from tracker.types import Instances, TrackedFrame, Tracks

__all__ = ["Annotator", "clock_text"]


class Annotator:
    """Draws tracked frames; keeps trails and label places between them, so use one per stream.

    Args:
        masks: Fill silhouettes.
        boxes: Draw boxes also where there are silhouettes; where there are none, boxes are always drawn.
        labels: Write ``car 12`` (without identities ``car 0.83``) at each object.
        trail_s: Length of the trails in seconds, 0 for none.
        coasting: ``"faint"`` shows identities that are predicted but not seen as dashed boxes, ``"hidden"`` does not.
        coasting_s: How long a coasting identity is shown at most: later predictions drift away from the object.
            Identities that were seen for less than this before (false alarms), whose prediction lies mostly outside the
            picture or on a detected identity (a duplicate, or occluded) are not shown either.
        header: Write the time and how many identities are in view in the top left corner.
        opacity: Of the silhouettes, 0..1.
        lowest_score: Without identities, instances below this score are not drawn.
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
        coasting_s: float = 0.5,
        header: bool = False,
        opacity: float = 0.42,
        lowest_score: float = 0.0,
        scale: float = 1.0,
    ) -> None:
        if coasting not in {"faint", "hidden"}:
            problem = f"expected faint or hidden, found {coasting!r}"
            raise ConfigError("coasting", problem, "choose one of the two")
        for name, value, low, high in (
            ("opacity", opacity, 0, 1),
            ("lowest_score", lowest_score, 0, 1),
            ("scale", scale, 0.25, 8),
            ("trail_s", trail_s, 0, 3600),
        ):
            if not low <= value <= high:
                raise ConfigError(name, f"expected a number from {low} to {high}, found {value}", "change the value")
        self._masks, self._boxes, self._labels, self._header = masks, boxes, labels, header
        self._coasting, self._coasting_s = coasting, coasting_s
        self._opacity, self._scale, self._lowest_score = opacity, scale, lowest_score
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
            problem = "expected frames with pixels to draw on, found none"
            raise ConfigError(frame.source, problem, "open the source with images")
        canvas = Canvas(footage=frame.image, scale=self._scale)
        board = LabelBoard(canvas)
        if tracked_frame.tracks is None:
            self._draw_instances(canvas, board, tracked_frame)
            places = {}
        else:
            self._draw_tracks(canvas, board, tracked_frame, tracked_frame.tracks)
            places = self._places
        if self._labels:
            board.stamp(places)
        if self._header:
            _draw_header(canvas, tracked_frame)
        return canvas.image

    def _draw_instances(self, canvas: Canvas, board: LabelBoard, tracked_frame: TrackedFrame) -> None:
        instances = tracked_frame.instances
        if self._lowest_score > 0:
            instances = instances.take(instances.scores >= self._lowest_score)
        for row in _back_to_front(instances.boxes):
            class_id = int(instances.class_ids[row])
            colour = class_colour(class_id)
            self._draw_body(canvas, instances, row, colour)
            score = f"{instances.scores[row]:.2f}"
            text = f"{tracked_frame.class_names[class_id]} {score}"
            board.add(text, instances.boxes[row].tolist(), colour, short=score)

    def _draw_tracks(self, canvas: Canvas, board: LabelBoard, tracked_frame: TrackedFrame, tracks: Tracks) -> None:
        time_s, names = tracked_frame.frame.time_s, tracked_frame.class_names
        ids, rows = tracks.ids.tolist(), tracks.detection_rows.tolist()
        boxes, class_ids = tracks.boxes.tolist(), tracks.class_ids.tolist()
        self._update(time_s, tracks, canvas.diagonal_px)
        shown = (tracks.detection_rows >= 0) | self._shown_while_coasting(tracks, time_s, tracked_frame.frame.size)
        order = [n for n in _back_to_front(tracks.boxes) if shown[n]]
        if self._trails is not None:
            for n in order:
                opacity = 1.0 if rows[n] >= 0 else 0.5
                self._trails.draw(canvas.image, ids[n], identity_colour(ids[n]), canvas.trail_px, opacity)
        for n in order:
            colour = identity_colour(ids[n])
            if rows[n] >= 0:
                self._draw_body(canvas, tracked_frame.instances, rows[n], colour)
            else:
                canvas.draw_dashed(boxes[n], colour)
            text, short = f"{names[class_ids[n]]} {ids[n]}", str(ids[n])
            board.add(text, boxes[n], colour, short=short, identity=ids[n], faint=rows[n] < 0)

    def _shown_while_coasting(self, tracks: Tracks, time_s: float, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Flags ``(N,)`` of the identities that may be shown while coasting; see ``coasting_s``."""
        if self._coasting == "hidden":
            return np.zeros(len(tracks), np.bool_)
        unseen_s = np.array([time_s - self._seen_s.get(identity, -math.inf) for identity in tracks.ids.tolist()])
        visible = areas(clip(tracks.boxes, *size)) > 0.5 * areas(tracks.boxes)
        overlaps = iou(tracks.boxes, tracks.boxes[tracks.detection_rows >= 0])
        free = overlaps.max(axis=1, initial=0) < 0.4
        recent = (unseen_s >= 0) & (unseen_s <= self._coasting_s)
        return np.asarray(recent & visible & free & (tracks.ages_s - unseen_s >= self._coasting_s))

    def _update(self, time_s: float, tracks: Tracks, diagonal_px: float) -> None:
        """Update trails and times of the detected identities, and drop ended ones."""
        ids = tracks.ids.tolist()
        for identity, row, box in zip(ids, tracks.detection_rows.tolist(), tracks.boxes.tolist(), strict=True):
            if row >= 0:
                self._seen_s[identity] = time_s
                if self._trails is not None:
                    self._trails.add(identity, _foot(box), time_s, diagonal_px)
        if self._trails is not None:
            self._trails.drop(tracks.ended_ids.tolist())
            self._trails.expire(time_s)
        if len(self._seen_s) > len(ids):
            living = set(ids)
            self._seen_s = {identity: seen for identity, seen in self._seen_s.items() if identity in living}
            self._places = {identity: place for identity, place in self._places.items() if identity in living}

    def _draw_body(self, canvas: Canvas, instances: Instances, row: int, colour: Bgr) -> None:
        """The instance's silhouette, cut to its own box; its box where it has none."""
        drawn = False
        if instances.masks is not None and self._masks:
            silhouette, origin = instances.masks.lift(row, instances.boxes[row])
            drawn = bool(silhouette.any())
            if drawn:
                canvas.draw_silhouette(silhouette, origin, colour, self._opacity)
        if self._boxes or not drawn:
            canvas.draw_box(instances.boxes[row].tolist(), colour)


def clock_text(time_s: float) -> str:
    """Media time as minutes and seconds, with hours where needed.

    >>> clock_text(75.25), clock_text(3600.0)
    ('1:15.2', '1:00:00.0')
    """
    sign = "-" if time_s < 0 else ""
    tenths = int(abs(time_s) * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{tenths // 10:02d}.{tenths % 10}"
    return f"{sign}{hours}:{minutes:02d}:{seconds}" if hours else f"{sign}{minutes}:{seconds}"


def _back_to_front(boxes: NDArray[np.float32]) -> list[int]:
    """Rows by their lower edge: the lower it lies in the picture, the nearer is the object, which is drawn later."""
    rows: list[int] = np.argsort(boxes[:, 3], kind="stable").tolist()
    return rows


def _foot(box: list[float]) -> tuple[float, float]:
    """Ground contact point of a box: a little above the lower edge, which is the nearest wheel or toe."""
    x1, y1, x2, y2 = box
    return (x1 + x2) / 2, y2 - 0.06 * (y2 - y1)


def _draw_header(canvas: Canvas, tracked_frame: TrackedFrame) -> None:
    if tracked_frame.tracks is None:
        count = len(tracked_frame.instances)
    else:
        count = int(np.count_nonzero(tracked_frame.tracks.detection_rows >= 0))
    text = f"{clock_text(tracked_frame.frame.time_s)}    {count} in view"
    sprite = plain_sprite(text, canvas.font_px, weight=500, colour=(245, 245, 245), shade=0.55)
    margin = round(canvas.font_px * 0.6)
    stamp(canvas.image, sprite, margin, margin)
