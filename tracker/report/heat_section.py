"""Section of the heatmap: seconds by cell on a still of the scene, on a scale of percentiles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

import cv2
import numpy as np

from tracker.formats.heat_tiles import heat_streams, heat_sum, read_tiles
from tracker.render.heat_scale import GROUND, legend, scale_of
from tracker.render.heatmap import draw_heatmap
from tracker.render.privacy_paint import without_zones
from tracker.report.axes import duration_text
from tracker.report.document import Note, Picture, Section

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tracker.report.document import Part
    from tracker.report.period import Period
    from tracker.site import Site

__all__ = ["Heat", "heat_picture", "heat_section", "heats_of_store", "stills_of"]

WIDTH_PX = 1280
QUALITY = 82
PERCENTILE = 98.0
MOST_PICTURES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """Presence of one stream.

    Attributes:
        stream: Its name.
        seconds: ``(rows, columns)`` by cell.
        origin: From what, for the caption.
    """

    stream: str
    seconds: NDArray[np.float64]
    origin: str


def heats_of_store(connection: sqlite3.Connection, period: Period, streams: Sequence[str]) -> list[Heat]:
    """What a store keeps of the hours that a period touches, the streams with most presence first.

    Raises:
        SourceError: A row is damaged.
        ConfigError: The picture's shape has changed within the period.
    """
    limits = {"start_ms": period.from_ms, "end_ms": period.to_ms} if period.utc else {}
    found = []
    for stream in heat_streams(connection):
        if streams and stream not in streams:
            continue
        tiles = [tile for tile in read_tiles(connection, stream, **limits) if tile.utc == period.utc]
        seconds = heat_sum(tiles).grid()
        if seconds.any():
            found.append(Heat(stream=stream, seconds=seconds, origin="whole hours of the store"))
    return sorted(found, key=lambda one: -float(one.seconds.sum()))


def stills_of(sites: Mapping[Path, Site]) -> dict[str, NDArray[np.uint8]]:
    """Pictures on which sites were drawn, without privacy zones, by the names of the sites' files.

    One that cannot be read is left out.

    Args:
        sites: By path; their pictures lie beside them.
    """
    found: dict[str, NDArray[np.uint8]] = {}
    for path, site in sites.items():
        beside = path.parent / site.reference_picture
        if site.reference_picture and beside.is_file():
            image = cv2.imdecode(np.fromfile(beside, np.uint8), cv2.IMREAD_COLOR)
            if image is not None:
                found[path.stem] = without_zones(np.asarray(image, np.uint8), site.never_shown)
    return found


def heat_section(heats: Iterable[Heat], stills: Mapping[str, NDArray[np.uint8]]) -> Section | None:
    """One picture for each stream; ``None`` without any.

    Args:
        heats: Of the streams, those that matter most first.
        stills: ``(H, W, 3)`` BGR by stream, or its name without a suffix; under the empty name that of all others.
    """
    parts: list[Part] = []
    shown = [heat for heat in heats if heat.seconds.any()]
    without = False
    for heat in shown[:MOST_PICTURES]:
        names = (heat.stream, PurePath(heat.stream).stem, "")
        still = next((stills[name] for name in names if name in stills), None)
        without |= still is None
        image = heat_picture(heat.seconds, still)
        coded, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if not coded:
            continue
        total = duration_text(float(heat.seconds.sum()))
        caption = f"{heat.stream}: {total} of presence, from {heat.origin}"
        text = f"Heatmap of {heat.stream}: where identities stood for how long"
        height, width = image.shape[:2]
        parts.append(Picture(jpeg=data.tobytes(), size=(width, height), caption=caption, text=text))
    if not parts:
        return None
    if without:
        parts.append(Note(text="Without a still of the scene the ground is plain: name one with --still."))
    if len(shown) > MOST_PICTURES:
        parts.append(Note(text=f"Pictures are of the {MOST_PICTURES} cameras with most presence of {len(shown)}."))
    lead = "Seconds that identities spent in each cell of the picture, over the whole period."
    return Section(key="heatmap", title="Heatmap", lead=lead, parts=parts)


def heat_picture(seconds: NDArray[np.float64], still: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """A still with the heat over it and its scale below, ``(H, W, 3)`` uint8 BGR.

    Args:
        seconds: ``(rows, columns)`` by cell.
        still: ``(H, W, 3)`` BGR; ``None`` = a plain ground of the cells' shape.
    """
    rows, columns = seconds.shape
    if still is None:
        still = np.full((round(WIDTH_PX * rows / columns), WIDTH_PX, 3), GROUND, np.uint8)
    height = round(WIDTH_PX * still.shape[0] / still.shape[1])
    ground = np.asarray(cv2.resize(still, (WIDTH_PX, height), interpolation=cv2.INTER_AREA), np.uint8)
    scale = scale_of(seconds, unit="s", percentile=PERCENTILE)
    lines = (f"The last colour begins at the {PERCENTILE:g}th percentile of cells in use.",)
    below = legend(scale, WIDTH_PX, title="Seconds", lines=lines)
    return np.concatenate([draw_heatmap(ground, seconds, scale), below])
