"""A site in words, and what about it is allowed but seldom meant: lines without room, zones in common, unlike doors."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from tracker.polygons import polygon_area
from tracker.settings.site_text import directions_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tracker.alert_rules import AlertRule
    from tracker.ground import Ground
    from tracker.polygons import Point
    from tracker.site import Doors, Flow, Line, Site, Zone
    from tracker.traffic import Traffic

__all__ = ["described", "doubts"]

APPROACH = 0.06
"""Picture heights between a line and the picture's edge: an object that is larger is never seen whole on that side."""
SHORT = 0.02
"""Length of a line in picture heights."""
GRID = 512
"""Rows and columns on which it is seen whether zones overlap; strips narrower than 2 of them are none."""
OFF = 0.02
"""Residual of a point of the ground, as a share of how far the points reach."""
MOST_PIXEL_M, LEAST_PIXEL_M = 2.0, 0.0005
"""Metres of a pixel at the nearest and the farthest point: beyond them a vehicle is a pixel, or does not fit in."""

DEFAULT_SIZE = (16, 9)


def described(site: Site) -> Iterator[str]:
    """What a site holds, a sentence for each part."""
    drawn = "drawn on a picture of unknown size"
    if site.reference_size is not None:
        drawn = f"drawn on {site.reference_size[0]} x {site.reference_size[1]}"
    yield f"revision {site.revision}, {drawn}, time zone {site.timezone}"
    for line in site.lines:
        measures = f"; measures {', '.join(line.measures)}" if line.measures else ""
        wrong = f'; "{line.wrong_way}" is the wrong way' if line.wrong_way else ""
        ways = directions_in_words(line, site.reference_size)
        yield f"line {line.name}: {ways}{_of(line.classes)}{measures}{wrong}"
    for zone in site.zones:
        yield f"zone {zone.name}: {_zone(zone)}{_of(zone.classes)}"
    yield from _areas(site)
    for doors in site.doors:
        yield f"doors {doors.name}: {_doors(doors)}"
    for flow in site.flows:
        yield f"flow {flow.name}: {_flow(flow)}"
    yield from _premises(site)
    for rule in site.alerts:
        yield f"alert {rule.name}: {_alert(rule)}"
    if site.ground is not None:
        yield f"ground: {_ground(site.ground, site.reference_size or DEFAULT_SIZE)}"
    if site.traffic is not None:
        where = "" if site.ground is None else "; told between the points of ground, and in conflict areas"
        yield f"traffic: {_traffic(site.traffic)}{where}"
    if not site.lines and not site.zones and not site.bays:
        yield "nothing is counted: there are no lines, zones or bays"


def doubts(site: Site) -> Iterator[str]:
    """What may not be meant, a sentence for each."""
    if site.reference_size is None:
        yield "no reference_size: pictures of any shape are taken, though lines may lie elsewhere on them"
    width, height = site.reference_size or DEFAULT_SIZE
    for line in site.lines:
        yield from _line_doubts(line, width / height)
    for first, second in _overlapping(site.zones):
        yield f"zones {first!r} and {second!r} overlap: an identity there is present in both"
    for doors in site.doors:
        yield from _unlike(doors, {line.name: line for line in site.lines})
    if site.ground is not None:
        yield from _ground_doubts(site.ground)
        yield from _unit_doubts(site.ground, site.reference_size or DEFAULT_SIZE)


def _areas(site: Site) -> Iterator[str]:
    for occluder in site.occluders:
        yield f"occluder {occluder.name}: {polygon_area(occluder.polygon):.1%} of the picture"
    for private in site.privacy:
        yield f"privacy zone {private.name}: {polygon_area(private.polygon):.1%} of the picture, never shown"


def _of(classes: tuple[str, ...]) -> str:
    return f"; only {', '.join(classes)}" if classes else ""


def _zone(zone: Zone) -> str:
    holes = len(zone.polygons) > 1
    area = float(_filled(zone).mean()) if holes else polygon_area(zone.polygons[0])
    text = f"{area:.1%} of the picture" + (f" in {len(zone.polygons)} polygons" if holes else "")
    if zone.loiter_s is not None:
        text += f", loitering from {zone.loiter_s:g} s"
    if zone.loiter_s_by_class:
        text += " (" + ", ".join(f"{name} {limit:g} s" for name, limit in zone.loiter_s_by_class.items()) + ")"
    text += "" if zone.stopped_s is None else f", stopped from {zone.stopped_s:g} s"
    text += ", against its arrow is the wrong way" if zone.towards else ""
    text += ", a conflict area" if zone.conflict_area else ""
    return text


def _doors(doors: Doors) -> str:
    reset = f", set to 0 at {doors.reset_at}" if doors.reset_at else ", never set to 0"
    return f'"{doors.entry}" enters and "{doors.exit}" leaves over {", ".join(doors.lines)}{reset}'


def _flow(flow: Flow) -> str:
    start, end = (
        f'{name} ("{direction}")' if direction else name
        for name, direction in ((flow.start, flow.start_direction), (flow.end, flow.end_direction))
    )
    return f"from {start} to {end}"


def _premises(site: Site) -> Iterator[str]:
    """What it measures of queues, footfall and bays."""
    for queue in site.queues:
        way = f' ("{queue.served_direction}")' if queue.served_direction else ""
        yield f"queue {queue.name}: stands in {queue.zone}, is served at {queue.served_at}{way}"
    for part in site.footfall:
        passing = f", passers-by over {', '.join(part.passing)}" if part.passing else ""
        staff = f", staff is {part.staff_s:g} s in {', '.join(part.staff_zones)}" if part.staff_zones else ""
        yield f"footfall {part.name}: visitors through {part.doors}{passing}{staff}"
    for bay in site.bays:
        yield f"bay {bay.name}: {polygon_area(bay.polygon):.1%} of the picture{_of(bay.classes)}"


def _alert(rule: AlertRule) -> str:
    place = f" {rule.place}" if rule.place else ""
    lasts = f" for {rule.for_s:g} s" if rule.for_s else ""
    quiet = f"; quiet {', '.join(rule.quiet)}" if rule.quiet else ""
    limits = f"over {rule.over:g}{lasts}, until {rule.clear_at:g} or less for {rule.clear_s:g} s"
    return f"{rule.watch}{place} {limits}{quiet}"


def _ground(ground: Ground, size: tuple[int, int]) -> str:
    known = f"{len(ground.points)} points"
    if ground.rectangle is not None:
        known = f"a rectangle of {ground.rectangle.width_m:g} x {ground.rectangle.length_m:g} m"
    if ground.is_checked:
        known += f", residual {ground.residual_m:.2f} m ({ground.residual_share:.2%} of the picture)"
    if size == DEFAULT_SIZE:
        return known
    down_m = ground.metres_per_share(np.array([point.at for point in ground.known]))[:, 1] / size[1]
    return f"{known}; 1 px down the picture is {down_m.min():.2g} to {down_m.max():.2g} m at these points"


def _traffic(traffic: Traffic) -> str:
    limits = (
        ("time to collision", traffic.time_to_collision_s),
        ("post-encroachment time", traffic.post_encroachment_s),
    )
    told = [f"{name} up to {limit:g} s" for name, limit in limits if limit is not None]
    return ", ".join(told) or "no conflicts are told"


def _ground_doubts(ground: Ground) -> Iterator[str]:
    if not ground.is_checked:
        what = "corners" if ground.rectangle is not None else "points"
        yield f"ground: four {what} always fit, so nothing shows a mistake: measure a fifth point, or look at the grid"
        return
    metres = np.array([point.metres for point in ground.known])
    reach = float(np.linalg.norm(metres - metres.mean(axis=0), axis=1).max())
    for number, off in enumerate(ground.residuals_m.tolist(), start=1):
        if off > OFF * reach:
            yield f"ground: point {number} lies {off:.2f} m off where the others put it: measure it again"


def _unit_doubts(ground: Ground, size: tuple[int, int]) -> Iterator[str]:
    """Centimetres or feet fit as well as metres do, and make every speed wrong."""
    if size == DEFAULT_SIZE:
        return
    down_m = ground.metres_per_share(np.array([point.at for point in ground.known]))[:, 1] / size[1]
    if down_m.min() > MOST_PIXEL_M or down_m.max() < LEAST_PIXEL_M:
        found = f"{down_m.min():.2g} to {down_m.max():.2g} m"
        yield f"ground: 1 px down the picture is {found}, too much or too little: are the numbers metres?"


def _line_doubts(line: Line, aspect: float) -> Iterator[str]:
    corners = np.array(line.points) * (aspect, 1.0)  # picture heights
    along = np.diff(corners, axis=0)
    lengths = np.hypot(along[:, 0], along[:, 1])
    if lengths.sum() < SHORT:
        yield f"line {line.name!r} is {lengths.sum():.3f} picture heights long: little can cross it"
    for direction, sign in ((line.to_left, 1.0), (line.to_right, -1.0)):
        room = _room(corners, along / lengths[:, None], sign, aspect)
        if room < APPROACH:
            yield (
                f"line {line.name!r}: the picture ends {room:.3f} of its height beyond the side {direction!r}: "
                "what is larger is not seen there, move the line inwards"
            )


def _room(corners: NDArray[np.float64], unit: NDArray[np.float64], sign: float, aspect: float) -> float:
    """Median distance of the picture's edge from the line on one side, in picture heights."""
    shares = np.linspace(0.1, 0.9, 9)[:, None, None]
    places = (corners[:-1] + shares * np.diff(corners, axis=0)).reshape(-1, 2)
    normals = np.tile(np.stack([unit[:, 1], -unit[:, 0]], axis=1) * sign, (9, 1))  # onto the left-hand side, y down
    with np.errstate(divide="ignore", invalid="ignore"):
        far = np.where(normals > 0, (np.array([aspect, 1.0]) - places) / normals, -places / normals)
    return float(np.median(np.where(np.abs(normals) < 1e-9, np.inf, far).min(axis=1)))


def _overlapping(zones: tuple[Zone, ...]) -> Iterator[tuple[str, str]]:
    """Pairs of zones with an area in common; neighbours along an edge have none."""
    import cv2

    inner = [cv2.erode(_filled(zone), np.ones((3, 3), np.uint8)).astype(bool) for zone in zones]
    for (first, one), (second, other) in itertools.combinations(zip(zones, inner, strict=True), 2):
        if (one & other).any():
            yield first.name, second.name


def _filled(zone: Zone) -> NDArray[np.uint8]:
    """``(GRID, GRID)``, 1 inside."""
    import cv2

    def pixels(polygon: tuple[Point, ...]) -> NDArray[np.int32]:
        return np.round(np.array(polygon) * (GRID - 1)).astype(np.int32)

    plane = np.zeros((GRID, GRID), np.uint8)
    cv2.fillPoly(plane, [pixels(polygon) for polygon in zone.polygons], 1)
    return plane


def _shown(value: tuple[str, ...] | float) -> str:
    """Classes or a number."""
    return f"{value:g}" if isinstance(value, float | int) else ", ".join(value) or "all"


def _unlike(doors: Doors, lines: dict[str, Line]) -> Iterator[str]:
    """Settings in which the lines of a door differ: its balance then drifts."""
    held = [lines[name] for name in doors.lines]
    for setting in ("classes", "dead_band", "sway_share", "settle_s", "min_rearm_s"):
        values = [getattr(line, setting) for line in held]
        if len(set(values)) > 1:
            listed = ", ".join(f"{line.name}: {_shown(value)}" for line, value in zip(held, values, strict=True))
            yield f"doors {doors.name!r}: its lines differ in {setting} ({listed}): its balance drifts"
