"""Sections and flows of OpenTrafficCam, ``.otflow``: polylines and areas in pixels; the file may be packed with bz2."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tracker.errors import ConfigError
from tracker.formats.sites.drawing import (
    Drawing,
    Exported,
    Imported,
    lost,
    needed_size,
    pixels,
    points_of,
    unique,
    zone_polygons,
)
from tracker.formats.sites.plain import from_json, mapping_of, sequence_of, text_of
from tracker.site import Flow

if TYPE_CHECKING:
    from tracker.formats.sites.drawing import Size
    from tracker.polygons import Point
    from tracker.site import Site

__all__ = ["matches", "read", "write"]

TOOL = "OTAnalytics"
AT_THE_GROUND = {"x": 0.5, "y": 1.0}
"""Middle of a box's lower edge: the nearest to a ground contact that the format has."""
MOST_FLOWS = 1_000


def matches(data: Any) -> bool:
    """Whether plain values look like this format."""
    return isinstance(data, dict) and isinstance(data.get("sections"), list)


def read(text: str, *, size: Size | None = None, stream: str = "") -> Imported:  # noqa: ARG001 - all formats take it
    """Lines, zones and flows.

    Args:
        text: The JSON, unpacked.
        size: ``(width, height)`` of the video; the format has none.
        stream: Of no meaning here.

    Raises:
        ConfigError: It is something else, a flow names no section, or an area crosses itself.
    """
    data = mapping_of(from_json(text), "the file")
    drawing = Drawing(needed_size(size, "an .otflow file"))
    drawing.unused("the file", data, {"sections", "flows"})
    names: dict[str, str] = {}
    for number, entry in enumerate(sequence_of(data.get("sections"), "sections"), start=1):
        section = mapping_of(entry, f"section {number}")
        key = text_of(section.get("id"), f"section {number}, id")
        if key in names:
            raise ConfigError(f"section {key!r}"[:80], "expected each id once, found it twice", "rename one of the two")
        names[key] = _section(drawing, key, section)
    listed = sequence_of(data.get("flows") or [], "flows")
    if len(listed) > MOST_FLOWS:
        raise ConfigError("flows", f"expected at most {MOST_FLOWS:,}, found more", "is it the right file?")
    taken: set[str] = set()
    return drawing.imported([_flow(drawing, names, taken, mapping_of(entry, "flows")) for entry in listed])


def write(site: Site, *, size: Size | None = None, stream: str = "") -> Exported:  # noqa: ARG001 - all formats take it
    """Sections and flows.

    Args:
        site: The site.
        size: ``(width, height)`` of the video; the site's reference size where not given.
        stream: Of no meaning here.

    Raises:
        ConfigError: No size is known.
    """
    reference = needed_size(size or site.reference_size, "the site")
    warnings: list[str] = []
    sections: list[dict[str, Any]] = []
    keys: dict[str, str] = {}

    def add(name: str, kind: str, points: list[Point]) -> None:
        keys[name] = str(len(sections) + 1)
        sections.append(
            {
                "id": keys[name],
                "name": name,
                "type": kind,
                "relative_offset_coordinates": {"section-enter": AT_THE_GROUND},
                "coordinates": [{"x": x, "y": y} for x, y in points],
                "plugin_data": {},
            }
        )

    for line in site.lines:
        add(line.name, "line", pixels(line.points, reference, 1))
    for _, name, polygon in zone_polygons(site, TOOL, warnings):
        corners = pixels(polygon, reference, 1)
        add(name, "area", [*corners, corners[0]])
    flows: list[dict[str, Any]] = []
    for flow in site.flows:
        if flow.start not in keys or flow.end not in keys:
            warnings.append(f"flow {flow.name!r} is left out: its zone has several polygons")
            continue
        if flow.start_direction or flow.end_direction:
            warnings.append(f"flow {flow.name!r}: its directions are left out: {TOOL} knows none")
        entry = {"id": str(len(flows) + 1), "name": flow.name, "start": keys[flow.start], "end": keys[flow.end]}
        flows.append(entry | {"distance": None})
    warnings += lost(site, TOOL, parts={"lines", "zones", "flows"})
    text = json.dumps({"sections": sections, "flows": flows}, indent=2, ensure_ascii=False)
    return Exported(text=text + "\n", warnings=tuple(warnings))


def _section(drawing: Drawing, key: str, section: dict[str, Any]) -> str:
    name = section.get("name") or key
    what = f"section {name!r}"[:80]
    points = points_of(section.get("coordinates"), f"{what}, coordinates")
    known = {"id", "name", "type", "relative_offset_coordinates", "coordinates"}
    drawing.unused(what, {entry: held for entry, held in section.items() if held not in ({}, None)}, known)
    kind = section.get("type")
    if kind not in {"line", "area"}:
        raise ConfigError(what, f"expected a line or an area, found {str(kind)[:40]!r}", "is it the right format?")
    made = drawing.line(name, points) if kind == "line" else drawing.zone(name, points)
    offsets = section.get("relative_offset_coordinates")
    held = offsets.get("section-enter") if isinstance(offsets, dict) else None
    if isinstance(held, dict) and (held.get("x"), held.get("y")) != (0.5, 1):
        place = ", ".join(str(held.get(axis))[:10] for axis in ("x", "y"))
        drawing.warn(f"{what}: its place in the box ({place}) is not carried over: ground contacts count")
    return made


def _flow(drawing: Drawing, names: dict[str, str], taken: set[str], flow: dict[str, Any]) -> Flow:
    given = text_of(flow.get("name") or flow.get("id"), "flow")
    name = unique("".join(letter for letter in given if letter.isprintable()).strip() or "flow", taken)
    what = f"flow {name!r}"[:80]
    if name != given:
        drawing.warn(f"{what}: it was called {given!r} there")
    drawing.unused(
        what, {entry: held for entry, held in flow.items() if held is not None}, {"id", "name", "start", "end"}
    )
    ends = [text_of(flow.get(end), f"{what}, {end}") for end in ("start", "end")]
    for end in ends:
        if end not in names:
            raise ConfigError(what, f"expected the id of a section, found {end[:40]!r}", "correct it")
    return Flow(name=name, start=names[ends[0]], end=names[ends[1]])
