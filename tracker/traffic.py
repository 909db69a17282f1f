"""Traffic of a site: sizes of road users, and up to which time conflicts between them are written."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ROAD_USERS", "SECTION_MEASURES", "RoadUser", "Traffic"]

SECTION_MEASURES = ("speed", "headway", "size")
"""What a line may measure of each passage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoadUser:
    """What is known of a class beforehand: one picture shows the near side only.

    Attributes:
        length_m, width_m: Of the body.
        base_m: Between the places where the first and the last wheel touch the ground; the contact is at one of them.
    """

    length_m: float
    width_m: float
    base_m: float

    def __post_init__(self) -> None:
        for name, value in (("length", self.length_m), ("width", self.width_m), ("base", self.base_m)):
            if not (math.isfinite(value) and 0.05 <= value <= 100):
                problem = f"expected a {name} from 0.05 to 100 m, found {value:g}"
                raise ConfigError("sizes", problem, "such as {car: [4.4, 1.8, 2.9]}")
        if self.base_m > self.length_m:
            problem = f"expected a base up to the length {self.length_m:g} m, found {self.base_m:g}"
            raise ConfigError("sizes", problem, "give length, width, and the distance of the outer wheels' contacts")


ROAD_USERS: Mapping[str, RoadUser] = MappingProxyType(
    {
        "person": RoadUser(length_m=0.5, width_m=0.5, base_m=0.1),
        "bicycle": RoadUser(length_m=1.8, width_m=0.6, base_m=1.5),
        "motorcycle": RoadUser(length_m=2.2, width_m=0.8, base_m=1.7),
        "car": RoadUser(length_m=4.4, width_m=1.8, base_m=2.9),
        "bus": RoadUser(length_m=12.0, width_m=2.5, base_m=6.5),
        "truck": RoadUser(length_m=9.5, width_m=2.5, base_m=6.5),
    }
)
"""Usual sizes by class; others are taken as cars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What is written of pairs of road users.

    Attributes:
        time_to_collision_s: The least time to collision of a pair is written up to here; ``None`` = never.
        post_encroachment_s: The same of the post-encroachment time.
        sizes: Length, width and base in metres of classes that differ from :data:`ROAD_USERS`.
    """

    time_to_collision_s: float | None = None
    post_encroachment_s: float | None = None
    sizes: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for sizes in self.sizes.values():
            _road_user(sizes)
        limits = (
            ("time_to_collision_s", self.time_to_collision_s),
            ("post_encroachment_s", self.post_encroachment_s),
        )
        for name, limit in limits:
            if limit is not None and not 0.1 <= limit <= 10:
                raise ConfigError("traffic", f"expected {name} from 0.1 to 10, found {limit:g}", f"change {name}")

    def size_of(self, class_name: str) -> RoadUser:
        """The size of a class, by the site or as usual."""
        if class_name in self.sizes:
            return _road_user(self.sizes[class_name])
        return ROAD_USERS.get(class_name, ROAD_USERS["car"])


def _road_user(sizes: tuple[float, float, float]) -> RoadUser:
    length_m, width_m, base_m = sizes
    return RoadUser(length_m=length_m, width_m=width_m, base_m=base_m)
