"""Label placement with the least mutual overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tracker.render.label import Sprite, label_sprite, stamp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracker.render.canvas import Canvas
    from tracker.render.colour import Bgr

__all__ = ["LabelBoard"]

Box = Sequence[float]

PLACES = ((0.5, 0.0, -1.0), (0.0, 0.0, -1.0), (1.0, 0.0, -1.0), (0.5, 1.0, 0.0), (0.5, 0.0, 0.0))
"""Where a label may sit: how far along the box's width, how far down its height, and by how many label heights it is
moved from there: above in the middle, left and right, below, inside."""

CELL_PX = 4
"""Grid of the map of occupied places: a look-up costs a microsecond for any number of labels."""


CROWD = 16
"""With more labels than this all are written small, and those at narrow objects short."""


class _Label(NamedTuple):
    text: str
    short: str
    box: Box
    colour: Bgr
    identity: int | None
    faint: bool


class LabelBoard:
    """The labels of one picture, collected from the farthest object to the nearest and stamped together.

    Args:
        canvas: What they are stamped on.
    """

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._wanted: list[_Label] = []
        height, width = canvas.image.shape[:2]
        self._taken = np.zeros((height // CELL_PX + 1, width // CELL_PX + 1), np.bool_)

    def add(
        self, text: str, box: Box, colour: Bgr, *, short: str, identity: int | None = None, faint: bool = False
    ) -> None:
        """Add a label.

        Args:
            text: The label.
            box: xyxy in pixels.
            colour: Of its ground.
            short: The label at narrow objects in a crowd.
            identity: The object's identity, so that its label keeps its place from picture to picture.
            faint: The identity is predicted, not seen: its label is left out where no place is free.
        """
        self._wanted.append(_Label(text, short, box, colour, identity, faint))

    def stamp(self, places: dict[int, int]) -> None:
        """Place and stamp all labels; the nearest object has the first choice.

        Args:
            places: Each identity's choice in the picture before, updated: a label stays where it was while it can.
        """
        chosen = []
        is_crowd = len(self._wanted) > CROWD
        seen = [label for label in self._wanted if not label.faint]
        for label in (*reversed(seen), *(label for label in self._wanted if label.faint)):
            sprite = self._sprite(label, is_crowd=is_crowd)
            first = 0 if label.identity is None else places.get(label.identity, 0)
            place, x, y, covered = self._choose(label.box, sprite, first)
            if label.faint and covered > 0:
                continue
            self._cells(x, y, sprite)[...] = True
            if label.identity is not None:
                places[label.identity] = place
            chosen.append((sprite, x, y))
        for sprite, x, y in reversed(chosen):
            stamp(self._canvas.image, sprite, x, y)

    def _sprite(self, label: _Label, *, is_crowd: bool) -> Sprite:
        width, height = label.box[2] - label.box[0], label.box[3] - label.box[1]
        is_small = is_crowd or height < 3.5 * self._canvas.font_px
        font_px = self._canvas.small_font_px if is_small else self._canvas.font_px
        opacity = 0.55 if label.faint else 1.0
        sprite = label_sprite(label.text, font_px, label.colour, opacity)
        if is_crowd and sprite.size[0] > width:
            sprite = label_sprite(label.short, font_px, label.colour, opacity)
        return sprite

    def _choose(self, box: Box, sprite: Sprite, first: int) -> tuple[int, int, int, float]:
        """One label's place, position and covered part: ``first`` where it is free, else where it covers least."""
        best = first, 0, 0, float("inf")
        for place in (first, *(other for other in range(len(PLACES)) if other != first)):
            x, y = self._position(box, sprite, place)
            cells = self._cells(x, y, sprite)
            covered = np.count_nonzero(cells) / cells.size
            # A tenth better at least, so that labels in a crowd do not jump about.
            if covered < best[3] - 0.1:
                best = place, x, y, covered
            if covered == 0:
                break
        return best

    def _position(self, box: Box, sprite: Sprite, place: int) -> tuple[int, int]:
        """Top left corner of the label, kept inside the picture."""
        along, down, shift = PLACES[place]
        width, height = sprite.size
        x1, y1, x2, y2 = box
        gap = self._canvas.contour_px + 1
        x = x1 + (x2 - x1 - width) * along
        y = y1 + (y2 - y1) * down + height * shift + (gap if shift == 0 else -gap)
        picture_height, picture_width = self._canvas.image.shape[:2]
        return int(min(max(x, 0), max(picture_width - width, 0))), int(min(max(y, 0), max(picture_height - height, 0)))

    def _cells(self, x: int, y: int, sprite: Sprite) -> NDArray[np.bool_]:
        width, height = sprite.size
        rows = slice(y // CELL_PX, (y + height) // CELL_PX + 1)
        return self._taken[rows, x // CELL_PX : (x + width) // CELL_PX + 1]
