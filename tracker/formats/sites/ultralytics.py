"""Regions and parking bays of Ultralytics: points in pixels; two are a line, three or more a polygon.

A line counts *in* to the right where it is steep and down where it is flat, by the movement from frame to frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracker.errors import ConfigError
from tracker.formats.sites.drawing import Drawing, Imported, needed_size, points_of
from tracker.formats.sites.plain import from_json_or_yaml, mapping_of

if TYPE_CHECKING:
    from tracker.formats.sites.drawing import Size
    from tracker.polygons import Point

__all__ = ["matches", "read"]


def matches(data: Any) -> bool:
    """Whether plain values look like this format."""
    if isinstance(data, dict):
        named = data.get("region", data)
        if not isinstance(named, dict):
            return "region" in data and isinstance(named, list)
        return bool(named) and all(_is_points(points) for points in list(named.values())[:3])
    return isinstance(data, list) and bool(data) and all(isinstance(bay, dict) and "points" in bay for bay in data[:3])


def read(text: str, *, size: Size | None = None, stream: str = "") -> Imported:  # noqa: ARG001 - all formats take it
    """Lines and zones.

    Args:
        text: Parking bays ``[{"points": [...]}]``, or the setting ``region``: a list of points, or names with points;
            with or without ``region:`` before it, with round brackets as in Python or without.
        size: ``(width, height)`` of the picture on which they were drawn; the format has none.
        stream: Of no meaning here.

    Raises:
        ConfigError: It is something else, or a polygon crosses itself.
    """
    data = _values(text)
    drawing = Drawing(needed_size(size, "Ultralytics' file"))
    if isinstance(data, dict) and "region" in data:
        drawing.unused("the file", data, {"region"})
        data = data["region"]
    if isinstance(data, dict):
        for name, points in data.items():
            _region(drawing, name, points_of(points, f"region {name!r}"))
    elif isinstance(data, list) and data and isinstance(data[0], dict):
        for number, bay in enumerate(data, start=1):
            held = mapping_of(bay, f"bay {number}")
            drawing.unused(f"bay {number}", held, {"points"})
            drawing.zone(f"bay {number}", points_of(held.get("points"), f"bay {number}"))
    else:
        points = points_of(data, "region")
        _region(drawing, "region", points)
        if len(points) > 2:
            drawing.warn("zone 'region': it counts who enters and leaves, not in and out by the movement's direction")
    return drawing.imported()


def _values(text: str) -> Any:
    """Tuples of Python are lists."""
    if text.lstrip().startswith("region=") or "(" in text:
        text = text.lstrip().removeprefix("region=").strip().strip("\"'").translate(str.maketrans("()", "[]"))
    return from_json_or_yaml(text)


def _region(drawing: Drawing, name: str, points: list[Point]) -> None:
    if len(points) > 2:
        drawing.zone(name, points)
        return
    if len(points) < 2:
        raise ConfigError(f"region {name!r}", f"expected 2 points or more, found {len(points)}", "add points")
    (x1, y1), (x2, y2) = points
    # The left-hand side is screen right for a line that goes down, and screen down for one that goes to the left.
    in_is_left = y2 > y1 if abs(x1 - x2) < abs(y1 - y2) else x2 < x1
    known = drawing.line(name, points, to_left="in" if in_is_left else "out", to_right="out" if in_is_left else "in")
    drawing.warn(
        f"line {known!r}: Ultralytics counts an identity once for ever; here it counts again after min_rearm_s"
    )


def _is_points(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(isinstance(p, list) and len(p) == 2 for p in value[:3])
