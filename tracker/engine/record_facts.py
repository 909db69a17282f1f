"""Facts of records that annotation tools need, and boxes and silhouettes of rows as such tools show them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracker.errors import DetectionsError, SourceError
from tracker.formats.run_length import encode_polygons, run_total
from tracker.formats.whole_rows import frames_of

if TYPE_CHECKING:
    from pathlib import Path

    from tracker.formats.annotation import Box
    from tracker.formats.whole_rows import WholeRow

__all__ = ["RecordFacts", "facts_of", "mask_code", "shown_box"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFacts:
    """What a pass over records finds.

    Attributes:
        stream: Name in the notes; empty without them.
        size: Width and height of the picture.
        last_frame: The last one with rows.
        last_s: Its media time.
        step: Frames from one with rows to the next, at least.
        fps: Frames per second, by the first and last rows.
        classes: Of each identity, by its last row.
    """

    stream: str
    size: tuple[int, int]
    last_frame: int
    last_s: float
    step: int
    fps: float
    classes: dict[int, str]


def facts_of(path: Path) -> RecordFacts:
    """Read records once; memory holds a frame and a class per identity.

    Raises:
        SourceError: They cannot be read, have no rows, or do not say how large the picture is.
        ConfigError: They are of no format with whole rows.
    """
    stream, size = "", None
    first: tuple[int, float] | None = None
    last, last_s, step = -1, 0.0, 0
    classes: dict[int, str] = {}
    for rows in frames_of(path):
        frame, last_s = rows[0].get("frame"), float(rows[0].get("time_s"))
        if frame <= last:
            raise DetectionsError(path, f"expected frames in their order, found {frame} behind {last}", "sort the rows")
        if first is None:
            first = frame, last_s
            notes = rows[0].get("notes") or {}
            stream = str(notes.get("stream", ""))
            size = tuple(notes["size"]) if "size" in notes else None
        else:
            step = min(step or frame - last, frame - last)
        last = frame
        for row in rows:
            classes[row.get("id")] = str(row.get("class"))
            if size is None and isinstance(mask := row.get("mask"), dict):
                size = mask["size"][1], mask["size"][0]
    if first is None:
        raise SourceError(path, "expected rows of identities, found none", "name what track --records wrote")
    if size is None:
        problem = "expected the size of the picture in notes or masks, found neither"
        raise SourceError(path, problem, "write the records again with masktrail track")
    fps = (last - first[0]) / (last_s - first[1]) if last_s > first[1] else 25.0
    width, height = size
    return RecordFacts(
        stream=stream, size=(int(width), int(height)), last_frame=last, last_s=last_s, step=max(step, 1), fps=fps,
        classes=classes,
    )  # fmt: skip


def shown_box(row: WholeRow, size: tuple[int, int]) -> Box | None:
    """A row's box within the picture; ``None`` where nothing of it is."""
    width, height = size
    x1, y1, x2, y2 = row.get("box")
    box = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    return box if all(map(math.isfinite, box)) and box[2] - box[0] >= 0.01 and box[3] - box[1] >= 0.01 else None


def mask_code(path: Path, value: Any, size: tuple[int, int]) -> str:
    """The compressed run-length code of a row's silhouette; empty where there is none.

    Raises:
        DetectionsError: It is damaged, or of another picture.
    """
    if not value:
        return ""
    if isinstance(value, dict):
        counts = str(value.get("counts"))
        if list(value.get("size", ())) == [size[1], size[0]] and run_total(counts) == size[0] * size[1]:
            return counts
        problem = f"expected masks of {size[0]} x {size[1]}, found another or a damaged one"
        raise DetectionsError(path, problem, "write the records again")
    outlines = [outline for outline in value if len(outline) >= 6]
    return encode_polygons(outlines, size) if outlines else ""
