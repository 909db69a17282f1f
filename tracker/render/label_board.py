"""Label placement with the least overlap with other objects and other labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tracker.render.label import Sprite, label_sprite, stamp
from tracker.render.occupancy import Occupancy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracker.render.canvas import Canvas
    from tracker.render.colour import Bgr

__all__ = ["LabelBoard", "Silhouette"]

Box = Sequence[float]

Silhouette = tuple["NDArray[np.bool_]", tuple[int, int]]
"""A boolean crop ``(h, w)`` and the position ``(x, y)`` of its top left pixel."""

NEAR = (
    # along, down, right, lower, gap_x, gap_y, cost
    (0.5, 0.00, -0.5, -1.0, 0, -1, 0.00),  # above in the middle
    (0.0, 0.00, 0.0, -1.0, 0, -1, 0.02),  # above, left
    (1.0, 0.00, -1.0, -1.0, 0, -1, 0.02),  # above, right
    (0.5, 1.00, -0.5, 0.0, 0, 1, 0.06),  # below
    (0.5, 0.45, -0.5, -0.5, 0, 0, 0.02),  # on the chest
    (0.5, 1.00, -0.5, -1.0, 0, -1, 0.04),  # inside, at the lower edge
    (0.0, 0.00, -1.0, 0.0, -1, 0, 0.08),  # beside, left
    (1.0, 0.00, 0.0, 0.0, 1, 0, 0.08),  # beside, right
    (0.5, 0.00, -0.5, 0.0, 0, 1, 0.12),  # inside, at the head
)
"""Places at the object: where on the box (fractions of its width and height), by how many label widths and heights and
how many gaps the label's top left corner is moved from there, and what the place costs before anything is covered."""

FAR = tuple(
    (along, down, right, lower, 0, 0, 0.14 + 0.04 * distance)
    for distance in (1.2, 2.6, 4.5, 7.0)
    for along, down, right, lower in (
        (0.5, 0.0, -0.5, -1.0 - distance),
        (0.0, 0.0, -0.8, -1.0 - 0.8 * distance),
        (1.0, 0.0, -0.2, -1.0 - 0.8 * distance),
        (0.5, 1.0, -0.5, distance),
        (0.0, 0.3, -1.0 - 0.3 * distance, 0.0),
        (1.0, 0.3, 0.3 * distance, 0.0),
    )
)
"""Places at some distance, tried where every near one covers something; a line leads from there to the object."""

PLACES = np.array(NEAR + FAR)

STAY = 0.12
"""A label changes its place for a gain from here on, so that labels in a crowd do not jump about."""

NEAR_ENOUGH = 0.2
"""Places at some distance are looked at where the best near one costs more."""

OWN_AREA, OWN_LABEL = 0.3, 0.06
"""What it costs to cover one's own object: times the share of the box that is covered, and of the label that covers."""

CROWD = 16
"""More labels than this are written small, and at narrow objects short."""

MOST_COVERED = 0.6
"""A label of a predicted identity that would cover more is left out."""


class _Label(NamedTuple):
    text: str
    short: str
    box: Box
    colour: Bgr
    identity: int | None
    opacity: float
    silhouette: Silhouette | None


class LabelBoard:
    """The labels of one picture, collected from the farthest object to the nearest and stamped together.

    Args:
        canvas: What they are stamped on.
    """

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._wanted: list[_Label] = []
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
        silhouette: Silhouette | None = None,
    ) -> None:
        """Ask for a label.

        Args:
            text: What it says.
            box: xyxy in pixels; other labels keep away from it.
            colour: Of its ground.
            short: What it says at narrow objects in a crowd.
            identity: Whose label it is, so that it keeps its place from picture to picture.
            opacity: Below 1 for identities that are predicted, not seen: left out where no place is free.
            silhouette: Where in the box the object is seen, if that is drawn.
        """
        self._wanted.append(_Label(text, short, box, colour, identity, opacity, silhouette))

    def stamp(self, places: dict[int, int]) -> list[tuple[int, int, int, int]]:
        """Stamp all labels, the nearest object choosing first.

        Args:
            places: Each identity's choice in the picture before, updated: a label stays where it was while it can.

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
            first = 0 if label.identity is None else places.get(label.identity, 0)
            found = self._choose(n, sprite.size, first)
            if found is None:
                continue
            place, x, y = found
            self._occupied.cover_label((x, y), sprite.size)
            if label.identity is not None:
                places[label.identity] = place
            chosen[n] = sprite, x, y
            if place >= len(NEAR):
                self._lead(n, (x, y, x + sprite.size[0], y + sprite.size[1]))
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

    def _sprite(self, label: _Label, *, is_crowd: bool) -> Sprite:
        width, height = label.box[2] - label.box[0], label.box[3] - label.box[1]
        is_small = is_crowd or height < 3.5 * self._canvas.font_px
        font_px = self._canvas.small_font_px if is_small else self._canvas.font_px
        sprite = label_sprite(label.text, font_px, label.colour, label.opacity)
        if is_crowd and sprite.size[0] > width:
            sprite = label_sprite(label.short, font_px, label.colour, label.opacity)
        return sprite

    def _choose(self, n: int, size: tuple[int, int], first: int) -> tuple[int, int, int] | None:
        """One label's place and top left corner: ``first`` where it is free and near, else where it costs least."""
        label = self._wanted[n]
        if first < len(NEAR):
            [(x, y)] = self._corners(label.box, size, PLACES[first : first + 1]).tolist()
            is_outside = first in {0, 1, 2, 3, 6, 7}
            if is_outside and self._occupied.is_free(n, (x, y), size) and not _touches(label.box, (x, y), size):
                return first, x, y
        corners = self._corners(label.box, size, PLACES)
        near = len(NEAR)
        costs = self._costs(n, size, corners[:near], slice(0, near))
        if first < near:
            costs[first] -= STAY
        if costs.min() > NEAR_ENOUGH:
            far = self._costs(n, size, corners[near:], slice(near, None))
            costs = np.concatenate([costs, far])
            if first >= near:
                costs[first] -= STAY
        place = int(costs.argmin())
        if label.opacity < 1 and costs[place] > MOST_COVERED:
            return None
        return place, int(corners[place, 0]), int(corners[place, 1])

    def _costs(self, n: int, size: tuple[int, int], corners: NDArray[np.int64], which: slice) -> NDArray[np.float64]:
        """What each place costs: itself, others that it covers (a tenth of a label is as bad as a long way), its own."""
        x1, y1, x2, y2 = self._wanted[n].box
        ends = corners + size
        sides = np.minimum(ends, (x2, y2)) - np.maximum(corners, (x1, y1))
        own = np.maximum(sides, 0).prod(axis=1)
        area = max((x2 - x1) * (y2 - y1), 1.0)
        own_cost = OWN_AREA * own / area + OWN_LABEL * own / (size[0] * size[1])
        others = 2.5 * self._occupied.cost(n, corners, size)
        return np.asarray(PLACES[which, 6] + own_cost + others, np.float64)

    def _corners(self, box: Box, size: tuple[int, int], places: NDArray[np.float64]) -> NDArray[np.int64]:
        """Top left corners ``(C, 2)`` of the label at each place, kept inside the picture."""
        x1, y1, x2, y2 = box
        width, height = size
        gap = self._canvas.contour_px + 1
        # Distances to the side are in label heights too where the place is far: see FAR.
        x = x1 + (x2 - x1) * places[:, 0] + width * places[:, 2] + gap * places[:, 4]
        y = y1 + (y2 - y1) * places[:, 1] + height * places[:, 3] + gap * places[:, 5]
        most = max(self._size[0] - width, 0), max(self._size[1] - height, 0)
        return np.asarray(np.clip(np.stack([x, y], axis=1), 0, most), np.int64)

    def _lead(self, n: int, rect: tuple[int, int, int, int]) -> None:
        """A line from a label to what it belongs to."""
        label = self._wanted[n]
        middle = (rect[0] + rect[2]) / 2, (rect[1] + rect[3]) / 2
        x, y = self._occupied.visible_point(n, label.box, middle)
        start = min(max(x, rect[0]), rect[2]), min(max(y, rect[1]), rect[3])
        self._canvas.draw_leader(start, (x, y), label.colour)


def _touches(box: Box, place: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether a label that belongs beside its box was pushed onto it by the picture's edge."""
    (x, y), (width, height) = place, size
    return x < box[2] and x + width > box[0] and y < box[3] and y + height > box[1]
