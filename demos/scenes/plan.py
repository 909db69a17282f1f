"""Plan of a place: the lines, zones and roles by which its truth is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Plan", "Point", "Polygon", "Polyline"]

Point = tuple[float, float]
"""Metres on the ground plane."""
Polyline = Sequence[Point]
"""At least two points; its left is the left of who walks along it."""
Polygon = Sequence[Point] | Sequence[Sequence[Point]]
"""At least three points, or several such rings of which inner ones are holes."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is counted in a scene, on the ground plane in metres.

    Attributes:
        lines_m: Counting lines by name; direction 1 is onto their left.
        zones_m: Zones by name.
        sections_m: Where flows begin and end, by name: a polyline, or an area where the last point is the first.
        roles: What an identity is where it is not a plain visitor or vehicle, for example ``staff``.
        groups: Identities that move together.
    """

    lines_m: Mapping[str, Polyline] = field(default_factory=dict)
    zones_m: Mapping[str, Polygon] = field(default_factory=dict)
    sections_m: Mapping[str, Polyline] = field(default_factory=dict)
    roles: Mapping[int, str] = field(default_factory=dict)
    groups: Sequence[tuple[int, ...]] = ()
