"""Counts and events as CSV of OpenTrafficCam's OTAnalytics: flows by interval and class, and passages of sections."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from tracker.formats.cells import csv_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from zoneinfo import ZoneInfo

    from tracker.events import Event

__all__ = ["COUNT_COLUMNS", "EVENT_COLUMNS", "FlowCount", "counts_csv", "events_csv"]

COUNT_COLUMNS = (
    *("start time", "start occurrence date", "start occurrence time"),
    *("end time", "end occurrence date", "end occurrence time"),
    *("classification", "flow", "from section", "to section", "count"),
)
EVENT_COLUMNS = (
    *("road_user_id", "road_user_type", "hostname", "occurrence", "frame_number", "section_id", "event_type"),
    *("video_name", "occurrence_sec", "coordinate_px_x", "coordinate_px_y", "vector_px_x", "vector_px_y"),
    *("section_name", "occurrence_day", "occurrence_time", "interpolated_occurrence"),
    *("interpolated_coordinate_px_x", "interpolated_coordinate_px_y"),
)
TYPES = {"crossing": "section-enter", "enter": "section-enter", "leave": "section-leave"}
"""What sections are there: lines that are passed and areas that are entered and left."""


class FlowCount(NamedTuple):
    """How many took a flow in an interval.

    Attributes:
        start_ms: Begin of the interval, UTC.
        end_ms: Its end, exclusive.
        class_name: Of the road users.
        flow: Name.
        start: Section from which it comes.
        end: Section to which it goes.
        road_users: How many.
    """

    start_ms: int
    end_ms: int
    class_name: str
    flow: str
    start: str
    end: str
    road_users: int


def counts_csv(rows: Iterable[FlowCount], zone: ZoneInfo) -> str:
    """The table of counts; times are local ones of a zone, as the program writes them."""

    def cells(row: FlowCount) -> list[Any]:
        times = [_moment(at_ms, zone).strftime(form) for at_ms in (row.start_ms, row.end_ms) for form in _FORMS]
        return [*times, row.class_name, row.flow, row.start, row.end, row.road_users]

    return csv_text(COUNT_COLUMNS, map(cells, rows))


def events_csv(events: Iterable[Event], zone: ZoneInfo, *, size: tuple[int, int], fps: float | None = None) -> str:
    """The list of passages of lines and entries and exits of zones that were seen on both sides.

    Args:
        events: Of one stream, under their final numbers and classes, with a wall clock.
        zone: Of the times.
        size: ``(width, height)`` of the picture.
        fps: Frames per second, for the number of the frame; empty without it.
    """
    rows = (
        _event_row(event, zone, size, fps)
        for event in events
        if event.kind in TYPES and event.utc_ms is not None and event.before is not None and event.after is not None
    )
    return csv_text(EVENT_COLUMNS, ([row[name] for name in EVENT_COLUMNS] for row in rows))


def _event_row(event: Event, zone: ZoneInfo, size: tuple[int, int], fps: float | None) -> dict[str, Any]:
    before, after, utc_ms = event.before, event.after, event.utc_ms or 0
    assert before is not None  # noqa: S101 - as the caller has looked
    assert after is not None  # noqa: S101 - the same
    (width, height), seen_ms = size, utc_ms + round((after.time_s - event.time_s) * 1000)
    apart_s = after.time_s - before.time_s
    share = (event.time_s - before.time_s) / apart_s if apart_s > 0 else 1.0
    seen = _moment(seen_ms, zone)
    return {
        "road_user_id": event.identity,
        "road_user_type": event.class_name,
        "hostname": event.stream,
        "occurrence": f"{seen:%Y-%m-%d %H:%M:%S.%f}",
        "frame_number": "" if fps is None else round(after.time_s * fps),
        "section_id": event.place,
        "event_type": TYPES[event.kind],
        "video_name": event.stream,
        "occurrence_sec": f"{seen_ms / 1000:.3f}",
        "coordinate_px_x": round(after.x * width, 1),
        "coordinate_px_y": round(after.y * height, 1),
        "vector_px_x": round((after.x - before.x) * width, 1),
        "vector_px_y": round((after.y - before.y) * height, 1),
        "section_name": event.place,
        "occurrence_day": f"{seen:%Y-%m-%d}",
        "occurrence_time": f"{seen:%H:%M:%S}",
        "interpolated_occurrence": f"{_moment(utc_ms, zone):%Y-%m-%d %H:%M:%S.%f}",
        "interpolated_coordinate_px_x": round((before.x + share * (after.x - before.x)) * width, 1),
        "interpolated_coordinate_px_y": round((before.y + share * (after.y - before.y)) * height, 1),
    }


_FORMS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d", "%H:%M:%S")


def _moment(at_ms: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
