"""Polygons of supervision: a list of them, bare or under ``polygons``, in pixels; zones without names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracker.formats.sites.drawing import Drawing, Imported, needed_size, points_of
from tracker.formats.sites.plain import from_json_or_yaml, sequence_of

if TYPE_CHECKING:
    from tracker.formats.sites.drawing import Size

__all__ = ["matches", "read"]


def matches(data: Any) -> bool:
    """Whether plain values look like this format."""
    polygons = data.get("polygons") if isinstance(data, dict) else data
    return isinstance(polygons, list) and bool(polygons) and all(_is_polygon(polygon) for polygon in polygons[:3])


def read(text: str, *, size: Size | None = None, stream: str = "") -> Imported:  # noqa: ARG001 - all formats take it
    """Zones out of polygons.

    Args:
        text: ``[[[x, y], ...], ...]``, ``{"polygons": [...]}``, or a single polygon ``[[x, y], ...]``.
        size: ``(width, height)`` of the picture on which they were drawn; the format has none.
        stream: Of no meaning here.

    Raises:
        ConfigError: It is something else, or a polygon crosses itself.
    """
    data = from_json_or_yaml(text)
    drawing = Drawing(needed_size(size, "supervision's file"))
    if isinstance(data, dict):
        drawing.unused("the file", data, {"polygons"})
        data = data.get("polygons")
    polygons = sequence_of(data, "polygons")
    if polygons and not _is_polygon(polygons[0]) and isinstance(polygons[0], list):
        polygons = [polygons]
    for number, polygon in enumerate(polygons, start=1):
        drawing.zone(f"zone {number}", points_of(polygon, f"polygon {number}"))
    return drawing.imported()


def _is_polygon(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], list)
