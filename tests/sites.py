"""Random sites: lines that do not cross themselves, zones of several polygons with holes, doors and flows."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from tracker.alert_rules import AlertRule
from tracker.ground import Ground, GroundPoint, Rectangle
from tracker.polygons import Point, first_crossing, polygon_area
from tracker.premises import Bay, Footfall, Queue
from tracker.site import SMALLEST_AREA, Doors, Flow, Line, Occluder, Site, Zone
from tracker.traffic import Traffic

__all__ = ["names", "polygons", "polylines", "sites", "zones_of"]

CELLS = 3
"""Polygons of one zone lie in cells of their own, so many a side."""


def names() -> st.SearchStrategy[str]:
    """Anything printable, words that YAML takes for something else among them."""
    odd = st.sampled_from(
        ["no", "off", "7", "1e5", "null", "~", "a: b", "- a", "#x", '"', "'", "{a}", "Süd → Nord", "@"]
    )
    return odd | st.text(min_size=1, max_size=12).filter(lambda text: text.isprintable() and text == text.strip())


def rounded(x: float, y: float) -> Point:
    return round(x, 4), round(y, 4)


@st.composite
def polylines(draw: st.DrawFn, most: int = 5) -> tuple[Point, ...]:
    """Points in the order of one axis, drawn from either end."""
    along = sorted(draw(st.lists(st.integers(0, 10_000), min_size=2, max_size=most, unique=True)))
    across = [draw(st.integers(0, 10_000)) for _ in along]
    points = [rounded(a / 1e4, b / 1e4) for a, b in zip(along, across, strict=True)]
    if draw(st.booleans()):
        points = [(y, x) for x, y in points]
    return tuple(reversed(points) if draw(st.booleans()) else points)


def around(centre: Point, reach: float, shares: list[float]) -> tuple[Point, ...]:
    """A polygon whose corners lie about a centre in order."""
    angles = [2 * math.pi * number / len(shares) for number in range(len(shares))]
    return tuple(
        rounded(centre[0] + reach * share * math.cos(angle), centre[1] + reach * share * math.sin(angle))
        for angle, share in zip(angles, shares, strict=True)
    )


def sound(polygon: tuple[Point, ...]) -> bool:
    return first_crossing(polygon, closed=True) is None and polygon_area(polygon) > 100 * SMALLEST_AREA


@st.composite
def polygons(draw: st.DrawFn, cell: tuple[int, int] | None = None) -> tuple[Point, ...]:
    """A simple polygon, in one cell of the picture or anywhere."""
    side = 1 if cell is None else CELLS
    column, row = cell or (0, 0)
    centre = (column + 0.5) / side, (row + 0.5) / side
    shares = draw(st.lists(st.floats(0.3, 0.95), min_size=3, max_size=9))
    return around(centre, 0.5 / side, shares)


@st.composite
def zones_of(draw: st.DrawFn, *, several: bool = True) -> tuple[tuple[Point, ...], ...]:
    """Polygons of a zone, some with a hole."""
    if not several:
        return (draw(polygons().filter(sound)),)
    cells = draw(
        st.lists(st.tuples(st.integers(0, CELLS - 1), st.integers(0, CELLS - 1)), min_size=1, max_size=3, unique=True)
    )
    made = []
    for column, row in cells:
        outline = draw(polygons(cell=(column, row)).filter(sound))
        made.append(outline)
        if draw(st.booleans()):
            centre = (column + 0.5) / CELLS, (row + 0.5) / CELLS
            hole = around(centre, 0.05 / CELLS, [1.0, 1.0, 1.0, 1.0])
            if sound(hole):
                made.append(hole)
    return tuple(made)


def ground_of(seed: int) -> Ground:
    """Points of a plane that a camera sees from above, or a rectangle."""
    rng = np.random.default_rng(seed)
    far, near, left, right = rng.uniform((0.1, 0.6, 0.0, 0.7), (0.4, 1.0, 0.3, 1.0)).round(6).tolist()
    middle = round((left + right) / 2, 6)
    corners = ((left, near), (right, near), (round((middle + right) / 2, 6), far), (round((middle + left) / 2, 6), far))
    width, length = rng.uniform(2, 200, 2).tolist()
    flat = Ground(rectangle=Rectangle(corners=corners, width_m=width, length_m=length))
    if seed % 2:
        return flat
    at = [point.at for point in flat.known] + [(middle, 0.5)] * (seed % 4 == 0)
    metres = flat.to_metres(np.array(at)).tolist()
    return Ground(points=tuple(GroundPoint(at=a, metres=(x, y)) for a, (x, y) in zip(at, metres, strict=True)))


@st.composite
def bays(draw: st.DrawFn) -> Bay:
    """Four corners about a point, which is never a dent where all are equally far."""
    centre, reach = (draw(st.floats(0.3, 0.7)), draw(st.floats(0.3, 0.7))), draw(st.floats(0.02, 0.25))
    return Bay(
        name=draw(names()),
        polygon=around(centre, reach, [1.0, 1.0, 1.0, 1.0]),
        classes=draw(st.lists(names(), max_size=2, unique=True).map(tuple)),
        covered=draw(st.sampled_from([0.01, 0.3, 1.0])),
        taken_s=draw(st.floats(0, 3600)),
    )


def alerts_of(lines: tuple[Line, ...], zones: tuple[Zone, ...]) -> tuple[AlertRule, ...]:
    """One rule for every zone and line."""
    rules = [
        AlertRule(
            name=zone.name, watch="presence", place=zone.name, over=7.25, until=5, for_s=10, quiet=("22:00-06:00",)
        )
        for zone in zones
    ]
    rules += [AlertRule(name=line.name, watch="speed", place=line.name, over=13.9, clear_s=60) for line in lines]
    return tuple(rules)


def queues_of(lines: tuple[Line, ...], zones: tuple[Zone, ...]) -> tuple[Queue, ...]:
    """One queue for every zone that has another place to go to."""
    first = next((line for line in lines), None)
    if first is None:
        return tuple(Queue(name=zone.name, zone=zone.name, served_at=zones[0].name) for zone in zones[1:])
    way = first.to_left
    return tuple(
        Queue(name=zone.name, zone=zone.name, served_at=first.name, served_direction=way, still_s=1.5) for zone in zones
    )


@st.composite
def sites(draw: st.DrawFn) -> Site:
    """A site with everything."""
    seconds = st.floats(0, 3600).map(lambda value: round(value, 3)) | st.sampled_from([0.0, 1e-7, 0.1 + 0.2])
    classes = st.lists(names(), max_size=2, unique=True).map(tuple)
    known = draw(st.lists(names(), min_size=1, max_size=6, unique=True))
    count = draw(st.integers(0, len(known)))
    ways = draw(st.lists(names(), min_size=2, max_size=2, unique=True))
    ground = draw(st.none() | st.integers(0, 7).map(ground_of))
    lines = tuple(
        Line(
            name=name,
            points=draw(polylines()),
            to_left=ways[number % 2],
            to_right=ways[1 - number % 2],
            classes=draw(classes),
            dead_band=draw(st.sampled_from([1e-6, 0.004, 0.1, 0.5])),
            sway_share=draw(st.sampled_from([0.0, 0.05, 1.0])),
            settle_s=draw(seconds),
            min_rearm_s=draw(seconds),
            measures=("speed", "headway")[: number % 3] if ground else (),
            wrong_way=ways[0] if number % 2 else "",
        )
        for number, name in enumerate(known[:count])
    )
    zones = tuple(
        Zone(
            name=name,
            polygons=draw(zones_of()),
            classes=draw(classes),
            enter_s=draw(seconds),
            leave_s=draw(seconds),
            loiter_s=draw(st.none() | st.floats(0.001, 3600)),
            loiter_s_by_class=draw(st.dictionaries(names(), st.floats(0.001, 60), max_size=2)),
            stopped_s=2.5 if ground and number % 2 else None,
            towards=((0.5, 0.25), (0.1, 0.75)) if ground and number % 3 == 0 else (),
            conflict_area=number % 4 == 0,
        )
        for number, name in enumerate(known[count:])
    )
    doors = (
        Doors(name="d", lines=tuple(known[:count]), entry=ways[0], exit=ways[1], reset_at="04:00") if lines else None
    )
    taken = {zone.name for zone in zones}
    footfall = (
        Footfall(name="shop", doors="d", passing=(known[0],), staff_zones=tuple(known[count:]), group_m=2.25)
        if lines and "shop" not in taken
        else None
    )
    flow = Flow(name="f", start=known[0], end=known[-1], start_direction=ways[0] if count else "")
    return Site(
        lines=lines,
        zones=zones,
        occluders=(Occluder(name="pillar", polygon=draw(polygons().filter(sound))),),
        doors=(doors,) if doors else (),
        flows=(flow,),
        queues=queues_of(lines, zones),
        footfall=(footfall,) if footfall else (),
        bays=tuple(draw(st.lists(bays().filter(lambda bay: bay.name not in {*taken, "shop"}), max_size=1))),
        alerts=alerts_of(lines, zones),
        ground=ground,
        traffic=Traffic(post_encroachment_s=5.0, sizes={"car": (4.0, 1.75, 2.5)}) if ground and lines else None,
        reference_size=draw(st.none() | st.tuples(st.integers(1, 9000), st.integers(1, 9000))),
        reference_picture=draw(st.sampled_from(["", "gate.png", "a b: #1.jpg", "null"])),
        revision=draw(st.integers(0, 9)),
        timezone=draw(st.sampled_from(["UTC", "Europe/Berlin"])),
    )
