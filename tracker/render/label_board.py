"""Label placement with the least overlap with other objects and other labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from tracker.render.label import Sprite, faded, label_sprite, stamp
from tracker.render.occupancy import Occupancy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tracker.render.canvas import Canvas
    from tracker.render.colour import Bgr

__all__ = ["LabelBoard", "Silhouette"]

Box = Sequence[float]

Silhouette = tuple["NDArray[np.bool_]", tuple[int, int]]
"""A boolean crop ``(h, w)`` and the position ``(x, y)`` of its top left pixel."""

ON_HEAD = -1.0
"""In the place of a fraction of the box's width: where the object's highest part is."""

NEAR = (
    # along, down, right, lower, gap_x, gap_y, cost
    (ON_HEAD, 0.00, -0.5, -1.0, 0, -1, 0.00),  # above in the middle
    (ON_HEAD, 0.00, -0.15, -1.0, 0, -1, 0.02),  # above, to the right
    (ON_HEAD, 0.00, -0.85, -1.0, 0, -1, 0.02),  # above, to the left
    (0.5, 1.00, -0.5, 0.0, 0, 1, 0.06),  # below
    (0.5, 0.45, -0.5, -0.5, 0, 0, 0.02),  # on the chest
    (0.5, 1.00, -0.5, -1.0, 0, -1, 0.04),  # inside, at the lower edge
    (0.0, 0.00, -1.0, 0.0, -1, 0, 0.30),  # beside, left
    (1.0, 0.00, 0.0, 0.0, 1, 0, 0.30),  # beside, right
    (0.5, 0.00, -0.5, 0.0, 0, 1, 0.12),  # inside, at the head
)
"""Places at the object: where on the box (fractions of its width and height), by how many label widths and heights and
how many gaps the label's top left corner is moved from there, and what the place costs before anything is covered."""

FAR = tuple(
    (along, down, right, lower, 0, 0, 0.14 + 0.04 * distance)
    for distance in (1.2, 2.6, 4.5, 7.0)
    for along, down, right, lower in (
        (ON_HEAD, 0.0, -0.5, -1.0 - distance),
        (ON_HEAD, 0.0, -1.0, -1.0 - 0.8 * distance),
        (ON_HEAD, 0.0, 0.0, -1.0 - 0.8 * distance),
        (0.5, 1.0, -0.5, distance),
        (0.0, 0.3, -1.0 - 0.3 * distance, 0.0),
        (1.0, 0.3, 0.3 * distance, 0.0),
    )
)
"""Places at some distance; a line leads from there to the object."""

PLACES = NEAR + FAR

NEAR_FIRST = sorted(range(len(NEAR)), key=lambda place: PLACES[place][6])
CHEAPEST_FIRST = sorted(range(len(PLACES)), key=lambda place: PLACES[place][6])

STAY = 0.12
"""A label changes its place for a gain from here on, so that labels in a crowd do not jump about."""

TURNS, AT_REST = 4, 0.25
"""Each label looks for a better place in every fourth picture, and at once where what it covers costs more than this:
that is calmer, and a quarter of the work."""

OWN_AREA, OWN_LABEL = 0.8, 0.06
"""What it costs to cover one's own object: times the share of the box that is covered, and of the label that covers."""

OTHERS = 2.5
"""What it costs to cover others, times the mean weight of the cells: a tenth of a label is worth a long way."""

CROWD = 16
"""With more labels than this all are written small, and those at narrow objects short."""

MOST_FAINT = 0.3
"""A label of a predicted identity whose best place costs more is left out."""


class _Label(NamedTuple):
    text: str
    short: str
    box: Box
    colour: Bgr
    identity: int | None
    opacity: float
    head: float
    silhouette: Silhouette | None


class LabelBoard:
    """The labels of one picture, collected from the farthest object to the nearest and stamped together.

    Args:
        canvas: What they are stamped on.
    """

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._wanted: list[_Label] = []
        self._fixed: list[tuple[Sprite, tuple[int, int]]] = []
        height, width = canvas.image.shape[:2]
        self._size = width, height
        self._occupied = Occupancy((width, height), max(round(canvas.font_px * 0.45), 4))

    def add(
        self,
        text: str,
        box: Box,
        colour: Bgr,
        *,
        short: str,
        identity: int | None = None,
        opacity: float = 1.0,
        head: float = 0.5,
        silhouette: Silhouette | None = None,
    ) -> None:
        """Add a label.

        Args:
            text: What it says.
            box: xyxy in pixels; other labels keep away from it.
            colour: Of its ground.
            short: What it says at narrow objects in a crowd.
            identity: Whose label it is, so that it keeps its place from picture to picture.
            opacity: Below 1 for identities that are predicted, not seen: left out where no place is free.
            head: How far along the box's width its highest part is, 0..1: labels above it are centred there.
            silhouette: Where in the box the object is seen, if that is drawn.
        """
        self._wanted.append(_Label(text, short, box, colour, identity, opacity, head, silhouette))

    def add_fixed(self, sprite: Sprite, corner: tuple[int, int]) -> None:
        """Add a text that has its place: labels keep off it, and lines from labels to their objects run under it.

        Args:
            sprite: The text.
            corner: Position ``(x, y)`` of its top left pixel; all of it is inside the picture.
        """
        self._fixed.append((sprite, corner))

    def stamp(self, places: dict[int, int], turn: int = 0) -> list[tuple[int, int, int, int]]:
        """Stamp all labels, the nearest object choosing first.

        Args:
            places: Each identity's choice in the picture before, updated: a label stays where it was while it can.
            turn: Number of the picture; see :data:`TURNS`.

        Returns:
            Boxes of the labels, xyxy in pixels, in the order of :meth:`add` without those that were left out.
        """
        self._occupy()
        is_crowd = len(self._wanted) > CROWD
        numbers = sorted(range(len(self._wanted)), key=lambda n: (self._wanted[n].opacity < 1, -n))
        chosen: dict[int, tuple[Sprite, int, int]] = {}
        for n in numbers:
            label = self._wanted[n]
            sprite = self._sprite(label, is_crowd=is_crowd)
            first = None if label.identity is None else places.get(label.identity)
            is_turn = label.identity is None or (label.identity + turn) % TURNS == 0
            found = self._choose(n, sprite.size, first, is_turn=is_turn)
            if found is None:
                continue
            place, x, y = found
            self._occupied.cover_label((x, y), sprite.size)
            if label.identity is not None:
                places[label.identity] = place
            chosen[n] = sprite, x, y
            if place >= len(NEAR):
                self._lead(n, (x, y, x + sprite.size[0], y + sprite.size[1]))
        for sprite, corner in self._fixed:
            stamp(self._canvas.image, sprite, *corner)
        for sprite, x, y in reversed(chosen.values()):
            stamp(self._canvas.image, sprite, x, y)
        return [(x, y, x + sprite.size[0], y + sprite.size[1]) for _, (sprite, x, y) in sorted(chosen.items())]

    def _occupy(self) -> None:
        for n, label in enumerate(self._wanted):
            is_body = label.silhouette is None and label.opacity == 1
            self._occupied.cover_box(n, label.box, is_body=is_body)
        for n, label in enumerate(self._wanted):
            if label.silhouette is not None:
                self._occupied.cover_silhouette(n, *label.silhouette)
        for sprite, corner in self._fixed:
            self._occupied.cover_label(corner, sprite.size)

    def _sprite(self, label: _Label, *, is_crowd: bool) -> Sprite:
        width, height = label.box[2] - label.box[0], label.box[3] - label.box[1]
        is_small = is_crowd or height < 3.5 * self._canvas.font_px
        font_px = self._canvas.small_font_px if is_small else self._canvas.font_px
        sprite = label_sprite(label.text, font_px, label.colour)
        if is_crowd and sprite.size[0] > width:
            sprite = label_sprite(label.short, font_px, label.colour)
        return sprite if label.opacity == 1 else faded(sprite, label.opacity)

    def _choose(
        self, n: int, size: tuple[int, int], first: int | None, *, is_turn: bool
    ) -> tuple[int, int, int] | None:
        """One label's place and top left corner: where it costs least, with a preference for ``first``."""
        label = self._wanted[n]
        rests = first is not None and not is_turn
        if first is None or (is_turn and 0 < first < len(NEAR) and self._has_room(n, size)):
            first = 0
        x, y = self._corner(label, size, first)
        covered = self._cost(n, size, (x, y))
        best, found = PLACES[first][6] + covered - STAY, (first, x, y)
        if rests and covered <= AT_REST and label.opacity == 1:
            return found
        # A far place that is still free is given up for one at the object only.
        near_only = label.opacity < 1 or (first >= len(NEAR) and covered == 0)
        for place in NEAR_FIRST if near_only else CHEAPEST_FIRST:
            if PLACES[place][6] >= best:
                break
            x, y = self._corner(label, size, place)
            cost = PLACES[place][6] + self._cost(n, size, (x, y))
            if cost < best:
                best, found = cost, (place, x, y)
        is_fit = label.opacity == 1 or (best <= MOST_FAINT and found[0] < len(NEAR))
        return found if is_fit else None

    def _has_room(self, n: int, size: tuple[int, int]) -> bool:
        """Whether the place above is free with room to spare, so that a label that returns there can stay."""
        x, y = self._corner(self._wanted[n], size, 0)
        if self._cost(n, size, (x, y)) > 0:
            return False
        spare_x, spare_y = size[0] // 4, size[1] // 2
        left, top = max(x - spare_x, 0), max(y - spare_y, 0)
        return self._occupied.cost(n, (left, top), (x + size[0] + spare_x - left, y + size[1] + spare_y - top)) == 0

    def _cost(self, n: int, size: tuple[int, int], corner: tuple[int, int]) -> float:
        """What a label there costs: others that it covers, and its own object."""
        x1, y1, x2, y2 = self._wanted[n].box
        (x, y), (width, height) = corner, size
        others = OTHERS * self._occupied.cost(n, corner, size)
        own_width, own_height = min(x + width, x2) - max(x, x1), min(y + height, y2) - max(y, y1)
        if own_width <= 0 or own_height <= 0:
            return others
        own, area = own_width * own_height, max((x2 - x1) * (y2 - y1), 1.0)
        return float(others + OWN_AREA * own / area + OWN_LABEL * own / (width * height))

    def _corner(self, label: _Label, size: tuple[int, int], place: int) -> tuple[int, int]:
        """Top left corner of the label at one place, kept inside the picture."""
        along, down, right, lower, gap_x, gap_y, _ = PLACES[place]
        x1, y1, x2, y2 = label.box
        width, height = size
        gap = self._canvas.contour_px + 1
        x = x1 + (x2 - x1) * (label.head if along == ON_HEAD else along) + width * right + gap * gap_x
        y = y1 + (y2 - y1) * down + height * lower + gap * gap_y
        most_x, most_y = self._size[0] - width, self._size[1] - height
        return int(max(min(x, most_x), 0)), int(max(min(y, most_y), 0))

    def _lead(self, n: int, rect: tuple[int, int, int, int]) -> None:
        """A line from a label to what it belongs to."""
        label = self._wanted[n]
        along = min(max(label.box[0] + (label.box[2] - label.box[0]) * label.head, 0), self._size[0] - 1)
        x, y = self._occupied.visible_point(n, label.box, along)
        start = min(max(x, rect[0]), rect[2]), min(max(y, rect[1]), rect[3])
        self._canvas.draw_leader(start, (x, y), label.colour)
