"""Presence in the cells of the picture: the sum of a store's hours, or of recorded tracks, and its picture."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracker.engine.heatmap import HeatmapStage
from tracker.engine.recorded import Reading, open_input
from tracker.errors import ConfigError, SourceError
from tracker.formats.event_store import SUFFIXES, open_store
from tracker.formats.heat_tiles import heat_streams, presence_of_tiles, read_tiles
from tracker.heat import HeatSum, Presence, grid_shape
from tracker.render.heatmap import Plan, heat_sheet
from tracker.render.privacy_paint import without_zones
from tracker.settings.stream import StreamSettings
from tracker.site import Site
from tracker.sources.open import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from tracker.engine.recorded import RecordedInput
    from tracker.render.heatmap import Layer

__all__ = ["Look", "picture", "presence"]

PLAIN_WIDTH_PX = 1280
LEAST_WIDTH_PX = 960
"""Smaller stills are made larger, so that the legend can be read."""
PLAIN = (52, 46, 43)
ALL = 0.995
"""A share that is shown as 100 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a picture shows.

    Attributes:
        visits: Visits instead of seconds.
        moving: Leave out the seconds of what stands still.
        classes: Only these; empty = all.
        percentile: Of the cells, which has the last colour.
        on_ground: Draw the ground from above, per square metre.
        lines: Of text, below the scale.
    """

    visits: bool = False
    moving: bool = False
    classes: tuple[str, ...] = ()
    percentile: float = 98.0
    on_ground: bool = False
    lines: tuple[str, ...] = ()

    def grid(self, total: HeatSum) -> NDArray[np.float64]:
        """``(rows, columns)`` of what is shown.

        Raises:
            ConfigError: A class that was never there.
        """
        for name in self.classes:
            if name not in total.by_class:
                found = ", ".join(sorted(total.by_class)) or "none"
                raise ConfigError(
                    "--classes", f"expected classes that were there ({found}), found {name!r}", "change it"
                )
        measure = "visits" if self.visits else "seconds"
        return total.grid(measure, classes=self.classes or None, moving=self.moving)


def presence(
    paths: Sequence[Path],
    *,
    stream: str = "",
    site: Site | None = None,
    site_path: str | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
    by_boxes: bool = False,
    progress: Callable[[int], None] = lambda _frames: None,
) -> Presence:
    """Add up presence.

    Args:
        paths: One store, or a ``.instances`` file, or rows of records in order.
        stream: Of a store that has several; name of the recording of records.
        site: Whose occluders hide ground contacts, for records.
        site_path: Where it was read.
        start_ms: From when, UTC in milliseconds; of a store the hour that holds it is the first.
        end_ms: Until when, exclusive.
        by_boxes: Of records: by the boxes' lower edges.
        progress: Called with the frames done.

    Raises:
        TrackerError: The input cannot be read, or has no presence of that time.
    """
    if paths[0].suffix.lower() in SUFFIXES:
        found = _of_store(paths, stream, start_ms, end_ms)
    else:
        reading = Reading(stream=stream, by_boxes=by_boxes)
        with open_input(paths, site or Site(), StreamSettings(site=site_path), reading) as source:
            found = _of_records(source, (start_ms, end_ms), progress)
    if found.total.shape is None or not any(values.any() for values in found.total.by_class.values()):
        problem = f"expected presence of {found.stream} in that time, found none"
        raise SourceError(paths[0], problem, "ask for another time, or look at masktrail counts")
    return found


def _of_store(paths: Sequence[Path], stream: str, start_ms: int | None, end_ms: int | None) -> Presence:
    if len(paths) > 1:
        problem = f"expected one store, found {len(paths)} files"
        raise ConfigError(str(paths[1]), problem, "draw a heatmap of each")
    with open_store(paths[0]) as connection:
        try:
            streams = heat_streams(connection)
            if not streams:
                problem = "expected a store with a heatmap, found none in it"
                raise SourceError(paths[0], problem, "track with --heatmap, or name the records")
            chosen = stream or streams[0]
            if chosen not in streams or (not stream and len(streams) > 1):
                found = repr(stream) if stream else f"{len(streams)} streams"
                problem = f"expected one of {', '.join(streams)}, found {found}"
                raise ConfigError("--stream", problem, f"write --stream {streams[0]}")
            tiles = read_tiles(connection, chosen, start_ms=start_ms, end_ms=end_ms)
        except sqlite3.Error as failure:
            raise SourceError(paths[0], f"expected a SQLite ledger, found: {failure}", "check the file") from failure
    return presence_of_tiles(chosen, tiles)


def _of_records(
    source: RecordedInput, limits: tuple[int | None, int | None], progress: Callable[[int], None]
) -> Presence:
    total, (start_ms, end_ms), settings = HeatSum(), limits, source.settings
    stage = HeatmapStage(source.stream, start_utc_ms=settings.start_ms, gap_s=settings.gap_s)
    for number, tracked in enumerate(source.counted(), 1):
        steps = stage.process(tracked).heat
        progress(number)
        if steps is None or (limits != (None, None) and not steps.utc):
            continue
        if (start_ms is None or steps.time_ms >= start_ms) and (end_ms is None or steps.time_ms < end_ms):
            total.add_steps(steps, tracked.class_names)
    return Presence(stream=source.stream, total=total, from_ms=total.from_ms or 0, to_ms=total.to_ms or 0)


def picture(found: Presence, look: Look, *, site: Site | None = None, still: Path | None = None) -> NDArray[np.uint8]:
    """The heatmap as a picture ``(H, W, 3)`` uint8 BGR with its legend.

    Args:
        found: What is drawn.
        look: How.
        site: With the ground, for a plan.
        still: A picture or a video of the scene, of which the first frame is taken; ``None`` = a plain ground.

    Raises:
        ConfigError: There is no ground, or a value is out of range.
        SourceError: The still cannot be read, or has another shape.
    """
    grid = look.grid(found.total)
    lines = list(look.lines)
    if look.on_ground:
        if site is None or site.ground is None:
            problem = f"expected a site with its ground in metres, found {'no site' if site is None else 'none in it'}"
            raise ConfigError("--ground", problem, "name a calibrated site with --site, or leave --ground out")
        plan = Plan(grid, site.ground)
        if plan.shown < ALL:
            lines.append(f"{100 * plan.shown:.0f} % of it; the rest is too far away to say where")
        layer: Layer = plan
    else:
        layer = grid, _still(still, grid.shape, site)
    return heat_sheet(layer, stream=found.stream, visits=look.visits, percentile=look.percentile, lines=lines)


def _still(path: Path | None, shape: tuple[int, ...], site: Site | None) -> NDArray[np.uint8]:
    """The first frame of a picture or video without the site's privacy zones, or a plain ground of the grid's shape."""
    import cv2
    import numpy as np

    rows, columns = shape[0], shape[1]
    if path is None:
        scale = PLAIN_WIDTH_PX // max(rows, columns)
        return np.full((rows * scale, columns * scale, 3), PLAIN, np.uint8)
    with open_source(str(path)) as source:
        frame = next(iter(source), None)
    if frame is None or frame.image is None:
        raise SourceError(path, "expected a picture, found none", "name a picture or the recording")
    if grid_shape(frame.size) != (rows, columns):
        found = f"{frame.size[0]} x {frame.size[1]}"
        problem = f"expected a picture of the stream's shape, {columns} : {rows}, found {found}"
        raise SourceError(path, problem, "name the recording, or a picture of that camera")
    image = frame.image if site is None else without_zones(frame.image, site.never_shown)
    enlarged = LEAST_WIDTH_PX / image.shape[1]
    if enlarged <= 1:
        return image
    size = LEAST_WIDTH_PX, round(image.shape[0] * enlarged)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
