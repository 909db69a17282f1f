"""Shapes of the answers of measures, for the API's description; see :mod:`tracker.dashboard.shapes`."""

from __future__ import annotations

from pydantic import Field

from tracker.dashboard.shapes import Number, Shape

__all__ = ["SpeedsShape"]


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
