"""Heatmaps of stores: how long identities were in which cells, and the picture of it over a masked still."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.dashboard.problems import ApiError
from tracker.errors import ConfigError
from tracker.heat import MEASURES, TILE_MS, grid_shape

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from numpy.typing import NDArray

    from tracker.heat import HeatSum, Presence
    from tracker.render.heatmap import Layer
    from tracker.site import Site

__all__ = ["PERCENTILE", "WIDTH_PX", "HeatLook", "heat_facts", "heat_picture"]

PERCENTILE = 98.0
WIDTH_PX = 1280
PLAIN = 96
"""Grey of the ground where there is no still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatLook:
    """What a picture shows.

    Attributes:
        visits: Visits instead of seconds.
        moving: Leave out the seconds of what stands still.
        classes: Only these; empty = all.
        ground: The ground from above, per square metre.
        shown_px: Width at which the picture will be looked at; ``None`` = about its own.
    """

    visits: bool = False
    moving: bool = False
    classes: Sequence[str] = ()
    ground: bool = False
    shown_px: int | None = None

    def grid(self, total: HeatSum) -> NDArray[np.float64]:
        """``(rows, columns)`` of what is shown."""
        measure = "visits" if self.visits else "seconds"
        return total.grid(measure, classes=self.classes or None, moving=self.moving)


def heat_facts(found: Presence | None, look: HeatLook, site: Site | None) -> dict[str, Any]:
    """Figures of a heatmap; all of them ``None`` or empty where nothing was kept."""
    ground = site is not None and site.ground is not None
    if found is None:
        nothing = dict.fromkeys(("utc", "from_ms", "to_ms", "sum", "top", "unplaced_s"))
        return {**nothing, "classes": [], "ground": ground}
    sums = {name: values.sum(axis=0).tolist() for name, values in sorted(found.total.by_class.items())}
    classes = [
        {"class": name} | {key: round(value, 3) for key, value in zip(MEASURES, row, strict=True)}
        for name, row in sums.items()
    ]
    grid = look.grid(found.total)
    used = grid[grid > 0]
    return {
        "utc": found.total.utc,
        "from_ms": found.from_ms,
        "to_ms": found.to_ms,
        "sum": round(float(grid.sum()), 3),
        "top": round(float(np.percentile(used, PERCENTILE)), 3) if len(used) else None,
        "unplaced_s": round(found.total.unplaced_s, 3),
        "classes": classes,
        "ground": ground,
    }


def heat_picture(found: Presence, look: HeatLook, *, still: bytes | None, site: Site | None, zone: ZoneInfo) -> bytes:
    """The heatmap with its legend as PNG.

    Args:
        found: What is drawn.
        look: How.
        still: Masked JPEG of the scene; without one, or one of another shape, there is a plain ground.
        site: With zones that are never shown, and its ground.
        zone: Time zone of the legend.

    Raises:
        ApiError: There is no ground to draw.
    """
    import cv2

    from tracker.render.heatmap import Plan, heat_sheet

    grid = look.grid(found.total)
    lines = [_when(found, zone)]
    if look.ground:
        if site is None or site.ground is None:
            raise ApiError(422, "ground", "a site with its ground in metres", "none", "leave ground out")
        try:
            plan = Plan(grid, site.ground)
        except ConfigError:
            raise ApiError(422, "ground", "time in cells near enough", "none", "leave ground out") from None
        lines.append(f"{100 * plan.shown:.0f} % of it lies near enough to say where")
        layer: Layer = plan
    else:
        layer = grid, _below(still, grid.shape, site)
    sheet = heat_sheet(
        layer,
        stream=found.stream,
        visits=look.visits,
        percentile=PERCENTILE,
        lines=lines,
        shown_px=look.shown_px,
    )
    return bytes(cv2.imencode(".png", sheet)[1].tobytes())


def _when(found: Presence, zone: ZoneInfo) -> str:
    """The hours that are covered, in local time or media time."""
    if not found.total.utc:
        return f"{found.from_ms // TILE_MS}:00 to {found.to_ms // TILE_MS}:00 of media time"
    first, last = (
        datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone).isoformat(sep=" ", timespec="minutes")
        for at_ms in (found.from_ms, found.to_ms)
    )
    return f"{first} to {last}"


def _below(still: bytes | None, shape: tuple[int, ...], site: Site | None) -> NDArray[np.uint8]:
    """The masked still without zones that are never shown, or a plain ground of the grid's shape."""
    import cv2

    from tracker.render.privacy_paint import without_zones

    rows, columns = shape[0], shape[1]
    image = None if still is None else cv2.imdecode(np.frombuffer(still, np.uint8), cv2.IMREAD_COLOR)
    if image is None or grid_shape((image.shape[1], image.shape[0])) != (rows, columns):
        scale = max(WIDTH_PX // max(rows, columns), 1)
        return np.full((rows * scale, columns * scale, 3), PLAIN, np.uint8)
    picture = without_zones(np.asarray(image, np.uint8), () if site is None else site.never_shown)
    size = WIDTH_PX, round(picture.shape[0] * WIDTH_PX / picture.shape[1])
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
