"""Settings of the queues, footfall and parking bays of a site file, with type, range, default and description."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, WithJsonSchema

from tracker.settings.model import Note, Settings, Wanted
from tracker.settings.values import MOST_LETTERS, Text, Texts

__all__ = ["BaySettings", "FootfallSettings", "QueueSettings"]

DAY_S = 86_400
WEEK_S = 7 * DAY_S

_POINT = {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "number", "minimum": 0, "maximum": 1}}
Corners = Annotated[
    tuple[tuple[float, float], ...],
    WithJsonSchema({"type": "array", "minItems": 4, "maxItems": 4, "items": _POINT}),
]
Name = Annotated[
    Text,
    Field(
        description="Name, different from those of the site's other queues, footfall and bays.", max_length=MOST_LETTERS
    ),
    Wanted(f"a name of 1 to {MOST_LETTERS} letters", "such as till 1"),
]


class QueueSettings(Settings):
    """Persons that stand in a zone and wait until they are served."""

    name: Name
    zone: Annotated[
        Text,
        Field(description="Name of the zone in which the queue stands."),
        Note("Its classes are those that queue."),
    ]
    served_at: Annotated[Text, Field(description="Name of the zone or line that those reach whose turn it is.")]
    served_direction: Annotated[
        Text | None, Field(description="Direction over the line `served_at`; both if left out.")
    ] = None
    still_m_s: Annotated[
        float,
        Field(ge=0.01, le=10, description="Slower than this is standing, in metres a second."),
        Note("Exact with `ground`; else by the height of persons in the picture."),
    ] = 0.4
    still_s: Annotated[
        float, Field(ge=0, le=DAY_S, description="Seconds of standing, in all, from which one is in the queue.")
    ] = 2.0
    reach_s: Annotated[
        float,
        Field(
            ge=0, le=DAY_S, description="Seconds after the zone within which `served_at` is reached; else it gave up."
        ),
    ] = 10.0


class FootfallSettings(Settings):
    """Visitors through a set of doors, beside those that pass by."""

    name: Name
    doors: Annotated[Text, Field(description="Name of the doors.")]
    passing: Annotated[Texts, Field(description="Names of lines across the way before the doors, for passers-by.")] = ()
    staff_zones: Annotated[Texts, Field(description="Names of zones in which only staff stays.")] = ()
    staff_s: Annotated[
        float, Field(ge=0, le=DAY_S, description="Seconds in them, in all, from which one is staff.")
    ] = 10.0
    re_entry_s: Annotated[
        float,
        Field(ge=0, le=WEEK_S, description="Seconds since it went out within which one that enters is no new visitor."),
    ] = 10_800.0
    group_m: Annotated[
        float,
        Field(ge=0.1, le=20, description="Largest distance of two that walk together, in metres."),
        Note("Exact with `ground`; else by the height of persons in the picture."),
    ] = 1.5
    group_s: Annotated[
        float, Field(ge=0.1, le=10, description="Seconds before the door for which they walk together.")
    ] = 2.0


class BaySettings(Settings):
    """A place for one vehicle."""

    name: Name
    polygon: Annotated[
        Corners,
        Field(description="Its four corners on the ground, in order around it, as [x, y]."),
        Wanted("four points [x, y]", "such as [[0.1, 0.5], [0.2, 0.5], [0.18, 0.4], [0.1, 0.4]]"),
    ]
    classes: Annotated[Texts, Field(description="Classes that take it; all if left out.")] = ()
    covered: Annotated[
        float, Field(ge=0.01, le=1, description="Share of its ground that a vehicle covers which stands in it.")
    ] = 0.3
    taken_s: Annotated[float, Field(ge=0, le=DAY_S, description="Seconds covered after which it is taken.")] = 10.0
    free_s: Annotated[
        float, Field(ge=0, le=DAY_S, description="Seconds uncovered, and in view, after which it is free.")
    ] = 10.0
