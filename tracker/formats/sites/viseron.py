"""Zones of Viseron: a list with named coordinates in pixels, in the file's root or under a camera of a component."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracker.errors import ConfigError
from tracker.formats.sites.drawing import Drawing, Imported, needed_size, points_of
from tracker.formats.sites.plain import from_json_or_yaml, mapping_of, sequence_of

if TYPE_CHECKING:
    from tracker.formats.sites.drawing import Size

__all__ = ["matches", "read"]

DEEPEST = 4
"""Levels at which a configuration has its cameras: component, domain, cameras, camera."""
MOST_CAMERAS = 1_000


def matches(data: Any) -> bool:
    """Whether plain values look like this format."""
    return any(
        isinstance(zone, dict) and isinstance(zone.get("coordinates"), list)
        for camera in _cameras(data).values()
        for zone in camera["zones"][:3]
    )


def read(text: str, *, size: Size | None = None, stream: str = "") -> Imported:
    """Zones of one camera.

    Args:
        text: The whole configuration, or ``zones: [...]`` of one camera.
        size: ``(width, height)`` of the picture on which they were drawn; the format has none.
        stream: Name of the camera, where there are several with zones.

    Raises:
        ConfigError: It is something else, several cameras have zones, or a polygon crosses itself.
    """
    cameras = _cameras(mapping_of(from_json_or_yaml(text), "the file"))
    if stream and stream not in cameras:
        found = ", ".join(list(cameras)[:20]) or "none"
        raise ConfigError("--stream", f"expected one of the cameras ({found}), found {stream!r}", "name one of them")
    if not stream and len(cameras) != 1:
        found = ", ".join(list(cameras)[:20]) or "none"
        raise ConfigError("the file", f"expected one camera with zones, found {found}", "name it: --stream NAME")
    camera = cameras[stream or next(iter(cameras))]
    drawing = Drawing(needed_size(size, "Viseron's file"))
    if camera.get("mask"):
        drawing.warn("mask is not carried over")
    for number, entry in enumerate(sequence_of(camera["zones"], "zones"), start=1):
        zone = mapping_of(entry, f"zone {number}")
        what = f"zone {zone.get('name', number)!r}"[:80]
        labels = [mapping_of(label, f"{what}, label") for label in sequence_of(zone.get("labels") or [], what)[:500]]
        for label in labels:
            drawing.unused(f"{what}, label", label, {"label"})
        drawing.unused(what, zone, {"name", "coordinates", "labels"})
        classes = drawing.classes([label.get("label") for label in labels], f"{what}, labels")
        drawing.zone(zone.get("name"), points_of(zone.get("coordinates"), what), classes=classes)
    return drawing.imported()


def _cameras(data: Any) -> dict[str, dict[str, Any]]:
    """What has zones, by name; the root is called ``""``."""
    found: dict[str, dict[str, Any]] = {}
    waiting: list[tuple[tuple[str, ...], Any]] = [((), data)]
    seen: set[int] = set()
    while waiting and len(found) < MOST_CAMERAS:
        path, value = waiting.pop()
        if not isinstance(value, dict) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value.get("zones"), list) and value["zones"]:
            name = path[-1] if path else ""
            found[name if name not in found else ".".join(path)] = value  # a camera of two components
        elif len(path) < DEEPEST:
            waiting += [((*path, key), entry) for key, entry in value.items()]
    return found
