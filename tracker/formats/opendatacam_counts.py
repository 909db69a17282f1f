"""Counts as OpenDataCam's program exports them: the history of its counters as CSV, and a recording as JSON."""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

from tracker.formats.cells import cell
from tracker.formats.event_rows import iso_utc
from tracker.formats.sites.drawing import pieces
from tracker.formats.sites.opendatacam import BOTH, POLYGON, area_id, directions_of, write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tracker.events import Event
    from tracker.site import Site

__all__ = ["COLUMNS", "ENTERING", "LEAVING", "history_csv", "recording_json"]

COLUMNS = ("Timestamp", "Counter area", "ObjectClass", "UniqueID", "CountingDirection")
ENTERING, LEAVING = "entering_zone", "leaving_zone"


def history_csv(events: Iterable[Event], site: Site, size: tuple[int, int]) -> str:
    """Passages of lines, and entries and exits of zones, one by one.

    Args:
        events: Of one stream, under their final numbers and classes, with a wall clock.
        site: Its lines say which way is which.
        size: ``(width, height)`` of the picture.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(COLUMNS)
    for event, direction in _counted(events, site, size):
        row = (iso_utc(event.utc_ms or 0), event.place, event.class_name, event.identity, direction)
        writer.writerow(map(cell, row))
    return text.getvalue()


def recording_json(events: Sequence[Event], site: Site, size: tuple[int, int], *, name: str = "") -> str:
    """A recording with its areas, sums by area and class, and the history.

    Args:
        events: As for :func:`history_csv`.
        site: As for it.
        size: As for it.
        name: Of the stream.
    """
    areas = json.loads(write(site, size=size).text)["countingAreas"]
    counted = list(_counted(events, site, size))
    lines = {line.name: area_id(BOTH, next(pieces(line))[0]) for line in site.lines}
    sums: dict[str, Counter[str]] = {key: Counter() for key in areas}
    history: list[dict[str, Any]] = []
    for event, direction in counted:
        key = area_id(POLYGON, event.place) if direction in {ENTERING, LEAVING} else lines[event.place]
        if direction != LEAVING:
            sums.setdefault(key, Counter())[event.class_name] += 1
        said = {"timestamp": iso_utc(event.utc_ms or 0), "area": key, "name": event.class_name, "id": event.identity}
        history.append({**said, "countingDirection": direction})
    moments = [event.utc_ms for event in events if event.utc_ms is not None]
    recording = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}:{min(moments, default=0)}")),
        "dateStart": iso_utc(min(moments)) if moments else None,
        "dateEnd": iso_utc(max(moments)) if moments else None,
        "filename": name,
        "videoResolution": {"w": size[0], "h": size[1]},
        "areas": areas,
        "counterSummary": {key: {**dict(by_class), "_total": by_class.total()} for key, by_class in sums.items()},
        "trackerSummary": {"totalItemsTracked": len({event.identity for event in events if event.identity})},
        "counterHistory": history,
    }
    return json.dumps(recording, indent=2, ensure_ascii=False) + "\n"


def _counted(events: Iterable[Event], site: Site, size: tuple[int, int]) -> Iterator[tuple[Event, str]]:
    """Events that a counter has, and their direction there."""
    lines = {}
    for line in site.lines:
        to_left, to_right = directions_of((line.points[0], line.points[-1]), size)
        lines[line.name] = {line.to_left: to_left, line.to_right: to_right}
    for event in events:
        if event.utc_ms is None:
            continue
        if event.kind == "crossing" and event.direction in lines.get(event.place, {}):
            yield event, lines[event.place][event.direction]
        elif event.kind in {"enter", "leave"} and event.stay is not None:
            seen = event.stay.began == "entered" if event.kind == "enter" else event.stay.end == "left"
            if seen:
                yield event, ENTERING if event.kind == "enter" else LEAVING
