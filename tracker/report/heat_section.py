"""Section of the heatmap: seconds by cell on a still of the scene, on a scale of percentiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from tracker.contacts import ContactState
from tracker.formats.row_files import read_rows
from tracker.report.axes import duration_text
from tracker.report.document import Note, Picture, Section

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tracker.report.document import Part

__all__ = ["Heat", "heat_of_records", "heat_picture", "heat_section"]

CELLS = 64
"""Along the longer side of the picture."""
LONGEST_STEP_S = 1.0
"""Between two frames of a recording; a longer pause adds no more than this."""
WIDTH_PX = 1280
QUALITY = 82
TOP_PERCENTILE = 98.0
"""Of the cells with time in them that is as hot as can be: a parked car would eat the range of a maximum."""
OPACITY = 0.72


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """Presence of one stream.

    Attributes:
        stream: Its name.
        seconds: ``(rows, columns)`` by cell.
        origin: From where, for the caption.
    """

    stream: str
    seconds: NDArray[np.float64]
    origin: str


def heat_of_records(paths: Sequence[Path], *, stream: str = "") -> Heat | None:
    """Seconds by cell from ground contacts in records that were seen.

    Args:
        paths: Files of one stream.
        stream: Its name; by default what the records say.

    Returns:
        ``None`` where they have no contacts or do not say the picture's size.
    """
    seconds: NDArray[np.float64] | None = None
    size = (0, 0)
    for path in paths:
        before: float | None = None
        for frame in read_rows(path):
            head = frame.head or {}
            if seconds is None and head.get("size"):
                size = tuple(head["size"])
                longer = max(size)
                seconds = np.zeros((max(round(CELLS * size[1] / longer), 1), max(round(CELLS * size[0] / longer), 1)))
                stream = stream or str(head.get("stream", ""))
            if frame.time_s is None or frame.points is None or frame.states is None or seconds is None:
                continue
            step_s = 0.0 if before is None else min(max(frame.time_s - before, 0.0), LONGEST_STEP_S)
            before = frame.time_s
            seen = (frame.states == ContactState.SEEN) & ~frame.coasting
            x, y = (frame.points[seen] / size).T
            inside = (x >= 0) & (x < 1) & (y >= 0) & (y < 1)
            cells = (y[inside] * seconds.shape[0]).astype(int), (x[inside] * seconds.shape[1]).astype(int)
            np.add.at(seconds, cells, step_s)
    return None if seconds is None or not seconds.any() else Heat(stream=stream, seconds=seconds, origin="records")


def heat_section(heats: Iterable[Heat], stills: Mapping[str, NDArray[np.uint8]]) -> Section | None:
    """One picture for each stream; ``None`` without any.

    Args:
        heats: Of the streams.
        stills: ``(H, W, 3)`` BGR by stream.
    """
    parts: list[Part] = []
    without = False
    for heat in heats:
        total_s = float(heat.seconds.sum())
        if not total_s:
            continue
        still = stills.get(heat.stream)
        without |= still is None
        image, hot_s = heat_picture(heat.seconds, still)
        coded, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if not coded:
            continue
        words = (
            f"{heat.stream}: {duration_text(total_s)} of presence, from {heat.origin}. Yellow: {duration_text(hot_s)} "
            f"and more in a cell (the {TOP_PERCENTILE:g}th percentile); violet: the least; without colour: none."
        )
        text = f"Heatmap of {heat.stream}: where identities stood for how long"
        height, width = image.shape[:2]
        parts.append(Picture(jpeg=data.tobytes(), size=(width, height), caption=words, text=text))
    if not parts:
        return None
    if without:
        parts.append(Note(text="Without a still of the scene the ground is plain: name one with --video or --still."))
    lead = "Seconds in which ground contacts were seen in each cell of the picture, over the whole period."
    return Section(key="heatmap", title="Heatmap", lead=lead, parts=parts)


def heat_picture(seconds: NDArray[np.float64], still: NDArray[np.uint8] | None) -> tuple[NDArray[np.uint8], float]:
    """A still with the heat over it, and the seconds from which a cell is as hot as can be.

    Args:
        seconds: ``(rows, columns)`` by cell.
        still: ``(H, W, 3)`` BGR; ``None`` = a plain ground of the cells' shape.
    """
    rows, columns = seconds.shape
    if still is None:
        still = np.full((round(WIDTH_PX * rows / columns), WIDTH_PX, 3), 38, np.uint8)
    height = round(WIDTH_PX * still.shape[0] / still.shape[1])
    ground = cv2.resize(still, (WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(cv2.cvtColor(ground, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    ground = cv2.addWeighted(grey, 0.75, ground, 0.25, 0)
    hot_s = float(np.percentile(seconds[seconds > 0], TOP_PERCENTILE))
    share = np.sqrt(np.clip(seconds / hot_s, 0, 1)).astype(np.float32)  # many cells have little
    smooth = np.clip(cv2.resize(share, (WIDTH_PX, height), interpolation=cv2.INTER_CUBIC), 0, 1)
    colours = cv2.applyColorMap((smooth * 255).astype(np.uint8), cv2.COLORMAP_PLASMA)
    cover = (np.minimum(smooth * 6, 1) * OPACITY)[..., None]
    return np.asarray((ground * (1 - cover) + colours * cover).astype(np.uint8)), hot_s
