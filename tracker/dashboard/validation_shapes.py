"""Answers about sheets of intervals that people count; see :mod:`tracker.dashboard.shapes`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tracker.dashboard.shapes import Shape

__all__ = ["CountSheetShape", "CountSheetsShape", "CountedShape", "ReportShape"]


class CountSheetRow(Shape):
    """A sheet, and how far it is."""

    id: int
    stream: str
    clock: Literal["media", "utc"]
    seed: int
    by: str
    at_ms: int
    intervals: int
    counted: int
    from_ms: int
    to_ms: int


class CountSheetsShape(Shape):
    """All sheets of streams that may be seen."""

    sheets: list[CountSheetRow]


class CountIntervalShape(Shape):
    """An interval to count in; `counts` has one number for each of `asked`, `media_s` is where a video begins it."""

    number: int
    from_ms: int
    to_ms: int
    stratum: str
    counts: list[int] | None
    revision: int
    by: str
    at_ms: int | None
    media_s: float | None


class CountSheetShape(Shape):
    """A sheet; `asked` lists line or zone, direction and class of each count."""

    id: int
    stream: str
    clock: Literal["media", "utc"]
    asked: list[list[str]]
    seed: int
    by: str
    at_ms: int
    intervals: list[CountIntervalShape]


class CountedShape(Shape):
    """The revision of an interval as it stands now."""

    revision: int


class AgreementShape(Shape):
    """How good the counts of a line, direction and class are; `null` where it cannot be said."""

    place: str
    direction: str
    class_: str = Field(alias="class")
    intervals: int
    hours: float
    ledger: int
    person: int
    ratio: float | None
    low: float | None
    high: float | None
    method: Literal["bootstrap", "rule of three", ""]
    geh: float
    verdict: Literal["good", "weak", "too few"]


class ReportShape(Shape):
    """Agreement of the counted intervals, without those whose events were deleted, and what is weak in words."""

    counted: int
    intervals: int
    deleted: int
    rows: list[AgreementShape]
    words: list[str]
