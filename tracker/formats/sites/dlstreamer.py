"""Zones and tripwires of DL Streamer's gvaanalytics, in pixels, and lines of its pipeline server, in shares.

A tripwire's direction is 1 from its left-hand to its right-hand side, as its code computes it (its documentation once
said the reverse), and -1 back. The pipeline server calls the left-hand side counterclockwise.
"""

from __future__ import annotations

import json
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
from tracker.formats.sites.plain import from_json, mapping_of, number_of, sequence_of

if TYPE_CHECKING:
    from tracker.formats.sites.drawing import Size
    from tracker.site import Site

__all__ = ["TO_LEFT", "TO_RIGHT", "matches", "read", "write", "write_pipeline_server"]

TO_LEFT, TO_RIGHT = "-1", "1"
OLD_TO_LEFT, OLD_TO_RIGHT = "counterclockwise", "clockwise"
TOOL, OLD_TOOL = "gvaanalytics", "the pipeline server"


def matches(data: Any) -> bool:
    """Whether plain values look like this format."""
    if not isinstance(data, dict):
        return False
    if isinstance(data.get("tripwires"), list):
        return True
    held = [entry for key in ("zones", "lines") if isinstance(data.get(key), list) for entry in data[key][:3]]
    keys = ({"id", "points"}, {"id", "center"}, {"name", "polygon"}, {"name", "line"})
    return any(isinstance(entry, dict) and any(wanted <= set(entry) for wanted in keys) for entry in held)


def read(text: str, *, size: Size | None = None, stream: str = "") -> Imported:  # noqa: ARG001 - all formats take it
    """Lines and zones.

    Args:
        text: JSON with ``zones`` and ``tripwires``, or ``zones`` and ``lines`` of the pipeline server.
        size: ``(width, height)`` of the picture; the format has none. Not needed for the pipeline server's.
        stream: Of no meaning here.

    Raises:
        ConfigError: It is something else, or a polygon crosses itself.
    """
    data = mapping_of(from_json(text), "the file")
    zones = [mapping_of(zone, "zones") for zone in sequence_of(data.get("zones") or [], "zones")]
    lines = [mapping_of(line, "lines") for line in sequence_of(data.get("lines") or [], "lines")]
    wires = [mapping_of(wire, "tripwires") for wire in sequence_of(data.get("tripwires") or [], "tripwires")]
    old = bool(lines) or any("polygon" in zone for zone in zones)
    if old and wires:
        raise ConfigError("the file", "expected tripwires or lines, found both", "is it the right format?")
    drawing = Drawing(None, reference=size) if old else Drawing(needed_size(size, "this file"))
    drawing.unused("the file", data, {"zones", "lines", "tripwires"})
    for zone in zones:
        _zone(drawing, zone, old=old)
    for wire in wires:
        drawing.unused(f"tripwire {wire.get('id')!r}"[:80], wire, {"id", "points"})
        points = _two(wire.get("points"), f"tripwire {wire.get('id')!r}"[:80])
        drawing.line(wire.get("id"), points, to_left=TO_LEFT, to_right=TO_RIGHT)
    for line in lines:
        drawing.unused(f"line {line.get('name')!r}"[:80], line, {"name", "line"})
        points = _two(line.get("line"), f"line {line.get('name')!r}"[:80])
        drawing.line(line.get("name"), points, to_left=OLD_TO_LEFT, to_right=OLD_TO_RIGHT)
    return drawing.imported()


def write(site: Site, *, size: Size | None = None, stream: str = "") -> Exported:  # noqa: ARG001 - all formats take it
    """Zones and tripwires.

    Args:
        site: The site.
        size: ``(width, height)`` of the stream; the site's reference size where not given.
        stream: Of no meaning here.

    Raises:
        ConfigError: No size is known.
    """
    reference = needed_size(size or site.reference_size, "the site")
    warnings: list[str] = []
    wires, zones = [], []
    for line, name, ends in line_pieces(site, TOOL, warnings):
        corners = pixels(ends, reference)
        if corners[0] == corners[1]:
            warnings.append(f"line {name!r} is left out: it is shorter than a pixel")
            continue
        wires.append({"id": name, "points": [{"x": x, "y": y} for x, y in corners]})
        if (line.to_left, line.to_right) != (TO_LEFT, TO_RIGHT):
            warnings.append(f"line {name!r}: {line.to_left} is {TO_LEFT} there, {line.to_right} is {TO_RIGHT}")
    for zone, name, polygon in zone_polygons(site, TOOL, warnings):
        points = [{"x": x, "y": y} for x, y in pixels(polygon, reference)]
        zones.append(
            {
                "id": name,
                "type": "polygon",
                "points": points,
                "track-dwell-time": True,
                "object-retention": zone.leave_s,
            }
        )
    warnings += lost(site, TOOL, parts={"lines", "zones"}, line={"to_left", "to_right"}, zone={"leave_s"})
    text = json.dumps({"zones": zones, "tripwires": wires}, indent=2, ensure_ascii=False)
    return Exported(text=text + "\n", warnings=tuple(warnings))


def write_pipeline_server(site: Site, *, size: Size | None = None, stream: str = "") -> Exported:  # noqa: ARG001 - all formats take it
    """Zones and lines of the pipeline server, in shares of the picture.

    Args:
        site: The site.
        size: Of no meaning here.
        stream: Of no meaning here.
    """
    warnings: list[str] = []
    lines: list[dict[str, Any]] = []
    for line, name, ends in line_pieces(site, OLD_TOOL, warnings):
        lines.append({"name": name, "line": _shares(ends)})
        if (line.to_left, line.to_right) != (OLD_TO_LEFT, OLD_TO_RIGHT):
            warnings.append(f"line {name!r}: {line.to_left} is {OLD_TO_LEFT} there, {line.to_right} is {OLD_TO_RIGHT}")
    zones = [
        {"name": name, "polygon": _shares(polygon)} for _, name, polygon in zone_polygons(site, OLD_TOOL, warnings)
    ]
    warnings += lost(site, OLD_TOOL, parts={"lines", "zones"}, line={"to_left", "to_right"})
    text = json.dumps({"zones": zones, "lines": lines}, indent=2, ensure_ascii=False)
    return Exported(text=text + "\n", warnings=tuple(warnings))


def _zone(drawing: Drawing, zone: dict[str, Any], *, old: bool) -> None:
    name = zone.get("name") if old else zone.get("id")
    what = f"zone {name!r}"[:80]
    if old:
        drawing.unused(what, zone, {"name", "polygon"})
        drawing.zone(name, points_of(zone.get("polygon"), what))
        return
    chosen = {}
    if zone.get("object-retention") is not None:
        chosen["leave_s"] = number_of(zone["object-retention"], f"{what}, object-retention")
    if zone.get("type", "polygon") == "circle":
        drawing.unused(what, zone, {"id", "type", "center", "radius", "object-retention", "track-dwell-time"})
        [centre] = points_of([zone.get("center")], f"{what}, center")
        drawing.circle(name, centre, number_of(zone.get("radius"), f"{what}, radius"), **chosen)
        return
    if zone.get("type", "polygon") != "polygon":
        raise ConfigError(what, f"expected a polygon or a circle, found {str(zone['type'])[:40]!r}", "draw it again")
    drawing.unused(what, zone, {"id", "type", "points", "object-retention", "track-dwell-time"})
    drawing.zone(name, points_of(zone.get("points"), what), **chosen)


def _two(value: Any, what: str) -> list[tuple[float, float]]:
    points = points_of(value, what)
    if len(points) != 2:
        raise ConfigError(what, f"expected 2 points, found {len(points)}", "draw it again")
    return points


def _shares(points: Any) -> list[list[float]]:
    return [[round(x, 4), round(y, 4)] for x, y in points]
