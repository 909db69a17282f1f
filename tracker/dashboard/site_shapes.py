"""Answers about sites: their revisions, what is wrong with them, how a ground lies."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tracker.dashboard.shapes import Number, ProblemParts, Shape


class RecordedSite(Shape):
    """What else there is to a recording's site; files are named as they lie in the folder of results."""

    name: str = Field(description="Of the recording in runs and files.")
    scope: Literal["recording", "folder"] = Field(description="Of the present file.")
    scopes: list[Literal["recording", "folder"]] = Field(description="For which this account may save.")
    files: dict[str, str] = Field(description="By scope.")
    sharing: list[str] = Field(description="Streams of the folder without a site of their own.")
    apart: list[str] = Field(description="Streams of the folder with one.")
    has_rows: bool = Field(description="There are records of its tracks, which can be counted.")
    has_picture: bool = Field(description="There is a video, and this account may see it.")
    duration_s: Number | None
    runs_allowed: bool = Field(description="The page may count it; else the commands do.")
    commands: list[str] = Field(description="That count it, to be run in the folder of results.")
    count_problem: ProblemParts | None = Field(description="Why it cannot be counted.")
    counted_revision: int | None = Field(description="Of the site that its events were counted with.")


class Site(Shape):
    """A site with its revisions; `recording` is null of cameras."""

    revision: int
    site: dict[str, Any]
    size: list[int] | None
    history: list[dict[str, Any]]
    recording: RecordedSite | None


class SiteSaved(Shape):
    """A site as it stands in its file now."""

    revision: int
    site: dict[str, Any]


class SiteRevision(Shape):
    """An earlier revision."""

    revision: int
    site: dict[str, Any]
    diff: list[dict[str, Any]]


class DryRow(Shape):
    """One figure; `was` is null where it is not known."""

    what: str
    class_: str = Field(alias="class")
    was: Number | None
    would: Number | None


class DryPlace(Shape):
    """A line or zone."""

    place: str
    kind: Literal["line", "zone"]
    rows: list[DryRow]


class DryRunShape(Shape):
    """What a site would have counted; times are UTC of cameras, media time of recordings."""

    from_ms: int
    to_ms: int
    seconds: Number
    places: list[DryPlace]


class Trail(Shape):
    """Ground contacts of an identity: media seconds, x and y as shares of the picture."""

    identity: int
    class_: str = Field(alias="class")
    points: list[list[Number]]


class Trails(Shape):
    """Trails of a recording, which lasts from `from_s` to `to_s`."""

    size: list[int] | None
    from_s: Number
    to_s: Number
    trails: list[Trail]


class SiteCheck(Shape):
    """What is wrong with a site, and what may not be meant."""

    problems: list[dict[str, str]]
    warnings: list[str]


class GroundPointShape(Shape):
    """A known point: where it is, where the ground puts it (`null` = behind the camera), and how far that is off."""

    at: list[float]
    metres: list[float]
    put_at: list[float] | None
    off_m: float | None


class GridLineShape(Shape):
    """A line of the metric grid, near the picture."""

    axis: Literal["x", "y"]
    metres: float
    is_strong: bool
    ends: list[list[float]]


class GroundShape(Shape):
    """A ground as the editor draws it; places are shares of the picture."""

    points: list[GroundPointShape]
    is_checked: bool
    residual_m: float | None
    pixel_m: list[float] | None
    step_m: float
    lines: list[GridLineShape]


class SiteGround(Shape):
    """What is wrong with a ground, or how it lies."""

    problems: list[dict[str, str]]
    ground: GroundShape | None


class SiteImport(Shape):
    """Another tool's site."""

    site: dict[str, Any]
    warnings: list[str]


class Watch(Shape):
    """Something that a rule can watch, and the places of the site to choose from."""

    watch: str
    places: list[str]
    needs_place: bool
    is_instant: bool


class SiteRules(Shape):
    """Alert rules of one site; `problem` says why its file cannot be read."""

    stream: str
    revision: int
    timezone: str
    rules: list[dict[str, Any]]
    watches: list[Watch]
    problem: str | None


class AlertRules(Shape):
    """Alert rules of all sites that are asked for."""

    sites: list[SiteRules]
