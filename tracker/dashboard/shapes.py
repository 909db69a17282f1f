"""Shapes of the API's answers, for its description; a test checks the answers, which are plain values, against them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tracker.dashboard.rights import Role

__all__ = ["Problem", "gives", "gives_file"]

Number = int | float


class Shape(BaseModel):
    """An object with exactly these keys."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ProblemParts(Shape):
    """What is wrong, and what to do."""

    what: str
    expected: str
    found: str
    remedy: str


class Problem(BaseModel):
    """Every answer with a status of 400 and more."""

    error: ProblemParts


class Account(Shape):
    """Who is logged in."""

    name: str
    role: Role
    streams: Literal["*"] | list[str]
    see_people: bool


class Session(Shape):
    """The session of a page."""

    setup_needed: bool
    user: Account | None
    csrf: str = Field(description="For X-Masktrail-CSRF.")
    title: str
    version: str


class Begun(Shape):
    """A session that has begun."""

    user: Account
    csrf: str


class PlaceCount(Shape):
    """A count at a place."""

    place: str
    direction: str
    count: int


class Stream(Shape):
    """A camera or a recording."""

    id: str
    kind: Literal["camera", "recording"]
    state: str
    problem: str | None
    fps: Number | None
    age_s: Number | None
    lost_share: Number | None = Field(
        description="Of a camera's frames in the last five minutes, those dropped or too old; 0 to 1."
    )
    size: list[int] | None
    living: int | None
    identities: int | None
    outage: str | None
    site_revision: int | None
    timezone: str | None
    today: list[PlaceCount] = Field(description="Since midnight of its place; of recordings all.")
    has_video: bool
    began_ms: int | None
    duration_s: Number | None


class Streams(Shape):
    """Every stream that may be seen."""

    streams: list[Stream]


class OneStream(Stream):
    """A stream with its classes and what its site has."""

    classes: list[str]
    site: dict[str, Any] | None
    editable: bool


class Sighting(Shape):
    """Where an identity stood."""

    t_ms: int
    x: float
    y: float


class Stay(Shape):
    """Time in a zone."""

    entered_ms: int
    left_ms: int | None
    dwell_s: float | None
    hidden_s: float | None
    began: str | None
    end: str | None


class EventShape(Shape):
    """A row of the ledger under its identity's present number and final class."""

    key: str
    kind: str
    stream: str
    at_ms: int
    utc: bool
    place: str
    direction: str
    identity: int
    class_: str = Field(alias="class")
    was_class: str
    since_ms: int | None
    value: float | None
    error: float | None
    other_identity: int
    before: Sighting | None
    after: Sighting | None
    stay: Stay | None
    bridged: bool
    revision: int


class Events(Shape):
    """A page of events."""

    events: list[EventShape]
    next: str | None


class Identity(Shape):
    """What the ledger has of one identity."""

    identity: int
    class_: str = Field(alias="class")
    started_ms: int | None
    ended_ms: int | None
    path: list[list[Number]] = Field(description="[t_ms, x, y] of the last minutes.")
    events: list[EventShape]
    cut_outs: list[str]
    live_cut_out: str | None = Field(description="Where it is now, from the masked picture; null where it is not.")


class Places(Shape):
    """What filters can be set to."""

    kinds: list[str]
    places: list[str]
    directions: list[str]
    classes: list[str]


class Series(Shape):
    """Counts of one group."""

    group: dict[str, str]
    counts: list[int | None]
    total: int


class Outage(Shape):
    """A time in which a camera saw nothing that counts."""

    stream: str
    kind: str
    from_ms: int
    to_ms: int


class Counts(Shape):
    """Counts in bins."""

    bin_s: int
    utc: bool
    starts_ms: list[int]
    series: list[Series]
    outage_bins: list[bool]
    compared: list[Series] | None
    outages: list[Outage]
    timezone: str
    left_out: list[str] = Field(description="Streams that have times of the other clock alone.")


class DwellFigures(Shape):
    """Figures of some stays."""

    n: int
    closed: int
    censored: int
    mean_s: float | None
    median_s: float | None
    p90_s: float | None


class DwellGroup(DwellFigures):
    """Figures of one zone and class."""

    stream: str
    place: str
    class_: str = Field(alias="class")


class Bucket(Shape):
    """One column of a histogram."""

    from_s: Number
    to_s: Number
    count: int


class Dwell(DwellFigures):
    """Figures of all stays that were asked for."""

    histogram: list[Bucket]
    by: list[DwellGroup]


class Flow(Shape):
    """One flow."""

    stream: str
    name: str
    start: str
    end: str
    count: int


class Flows(Shape):
    """Flows, also as a matrix."""

    flows: list[Flow]
    origins: list[str]
    destinations: list[str]
    matrix: list[list[int]]


class Occupancy(Shape):
    """Presence and balances."""

    zones: list[dict[str, Any]]
    balances: list[dict[str, Any]]


class ResultFile(Shape):
    """A file of a recording."""

    number: int
    name: str
    kind: Literal["video", "source", "picture", "events", "data"]
    bytes: int


class RecordingShape(Stream):
    """A recording with its files."""

    files: list[ResultFile]


class Recordings(Shape):
    """Every recording that may be seen."""

    recordings: list[RecordingShape]


class RunShape(Shape):
    """A run of a recording."""

    recording: str = Field(description="Its name without results.")
    stream: str | None = Field(description="The name under which it stands now.")
    kind: Literal["track", "count"] = Field(description="Whether it is tracked, or counted from its records.")
    state: Literal["queued", "running", "done", "failed", "interrupted"] = Field(
        description="Interrupted: the dashboard ended before it was over; it can be started again."
    )
    by: str
    asked_ms: int
    frames: int
    total: int | None = Field(description="Frames that the recording announces.")
    left_s: float | None
    refined: float | None = Field(description="Share of the second pass that is done; null before it.")
    problem: ProblemParts | None = Field(description="Why there are no results, or no whole ones.")


class Runs(Shape):
    """Runs since the dashboard was started, and those that were not over when it ended before."""

    allowed: bool
    runs: list[RunShape] = Field(description="In the order in which they were asked for.")
    runnable: list[str] = Field(description="Recordings without results.")


class Health(Shape):
    """The engine, the store and the disk."""

    version: str
    engine: dict[str, Any]
    store: dict[str, Any]
    disk: dict[str, int]


class UserShape(Account):
    """An account."""

    created_ms: int


class Users(Shape):
    """All accounts."""

    users: list[UserShape]


class TokenShape(Shape):
    """A token without its secret."""

    id: int
    label: str
    role: Role
    streams: Literal["*"] | list[str]
    see_people: bool
    created_by: str
    created_ms: int
    expires_ms: int | None
    used_ms: int | None


class Tokens(Shape):
    """All tokens."""

    tokens: list[TokenShape]


class TokenMade(Shape):
    """A new token: its secret is shown once."""

    id: int
    token: str


class LogEntry(Shape):
    """What was changed."""

    row: int
    at_ms: int
    name: str
    address: str
    what: str
    detail: str


class Log(Shape):
    """A page of the log."""

    log: list[LogEntry]
    next: int | None


class Audits(Shape):
    """Audits beside recordings."""

    audits: list[dict[str, Any]]


class Acknowledged(Shape):
    """That a person has seen an alert."""

    by: str
    at_ms: int


class Alert(Shape):
    """An alert of a rule, from its begin to its end."""

    key: str
    stream: str
    rule: str
    began_ms: int
    ended_ms: int | None = Field(description="null while it is under way, or where nothing says when it was over.")
    utc: bool
    value: float | None = Field(description="At its begin; of one that is over, the highest.")
    under_way: bool
    acknowledged: Acknowledged | None


class Alerts(Shape):
    """The latest alerts, those under way first."""

    alerts: list[Alert]
    waiting: int = Field(description="How many are under way and not acknowledged.")


class Validation(Shape):
    """A count by hand beside that of the ledger."""

    id: int
    stream: str
    place: str
    direction: str
    class_: str = Field(alias="class")
    from_ms: int
    to_ms: int
    utc: bool
    truth: int
    by: str
    at_ms: int
    counted: int


class Validations(Shape):
    """All counts by hand of streams that may be seen."""

    validations: list[Validation]


class Made(Shape):
    """What was made."""

    id: int


def gives(shape: type[BaseModel], status: int = 200) -> dict[int | str, dict[str, Any]]:
    """Answers of a route: its shape, and that of every error."""
    return {status: {"model": shape}, "4XX": {"model": Problem}}


def gives_file(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """Answers of a route that gives bytes of these media types."""
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in kinds}
    return {200: {"content": content, "description": "The bytes."}, "4XX": {"model": Problem}}
