"""Annotated frames: masks, labels and trails drawn over the footage.

Sizes follow the picture's diagonal, so that 360p and 4K are equally readable. Everything is blended in the region it
covers; the cost follows the objects, not the picture.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from tracker.boxes import areas, clip, iou
from tracker.errors import ConfigError
from tracker.render.canvas import Canvas
from tracker.render.colour import class_colour, identity_colour
from tracker.render.contact_dots import draw_contacts
from tracker.render.label import plain_sprite, stamp
from tracker.render.label_board import LabelBoard
from tracker.render.site_drawer import SiteDrawer
from tracker.render.steady_classes import SteadyClasses
from tracker.render.trails import Trails
from tracker.settings.choices import ColourBy, DrawnPart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracker.render.colour import Bgr
    from tracker.render.label_board import Silhouette
    from tracker.render.site_marks import SiteMarks
    from tracker.types import Instances, TrackedFrame, Tracks

__all__ = ["DRAWN", "TRAIL_S", "Annotator", "clock_text"]

DRAWN: tuple[DrawnPart, ...] = ("labels", "masks", "trails", "site")
"""What is drawn by default; the site, where there is one."""

TRAIL_S = 2.0
"""Length of trails where they are drawn."""

FAINT, FAINTEST, FADING_STEPS = 0.7, 0.1, 6
"""Opacity of identities that have just been lost and of those about to vanish, and steps between them."""

HEAD_FOLLOWS = 0.25
"""Share of the way to the newest place of the head that a label moves in every second frame."""

Point = tuple[float, float]


class Annotator:
    """Draws tracked frames; keeps trails, label places and classes between them, so use one per stream.

    Args:
        masks: Fill silhouettes; instances without one get their box.
        boxes: Draw the box of every instance.
        labels: Write ``car 12`` (without identities ``car 0.83``) at each object. Labels keep off other objects; where
            there is no room, a line leads from the label to its object.
        trail_s: Length of the trails in seconds, 0 for none.
        colour_by: ``"identity"``, or ``"class"``; without identities always by class.
        coasting: ``"faint"`` shows identities that are predicted but not seen as dashed boxes, ``"hidden"`` does not.
        coasting_s: How long a coasting identity is shown at most, fading with time and with the way it has moved
            meanwhile: later predictions drift away from the object. Identities that were seen for less than this before
            (false alarms), whose prediction lies mostly outside the picture (gone) or on another that is seen (the
            same, or covered) are not shown either.
        header: Write the time and how many identities are in view in the top left corner.
        opacity: Of the silhouettes, 0..1.
        lowest_score: Without identities, instances below this score are not drawn.
        scale: Multiplies line widths and font sizes.
        line_width_px: Width of outlines and boxes in pixels; by default it follows the picture's size.
        marks: Lines and zones under the objects, with their counts so far, which are counted from the frames' events:
            draw every frame once. Labels keep off their tags.
        contacts: A dot where each object stands, hollow where that place is hidden; needs ``TrackedFrame.contacts``.

    Raises:
        ConfigError: A value is out of range.
    """

    def __init__(
        self,
        *,
        masks: bool = True,
        boxes: bool = False,
        labels: bool = True,
        trail_s: float = TRAIL_S,
        colour_by: ColourBy = "identity",
        coasting: Literal["faint", "hidden"] = "faint",
        coasting_s: float = 0.5,
        header: bool = False,
        opacity: float = 0.42,
        lowest_score: float = 0.0,
        scale: float = 1.0,
        line_width_px: int | None = None,
        marks: SiteMarks | None = None,
        contacts: bool = False,
    ) -> None:
        for name, word, words in (
            ("coasting", coasting, ("faint", "hidden")),
            ("colour_by", colour_by, get_args(ColourBy)),
        ):
            if word not in words:
                problem = f"expected {' or '.join(words)}, found {word!r}"
                raise ConfigError(name, problem, "choose one of the two")
        for name, value, low, high in (
            ("opacity", opacity, 0, 1),
            ("lowest_score", lowest_score, 0, 1),
            ("scale", scale, 0.25, 8),
            ("trail_s", trail_s, 0, 3600),
            ("line_width_px", 1 if line_width_px is None else line_width_px, 1, 100),
        ):
            if not low <= value <= high:
                raise ConfigError(name, f"expected a number from {low} to {high}, found {value}", "change the value")
        self._masks, self._boxes, self._labels, self._header = masks, boxes, labels, header
        self._coasting, self._coasting_s = coasting, coasting_s
        self._opacity, self._lowest_score = opacity, lowest_score
        self._scale, self._line_width_px = scale, line_width_px
        self._site = SiteDrawer(marks) if marks is not None else None
        self._contacts = contacts
        self._by_class = colour_by == "class"
        self._trails = Trails(length_s=trail_s) if trail_s > 0 else None
        self._classes = SteadyClasses()
        self._seen: dict[int, tuple[float, Point]] = {}
        self._places: dict[int, int] = {}
        self._heads: dict[int, float] = {}
        self._turn = 0

    def draw(self, tracked_frame: TrackedFrame) -> NDArray[np.uint8]:
        """The annotated picture ``(H, W, 3)`` uint8 BGR; the frame's own picture is not touched.

        Raises:
            ConfigError: The frame carries no picture.
        """
        frame = tracked_frame.frame
        if frame.image is None:
            problem = "expected frames with pixels to draw on, found none"
            raise ConfigError(frame.source, problem, "open the source with images")
        canvas = Canvas(footage=frame.image, scale=self._scale, line_width_px=self._line_width_px)
        board = LabelBoard(canvas)
        self._turn += 1
        if self._site is not None:
            self._site.draw_ground(canvas, tracked_frame)
        if tracked_frame.tracks is None:
            self._draw_instances(canvas, board, tracked_frame)
            places = {}
        else:
            self._draw_tracks(canvas, board, tracked_frame, tracked_frame.tracks)
            places = self._places
        if self._contacts:
            draw_contacts(canvas, tracked_frame, by_class=self._by_class)
        if self._site is not None:
            for sprite, corner in self._site.tags(canvas):
                if self._labels:
                    board.add_fixed(sprite, corner)
                else:
                    stamp(canvas.image, sprite, *corner)
        if self._labels:
            board.stamp(places, self._turn)
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
            silhouette = self._draw_body(canvas, instances, row, colour)
            score = f"{instances.scores[row]:.2f}"
            text = f"{tracked_frame.class_names[class_id]} {score}"
            board.add(text, instances.boxes[row].tolist(), colour, short=score, silhouette=silhouette)

    def _draw_tracks(self, canvas: Canvas, board: LabelBoard, tracked_frame: TrackedFrame, tracks: Tracks) -> None:
        time_s, names = tracked_frame.frame.time_s, tracked_frame.class_names
        ids, rows, boxes = tracks.ids.tolist(), tracks.detection_rows.tolist(), tracks.boxes.tolist()
        self._remember(time_s, tracks, canvas.diagonal_px)
        class_ids = [
            self._classes.shown(identity, class_id, time_s)
            for identity, class_id in zip(ids, tracks.class_ids.tolist(), strict=True)
        ]
        colours = [class_colour(n) for n in class_ids] if self._by_class else [identity_colour(n) for n in ids]
        shown = (tracks.detection_rows >= 0) | self._shown_while_coasting(tracks, time_s, tracked_frame.frame.size)
        order = [n for n in _back_to_front(tracks.boxes) if shown[n]]
        predicted = _predicted(tracked_frame)
        if self._trails is not None:
            for n in order:
                opacity = 1.0 if rows[n] >= 0 else 0.5
                self._trails.draw(canvas.image, ids[n], colours[n], canvas.trail_px, opacity)
        for n in order:
            text, short = f"{names[class_ids[n]]} {ids[n]}", str(ids[n])
            silhouette, opacity = None, 1.0
            if rows[n] >= 0:
                silhouette = self._draw_body(canvas, tracked_frame.instances, rows[n], colours[n])
            else:
                opacity = self._faintness(ids[n], boxes[n], time_s)
                if self._masks and n in predicted:
                    crop, origin = predicted[n]
                    canvas.draw_silhouette(crop, origin, colours[n], self._opacity * opacity)
                if self._masks or self._boxes:
                    canvas.draw_dashed(boxes[n], colours[n], opacity)
            board.add(
                text,
                boxes[n],
                colours[n],
                short=short,
                identity=ids[n],
                opacity=opacity,
                head=self._steady_head(ids[n], boxes[n], silhouette),
                silhouette=silhouette,
            )

    def _steady_head(self, identity: int, box: list[float], silhouette: Silhouette | None) -> float:
        """Where along its box an identity's head is, slowed down so that its label does not tremble."""
        before = self._heads.get(identity)
        if silhouette is None or (before is not None and (identity + self._turn) % 2):
            return 0.5 if before is None else before
        head = _head(box, silhouette)
        self._heads[identity] = head = head if before is None else before + HEAD_FOLLOWS * (head - before)
        return head

    def _faintness(self, identity: int, box: list[float], time_s: float) -> float:
        """Opacity of a coasting identity: less the longer ago, and the farther from where, it was seen."""
        seen_s, (x, y) = self._seen[identity]
        foot_x, foot_y = _foot(box)
        size_px = max(math.hypot(box[2] - box[0], box[3] - box[1]), 1.0)
        gone = max((time_s - seen_s) / max(self._coasting_s, 1e-3), math.hypot(foot_x - x, foot_y - y) / size_px)
        # Few steps: each is a label picture of its own.
        return FAINTEST + (FAINT - FAINTEST) * (1 - min(math.floor(gone * FADING_STEPS) / FADING_STEPS, 1.0))

    def _shown_while_coasting(self, tracks: Tracks, time_s: float, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Flags ``(N,)`` of the identities that may be shown while coasting; see ``coasting_s``."""
        if self._coasting == "hidden":
            return np.zeros(len(tracks), np.bool_)
        never = -math.inf, (0.0, 0.0)
        unseen_s = np.array([time_s - self._seen.get(identity, never)[0] for identity in tracks.ids.tolist()])
        visible = areas(clip(tracks.boxes, *size)) > 0.5 * areas(tracks.boxes)
        overlaps = iou(tracks.boxes, tracks.boxes[tracks.detection_rows >= 0])
        free = overlaps.max(axis=1, initial=0) < 0.4
        recent = (unseen_s >= 0) & (unseen_s <= self._coasting_s)
        return np.asarray(recent & visible & free & (tracks.ages_s - unseen_s >= self._coasting_s))

    def _remember(self, time_s: float, tracks: Tracks, diagonal_px: float) -> None:
        """Take note of what is seen where, and forget what has ended."""
        ids = tracks.ids.tolist()
        for identity, row, box in zip(ids, tracks.detection_rows.tolist(), tracks.boxes.tolist(), strict=True):
            if row >= 0:
                self._seen[identity] = time_s, _foot(box)
                if self._trails is not None:
                    self._trails.add(identity, _foot(box), time_s, diagonal_px)
        if self._trails is not None:
            self._trails.drop(tracks.ended_ids.tolist())
            self._trails.expire(time_s)
        self._classes.forget(tracks.ended_ids.tolist())
        if len(self._seen) > len(ids):
            living = set(ids)
            self._seen = {identity: seen for identity, seen in self._seen.items() if identity in living}
            self._places = {identity: place for identity, place in self._places.items() if identity in living}
            self._heads = {identity: head for identity, head in self._heads.items() if identity in living}

    def _draw_body(self, canvas: Canvas, instances: Instances, row: int, colour: Bgr) -> Silhouette | None:
        """The instance's silhouette, cut to its own box, which is returned; its box where it has none."""
        drawn: Silhouette | None = None
        if instances.masks is not None and self._masks:
            silhouette, origin = instances.masks.lift(row, instances.boxes[row])
            if silhouette.any():
                canvas.draw_silhouette(silhouette, origin, colour, self._opacity)
                drawn = silhouette, origin
        if self._boxes or (self._masks and drawn is None):
            canvas.draw_box(instances.boxes[row].tolist(), colour)
        return drawn


def _predicted(tracked_frame: TrackedFrame) -> dict[int, Silhouette]:
    """Silhouettes of tracks that coast, by row of the tracks."""
    found, tracks = tracked_frame.predicted_masks, tracked_frame.tracks
    if found is None or tracks is None:
        return {}
    lifted = {row: found.masks.lift(place, tracks.boxes[row]) for place, row in enumerate(found.rows.tolist())}
    return {row: silhouette for row, silhouette in lifted.items() if silhouette[0].any()}


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


def _head(box: list[float], silhouette: Silhouette) -> float:
    """How far along a box's width, 0..1, what is seen has its middle a little below its upper edge."""
    mask, (x, _) = silhouette
    columns = mask[mask.shape[0] // 16].nonzero()[0]
    if len(columns) == 0:
        return 0.5
    middle = x + (int(columns[0]) + int(columns[-1]) + 1) / 2
    return min(max((middle - box[0]) / max(box[2] - box[0], 1.0), 0.0), 1.0)


def _draw_header(canvas: Canvas, tracked_frame: TrackedFrame) -> None:
    if tracked_frame.tracks is None:
        count = len(tracked_frame.instances)
    else:
        count = int(np.count_nonzero(tracked_frame.tracks.detection_rows >= 0))
    text = f"{clock_text(tracked_frame.frame.time_s)}    {count} in view"
    sprite = plain_sprite(text, canvas.font_px, weight=500, colour=(245, 245, 245), shade=0.55)
    margin = round(canvas.font_px * 0.6)
    stamp(canvas.image, sprite, margin, margin)
