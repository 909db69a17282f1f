"""Site in annotated frames: its lines and zones on the ground, and tags with the counts so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.render.site_ground import Ground, angle_to_left, middle_of
from tracker.render.site_places import TagPlaces, line_spots, zone_spots
from tracker.render.site_tally import SiteTally
from tracker.render.site_text import line_parts, tag_sprite, zone_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.events import Event
    from tracker.render.canvas import Canvas
    from tracker.render.colour import Bgr
    from tracker.render.label import Sprite
    from tracker.render.site_marks import SiteMarks, ZoneMark
    from tracker.types import TrackedFrame

__all__ = ["SiteDrawer"]

FLASH_S = 0.6
"""Media seconds in which a line flashes after a crossing, from white back to its colour."""

LEAST_HEIGHT = 8
"""Tags are this many times lower than the picture; on smaller ones lines and zones stand alone."""


class SiteDrawer:
    """Draws a site over the frames of one stream, and counts its events.

    Args:
        marks: What is drawn.

    Attributes:
        tally: The counts so far.
    """

    def __init__(self, marks: SiteMarks) -> None:
        self.tally = SiteTally(marks)
        self._marks = marks
        self._flashes: dict[tuple[str, str], float] = {}
        self._made_for: tuple[int, int, float] | None = None
        self._ground: Ground | None = None
        self._places: TagPlaces | None = None
        self._angles: list[float] = []
        self._sprites: list[Sprite] = []

    def draw_ground(self, canvas: Canvas, tracked: TrackedFrame) -> None:
        """Count the frame's events, then draw what lies under the objects; call it once for every frame."""
        time_s = tracked.frame.time_s
        self.tally.take(tracked.events)
        if tracked.events:
            self._sprites.clear()
        self._kindle(tracked.events, time_s)
        ground, places = self._made(canvas)
        occupied = [bool(self.tally.zones[zone.name].present) for zone in self._marks.zones]
        strengths = {place: 1 - (time_s - start_s) / FLASH_S for place, start_s in self._flashes.items()}
        ground.lay(canvas, occupied, strengths)
        if tracked.tracks is not None:
            boxes = tracked.tracks.boxes[tracked.tracks.detection_rows >= 0]
        else:
            boxes = tracked.instances.boxes
        places.see(boxes.tolist(), time_s)

    def tags(self, canvas: Canvas) -> list[tuple[Sprite, tuple[int, int]]]:
        """The tags to stamp, and the position ``(x, y)`` of the top left pixel of each."""
        _, places = self._made(canvas)
        self._sprites = sprites = self._sprites or self._make_sprites(canvas)
        found = []
        for sprite, box in zip(sprites, places.choose([sprite.size for sprite in sprites]), strict=True):
            if box is not None and sprite.size[1] * LEAST_HEIGHT <= canvas.image.shape[0]:
                found.append((sprite, box[:2]))
        return found

    def _kindle(self, events: Sequence[Event], time_s: float) -> None:
        """Lines flash when they are crossed, zones when they are entered or left in view."""
        for event in events:
            if event.kind == "crossing":
                self._flashes[event.place, event.direction] = time_s
            elif event.kind in {"enter", "leave"}:
                self._flashes[event.place, ""] = time_s
        self._flashes = {place: start_s for place, start_s in self._flashes.items() if 0 <= time_s - start_s < FLASH_S}

    def _made(self, canvas: Canvas) -> tuple[Ground, TagPlaces]:
        """What is drawn once for a size of picture."""
        height, width = canvas.image.shape[:2]
        wanted = width, height, canvas.site_px
        if self._ground is None or self._places is None or self._made_for != wanted:
            self._sprites = []
            self._ground = Ground(self._marks, canvas)
            self._places = self._make_places(canvas, self._ground)
            self._made_for = wanted
        return self._ground, self._places

    def _make_places(self, canvas: Canvas, ground: Ground) -> TagPlaces:
        paths = [ground.pixels(line.points) for line in self._marks.lines]
        self._angles = [angle_to_left(path) for path in paths]
        sprites = self._make_sprites(canvas)
        gap_px = max(1.6 * canvas.site_px, 4.0)
        spots = [
            line_spots(path, gap_px, ground.arrow_px(middle_of(path)), sprite.size[1])
            for path, sprite in zip(paths, sprites, strict=False)
        ]
        for zone, sprite in zip(self._marks.zones, sprites[len(paths) :], strict=True):
            spots.append(zone_spots(ground.filled(zone.polygons), gap_px, sprite.size))
        return TagPlaces(spots, ground.cover, max(round(canvas.font_px * 0.45), 4))

    def _make_sprites(self, canvas: Canvas) -> list[Sprite]:
        """Tags of all lines, then of all zones."""
        marks, font_px = self._marks, canvas.font_px
        lines = [
            tag_sprite(line_parts(line, self.tally.lines[line.name], angle), font_px, colour)
            for line, angle, colour in zip(marks.lines, self._angles, marks.line_colours, strict=True)
        ]
        zones = [
            self._zone_sprite(zone, canvas, colour)
            for zone, colour in zip(marks.zones, marks.zone_colours, strict=True)
        ]
        return lines + zones

    def _zone_sprite(self, zone: ZoneMark, canvas: Canvas, colour: Bgr) -> Sprite:
        """A short tag where the full one is wider than its zone: among parking bays it would lie on the next one."""
        counts = self.tally.zones[zone.name]
        full = tag_sprite(zone_parts(zone, counts), canvas.font_px, colour)
        across = [x for polygon in zone.polygons for x, _ in polygon]
        if full.size[0] <= (max(across, default=0.0) - min(across, default=0.0)) * canvas.image.shape[1]:
            return full
        return tag_sprite(zone_parts(zone, counts, form="short"), canvas.font_px, colour)
