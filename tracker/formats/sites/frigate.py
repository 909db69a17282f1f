"""Zones of Frigate: coordinates as text or list, shares of the picture or, in old files, pixels of ``detect``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tracker.errors import ConfigError
from tracker.formats.sites.drawing import (
    Drawing,
    Exported,
    Imported,
    flat_points,
    lost,
    needed_size,
    unique,
    zone_polygons,
)
from tracker.formats.sites.plain import from_json_or_yaml, kind_of, mapping_of, number_of, text_of

if TYPE_CHECKING:
    from tracker.formats.sites.drawing import Size
    from tracker.polygons import Point
    from tracker.site import Site, Zone

__all__ = ["matches", "read", "write"]

FRAMES_PER_SECOND = 5.0
"""Of detection, where the file does not say it."""
CARRIED = ("coordinates", "friendly_name", "inertia", "loitering_time", "objects")


def matches(data: Any) -> bool:
    """Whether plain values look like this format."""
    if not isinstance(data, dict):
        return False
    cameras = data.get("cameras")
    held = list(cameras.values()) if isinstance(cameras, dict) else [data]
    zones = [camera["zones"] for camera in held if isinstance(camera, dict) and isinstance(camera.get("zones"), dict)]
    return any(isinstance(zone, dict) and "coordinates" in zone for found in zones for zone in found.values())


def read(text: str, *, size: Size | None = None, stream: str = "") -> Imported:
    """Zones of one camera.

    Args:
        text: The whole configuration, or ``zones: ...`` of one camera.
        size: ``(width, height)`` of ``detect``, for pixels in files that do not say it.
        stream: Name of the camera, where there are several with zones.

    Raises:
        ConfigError: It is something else, several cameras have zones, or a polygon crosses itself.
    """
    data = mapping_of(from_json_or_yaml(text), "the file")
    camera = _camera(data, stream)
    detect = mapping_of(camera.get("detect") or {}, "detect")
    zones = mapping_of(camera.get("zones"), "zones")
    coordinates = {key: _coordinates(zone, f"zone {key!r}") for key, zone in zones.items()}
    reference = size or _detect_size(detect)
    old = any(max(x, y) > 1 for points in coordinates.values() for x, y in points)
    if old:
        reference = needed_size(reference, "`detect` of this file, which has pixels")
    drawing = Drawing(reference if old else None, reference=reference)
    rate = _frames_per_second(detect, data.get("detect"))
    for key, zone in zones.items():
        _add(drawing, key, mapping_of(zone, f"zone {key!r}"), coordinates[key], rate)
    for part in ("motion", "objects"):
        if isinstance(camera.get(part), dict) and camera[part].get("mask"):
            drawing.warn(f"{part}.mask is not carried over")
    return drawing.imported()


def write(site: Site, *, size: Size | None = None, stream: str = "") -> Exported:
    """Zones of one camera, to be put into the configuration.

    Args:
        site: The site.
        size: ``(width, height)`` of ``detect``; the site's reference size where not given.
        stream: Name of the camera; ``camera`` where not given.
    """
    warnings: list[str] = []
    rows, taken = [], {stream or "camera"}  # a zone may not be called as its camera
    for zone, name, polygon in zone_polygons(site, "Frigate", warnings):
        key = unique(re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "zone", taken, between="_")
        rows += [f"      {key}:", *(f"        {line}" for line in _rows(zone, name, key, polygon, warnings))]
    warnings += lost(site, "Frigate", parts={"zones"}, zone={"classes", "enter_s", "loiter_s"})
    reference = size or site.reference_size
    detect = [f"    detect: {{width: {reference[0]}, height: {reference[1]}}}"] if reference else []
    camera = _quoted(stream or "camera")
    lines = ["cameras:", f"  {camera}:", *detect, "    zones:" if rows else "    zones: {}", *rows]
    return Exported(text="\n".join(lines) + "\n", warnings=tuple(warnings))


def _camera(data: dict[str, Any], stream: str) -> dict[str, Any]:
    if "cameras" not in data:
        return data
    cameras = mapping_of(data["cameras"], "cameras")
    if stream:
        if stream not in cameras:
            found = ", ".join(list(cameras)[:20]) or "none"
            raise ConfigError(
                "--stream", f"expected one of the cameras ({found}), found {stream!r}", "name one of them"
            )
        return mapping_of(cameras[stream], f"camera {stream!r}")
    drawn = [name for name, held in cameras.items() if isinstance(held, dict) and held.get("zones")]
    if len(drawn) != 1:
        found = ", ".join(drawn[:20]) or "none"
        raise ConfigError("the file", f"expected one camera with zones, found {found}", "name it: --stream NAME")
    return mapping_of(cameras[drawn[0]], f"camera {drawn[0]!r}")


def _detect_size(detect: dict[str, Any]) -> Size | None:
    if not detect.get("width") or not detect.get("height"):
        return None
    width, height = (int(number_of(detect[key], f"detect.{key}")) for key in ("width", "height"))
    return (width, height) if width > 0 and height > 0 else None


def _frames_per_second(*detect: Any) -> float:
    """Of the camera's own settings, else of those for all."""
    for held in detect:
        if isinstance(held, dict) and held.get("fps") is not None:
            rate = number_of(held["fps"], "detect.fps")
            if rate <= 0:
                raise ConfigError("detect.fps", f"expected a number above 0, found {rate:g}", "correct it")
            return rate
    return FRAMES_PER_SECOND


def _coordinates(zone: Any, what: str) -> list[Point]:
    """``"x,y,x,y"``, ``["x,y", "x,y"]`` or ``[x, y, x, y]``."""
    given = mapping_of(zone, what).get("coordinates")
    texts = given if isinstance(given, list) else [given]
    numbers: list[float] = []
    for entry in texts:
        if entry is None or isinstance(entry, list | dict):
            raise ConfigError(what, f"expected coordinates as x,y,x,y,..., found {kind_of(given)}", "draw it again")
        parts = text_of(entry, what).split(",")
        if len(numbers) + len(parts) > 20_000:
            raise ConfigError(what, "expected at most 10,000 points, found more", "draw fewer corners")
        numbers += [number_of(part, f"{what}, coordinates") for part in parts if part.strip()]
    return flat_points(numbers, f"{what}, coordinates")


def _add(drawing: Drawing, key: str, zone: dict[str, Any], points: list[Point], rate: float) -> None:
    chosen: dict[str, Any] = {}
    if zone.get("inertia") is not None:
        chosen["enter_s"] = round(number_of(zone["inertia"], f"zone {key!r}, inertia") / rate, 3)
    if loitering := number_of(zone.get("loitering_time") or 0, f"zone {key!r}, loitering_time"):
        chosen["loiter_s"] = loitering
        drawing.warn(
            f"zone {key!r}: Frigate shows nothing before loitering_time is over; here it has entered, and loiters then"
        )
    if zone.get("objects"):
        chosen["classes"] = drawing.classes(zone["objects"], f"zone {key!r}, objects")
    drawing.unused(f"zone {key!r}", {name: held for name, held in zone.items() if held is not None}, CARRIED)
    drawing.zone(zone.get("friendly_name") or key, points, **chosen)


def _rows(zone: Zone, name: str, key: str, polygon: tuple[Point, ...], warnings: list[str]) -> list[str]:
    """Lines of one zone; numbers without exponents, since Frigate compares them as texts."""
    frames = max(1, round(zone.enter_s * FRAMES_PER_SECOND))
    if abs(frames / FRAMES_PER_SECOND - zone.enter_s) > 1e-6:
        warnings.append(
            f"zone {zone.name!r}: enter_s {zone.enter_s:g} becomes {frames} frames, "
            f"{frames / FRAMES_PER_SECOND:g} s at {FRAMES_PER_SECOND:g} frames a second"
        )
    rows = [f"coordinates: {','.join(f'{number + 0.0:.4f}' for point in polygon for number in point)}"]
    if name != key:
        rows.insert(0, f"friendly_name: {_quoted(name)}")
    rows.append(f"inertia: {frames}")
    if zone.loiter_s is not None:
        seconds = max(1, round(zone.loiter_s))
        if seconds != zone.loiter_s:
            warnings.append(f"zone {zone.name!r}: loiter_s {zone.loiter_s:g} becomes {seconds}, a whole number")
        rows.append(f"loitering_time: {seconds}")
    if zone.classes:
        rows.append(f"objects: [{', '.join(map(_quoted, zone.classes))}]")
    return rows


def _quoted(text: str) -> str:
    """A text as YAML."""
    import json

    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text) and text.lower() not in {
        *("true", "false", "yes", "no", "on", "off", "null", "y", "n")
    }
    return text if plain else json.dumps(text, ensure_ascii=False)
