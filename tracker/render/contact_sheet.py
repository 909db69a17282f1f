"""Contact sheet: pictures of several moments in rows with captions, as one image."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tracker.render.annotate import clock_text
from tracker.render.label import plain_sprite, rounded, stamp
from tracker.render.site_text import tag_sprite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracker.render.label import Sprite
    from tracker.render.site_text import LegendEntry

__all__ = ["Moment", "Strip", "compose", "counted"]

THUMBNAIL_WIDTH_PX = 560
GAP_PX = 20
MARGIN_PX = 40
TITLE_PX, CAPTION_PX = 30, 19
GROUND = (26, 22, 20)
RAISED = (44, 38, 35)
LEGEND_PX = 20
BRIGHT, MUTED = (245, 243, 240), (168, 160, 152)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One picture of a strip.

    Attributes:
        image: ``(H, W, 3)`` uint8 BGR.
        time_s: Media time in seconds.
        present: Number of objects in view, by class name; empty where that is not known.
    """

    image: NDArray[np.uint8]
    time_s: float
    present: Counter[str] = field(default_factory=Counter)

    @property
    def caption(self) -> str:
        """The time, and the number of objects per class.

        >>> Moment(image=np.zeros((1, 1, 3), np.uint8), time_s=4.6, present=Counter(car=6, truck=1)).caption
        '0:04.6    6 cars   1 truck'
        """
        counts = "   ".join(counted(count, name) for name, count in self.present.most_common())
        return f"{clock_text(self.time_s)}    {counts}" if counts else clock_text(self.time_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Moments of one source.

    Attributes:
        title: The source's name.
        subtitle: Length, size, identities.
        moments: In order of time.
        legend: Names and final counts of the lines and zones.
    """

    title: str
    subtitle: str
    moments: Sequence[Moment]
    legend: Sequence[LegendEntry] = ()


def compose(strips: Sequence[Strip], *, columns: int) -> NDArray[np.uint8]:
    """The sheet ``(H, W, 3)`` uint8 BGR: per strip a heading and its moments in rows of ``columns`` with captions."""
    widest = max(min(len(strip.moments), columns) for strip in strips)
    width = 2 * MARGIN_PX + widest * THUMBNAIL_WIDTH_PX + (widest - 1) * GAP_PX
    blocks = [_block(strip, columns, width) for strip in strips]
    edge = np.full((MARGIN_PX // 2, width, 3), GROUND, np.uint8)
    return np.concatenate([edge, *blocks, edge])


def _block(strip: Strip, columns: int, width: int) -> NDArray[np.uint8]:
    """One strip's heading and pictures."""
    heights = [round(m.image.shape[0] * THUMBNAIL_WIDTH_PX / m.image.shape[1]) for m in strip.moments]
    cell = max(heights, default=0) + round(CAPTION_PX * 2.6)
    rows = -(-len(strip.moments) // columns)
    rows_of_legend = _legend_rows(strip.legend, width)
    heading = round(TITLE_PX * 2.3) + round(LEGEND_PX * 2.1) * len(rows_of_legend)
    block = np.full((heading + rows * cell + GAP_PX, width, 3), GROUND, np.uint8)
    title = plain_sprite(strip.title, TITLE_PX, weight=650, colour=BRIGHT)
    stamp(block, title, MARGIN_PX, round(TITLE_PX * 0.8))
    subtitle = plain_sprite(strip.subtitle, CAPTION_PX, weight=400, colour=MUTED)
    # Both on one baseline: the smaller type starts lower by the difference of the ascents.
    stamp(block, subtitle, MARGIN_PX + title.size[0] + 28, round(TITLE_PX * 0.8 + 0.72 * (TITLE_PX - CAPTION_PX)))
    for number, row_of_legend in enumerate(rows_of_legend):
        top = round(TITLE_PX * 2.2 + LEGEND_PX * 2.1 * number)
        for sprite, left in row_of_legend:
            stamp(block, sprite, left, top)
    for number, (moment, height) in enumerate(zip(strip.moments, heights, strict=True)):
        row, column = divmod(number, columns)
        x, y = MARGIN_PX + column * (THUMBNAIL_WIDTH_PX + GAP_PX), heading + row * cell
        _paste(block, moment.image, (x, y), height)
        caption = plain_sprite(moment.caption, CAPTION_PX, weight=450, colour=MUTED)
        stamp(block, caption, x + 2, y + height + round(CAPTION_PX * 0.5))
    return block


def _legend_rows(legend: Sequence[LegendEntry], width: int) -> list[list[tuple[Sprite, int]]]:
    """Tags of the legend with their left edges, in as many rows as they need."""
    rows: list[list[tuple[Sprite, int]]] = []
    left = width
    for entry in legend:
        sprite = tag_sprite(entry.parts, LEGEND_PX, entry.colour, ground=RAISED, shade=1.0)
        if not rows or left + sprite.size[0] > width - MARGIN_PX:
            rows.append([])
            left = MARGIN_PX
        rows[-1].append((sprite, left))
        left += sprite.size[0] + round(LEGEND_PX * 0.6)
    return rows


def _paste(block: NDArray[np.uint8], image: NDArray[np.uint8], origin: tuple[int, int], height: int) -> None:
    """A thumbnail with rounded corners."""
    import cv2

    method = cv2.INTER_AREA if image.shape[1] > THUMBNAIL_WIDTH_PX else cv2.INTER_CUBIC
    small = cv2.resize(image, (THUMBNAIL_WIDTH_PX, height), interpolation=method)
    below = block[origin[1] : origin[1] + height, origin[0] : origin[0] + THUMBNAIL_WIDTH_PX]
    cover = rounded(THUMBNAIL_WIDTH_PX, height, radius=8)[..., None]
    below[...] = np.round(small * cover + below * (1 - cover)).astype(np.uint8)


def counted(count: int, name: str) -> str:
    """A number of objects in English: 1 bus, 2 buses."""
    ending = "" if count == 1 else "es" if name.endswith(("s", "x", "ch", "sh")) else "s"
    return f"{count} {name}{ending}"
