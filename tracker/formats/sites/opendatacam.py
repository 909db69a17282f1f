"""Counting areas of OpenDataCam: an object by uuid, each with the resolution on which it was drawn; y down.

A movement to the lower side of a line is ``leftright_topbottom``, one to its upper side ``rightleft_bottomtop``; over
an exactly vertical line the former is to the left, as its program computes it.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from tracker.errors import ConfigError
from tracker.formats.sites.drawing import (
    Drawing,
    Exported,
    Imported,
    line_pieces,
    lost,
    needed_size,
    pixels,
    points_of,
    zone_polygons,
)
from tracker.formats.sites.plain import from_json, mapping_of, number_of

if TYPE_CHECKING:
    from tracker.formats.sites.drawing import Size
    from tracker.polygons import Point
    from tracker.site import Site

__all__ = ["BOTH", "DOWN", "POLYGON", "UP", "area_id", "directions_of", "matches", "read", "write"]

DOWN, UP = "leftright_topbottom", "rightleft_bottomtop"
BOTH, POLYGON = "bidirectional", "polygon"
COLOURS = ("yellow", "turquoise", "green", "purple", "red")
TOOL = "OpenDataCam"


def matches(data: Any) -> bool:
    """Whether plain values look like this format."""
    areas = data.get("countingAreas", data) if isinstance(data, dict) else None
    return isinstance(areas, dict) and any(
        isinstance(area, dict) and isinstance(area.get("location"), dict) for area in list(areas.values())[:3]
    )


def read(text: str, *, size: Size | None = None, stream: str = "") -> Imported:  # noqa: ARG001 - all formats take it
    """Lines and zones.

    Args:
        text: JSON, with ``countingAreas`` or without.
        size: ``(width, height)`` for areas that have no ``refResolution``.
        stream: Of no meaning here.

    Raises:
        ConfigError: It is something else, or a polygon crosses itself.
    """
    data = mapping_of(from_json(text), "the file")
    areas = mapping_of(data.get("countingAreas", data), "countingAreas")
    kept = {key: mapping_of(area, f"area {key!r}"[:80]) for key, area in areas.items() if area is not None}
    drawing = Drawing(None, reference=size or _common_size(kept))
    for key, area in kept.items():
        _add(drawing, key, area, size)
    return drawing.imported()


def write(site: Site, *, size: Size | None = None, stream: str = "") -> Exported:  # noqa: ARG001 - all formats take it
    """Counting areas.

    Args:
        site: The site.
        size: ``(width, height)`` in which coordinates are written; the site's reference size where not given.
        stream: Of no meaning here.

    Raises:
        ConfigError: No size is known.
    """
    reference = needed_size(size or site.reference_size, "the site")
    warnings: list[str] = []
    areas: dict[str, Any] = {}

    def add(kind: str, name: str, points: list[Point]) -> None:
        areas[area_id(kind, name)] = {
            "color": COLOURS[len(areas) % len(COLOURS)],
            "type": kind,
            "name": name,
            "location": {
                "points": [{"x": x, "y": y} for x, y in points],
                "refResolution": {"w": reference[0], "h": reference[1]},
            },
        }

    for line, name, ends in line_pieces(site, TOOL, warnings):
        to_left, to_right = _directions(*pixels(ends, reference, 1))
        if (line.to_left, line.to_right) != (to_left, to_right):
            warnings.append(f"line {name!r}: {line.to_left} is {to_left} there, {line.to_right} is {to_right}")
        add(BOTH, name, pixels(ends, reference, 1))
    for _, name, polygon in zone_polygons(site, TOOL, warnings):
        corners = pixels(polygon, reference, 1)
        add(POLYGON, name, [*corners, corners[0]])
    warnings += lost(site, TOOL, parts={"lines", "zones"}, line={"to_left", "to_right"})
    return Exported(
        text=json.dumps({"countingAreas": areas}, indent=2, ensure_ascii=False) + "\n", warnings=tuple(warnings)
    )


def area_id(kind: str, name: str) -> str:
    """The uuid of a counting area, the same whenever it is written.

    Args:
        kind: :data:`BOTH` for lines, :data:`POLYGON` for zones.
        name: Of the line or zone.
    """
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind}:{name}"))


def directions_of(ends: tuple[Point, Point], size: Size) -> tuple[str, str]:
    """What the directions onto the left and the right side of a line are called there.

    Args:
        ends: Of the line, in shares of the picture.
        size: ``(width, height)`` of the picture.
    """
    return _directions(*pixels(list(ends), size, 1))


def _common_size(areas: dict[str, dict[str, Any]]) -> Size | None:
    """The resolution that all areas share."""
    sizes = {_resolution(area.get("location"), key) for key, area in areas.items()}
    return sizes.pop() if len(sizes) == 1 else None


def _resolution(location: Any, key: str) -> Size | None:
    held = location.get("refResolution") if isinstance(location, dict) else None
    if held is None:
        return None
    what = f"area {key!r}, refResolution"[:80]
    width, height = (number_of(mapping_of(held, what).get(side), what) for side in ("w", "h"))
    if not (1 <= width <= 1e6 and 1 <= height <= 1e6):
        raise ConfigError(what, f"expected pixels, found {width:g} x {height:g}", "draw the area again")
    return int(width), int(height)


def _add(drawing: Drawing, key: str, area: dict[str, Any], size: Size | None) -> None:
    what = f"area {area.get('name', key)!r}"[:80]
    location = mapping_of(area.get("location"), f"{what}, location")
    given = location.get("points")
    if given is None:
        given = [location.get("point1"), location.get("point2")]
    width, height = needed_size(_resolution(location, key) or size, f"{what}, refResolution")
    points = [(x / width, y / height) for x, y in points_of(given, what)]
    name, kind = area.get("name") or key, area.get("type", BOTH)
    drawing.unused(what, area, {"color", "type", "name", "location", "computed"})
    if kind == POLYGON or (len(points) > 3 and points[0] == points[-1]):
        drawing.zone(name, points)
        return
    if kind not in {BOTH, DOWN, UP}:
        raise ConfigError(
            what, f"expected {BOTH}, {DOWN}, {UP} or {POLYGON}, found {str(kind)[:40]!r}", "draw it again"
        )
    if len(points) < 2:
        raise ConfigError(what, f"expected 2 points or more, found {len(points)}", "draw it again")
    to_left, to_right = _directions(points[0], points[-1])
    known = drawing.line(name, points, to_left=to_left, to_right=to_right)
    if kind != BOTH:
        drawing.warn(f"line {known!r}: {TOOL} counts {kind} only; here both directions are counted")
    drawing.warn(f"line {known!r}: {TOOL} counts an identity once; here it counts again after min_rearm_s")


def _directions(start: Point, end: Point) -> tuple[str, str]:
    """What onto the left-hand and onto the right-hand side are called there."""
    along_x, along_y = end[0] - start[0], end[1] - start[1]
    lower_is_right = along_x > 0 or (along_x == 0 and along_y > 0)
    return (UP, DOWN) if lower_is_right else (DOWN, UP)
