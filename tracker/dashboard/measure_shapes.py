"""Shapes of the answers of measures, for the API's description; see :mod:`tracker.dashboard.shapes`."""

from __future__ import annotations

from pydantic import Field

from tracker.dashboard.shapes import Number, Outage, Shape

__all__ = ["ConflictsShape", "FootfallShape", "GroupsShape", "HeatShape", "QueuesShape", "SpeedsShape"]


class SpeedFigures(Shape):
    """Speeds of some passages."""

    n: int = Field(description="Passages with a speed.")
    unknown: int = Field(description="Passages whose speed was not known well enough.")
    v15: float | None = Field(description="Percentiles; null of too few passages.")
    v50: float | None
    v85: float | None
    time_mean: float | None = Field(description="Arithmetic mean, of what passed.")
    space_mean: float | None = Field(description="Harmonic mean, of what is on the road at one time.")


class SpeedGroup(SpeedFigures):
    """Speeds over one line in one direction of one class."""

    stream: str
    place: str
    direction: str
    class_: str = Field(alias="class")


class SpeedBucket(Shape):
    """One column of a histogram of speeds."""

    from_: Number = Field(alias="from")
    to: Number
    count: int


class MeasuredLine(Shape):
    """A line that measures."""

    stream: str
    place: str


class SpeedsShape(Shape):
    """Speeds over lines."""

    unit: str
    least_n: int = Field(description="Passages from which on percentiles are told.")
    all: SpeedFigures | None
    groups: list[SpeedGroup]
    histogram: list[SpeedBucket]
    lines: list[MeasuredLine] = Field(description="Those that measure speeds, with passages or without.")


class Binned(Shape):
    """An answer in bins."""

    bin_s: int
    utc: bool
    starts_ms: list[int]
    outages: list[Outage]
    timezone: str
    left_out: list[str] = Field(description="Streams that have times of the other clock alone.")


class QueueShape(Shape):
    """One queue: waits that began in the time, and its length in it."""

    stream: str
    place: str
    known: bool = Field(description="Whether the ledgers know anything of the stream in that time.")
    served: int
    abandoned: int
    lost: int
    waiting: int
    found_waiting: int
    partly_seen: int
    mean_wait_s: float | None = Field(description="Of those served that were seen joining.")
    median_wait_s: float | None = Field(description="By Kaplan and Meier: others waited at least that long.")
    p90_wait_s: float | None
    longest_wait_s: float | None
    mean_length: float
    longest: int
    reach_m: float | None
    above: int
    share_above: float
    mean: list[Number | None] = Field(description="Mean length in each bin; null where nothing is known.")
    most: list[Number | None]


class QueuesShape(Binned):
    """Queues in bins."""

    above: int
    queues: list[QueueShape]


class FootfallBins(Shape):
    """Counts in each bin; null where nothing is known."""

    visitors: list[Number | None]
    passers_by: list[Number | None] | None


class FootfallRow(Shape):
    """One footfall; what needs a line before the doors is null where there is none."""

    stream: str
    place: str
    known: bool = Field(description="Whether the ledgers know anything of the stream in that time.")
    visitors: int = Field(description="Entries without staff and re-entries.")
    entries: int
    exits: int
    staff: int
    re_entries: int
    groups: int
    grouped: int
    parties: int
    passers_by: int | None
    capture_of_passing: float | None = Field(description="Visitors over passers-by.")
    capture_of_all: float | None = Field(description="Visitors over visitors and passers-by.")
    bins: FootfallBins


class FootfallShape(Binned):
    """Footfall in bins."""

    footfall: list[FootfallRow]


class HeatClass(Shape):
    """Presence of one class."""

    class_: str = Field(alias="class")
    seconds: float
    still_s: float = Field(description="Those of the seconds in which an identity stood still.")
    visits: float


class HeatShape(Shape):
    """Figures of a heatmap; null where no store keeps one of the stream and time."""

    utc: bool | None
    from_ms: int | None = Field(description="Begin of the first hour that it covers.")
    to_ms: int | None
    sum: float | None = Field(description="Of all cells that the picture shows.")
    top: float | None = Field(description="Value of a cell from which on it has the last colour.")
    unplaced_s: float | None = Field(description="Seconds in no cell: the ground contact was hidden.")
    classes: list[HeatClass]
    ground: bool = Field(description="Whether the ground can be drawn from above.")


class TimeBucket(Shape):
    """One column of a histogram."""

    from_s: float
    to_s: float
    count: int


class ConflictKind(Shape):
    """All pairs of one kind."""

    kind: str
    n: int
    least_s: float | None
    median_s: float | None
    histogram: list[TimeBucket]


class Incident(Shape):
    """What happened, where and when."""

    kind: str
    stream: str
    place: str
    at_ms: int
    utc: bool
    identity: int
    class_: str = Field(alias="class")


class ConflictPair(Incident):
    """Two road users that came close in time."""

    other_identity: int
    value_s: float


class LastingIncident(Incident):
    """What stands or goes the wrong way."""

    lasted_s: float | None = Field(description="Null while it lasts.")


class LastingNumbers(Shape):
    """How many there were in the time."""

    stopped: int
    wrong_way: int


class ConflictsShape(Shape):
    """Near conflicts."""

    below_s: float
    kinds: list[ConflictKind]
    pairs: list[ConflictPair] = Field(description="The closest 200.")
    lasting: list[LastingIncident] = Field(description="The newest 200.")
    lasting_n: LastingNumbers
    streams: list[str] = Field(description="Those that measure any of it.")


class GroupPeriod(Shape):
    """From one quiet hour to the next."""

    from_ms: int
    to_ms: int | None = Field(description="Null while it lasts.")
    entries: int
    exits: int
    drift: int | None = Field(description="Entries less exits that were left at its end; null while it lasts.")
    spread: str


class GroupShape(Shape):
    """A place that several cameras see."""

    name: str
    cameras: list[str]
    timezone: str
    reset_at: str
    doors: int
    known: bool = Field(description="Whether the ledgers know anything of its cameras in that time.")
    starts_ms: list[int]
    inside: list[int] = Field(description="Entries less exits since the quiet hour, at the end of each bin.")
    corrected: list[float | None] = Field(description="With the drift spread; null while the period lasts.")
    open: list[bool]
    entries: int
    exits: int
    most: int
    inside_last: int
    lost_last: int = Field(description="Exits since the quiet hour beyond those inside.")
    periods: list[GroupPeriod]
    outages: list[Outage]


class GroupsShape(Shape):
    """Groups whose cameras may all be seen."""

    bin_s: int
    configured: bool = Field(description="Whether the dashboard has a file of groups.")
    groups: list[GroupShape]
