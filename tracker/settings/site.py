"""Settings of a site file: every key of ``sites/<camera>.yaml`` with its type, range, default and description.

Forms, the JSON schema and the reference page are made of these declarations; :mod:`tracker.settings.site_file` reads
and writes the file. What the parts mean together is checked by :class:`tracker.site.Site`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema

from tracker.settings.model import Also, Note, Settings, Wanted
from tracker.settings.site_alerts import AlertSettings
from tracker.settings.site_premises import BaySettings, FootfallSettings, QueueSettings
from tracker.settings.values import MOST_LETTERS, Text, Texts, as_pairs

__all__ = [
    "PLAIN_VERSION",
    "VERSION",
    "DoorsSettings",
    "FlowSettings",
    "GroundPointSettings",
    "GroundSettings",
    "LineSettings",
    "OccluderSettings",
    "PrivacyZoneSettings",
    "RectangleSettings",
    "SiteSettings",
    "TrafficSettings",
    "ZoneSettings",
]

VERSION = 2
"""Of the file's form. A key that older versions would have to obey raises it in the files that use it: a file without
that key is of an earlier version and stays readable for them. 2: `privacy`."""
PLAIN_VERSION = 1
"""Of files without such keys."""

LARGEST_SIDE = 65_535
DAY_S = 86_400

_POINT = {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "number", "minimum": 0, "maximum": 1}}
_LINE = {"type": "array", "minItems": 2, "items": _POINT}
_POLYGON = {"type": "array", "minItems": 3, "items": _POINT}

LinePoints = Annotated[tuple[tuple[float, float], ...], WithJsonSchema(_LINE)]
Polygon = Annotated[tuple[tuple[float, float], ...], WithJsonSchema(_POLYGON)]
Polygons = Annotated[
    tuple[tuple[tuple[float, float], ...], ...],
    WithJsonSchema({"anyOf": [_POLYGON, {"type": "array", "minItems": 1, "items": _POLYGON}]}),
]


def _size(value: Any) -> Any:
    """``1920x1080`` is ``[1920, 1080]``."""
    if isinstance(value, str) and (found := re.fullmatch(r"([0-9]{1,5}) ?[xX] ?([0-9]{1,5})", value)):
        return found[1], found[2]
    return value


Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
Size = Annotated[
    tuple[Side, Side],
    BeforeValidator(_size),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "integer", "minimum": 1}},
                {"type": "string", "pattern": "^[0-9]{1,5}x[0-9]{1,5}$"},
            ]
        }
    ),
]
Limits = Annotated[
    tuple[tuple[Text, Annotated[float, Field(ge=0.001, le=DAY_S)]], ...],
    BeforeValidator(as_pairs),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "number", "minimum": 0.001, "maximum": DAY_S}}),
]

LineName = Annotated[
    Text,
    Field(description="Name, different from those of the site's other lines and zones.", max_length=MOST_LETTERS),
    Wanted(f"a name of 1 to {MOST_LETTERS} letters", "such as north gate"),
]
Classes = Annotated[Texts, Field(description="Classes that count; all if left out.")]


def _words(value: Any) -> Any:
    """One word is a list of one."""
    return (value,) if isinstance(value, str) else value


SectionMeasure = Literal["speed", "headway", "size"]
Measures = Annotated[
    tuple[SectionMeasure, ...],
    BeforeValidator(_words),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(get_args(SectionMeasure))},
                {"type": "array", "items": {"enum": list(get_args(SectionMeasure))}},
            ]
        }
    ),
]


class LineSettings(Settings):
    """A line that is counted over, in two named directions."""

    name: LineName
    points: Annotated[
        LinePoints,
        Field(description="Corners as [x, y] in shares of the picture, two or more."),
        Wanted("a list of points [x, y]", "such as [[0.1, 0.5], [0.9, 0.5]]"),
    ]
    to_left: Annotated[
        Text,
        Field(description="Name of the direction onto the left-hand side of the line, walked from its first point."),
        Note("Of a line that is drawn from left to right, that is upwards."),
    ] = "in"
    to_right: Annotated[Text, Field(description="Name of the other direction.")] = "out"
    classes: Classes = ()
    dead_band: Annotated[
        float,
        Field(
            ge=1e-6, le=0.5, description="Half width of the band about the line that is on neither side, in heights."
        ),
    ] = 0.004
    sway_share: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="The same as a share of the object's height in the picture; the wider of both holds.",
        ),
        Note("0.05 is 9 cm of a person; standing persons sway by 5 cm."),
    ] = 0.05
    settle_s: Annotated[
        float, Field(ge=0, le=DAY_S, description="Seconds beyond the band after which a side is settled.")
    ] = 0.2
    min_rearm_s: Annotated[
        float, Field(ge=0, le=DAY_S, description="Shortest time between two crossings of one identity, in seconds.")
    ] = 1.0
    measures: Annotated[
        Measures,
        Field(description="What is measured of each passage: `speed`, `headway` (and time gap), `size`."),
        Note("They need `ground`. A speed whose standard error is more than 10 % is not written."),
        Wanted("some of speed, headway, size", "such as [speed, headway]"),
    ] = ()
    wrong_way: Annotated[
        Text | None, Field(description="Name of the direction that is against the rules; none if left out.")
    ] = None


class ZoneSettings(Settings):
    """An area in which identities are present, stay and loiter."""

    name: LineName
    polygons: Annotated[
        Polygons,
        Field(description="One polygon, or a list of several; one inside another one is a hole."),
        Note("Corners as [x, y] in shares of the picture, three or more, the first one not repeated."),
        Also("polygon"),
        Wanted("a list of points [x, y], or of such lists", "such as [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]"),
    ]
    classes: Classes = ()
    enter_s: Annotated[
        float, Field(ge=0, le=DAY_S, description="Seconds inside after which an identity has entered.")
    ] = 0.3
    leave_s: Annotated[
        float, Field(ge=0, le=DAY_S, description="Seconds outside after which an identity has left.")
    ] = 1.0
    loiter_s: Annotated[
        float | None,
        Field(ge=0.001, le=DAY_S, description="Seconds of a stay from which it is loitering; never if left out."),
    ] = None
    loiter_s_by_class: Annotated[
        Limits,
        Field(description="Other limits for some classes, {person: 60}."),
        Wanted("`class: seconds`", "such as {person: 60}"),
    ] = ()
    stopped_s: Annotated[
        float | None,
        Field(ge=0.5, le=DAY_S, description="Seconds of standing still from which it is stopped; never if left out."),
        Note("It needs `ground`."),
    ] = None
    towards: Annotated[
        LinePoints,
        Field(description="Two points, an arrow the way that traffic goes; what goes against it is on the wrong way."),
        Note("It needs `ground`."),
        Wanted("two points [x, y], from and to", "such as [[0.5, 0.9], [0.5, 0.4]]"),
    ] = ()
    conflict_area: Annotated[
        bool, Field(description="Post-encroachment times are taken in this and other such zones only.")
    ] = False


class OccluderSettings(Settings):
    """Something that stands still and hides ground contacts: a pillar, a counter, a shelf."""

    name: Annotated[Text, Field(description="Name, different from those of the site's other occluders.")]
    polygon: Annotated[
        Polygon,
        Field(description="Its outline in the picture, as [x, y]."),
        Wanted("a list of points [x, y]", "such as [[0.1, 0.1], [0.2, 0.1], [0.2, 0.9]]"),
    ]


class PrivacyZoneSettings(Settings):
    """A part of the picture that is never shown, in any picture output, whatever the setting `privacy` is."""

    name: Annotated[Text, Field(description="Name, different from those of the site's other privacy zones.")]
    polygon: Annotated[
        Polygon,
        Field(description="Its outline in the picture, as [x, y]."),
        Wanted("a list of points [x, y]", "such as [[0.1, 0.1], [0.2, 0.1], [0.2, 0.9]]"),
    ]


class DoorsSettings(Settings):
    """All lines by which a space is entered and left: entries minus exits are its balance."""

    name: Annotated[Text, Field(description="Name of the space, different from those of the site's other doors.")]
    lines: Annotated[Texts, Field(description="Names of the lines.")]
    entry: Annotated[Text, Field(description="Name of the direction that enters, the same over all lines.")] = "in"
    exit: Annotated[Text, Field(description="Name of the direction that leaves.")] = "out"
    reset_at: Annotated[
        Text | None,
        Field(description="Quiet hour HH:MM, in the site's time zone, at which the balance is set to 0."),
    ] = None


class FlowSettings(Settings):
    """A way from one line or zone to another."""

    name: Annotated[
        Text,
        Field(description="Name, different from those of the site's other flows.", max_length=MOST_LETTERS),
        Wanted(f"a name of 1 to {MOST_LETTERS} letters", "such as north to east"),
    ]
    start: Annotated[Text, Field(description="Name of a line or zone.")]
    end: Annotated[Text, Field(description="Name of a line or zone; the same one for a U-turn.")]
    start_direction: Annotated[Text | None, Field(description="Direction over the line `start`; both if left out.")] = (
        None
    )
    end_direction: Annotated[Text | None, Field(description="Direction over the line `end`; both if left out.")] = None


_METRES = {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "number"}}
_CORNERS = {"type": "array", "minItems": 4, "maxItems": 4, "items": _POINT}
_LENGTH = Field(ge=0.01, le=100_000)


class GroundPointSettings(Settings):
    """A point that is known in the picture and on the ground."""

    at: Annotated[
        tuple[float, float],
        Field(description="In the picture, [x, y] in shares of it."),
        Wanted("a point [x, y]", "such as [0.25, 0.5]"),
        WithJsonSchema(_POINT),
    ]
    metres: Annotated[
        tuple[float, float],
        Field(description="On the ground, [x, y] in metres; origin and axes are free, the same for all points."),
        Wanted("two numbers of metres [x, y]", "such as [0, 12.5]"),
        WithJsonSchema(_METRES),
    ]


class RectangleSettings(Settings):
    """A rectangle on the ground whose sides were measured."""

    corners: Annotated[
        Polygon,
        Field(description="Four corners in order around it: near left, near right, far right, far left."),
        Wanted("4 points [x, y]", "such as [[0.2, 0.9], [0.8, 0.9], [0.6, 0.5], [0.4, 0.5]]"),
        WithJsonSchema(_CORNERS),
    ]
    width_m: Annotated[float, _LENGTH, Field(description="Metres from the first corner to the second.")]
    length_m: Annotated[float, _LENGTH, Field(description="Metres from the second corner to the third.")]


def _object(settings: type[Settings]) -> dict[str, Any]:
    """The JSON schema of a mapping with these keys, all of them required."""
    made = settings.model_json_schema()["properties"]
    kept = {name: {word: value for word, value in entry.items() if word != "title"} for name, entry in made.items()}
    return {"type": "object", "additionalProperties": False, "required": list(kept), "properties": kept}


class GroundSettings(Settings):
    """How the picture lies on the ground, in metres: points, or a rectangle. Speeds and distances need it."""

    points: Annotated[
        tuple[GroundPointSettings, ...],
        Field(description="Four or more points, each `{at: [x, y], metres: [X, Y]}`; no three of four on one line."),
        Note("From the fifth on, a residual shows how well they fit."),
        Wanted("a list of `{at: [x, y], metres: [X, Y]}`", "such as {at: [0.25, 0.5], metres: [0, 12.5]}"),
        WithJsonSchema({"type": "array", "minItems": 4, "items": _object(GroundPointSettings)}),
    ] = ()
    rectangle: Annotated[
        RectangleSettings | None,
        Field(description="In place of points: `{corners: [...], width_m: ..., length_m: ...}` of a known rectangle."),
        Wanted("a rectangle with corners, width_m and length_m", "add what is missing"),
        WithJsonSchema(_object(RectangleSettings)),
    ] = None


Seconds = Annotated[float, Field(ge=0.1, le=10)]
Sizes = Annotated[
    tuple[tuple[Text, tuple[float, float, float]], ...],
    BeforeValidator(as_pairs),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {
                "type": "array",
                "minItems": 3,
                "maxItems": 3,
                "items": {"type": "number", "minimum": 0.05, "maximum": 100},
            },
        }
    ),
]


class TrafficSettings(Settings):
    """Conflicts between road users, which need `ground`: screening, not enforcement."""

    time_to_collision_s: Annotated[
        Seconds | None,
        Field(description="The least time to collision of a pair is written up to here; never if left out."),
        Note("1.5 s is customary; studies use 2 to 4 s."),
    ] = None
    post_encroachment_s: Annotated[
        Seconds | None,
        Field(description="The post-encroachment time of a pair is written up to here; never if left out."),
        Note("5 s is customary; studies go up to 6.5 s."),
    ] = None
    sizes: Annotated[
        Sizes,
        Field(description="Length, width, and distance of the outer wheels' contacts by class, in metres."),
        Note("Classes that are left out have usual sizes: {car: [4.4, 1.8, 2.9], bus: [12, 2.5, 6.5], ...}."),
        Wanted("`class: [length, width, base]` in metres", "such as {car: [4.4, 1.8, 2.9]}"),
    ] = ()


class SiteSettings(Settings):
    """A whole file: what is measured in one camera's picture."""

    version: Annotated[
        int,
        Field(ge=1, le=VERSION, description="Version of the file's form: 2 for a file with `privacy`, else 1."),
        Note("Programs that do not know a version refuse the file: they would show what must not be seen."),
    ] = PLAIN_VERSION
    revision: Annotated[
        int,
        Field(ge=0, le=2**31 - 1, description="Counts the changes; stands in every event."),
        Note("Programs that write the file add 1; whoever edits it by hand should do so too."),
    ] = 0
    reference_size: Annotated[
        Size | None,
        Field(description="Width and height of the picture on which it was drawn, in pixels."),
        Note("A picture of another shape is refused; any is taken if it is left out."),
        Wanted("width and height in pixels", "such as [1920, 1080]"),
    ] = None
    reference_picture: Annotated[
        Text | None,
        Field(description="That picture, a PNG or JPEG beside the file, by its name without a folder."),
        Note("A camera that shows another view has moved. Without it, the stream's first seconds are the view."),
    ] = None
    timezone: Annotated[Text, Field(description="Time zone of the place, as the IANA names it.")] = "UTC"
    lines: Annotated[tuple[LineSettings, ...], Field(description="Lines that are counted over.")] = ()
    zones: Annotated[tuple[ZoneSettings, ...], Field(description="Zones of presence and stays.")] = ()
    occluders: Annotated[tuple[OccluderSettings, ...], Field(description="What hides ground contacts.")] = ()
    doors: Annotated[tuple[DoorsSettings, ...], Field(description="Lines by which spaces are entered and left.")] = ()
    flows: Annotated[tuple[FlowSettings, ...], Field(description="Ways between lines and zones.")] = ()
    privacy: Annotated[
        tuple[PrivacyZoneSettings, ...],
        Field(description="Parts of the picture that are never shown; `version: 2` must stand in the file."),
    ] = ()
    queues: Annotated[tuple[QueueSettings, ...], Field(description="Queues: who waits in a zone, and how long.")] = ()
    footfall: Annotated[tuple[FootfallSettings, ...], Field(description="Visitors through doors, and passers-by.")] = ()
    bays: Annotated[tuple[BaySettings, ...], Field(description="Parking bays: taken and free.")] = ()
    alerts: Annotated[
        tuple[AlertSettings, ...], Field(description="Alert rules: numbers that are watched, with limits.")
    ] = ()
    ground: Annotated[
        GroundSettings | None, Field(description="How the picture lies on the ground, for speeds and distances.")
    ] = None
    traffic: Annotated[TrafficSettings | None, Field(description="Conflicts between road users that are written.")] = (
        None
    )
