"""Turning counts of a junction: left, through, right and U-turns of each approach in quarters of an hour.

Beside them bicycles on the road, and pedestrians and bicycles over the crossing of each leg; the peak hour and its
factor, PHF = V / (4 x V15), the volume of the hour over four times that of its busiest quarter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tracker.analytics.counts import BIN_S, filled
from tracker.analytics.group_counts import regrouped
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tracker.analytics.counts import Sums
    from tracker.site import Site

__all__ = [
    "COLUMNS",
    "COMPASS",
    "MOVEMENTS",
    "Leg",
    "Peak",
    "TurnBin",
    "bearing_of",
    "legs_of",
    "movements_of",
    "peak_of",
    "sum_known",
    "turn_bins",
]

Movement = Literal["left", "through", "right", "u_turn"]
MOVEMENTS: tuple[Movement, ...] = ("left", "through", "right", "u_turn")
ACROSS = ("pedestrians_across", "bicycles_across")
COLUMNS = ("stream", "kind", "place", "direction", "class")
"""By which sums must be apart."""

COMPASS = {"n": 0, "ne": 45, "e": 90, "se": 135, "s": 180, "sw": 225, "w": 270, "nw": 315}
"""Bearings of legs from the middle of the junction, clockwise from north."""
_WORDS = {"north": "n", "south": "s", "east": "e", "west": "w"}
STRAIGHT_DEG = 60.0
"""The exit that turns least is through if it turns no more than this."""
QUARTERS = 4
PERSON, BICYCLE = "person", "bicycle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """An arm of the junction.

    Attributes:
        name: Of the line or zone across it.
        bearing_deg: Where it lies as seen from the middle, clockwise from north, or from the top of the picture.
        heading: Of vehicles that arrive, ``NB`` for the southern leg; empty where the compass is not known.
        crossings: Lines along which pedestrians cross it.
    """

    name: str
    bearing_deg: float
    heading: str = ""
    crossings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnBin:
    """One approach in one quarter of an hour.

    Attributes:
        start_ms: UTC in milliseconds, or media time.
        utc: Which of both.
        leg: Name of the approach.
        turns: Motor vehicles by movement, in the order of :data:`MOVEMENTS`.
        bicycles: On the road, all movements.
        pedestrians_across, bicycles_across: Over the crossing of this leg.
        outage: The camera was out, or nothing is known, for a part of it.

    A count is ``None`` where nothing was observed: no flow of the site is that movement, no line crosses that leg, or
    the camera was out.
    """

    start_ms: int
    utc: bool
    leg: str
    turns: tuple[int | None, int | None, int | None, int | None]
    bicycles: int | None
    pedestrians_across: int | None
    bicycles_across: int | None
    outage: bool

    @property
    def volume(self) -> int | None:
        """Motor vehicles of all movements that were observed."""
        return sum_known(self.turns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The four quarters of an hour that follow each other with the most vehicles.

    Attributes:
        start_ms: Of the first one.
        volume: Of the hour.
        busiest: Volume of the busiest quarter.
        outage: The camera was out for a part of it.
    """

    start_ms: int
    volume: int
    busiest: int
    outage: bool

    @property
    def factor(self) -> float | None:
        """PHF, from 0.25 (all in one quarter) to 1 (even); ``None`` of an empty hour."""
        return self.volume / (QUARTERS * self.busiest) if self.busiest else None


def sum_known(counts: Iterable[int | None]) -> int | None:
    """Sum of what was observed; ``None`` = nothing was.

    >>> sum_known([2, None, 0]), sum_known([None])
    (2, None)
    """
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def bearing_of(word: str) -> float | None:
    """Degrees of a name that begins with a direction of the compass; ``None`` of another one.

    >>> bearing_of("North arm"), bearing_of("SE"), bearing_of("High Street")
    (0.0, 135.0, None)
    """
    first = word.lower().replace("-", " ").replace("_", " ").split(" ")[0]
    for long, short in _WORDS.items():
        first = first.replace(long, short)
    return float(COMPASS[first]) if first in COMPASS else None


def legs_of(
    site: Site, *, bearings: Mapping[str, float] | None = None, crossings: Mapping[str, str] | None = None
) -> tuple[Leg, ...]:
    """The legs of a junction: all lines and zones in which its flows start and end, clockwise.

    Args:
        site: With flows.
        bearings: Of legs by name, clockwise from north. Of legs that are left out their own names tell, such as
            ``north``; where any leg has neither, all lie as in the picture, or on the ground in metres.
        crossings: Leg by name of the line along which pedestrians cross it; lines whose names begin with a leg's, such
            as ``north zebra``, belong to it in any case.

    Raises:
        ConfigError: There are no flows, or a name is none of a leg or line.
    """
    names = list(dict.fromkeys(end for flow in site.flows for end in (flow.start, flow.end)))
    if not names:
        raise ConfigError("site", "expected flows between the legs of a junction, found none", "add flows")
    for name in (*(bearings or {}), *(crossings or {}).values()):
        if name not in names:
            raise ConfigError("legs", f"expected legs {', '.join(names)}, found {name!r}", "name lines of the flows")
    lines = {line.name for line in site.lines}
    for name in crossings or {}:
        if name not in lines:
            raise ConfigError("crossings", f"expected lines of the site, found {name!r}", "name one of them")
    told = {name: (bearings or {}).get(name, bearing_of(name)) for name in names}
    known = {name: bearing for name, bearing in told.items() if bearing is not None}
    is_compass = len(known) == len(names)
    lies = known if is_compass else _in_picture(site, names)
    across: dict[str, list[str]] = {name: [] for name in names}
    for line in site.lines:
        leg = (crossings or {}).get(line.name) or _leg_named(line.name, names)
        if leg is not None:
            across[leg].append(line.name)
    found = [
        Leg(
            name=name,
            bearing_deg=lies[name] % 360,
            heading=_heading(lies[name]) if is_compass else "",
            crossings=tuple(across[name]),
        )
        for name in names
    ]
    return tuple(sorted(found, key=lambda leg: leg.bearing_deg))


def movements_of(site: Site, legs: Sequence[Leg]) -> dict[str, tuple[str, Movement]]:
    """Approach and movement of each flow, by its name.

    Of an approach's exits the one that turns least is through, if it turns by less than 60 degrees; those on either
    side of the way ahead are left and right.
    """
    lies = {leg.name: leg.bearing_deg for leg in legs}
    turns = {(a, b): _turn(lies[a], lies[b]) for a in lies for b in lies if lies[a] != lies[b]}
    ahead: dict[str, str] = {}
    for a in lies:
        exits = [b for b in lies if (a, b) in turns]
        nearest = min(exits, key=lambda b: abs(turns[a, b]), default=None)
        if nearest is not None and abs(turns[a, nearest]) <= STRAIGHT_DEG:
            ahead[a] = nearest
    found: dict[str, tuple[str, Movement]] = {}
    for flow in site.flows:
        movement: Movement
        if (flow.start, flow.end) not in turns:  # the same leg, also by another line
            movement = "u_turn"
        elif ahead.get(flow.start) == flow.end:
            movement = "through"
        else:
            movement = "left" if turns[flow.start, flow.end] < 0 else "right"
        found[flow.name] = flow.start, movement
    return found


def turn_bins(
    sums: Sums, site: Site, legs: Sequence[Leg], *, start_ms: int | None = None, end_ms: int | None = None
) -> list[TurnBin]:
    """Every approach in every quarter of an hour, zeros included where the camera was watching.

    Args:
        sums: Of flows and crossings of one stream, and of no other, by :data:`COLUMNS`, in quarters of an hour.
        site: With the flows.
        legs: From :func:`legs_of`.
        start_ms: From when, in UTC.
        end_ms: Until when, exclusive.

    Raises:
        ConfigError: Events follow rules of two versions.
    """
    ways = movements_of(site, legs)
    across = {line: leg.name for leg in legs for line in leg.crossings}

    def column(values: dict[str, str]) -> dict[str, str] | None:
        name, place = values["class"], values["place"]
        if values["kind"] == "flow" and place in ways:
            leg, movement = ways[place]
            if name == PERSON:
                return None
            return {"leg": leg, "column": BICYCLE + "s" if name == BICYCLE else movement}
        if values["kind"] == "crossing" and place in across and name in {PERSON, BICYCLE}:
            return {"leg": across[place], "column": f"{'pedestrian' if name == PERSON else BICYCLE}s_across"}
        return None

    by = ("leg", "column")
    groups = _observed(site, ways, legs)
    found: dict[tuple[bool, int, str], dict[str, int | None]] = {}
    outages: set[tuple[bool, int]] = set()
    rows = regrouped(sums, COLUMNS, column, into=by)
    for row in filled(rows, by=by, bin_s=BIN_S, start_ms=start_ms, end_ms=end_ms, groups=groups):
        leg, name = row.group
        for one in legs:
            found.setdefault((row.utc, row.start_ms, one.name), {})
        found[row.utc, row.start_ms, leg][name] = row.count
        if row.outage:
            outages.add((row.utc, row.start_ms))
    return [
        TurnBin(
            start_ms=start,
            utc=utc,
            leg=leg,
            turns=(values.get("left"), values.get("through"), values.get("right"), values.get("u_turn")),
            bicycles=values.get("bicycles"),
            pedestrians_across=values.get("pedestrians_across"),
            bicycles_across=values.get("bicycles_across"),
            outage=(utc, start) in outages,
        )
        for (utc, start, leg), values in found.items()
    ]


def _observed(site: Site, ways: Mapping[str, tuple[str, Movement]], legs: Sequence[Leg]) -> list[tuple[str, str]]:
    """Legs and columns that flows and lines of the site count, with the classes that their ends take."""
    takes = {line.name: line.classes for line in site.lines} | {zone.name: zone.classes for zone in site.zones}

    def counted(class_name: str, *places: str) -> bool:
        return all(not takes[name] or class_name in takes[name] for name in places)

    found: list[tuple[str, str]] = list(dict.fromkeys(ways.values()))
    found += [(flow.start, "bicycles") for flow in site.flows if counted(BICYCLE, flow.start, flow.end)]
    across = zip(ACROSS, (PERSON, BICYCLE), strict=True)
    found += [
        (leg.name, column)
        for column, class_name in across
        for leg in legs
        if any(counted(class_name, line) for line in leg.crossings)
    ]
    return list(dict.fromkeys(found))


def peak_of(rows: Iterable[TurnBin], *, start_ms: int | None = None) -> Peak | None:
    """The peak hour of an approach or of a whole junction; ``None`` where no four quarters in a row were observed.

    Args:
        rows: Of one approach, or of all.
        start_ms: Begin of the hour where it is known: that of the junction, for its approaches.
    """
    volumes: dict[int, int] = {}
    out: set[int] = set()
    for row in rows:
        slot = row.start_ms // (BIN_S * 1000)
        if row.volume is not None:
            volumes[slot] = volumes.get(slot, 0) + row.volume
        if row.outage:
            out.add(slot)
    hours = [range(slot, slot + QUARTERS) for slot in sorted(volumes)]
    hours = [hour for hour in hours if all(slot in volumes for slot in hour)]
    if start_ms is not None:
        hours = [hour for hour in hours if hour.start * BIN_S * 1000 == start_ms]
    if not hours:
        return None
    best = max(hours, key=lambda hour: sum(volumes[slot] for slot in hour))
    return Peak(
        start_ms=best.start * BIN_S * 1000,
        volume=sum(volumes[slot] for slot in best),
        busiest=max(volumes[slot] for slot in best),
        outage=not out.isdisjoint(best),
    )


def _turn(arrives_deg: float, leaves_deg: float) -> float:
    """By how much a vehicle turns to the right from one leg to another, -180 to 180.

    >>> _turn(180, 270), _turn(180, 0), _turn(180, 90)
    (-90.0, 0.0, 90.0)
    """
    return float((leaves_deg - arrives_deg) % 360 - 180)


def _heading(bearing_deg: float) -> str:
    """``NB`` of the southern leg."""
    heading = (bearing_deg + 180) % 360
    return min(COMPASS, key=lambda word: abs((COMPASS[word] - heading + 180) % 360 - 180)).upper() + "B"


def _leg_named(line: str, legs: Sequence[str]) -> str | None:
    """The leg with whose name, the longest of several, the name of another line begins."""
    fits = [leg for leg in legs if line != leg and line.startswith((f"{leg} ", f"{leg}_", f"{leg}-"))]
    return max(fits, key=len, default=None)


def _in_picture(site: Site, names: Sequence[str]) -> dict[str, float]:
    """Where legs lie as seen from their middle, clockwise from the top of the picture, or on the ground from ``y``."""
    import numpy as np

    width, height = site.reference_size or (16, 9)
    points = {line.name: line.points for line in site.lines} | {
        zone.name: [point for polygon in zone.polygons for point in polygon] for zone in site.zones
    }
    places = np.array([np.mean(points[name], axis=0) for name in names])
    if site.ground is not None and np.isfinite(metres := site.ground.to_metres(places)).all():
        right, up = (metres - metres.mean(axis=0)).T
    else:
        right, up = ((places - places.mean(axis=0)) * (width / height, -1.0)).T
    lies = np.degrees(np.arctan2(right, up)) % 360
    return dict(zip(names, lies.tolist(), strict=True))
